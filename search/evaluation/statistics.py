"""Compute intervals and tests for what was measured. Everything is seeded: the same numbers in, the same out."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]
SAMPLES = 2_000
FEWEST = 5
"""Films of each class that an interval of an AUC needs; queries that one of a mean needs."""
MANY = 20_000
"""Films above which an AUC's interval is computed, and not resampled."""
_COMMON = 300
"""Films of each class that the computed interval needs: of fewer it is wider than by resampling."""
_SEED = 20240229


@dataclass(frozen=True)
class Interval:
    """A figure with its 95 % interval; `n` is what was resampled (queries, or films). The bounds are NaN where so few
    were measured that an interval would say nothing."""

    value: float
    low: float
    high: float
    n: int

    @property
    def bounded(self) -> bool:
        return not math.isnan(self.low)

    def __str__(self) -> str:
        return f"{self.value:.3f} [{self.low:.3f}, {self.high:.3f}]" if self.bounded else f"{self.value:.3f}"


@dataclass(frozen=True)
class PairedTest:
    """Mean of b - a over `n` pairs, its 95 % interval, and the two-sided p of a paired randomisation test."""

    difference: Interval
    p: float
    n: int


def bootstrap_mean(values: ArrayLike, *, samples: int = SAMPLES, seed: int = _SEED) -> Interval:
    """Return the mean with its percentile bootstrap interval; no interval for fewer than FEWEST values, NaN for
    none."""
    data = np.asarray(values, dtype=np.float64)
    if data.size == 0:
        return Interval(float("nan"), float("nan"), float("nan"), 0)
    if data.size < FEWEST:
        return Interval(float(data.mean()), float("nan"), float("nan"), int(data.size))
    drawn = _resampled(data.size, lambda chosen: data[chosen].mean(), samples=samples, seed=seed)
    low, high = np.quantile(drawn, (0.025, 0.975))
    return Interval(float(data.mean()), float(low), float(high), int(data.size))


def paired_randomisation(a: ArrayLike, b: ArrayLike, *, samples: int = 20_000, seed: int = _SEED) -> PairedTest:
    """Test whether the mean of b - a is what a coin for every pair would give (Fisher's test; Smucker et al., CIKM
    2007). 2007).

    Exact over all 2^n signs up to n = 14, else `samples` random ones, counting the observed one: p is never 0.
    """
    difference = np.asarray(b, dtype=np.float64) - np.asarray(a, dtype=np.float64)
    n = difference.size
    interval = bootstrap_mean(difference)
    if n == 0:
        return PairedTest(interval, float("nan"), 0)
    observed = abs(difference.mean())
    slack = 1e-12 * max(1.0, float(np.abs(difference).max()))
    if n <= 14:
        bits = (np.arange(2**n)[:, None] >> np.arange(n)) & 1
        means = np.abs(((1 - 2 * bits) * difference).mean(axis=1))
        return PairedTest(interval, float((means >= observed - slack).mean()), n)
    signs = np.random.default_rng(seed).integers(0, 2, (samples, n), dtype=np.int8) * 2 - 1
    means = np.abs(signs @ difference) / n
    return PairedTest(interval, float(((means >= observed - slack).sum() + 1) / (samples + 1)), n)


def holm(p_values: Sequence[float]) -> list[float]:
    """Return Holm's step-down adjustment, in the order given: reject where the adjusted p is below alpha."""
    order = sorted(range(len(p_values)), key=lambda index: p_values[index])
    adjusted = [0.0] * len(p_values)
    highest = 0.0
    for rank, index in enumerate(order):
        highest = max(highest, min(1.0, (len(p_values) - rank) * p_values[index]))
        adjusted[index] = highest
    return adjusted


def auc(scores: ArrayLike, truth: ArrayLike) -> float:
    """Return area under the ROC curve by ranks, ties counted half. NaN where there is only one class.

    `scores` (N,) any finite values, `truth` (N,) 0 or 1.
    """
    ranks, positive = _ranks(np.asarray(scores, dtype=np.float64)), np.asarray(truth, dtype=bool)
    count = int(positive.sum())
    rest = positive.size - count
    if not count or not rest:
        return float("nan")
    return float((ranks[positive].sum() - count * (count + 1) / 2) / (count * rest))


