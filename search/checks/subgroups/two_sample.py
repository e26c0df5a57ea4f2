"""Test whether films of two sides can be told apart: a classifier two-sample test (Lopez-Paz and Oquab, ICLR 2017).

The classifier is Fisher's discriminant with a ridge, fitted on the patients of four folds and asked about those of the
fifth. It is linear in the sides, so that all permutations are fitted by the same few matrix products.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

F32 = NDArray[np.float32]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]
FOLDS = 5
PERMUTATIONS = 999
RIDGE = 0.3
"""Of the mean variance of a dimension."""
_AT_ONCE = 100
_SEED = 20240302


@dataclass(frozen=True)
class TwoSample:
    """AUC with which the classifier tells the sides of films of patients that it has not seen, the share of
    permutations (the sides as they are among them) that do as well, and each film's `scores` (N,): higher is more like
    the second side."""

    auc: float
    p: float
    scores: F32


def two_sample(rows: F32, second: Bools, patients: Ints, permuted: NDArray[np.uint8]) -> TwoSample:
    """Test films `rows` (N, D) by their side, `second` (N,), against permutations of it (N, P)."""
    rng = np.random.default_rng(_SEED)
    fold = (rng.permutation(int(patients.max()) + 1) % FOLDS)[patients]  # blind to the sides, as the permutations are
    order = np.argsort(fold, kind="stable")  # each fold is a slice
    ends = np.searchsorted(fold[order], np.arange(FOLDS + 1))
    rows, permuted = rows[order], permuted[order]
    with threadpool_limits(2, "blas"):
        folds = [_Fold.of(rows, int(first), int(end)) for first, end in pairwise(ends)]
        observed = _scored(rows, folds, second[order, None].astype(np.float32))
        value = float(_areas(observed, second[order, None])[0])
        chance = [
            _areas(_scored(rows, folds, block.astype(np.float32)), block.astype(bool))
            for block in np.array_split(permuted, max(1, permuted.shape[1] // _AT_ONCE), axis=1)
        ]
    as_good = int((np.concatenate(chance) >= value).sum())
    scores = np.empty(len(rows), np.float32)
    scores[order] = observed[:, 0]
    return TwoSample(value, (as_good + 1) / (permuted.shape[1] + 1), scores)


def permuted_sides(second: Bools, patients: Ints, count: int = PERMUTATIONS) -> NDArray[np.uint8]:
    """Return the sides dealt out anew, (N, count): whole patients change place with others, and where a patient is on
    both sides, the sides of the films do."""
    rng = np.random.default_rng(_SEED + 1)
    films = np.bincount(patients)
    on_second = np.bincount(patients, weights=second)
    mixed = ((on_second > 0) & (on_second < films))[patients]
    undivided = np.unique(patients[~mixed])
    sides = (on_second > 0).astype(np.uint8)
    inside = np.flatnonzero(mixed)
    inside = inside[np.argsort(patients[inside], kind="stable")]
    permuted = np.zeros((len(patients), count), np.uint8)
    for at in range(count):
        dealt = sides.copy()
        dealt[undivided] = rng.permutation(sides[undivided])
        permuted[:, at] = dealt[patients]
        if inside.size:
            shuffled = inside[np.lexsort((rng.random(inside.size), patients[inside]))]
            permuted[shuffled, at] = second[inside]
    return permuted


@dataclass(frozen=True)
class _Fold:
    """The films from `first` to `end`; and of all others the number, the mean (D,) and the regularised scatter (D, D),
    inverted."""

    first: int
    end: int
    count: int
    mean: F32
    inverse: F32

    @classmethod
    def of(cls, rows: F32, first: int, end: int) -> _Fold:
        inside = np.concatenate([rows[:first], rows[end:]])
        mean = inside.mean(axis=0)
        scatter = ((inside - mean).T @ (inside - mean)).astype(np.float64)
        ridge = RIDGE * max(float(np.trace(scatter)) / len(scatter), 1e-12)
        scatter[np.diag_indices_from(scatter)] += ridge
        return cls(first, end, len(inside), mean, np.linalg.inv(scatter).astype(np.float32))


def _scored(rows: F32, folds: list[_Fold], sides: F32) -> F32:
    """Score every film by the classifiers of the other folds, a column for each column of the sides (N, P)."""
    sums, counts = rows.T @ sides, sides.sum(axis=0)
    scores = np.empty_like(sides)
    for fold in folds:
        inside = slice(fold.first, fold.end)
        # Of the films of the other folds: how the sides go with each dimension, less what their means explain.
        together = sums - rows[inside].T @ sides[inside] - np.outer(fold.mean, counts - sides[inside].sum(axis=0))
        scores[inside] = (rows[inside] - fold.mean) @ (fold.inverse @ together)
    return scores


def _areas(scores: F32, second: Bools) -> NDArray[np.float64]:
    """Return the AUC of each column (P,); equal scores, which hardly occur, count as they stand."""
    order = np.argsort(scores, axis=0)
    ranks = np.take_along_axis(second, order, axis=0)
    places = np.arange(1, len(scores) + 1, dtype=np.float64)
    count = second.sum(axis=0).astype(np.float64)
    return np.asarray((places @ ranks - count * (count + 1) / 2) / (count * (len(scores) - count)), np.float64)
