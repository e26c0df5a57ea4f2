"""Keep the vectors of an index that score highest for queries that stay: which of any films scores best is read off."""

from __future__ import annotations

import io
from contextlib import suppress
from typing import Protocol
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

DEPTH = 2048
"""Vectors that are kept a query. Of any 50,000 among ten million films, one of them leads all but never."""

BLOCK = 1 << 14


class ScoredRows(Protocol):
    """What an index says of its vectors, which are known by their embedding ids."""

    def scores_since(
        self, queries: NDArray[np.float32], mark: int, most: int
    ) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Return the first `most` embedding ids (n,) after `mark`, ascending, and their scores (Q, n)."""

    def can_find(self, embedding_ids: NDArray[np.int64], within: NDArray[np.int64] | None) -> NDArray[np.bool_]:
        """Say of each vector whether it is of a film that a search can find, out of the film ids `within`."""


class Leaders:
    """The leading vectors for the queries (Q, D). A vector never changes, and one that was deleted never comes back:
    what is added is scored, and nothing else is ever scored again. Films that are gone count, as they may return."""

    def __init__(self, rows: ScoredRows, queries: NDArray[np.float32], *, depth: int = DEPTH) -> None:
        self._rows = rows
        self._queries = queries
        self._depth = depth
        # Ids and scores (Q, n) change at once: a thread may read them while another catches up.
        self._leading = np.empty((len(queries), 0), np.int64), np.empty((len(queries), 0), np.float32)
        self._mark = 0

    def catch_up(self) -> None:
        """Score what the index has taken in since. Not to be called by two threads at once."""
        while True:
            ids, scores = self._rows.scores_since(self._queries, self._mark, BLOCK)
            if not ids.size:
                return
            self._take(ids, scores)
            self._mark = int(ids[-1])

    def best(self, within: NDArray[np.int64] | None) -> NDArray[np.float32]:
        """Return the best score (Q,) over the film ids `within`; NaN where no leader is among them."""
        ids, scores = self._leading
        findable = self._rows.can_find(ids.ravel(), within).reshape(ids.shape)
        scores = np.where(findable, scores, np.float32(np.nan))
        best: NDArray[np.float32] = np.fmax.reduce(scores, axis=1, initial=np.nan).astype(np.float32)
        return best

    def to_bytes(self) -> bytes:
        data = io.BytesIO()
        ids, scores = self._leading
        np.savez(data, ids=ids, scores=scores, mark=np.int64(self._mark))
        return data.getvalue()

    def adopt(self, data: bytes) -> None:
        """Take what `to_bytes` gave for the same queries and vectors; anything else is left."""
        with suppress(ValueError, OSError, KeyError, EOFError, BadZipFile):
            arrays = np.load(io.BytesIO(data), allow_pickle=False)
            ids, scores, mark = arrays["ids"], arrays["scores"], int(arrays["mark"])
            if ids.shape == scores.shape and len(ids) == len(self._queries):
                self._leading, self._mark = (ids, scores), mark

    def _take(self, ids: NDArray[np.int64], scores: NDArray[np.float32]) -> None:
        leading_ids, leading_scores = self._leading
        full = leading_scores.shape[1] == self._depth
        floor = leading_scores.min(axis=1, keepdims=True) if full else np.float32(-np.inf)
        leads = np.flatnonzero((scores > floor).any(axis=0))
        ids = np.concatenate([leading_ids, np.broadcast_to(ids[leads], (len(scores), leads.size))], axis=1)
        scores = np.concatenate([leading_scores, scores[:, leads]], axis=1)
        if scores.shape[1] > self._depth:
            best = np.argpartition(-scores, self._depth - 1, axis=1)[:, : self._depth]
            ids, scores = np.take_along_axis(ids, best, axis=1), np.take_along_axis(scores, best, axis=1)
        self._leading = ids, scores
