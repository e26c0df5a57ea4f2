"""Say which film each row of an index is of, and which rows a search may find."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_FEW = 10_000
"""Films that are looked for one by one before the rows of all are found."""

_BLOCK = 1 << 20


class FilmRows:
    """The rows of films in the order of their embedding ids. `live` are those that the catalog has still; `alive` those
    of them whose film is not gone."""

    def __init__(self) -> None:
        self.embedding_ids = np.empty(0, np.int64)
        self.film_ids = np.empty(0, np.int64)
        self.live = np.empty(0, np.bool_)
        self.alive = np.empty(0, np.bool_)
        self.count = 0
        self._row_of: NDArray[np.int32] | None = None

    def __len__(self) -> int:
        return self.live.size

    @property
    def ids(self) -> NDArray[np.int64]:
        """Embedding and film ids (2, N)."""
        return np.stack([self.embedding_ids, self.film_ids])

    def adopt(self, ids: NDArray[np.int64], live: NDArray[np.bool_]) -> None:
        """Take embedding and film ids (2, N), which may lie on the disk."""
        self.embedding_ids, self.film_ids, self.live = ids[0], ids[1], live

    def append(self, embedding_ids: NDArray[np.int64], film_ids: NDArray[np.int64]) -> None:
        self.embedding_ids = np.concatenate([self.embedding_ids, embedding_ids])
        self.film_ids = np.concatenate([self.film_ids, film_ids])
        self.live = np.concatenate([self.live, np.ones(embedding_ids.size, np.bool_)])

    def keep_live(self, embedding_ids: NDArray[np.int64]) -> None:
        """Let no other rows live than those of these vectors."""
        self.live = np.isin(self.embedding_ids, embedding_ids, assume_unique=True)

    def settle(self, gone_film_ids: NDArray[np.int64]) -> None:
        """Take in that rows have come or died; those of films that are gone are not alive."""
        self._row_of = None
        self.alive = self.live
        if gone_film_ids.size:
            self.alive = self.live.copy()
            gone = self.of(gone_film_ids)
            self.alive[gone[gone >= 0]] = False
        self.count = int(np.count_nonzero(self.alive))

    def of(self, film_ids: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the row of each film; -1 where it has none."""
        if self._row_of is None and len(self) and film_ids.size <= _FEW:
            # Films stand in the order of their ids, as a rule, and of many millions few are then read.
            likely: NDArray[np.int64] = np.searchsorted(self.film_ids, film_ids).clip(max=len(self) - 1)
            if np.all((self.film_ids[likely] == film_ids) & self.live[likely]):
                return likely
        row_of = self._rows_by_film()
        known = (film_ids >= 0) & (film_ids < row_of.size)
        rows = np.full(len(film_ids), -1, np.int64)
        rows[known] = row_of[film_ids[known]]
        return rows

    def _rows_by_film(self) -> NDArray[np.int32]:
        """Find the row of each film when it is first asked for: who searches once among all need not read the ids."""
        if self._row_of is None:
            row_of = np.full(int(self.film_ids.max(initial=-1)) + 1, -1, np.int32)
            for start in range(0, len(self), _BLOCK):
                live = np.flatnonzero(self.live[start : start + _BLOCK])
                row_of[self.film_ids[start : start + _BLOCK][live]] = start + live
            self._row_of = row_of
        return self._row_of

    def within(self, film_ids: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the rows, ascending, of those of the films that a search can find."""
        rows = self.of(film_ids)
        passing = np.zeros(self.alive.size, np.bool_)
        passing[rows[rows >= 0]] = True
        return np.flatnonzero(passing & self.alive)

    def of_embeddings(self, embedding_ids: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the rows of those of these vectors that are here."""
        rows = np.searchsorted(self.embedding_ids, embedding_ids).clip(max=max(0, len(self) - 1))
        known: NDArray[np.int64] = rows[self.embedding_ids[rows] == embedding_ids]
        return known

    def findable(self, embedding_ids: NDArray[np.int64], within: NDArray[np.int64] | None) -> NDArray[np.bool_]:
        """Say of each vector whether it is here and of a film that is alive, out of the film ids where given."""
        if not len(self):
            return np.zeros(embedding_ids.shape, np.bool_)
        rows = np.searchsorted(self.embedding_ids, embedding_ids).clip(max=len(self) - 1)
        findable: NDArray[np.bool_] = (self.embedding_ids[rows] == embedding_ids) & self.alive[rows]
        if within is not None:
            passing = np.zeros(int(max(within.max(initial=-1), self.film_ids.max(initial=-1))) + 1, np.bool_)
            passing[within] = True
            findable &= passing[self.film_ids[rows]]
        return findable

    def since(self, mark: int) -> NDArray[np.int64]:
        """Return the rows of the vectors that came after the watermark."""
        return np.arange(np.searchsorted(self.embedding_ids, mark, side="right"), len(self))
