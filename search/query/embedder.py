"""Embed what is asked as one vector: words, films like and unlike, files from outside."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from filmroom.db.archive import Archive
from filmroom.db.errors import BadInput, NotFound, Rejected
from filmroom.db.reads import films
from filmroom.db.reads.spaces import StoredSpace
from filmroom.db.vector_index.index import VectorIndex
from filmroom.indexer.models.base import Towers, no_text
from filmroom.search.query.concept_vector import query_vector, unit
from filmroom.search.query.parser import Query
from filmroom.search.request import UploadedFilm
from filmroom.search.space_selection import with_text
from numpy.typing import NDArray

LIKE, UNLIKE = 0.75, 0.25
"""Rocchio's weights of relevant and irrelevant examples against the words (Salton and Buckley, 1990)."""


@dataclass(frozen=True)
class Embedder:
    """The towers of a space of an archive, and the vectors that its films have."""

    archive: Archive
    held: StoredSpace
    towers: Towers
    index: VectorIndex

    def vector(
        self, query: Query, like: Sequence[int | UploadedFilm], unlike: Sequence[int]
    ) -> NDArray[np.float32] | None:
        """Return the words, drawn towards films like these and away from films unlike them, as one unit vector (D,);
        None without any. Raises BadInput, and NotFound for a film without a vector."""
        if query.concepts and not self.held.space.has_text:
            raise no_text(self.held.space.model, others=with_text(self.archive) or ["filmroom-mini"])
        words = query_vector(query, self.towers.embed_texts) if query.concepts else None
        if not like and not unlike:
            return words
        near = [self._film_vector(film) for film in like]
        far = [self._film_vector(film) for film in unlike]
        if words is None and not far:
            return unit(np.mean(near, axis=0))
        # Films lie far from texts as a whole: only what tells a film from the average one is added to words.
        centre = self.index.centre()
        drawn = np.zeros(self.held.space.dim, np.float32) if words is None else words
        if near:
            drawn = drawn + LIKE * unit(np.mean(near, axis=0) - centre)
        if far:
            drawn = drawn - UNLIKE * unit(np.mean(far, axis=0) - centre)
        return unit(drawn)

    def upload(self, path: Path) -> UploadedFilm:
        """Embed a file from outside, decoded under the usual limits, as its unit vector and thumbnail. Raises
        BadInput."""
        from filmroom.indexer.decoding.workers import process_file  # brings the decoders with it

        if not path.is_file():
            fix = "Give the number of a film, or the path of a file."
            raise BadInput("there is no such file", where=path, fix=fix)
        try:
            done = process_file(path, prepare=self.towers.preprocess.shrink)
        except Rejected as error:
            raise BadInput(error.reason, where=path, fix=f"{error.remedy}.") from None
        film = done.films[0]
        vector = unit(self.towers.embed_prepared(self.towers.preprocess.batch([film.prepared]))[0].mean(axis=0))
        return UploadedFilm.of(self.held.space.fingerprint, vector, film.thumbnail)

    def _film_vector(self, film: int | UploadedFilm) -> NDArray[np.float32]:
        if isinstance(film, UploadedFilm):
            if film.space != self.held.space.fingerprint:
                raise BadInput(
                    f"the uploaded film was embedded by another model than {self.held.space.model}",
                    fix="Upload it again.",
                )
            return film.array()
        if film.bit_length() >= 64 or not len(vectors := self.index.vectors(np.array([film]))):
            films.get(self.archive.catalog, film)
            raise NotFound(
                f"this film has no vector of {self.held.space.model}",
                where=film,
                fix="Index its folder with this model.",
            )
        return unit(vectors[0].mean(axis=0))


def liked_first(
    index: VectorIndex, like: Sequence[int], vector: NDArray[np.float32], passing: NDArray[np.int64], *, scored: bool
) -> tuple[list[tuple[int, float]], NDArray[np.int64]]:
    """Split the ids that pass into (id, score) of those in `like`, in its order, and the others, ascending; the scores
    are not-a-number where they are not asked for."""
    passing = passing[index.holds(passing)]
    ids = np.array(like, np.int64)
    ids = ids[np.isin(ids, passing)]
    scores = index.scores(vector[None], ids)[0].tolist() if scored and ids.size else [np.nan] * ids.size
    return list(zip(ids.tolist(), scores, strict=True)), passing[np.isin(passing, ids, invert=True)]
