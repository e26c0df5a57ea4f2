"""Stand in for the model of vectors that were computed elsewhere: loaded only for a text or a new film."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any

from filmroom.db.errors import FilmroomError, ModelUnavailable
from filmroom.db.records import IMPORTED, Space
from filmroom.indexer.decoding.radiograph import Radiograph
from filmroom.indexer.models.base import Towers, Vectors, no_text
from filmroom.indexer.models.preprocess import Preparing


def is_imported(space: Space) -> bool:
    return space.fingerprint.startswith(IMPORTED)


class ImportedTowers:
    """Films of the archive are compared by their stored vectors alone, without the model.

    A text or a new film needs the model of that name on this disk; that it is the one that made the vectors is the
    word of whoever imported them, and only its dimensions can be checked.
    """

    def __init__(self, space: Space, load: Callable[[], Towers]) -> None:
        self.space = space
        self._load = load

    @property
    def preprocess(self) -> Preparing:
        return self._model.preprocess

    def embed_prepared(self, batch: Any) -> Vectors:
        return self._model.embed_prepared(batch)

    def embed_images(self, batch: Sequence[Radiograph]) -> Vectors:
        return self._model.embed_images(batch)

    def embed_texts(self, texts: Sequence[str]) -> Vectors:
        if not self.space.has_text:
            raise no_text(self.space.model)
        return self._model.embed_texts(texts)

    def patch_vectors(self, film: Radiograph) -> Vectors:
        return self._model.patch_vectors(film)

    def fits(self) -> bool:
        """Load the model's description; False where its vectors have another size. Raises as loading does."""
        return (self._model.space.vectors, self._model.space.dim) == (self.space.vectors, self.space.dim)

    @cached_property
    def _model(self) -> Towers:
        try:
            loaded = self._load()
        except FilmroomError as fault:
            advice = "Only its vectors are here; let another model answer words: filmroom models use NAME."
            raise ModelUnavailable(fault.what, where=fault.where, fix=f"{fault.fix or ''} {advice}".strip()) from None
        if (loaded.space.vectors, loaded.space.dim) != (self.space.vectors, self.space.dim):
            raise ModelUnavailable(
                f"this model gives {loaded.space.vectors} x {loaded.space.dim} numbers a film, "
                f"and the imported vectors have {self.space.vectors} x {self.space.dim}",
                where=self.space.model,
            )
        return loaded