def auc_interval(
    scores: ArrayLike,
    truth: ArrayLike,
    *,
    groups: ArrayLike | None = None,
    samples: int = 1_000,
    seed: int = _SEED,
) -> Interval:
    """Return AUC with a bootstrap interval over films, or over `groups` (patients) where given, so that films of one
    patient stay together. With fewer than FEWEST films of a class the interval is NaN: resampling so few says nothing.
    Of more than MANY films, and _COMMON of each class, it is `_structural_interval`: the same to the third decimal, in
    the time of one sample.
    """
    values, positive = np.asarray(scores, dtype=np.float64), np.asarray(truth, dtype=bool)
    value = auc(values, positive)
    if min(positive.sum(), (~positive).sum()) < FEWEST:
        return Interval(value, float("nan"), float("nan"), int(positive.size))
    names = member_of = np.arange(positive.size)
    if groups is not None:
        names, member_of = np.unique(np.asarray(groups), return_inverse=True)
    if len(names) < 2:
        return Interval(value, float("nan"), float("nan"), int(positive.size))
    if positive.size > MANY and min(positive.sum(), (~positive).sum()) >= _COMMON:
        return Interval(value, *_structural_interval(values, positive, member_of, len(names)), int(positive.size))
    area = _WeightedArea(values, positive)

    def area_of(chosen: NDArray[np.int64]) -> float:
        return area(np.bincount(chosen, minlength=len(names))[member_of])

    drawn = _resampled(len(names), area_of, samples=samples, seed=seed)
    low, high = np.nanquantile(drawn, (0.025, 0.975))  # NaN where all the films drawn are of one class
    return Interval(value, float(low), float(high), int(positive.size))


def _structural_interval(
    values: Floats, positive: NDArray[np.bool_], member_of: NDArray[np.int64], groups: int
) -> tuple[float, float]:
    """Return the bounds of an AUC by the components of each film, summed over groups (DeLong et al., Biometrics 1988;
    Obuchowski, Biometrics 1997), on the logit scale."""
    present_scores, absent_scores = values[positive], values[~positive]
    beats = _placed(np.sort(absent_scores), present_scores)
    is_beaten = 1 - _placed(np.sort(present_scores), absent_scores)
    area = float(beats.mean())
    present_sums = np.bincount(member_of[positive], beats - area, groups)
    absent_sums = np.bincount(member_of[~positive], is_beaten - area, groups)
    pairs = len(present_scores) * len(absent_scores)
    variance = 2 * groups / (groups - 1) * float(present_sums @ absent_sums) / pairs
    for sums, members in ((present_sums, member_of[positive]), (absent_sums, member_of[~positive])):
        count = int(np.count_nonzero(np.bincount(members, minlength=groups)))
        variance += count / max(1, count - 1) * float(sums @ sums) / len(members) ** 2
    if not 0 < area < 1:
        return area, area
    middle, reach = math.log(area / (1 - area)), 1.959964 * math.sqrt(max(0.0, variance)) / (area * (1 - area))
    return 1 / (1 + math.exp(reach - middle)), 1 / (1 + math.exp(-reach - middle))


def _placed(ascending: Floats, values: Floats) -> Floats:
    """Return for each value the share of the others that lie below it, ties as halves."""
    below, upto = (np.searchsorted(ascending, values, side) for side in ("left", "right"))
    return np.asarray((below + upto) / 2 / len(ascending), np.float64)


class _WeightedArea:
    """The AUC of a sample in which each film stands as often as its weight says: scores are sorted once."""

    def __init__(self, values: Floats, positive: NDArray[np.bool_]) -> None:
        self._order = np.argsort(values, kind="stable")
        ascending = values[self._order]
        self._positive = positive[self._order]
        self._below = np.searchsorted(ascending, ascending, side="left")
        self._upto = np.searchsorted(ascending, ascending, side="right")

    def __call__(self, weights: NDArray[np.int64]) -> float:
        """Return the AUC, ties as halves; NaN where all weight is of one class."""
        ordered = weights[self._order].astype(np.float64)
        absent = np.concatenate([[0.0], np.cumsum(np.where(self._positive, 0.0, ordered))])
        present = np.where(self._positive, ordered, 0.0)
        pairs = present.sum() * absent[-1]
        beaten = present @ (absent[self._below] + absent[self._upto]) / 2
        return float(beaten / pairs) if pairs else float("nan")


def _resampled(count: int, statistic: Callable[[NDArray[np.int64]], Any], *, samples: int, seed: int) -> Floats:
    """Return the statistic of each of `samples` bootstrap samples, which are numbers of `count` items drawn with
    replacement. scipy's `bootstrap` draws the same, but takes a second to import and holds all samples at once."""
    random = np.random.default_rng(seed)
    return np.array([statistic(random.integers(0, count, count)) for _ in range(samples)], np.float64)


def _ranks(values: Floats) -> Floats:
    """Return ranks from 1; ties get their mean rank."""
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    ends = np.cumsum(counts)
    middle: Floats = ends - (counts - 1) / 2
    return middle[inverse]
