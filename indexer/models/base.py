"""Define what every model offers: films and texts as unit vectors of one space."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol, runtime_checkable

import numpy as np
from filmroom.db.errors import ModelUnavailable
from filmroom.db.records import Space
from filmroom.indexer.decoding.radiograph import Radiograph
from filmroom.indexer.models.preprocess import Preparing
from numpy.typing import NDArray

Vectors = NDArray[np.float32]

_TEXTS_AT_ONCE = 64


class Towers(Protocol):
    """A contrastive model. Loading one tower does not load the other; neither loads before it is used."""

    space: Space

    @property
    def preprocess(self) -> Preparing: ...

    def embed_prepared(self, batch: Any) -> Vectors:
        """Turn N films from `preprocess.batch` into (N, T, D), rows of unit length: the way of bulk indexing.

        A film that the tower cannot embed comes back as a row that is not finite.
        """
        ...

    def embed_images(self, batch: Sequence[Radiograph]) -> Vectors:
        """Return (N, T, D), rows of unit length: the way of a query by film."""
        ...

    def embed_texts(self, texts: Sequence[str]) -> Vectors:
        """Return (N, D), rows of unit length. A text is the bare finding: the model's prompt is put around it here.

        Raises ModelUnavailable where the model has no text tower.
        """
        ...

    def patch_vectors(self, film: Radiograph) -> Vectors:
        """Return (h, w, D), unit rows: one vector a patch of the padded square, for heat maps.

        Raises ModelUnavailable where the tower has no patches in the joint space.
        """
        ...


@runtime_checkable
class KnowsWords(Protocol):
    """Towers that can tell the whole words of their vocabulary; others say nothing of a query's words."""

    def known_words(self) -> frozenset[str]:
        """Return them in lower case; none where the vocabulary is of no known kind, or too small to be one of words."""
        ...


def prepare(films: Sequence[Radiograph], preprocess: Preparing) -> Any:
    """Turn films into the input of an image tower."""
    return preprocess.batch([preprocess.shrink(film.pixels) for film in films])


def unit_rows(vectors: NDArray[np.floating]) -> Vectors:
    """Return the same directions with length 1 along the last axis, float32; a row of zeros becomes not-a-number."""
    rows = vectors.astype(np.float32)
    with np.errstate(invalid="ignore", divide="ignore"):
        rows /= np.linalg.norm(rows, axis=-1, keepdims=True)
    return rows


def texts_in_batches(
    texts: Sequence[str], space: Space, embed: Callable[[Sequence[str]], NDArray[np.floating]]
) -> Vectors:
    """Return (N, D), rows of unit length, of what `embed` makes of some texts at a time.

    Raises ModelUnavailable where the space's model has no text tower.
    """
    if not space.has_text:
        raise no_text(space.model)
    parts = [unit_rows(embed(texts[at : at + _TEXTS_AT_ONCE])) for at in range(0, len(texts), _TEXTS_AT_ONCE)]
    return np.concatenate([np.empty((0, space.dim), np.float32), *parts])


def no_text(model: str, *, others: Sequence[str] = ("filmroom-mini",)) -> ModelUnavailable:
    """Return the error of a model that has an image tower alone; `others` are models that read words."""
    return ModelUnavailable(
        f"model {model} has no text tower",
        fix=f"It finds similar films (--like) and serves probes. For words use --model {' or '.join(others)}.",
    )


def no_patches(model: str) -> ModelUnavailable:
    """Return the error of a model whose patches do not lie in the joint space."""
    return ModelUnavailable(
        f"model {model} has no patch vectors",
        fix="Heat maps need a model whose patches lie in the joint space, such as filmroom-mini.",
    )
