"""Order what a search found: each film once, at its best row."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from filmroom.db.vector_index.flat import Rows
from numpy.typing import NDArray


@dataclass(frozen=True)
class Ranked:
    """Best first: film ids (Q, k') and scores (Q, k'), k' <= k."""

    film_ids: NDArray[np.int64]
    scores: NDArray[np.float32]


def rank_rows(film_of: NDArray[np.int64], rows: NDArray[np.int64], scores: NDArray[np.float32], k: int) -> Ranked:
    """Return the k best films of rows (Q, n) with their scores, -1 where there is none; `film_of` is the film of every
    row. Ties are broken by film id."""
    film_ids, best = [], []
    for row, score in zip(rows, scores, strict=True):
        hits, score = film_of[row[row >= 0]], score[row >= 0]
        order = np.lexsort((hits, -score))
        hits, score = hits[order], score[order]
        _, first = np.unique(hits, return_index=True)
        first.sort()
        film_ids.append(hits[first])
        best.append(score[first])
    return Ranked(np.stack([hits[:k] for hits in film_ids]), np.stack([score[:k] for score in best]))


def rank_of_all(
    rows: Rows, film_of: NDArray[np.int64], queries: NDArray[np.float32], mask: NDArray[np.bool_], k: int
) -> Ranked | None:
    """Return a scan of all rows, which FAISS does on all processors, for so many that k should pass the mask of films;
    None where they do not. What lies above the last row found is all there is, so that the k are exact."""
    per_film = len(rows) // max(1, mask.size)
    deep = int(1.5 * k / mask.mean()) + 16
    scores, places = rows.scan(queries, min(deep * per_film, len(rows)), None)
    at = np.where(places >= 0, places // per_film, -1)
    passing = (at >= 0) & mask[at]
    if min(np.unique(row[passes]).size for row, passes in zip(at, passing, strict=True)) < k:
        return None
    return rank_rows(film_of, np.where(passing, at, -1), scores, k)
