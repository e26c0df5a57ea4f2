"""Choose the films whose scores stand for those of a whole archive."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

SAMPLE = 20_000
"""Films whose scores estimate a percentile; archives up to this size are measured whole."""

_RUN_BYTES = 1 << 16
_MOST_BYTES = 1 << 24


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
