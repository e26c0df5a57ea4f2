"""Find what is black and what is white in a film that does not say it."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

TAIL = 0.001
"""The share of the darkest and of the brightest pixels that is saturated: enough for dead detector elements and lead
letters, too little to lose anatomy."""


def spread(values: NDArray[Any]) -> tuple[Any, Any]:
    """Return the 0.1th and the 99.9th percentile of pixels (N,); least and greatest where these are the same."""
    first, last = math.floor(TAIL * len(values)), math.ceil((1 - TAIL) * len(values)) - 1
    if values.dtype.kind == "u" and values.itemsize <= 2:
        below = np.cumsum(np.bincount(values))  # three times as fast as to partition
        low, high = np.searchsorted(below, (first, last), side="right")
    else:
        ordered = np.partition(values, (first, last))
        low, high = ordered[first], ordered[last]
    return (low, high) if low < high else (values.min(), values.max())


def spread_of_counts(values: NDArray[Any], counts: NDArray[np.intp]) -> tuple[Any, Any]:
    """Compute as `spread` does, for pixels that have `counts` (n,) of each of `values` (n,)."""
    order = np.argsort(values, kind="stable")
    ascending, below = values[order], np.cumsum(counts[order])
    low = ascending[np.searchsorted(below, TAIL * below[-1], side="right")]
    high = ascending[np.searchsorted(below, (1 - TAIL) * below[-1], side="left")]
    return (low, high) if low < high else (ascending[0], ascending[-1])
