"""Measure nDCG@5 of a validation split: each statement is asked, and the films whose answer is known are ranked."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

F32 = NDArray[np.float32]


def ndcg(scores: F32, grades: F32, *, k: int = 5) -> float:
    """Return Järvelin and Kekäläinen 2002 with gains as they stand and log2 discounts; ties in the order given."""
    order = np.argsort(-scores, kind="stable")[:k]
    discounts = 1 / np.log2(np.arange(2, k + 2))
    ideal = np.sort(grades)[::-1][:k]
    best = float((ideal * discounts[: len(ideal)]).sum())
    return float((grades[order] * discounts[: len(order)]).sum()) / best if best > 0 else float("nan")


def mean_ndcg(scores: F32, truth: F32, *, k: int = 5) -> float:
    """Return the mean over the columns with something true and something false; `truth` holds NaN where nothing is
    known."""
    values = []
    for column in range(scores.shape[1]):
        known = ~np.isnan(truth[:, column])
        grades = truth[known, column]
        if grades.any() and not grades.all():
            values.append(ndcg(scores[known, column], grades, k=k))
    return float(np.mean(values)) if values else 0.0
