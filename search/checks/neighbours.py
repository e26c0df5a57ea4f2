"""Find the nearest films of every film, by the cosine of their centred vectors, in bounded memory.

Up to EXACT films every pair is compared; above it FAISS looks in the parts of an inverted file that are nearest.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from filmroom.db.archive import Archive
from filmroom.db.errors import BadInput
from filmroom.db.reads.films import select_ids
from filmroom.db.reads.spaces import film_ids, spaces, vectors_since
from filmroom.db.records import Filter
from filmroom.search.searcher import Searcher
from filmroom.search.space_selection import in_use
from numpy.typing import NDArray

F32 = NDArray[np.float32]
Ints = NDArray[np.int64]
EXACT = 20_000
_BLOCK = 1024
_PROBES = 8


@dataclass(frozen=True)
class Vectors:
    """The present films of a space: ids (N,), ascending, and their pooled vectors (N, D), centred, of unit length."""

    ids: Ints
    rows: F32

    def __len__(self) -> int:
        return len(self.ids)

    def places(self, film_ids: Ints) -> Ints:
        """Give the row of each of these films; -1 for a film without a vector."""
        at = np.searchsorted(self.ids, film_ids)
        rows: Ints = np.where(self.ids[np.minimum(at, len(self.ids) - 1)] == film_ids, at, -1)
        return rows


def centred_vectors(searcher: Searcher) -> Vectors:
    """Read all vectors of a model. What all films have in common is taken away: the cosines that are left tell films
    apart. Raises BadInput where fewer than two films have one."""
    blocks = list(vectors_since(searcher.catalog, searcher.held, 0))
    ids = np.concatenate([np.zeros(0, np.int64), *(block.film_ids for block in blocks)])
    order = np.argsort(ids)
    order = order[np.isin(ids[order], select_ids(searcher.catalog, Filter()))]
    check_several(order)
    rows = np.concatenate([block.vectors.mean(axis=1, dtype=np.float32) for block in blocks])
    del blocks
    ids, rows = ids[order], rows[order]
    rows -= rows.mean(axis=0)
    rows /= np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-9)
    return Vectors(ids, rows)


def films_with_vectors(archive: Archive, model: str | None) -> Ints:
    """Return the ids (N,), ascending, of the present films that have a vector of the model, by default of the one in
    use. Reads no vector. Raises NotFound where no film is indexed."""
    stored = spaces(archive.catalog)
    meant = [in_use(archive)] if model is None else [space for space in stored if space.space.model == model]
    ids = [film_ids(archive.catalog, space.id) for space in meant]
    return np.intersect1d(np.concatenate([np.zeros(0, np.int64), *ids]), select_ids(archive.catalog, Filter()))


def check_several(films: Ints) -> None:
    """Raise BadInput where there are fewer than two films (N,) to compare."""
    if len(films) < 2:
        raise BadInput("fewer than two films have a vector of this model", fix="Run `filmroom index` with it first.")


def nearest(rows: F32, k: int, *, opposite: bool = False) -> tuple[F32, Ints]:
    """Give the cosines and places (N, k) of the nearest other rows of each, best first; place -1 where there are fewer.
    With `opposite` (N, 2k): then come those nearest to the row's opposite, with their cosine to that."""
    if len(rows) < 2:
        return np.empty((len(rows), 0), np.float32), np.empty((len(rows), 0), np.int64)
    k = min(k, len(rows) - 1)
    search = _exact(rows) if len(rows) <= EXACT else _by_parts(rows)
    signs = (1, -1) if opposite else (1,)
    cosines = np.empty((len(rows), k * len(signs)), np.float32)
    places = np.empty(cosines.shape, np.int64)
    for at, sign in enumerate(signs):
        for start in range(0, len(rows), _BLOCK):
            block = slice(start, start + _BLOCK), slice(at * k, (at + 1) * k)
            cosines[block], places[block] = search(rows[block[0]] * np.float32(sign), start, k)
    return cosines, places


_Search = Callable[[F32, int, int], tuple[F32, Ints]]
"""`search(rows, start, k)`: the nearest rows of each, without the row's own place, which is from `start` on."""


def _exact(rows: F32) -> _Search:
    def search(queries: F32, start: int, k: int) -> tuple[F32, Ints]:
        scores = queries @ rows.T
        scores[np.arange(len(scores)), np.arange(start, start + len(scores))] = -np.inf
        top = np.argpartition(-scores, k - 1, axis=1)[:, :k]
        values = np.take_along_axis(scores, top, axis=1)
        order = np.argsort(-values, axis=1, kind="stable")
        return np.take_along_axis(values, order, axis=1), np.take_along_axis(top, order, axis=1)

    return search


def _by_parts(rows: F32) -> _Search:
    import faiss

    parts = int(4 * np.sqrt(len(rows)))
    index = faiss.IndexIVFFlat(faiss.IndexFlatIP(rows.shape[1]), rows.shape[1], parts, faiss.METRIC_INNER_PRODUCT)
    index.cp.niter, index.cp.seed = 6, 1
    index.cp.min_points_per_centroid, index.cp.max_points_per_centroid = 1, 40
    index.train(rows)
    index.add(rows)
    index.nprobe = _PROBES

    def search(queries: F32, start: int, k: int) -> tuple[F32, Ints]:
        scores, hits = index.search(queries, k + 1)
        mine = hits == np.arange(start, start + len(hits))[:, None]
        mine[~mine.any(axis=1), -1] = True  # many equal rows pushed the film itself out of its own answer
        return scores[~mine].reshape(-1, k), hits[~mine].reshape(-1, k)

    return search
