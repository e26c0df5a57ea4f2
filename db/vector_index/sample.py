"""Choose the films whose scores stand for those of a whole archive."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

SAMPLE = 20_000
"""Films whose scores estimate a percentile; archives up to this size are measured whole."""

_RUN_BYTES = 1 << 16
_MOST_BYTES = 1 << 24


def sampled_rows(alive: NDArray[np.bool_], row_bytes: int, *, in_runs: bool) -> NDArray[np.int64]:
    """Return rows that live and stand for all, ascending: all where they are few. `in_runs`: they lie on the disk."""
    if in_runs and np.count_nonzero(alive) > SAMPLE:  # whose numbers would be eight bytes each
        return choose_runs(alive, row_bytes)
    rows = np.flatnonzero(alive)
    return rows if rows.size <= SAMPLE else choose_rows(rows)


def percentiles_in(
    sample: NDArray[np.float32], query: NDArray[np.float32], scores: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Say how many per cent of a sample (M, T, D) score below each of `scores` for the query (D,)."""
    if sample.size == 0:
        return np.full(scores.shape, 100.0, np.float32)
    everyone = np.sort((sample @ query).max(axis=1))
    below = np.searchsorted(everyone, scores - 1e-6, side="left")
    return (100.0 * below / max(1, everyone.size - 1)).clip(0.0, 100.0).astype(np.float32)


def choose_rows(rows: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return some of the rows at random, ascending."""
    return np.sort(np.random.default_rng(0).choice(rows, SAMPLE, replace=False))


def choose_runs(alive: NDArray[np.bool_], row_bytes: int) -> NDArray[np.int64]:
    """Return runs of rows that live, ascending: of a file that is not in memory, far fewer places are read."""
    length = max(1, _RUN_BYTES // row_bytes)
    count = max(1, min(SAMPLE * row_bytes, _MOST_BYTES) // (length * row_bytes))
    starts = np.random.default_rng(0).integers(0, max(1, alive.size - length), count)
    rows = np.unique((starts[:, None] + np.arange(length)).ravel())
    rows = rows[rows < alive.size]
    chosen: NDArray[np.int64] = rows[alive[rows]]
    return chosen
