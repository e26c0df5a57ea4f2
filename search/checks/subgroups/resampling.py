"""Compute areas under the ROC curve and shares of many groups at once, with their spread over resampled patients.

A draw weighs every patient by a Poisson number of mean 1 (the Poisson bootstrap), so that a figure of a draw is a sum
over weighted patients; the sums of all draws and groups are one product of a sparse and a dense matrix.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from filmroom.search.evaluation.statistics import auc
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
DRAWS = 1_000
_BINS = 512
"""Steps of the ROC curve in a draw; a figure itself is exact."""
_AT_ONCE = 200
_SEED = 20240229


@dataclass(frozen=True)
class Spread:
    """A figure of each group (G,), and of each draw (G, B); NaN where it cannot be computed."""

    values: Floats
    draws: Floats

    def intervals(self) -> tuple[Floats, Floats]:
        """Return the ends of the 95 % intervals by percentiles, (G,) each."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of a group that no draw can be computed of
            low, high = np.nanquantile(self.draws, (0.025, 0.975), axis=1)
        return np.asarray(low, np.float64), np.asarray(high, np.float64)


def patient_weights(patients: int, *, draws: int = DRAWS, seed: int = _SEED) -> NDArray[np.uint8]:
    """Return how often each patient is in each draw, (patients, draws)."""
    return np.random.default_rng(seed).poisson(1.0, (patients, draws)).astype(np.uint8)


@dataclass(frozen=True)
class Cases:
    """Films (N,) by group, a place from 0 up to `count`, and by patient, a row of the weights."""

    groups: Ints
    count: int
    patients: Ints

    def of(self, subset: NDArray[np.bool_]) -> Cases:
        """Return those of the films."""
        return Cases(self.groups[subset], self.count, self.patients[subset])


def areas(scores: Floats, truth: NDArray[np.bool_], cases: Cases, weights: NDArray[np.uint8]) -> tuple[Spread, Spread]:
    """Return the AUC of `scores` (N,) for `truth` (N,) within each group, and among the films of all other groups. Ties
    count half."""
    bins, count = _binned(scores)
    inside, outside = [], []
    for sums in _sums(bins + count * truth, 2 * count, cases, weights):
        histograms = sums.reshape(cases.count, 2, count, -1)
        total = histograms.sum(axis=0, keepdims=True)
        inside.append(_area(histograms))
        outside.append(_area(total - histograms))
    members = [cases.groups == at for at in range(cases.count)]
    exact = np.array([auc(scores[member], truth[member]) for member in members])
    exact_outside = np.array([auc(scores[~member], truth[~member]) for member in members])
    return Spread(exact, np.concatenate(inside, axis=1)), Spread(exact_outside, np.concatenate(outside, axis=1))


def shares(hits: NDArray[np.bool_], cases: Cases, weights: NDArray[np.uint8]) -> tuple[Spread, Spread]:
    """Return the share of `hits` (N,) within each group, and among the films of all other groups."""
    once = np.ones((len(weights), 1), np.uint8)
    exact = next(iter(_sums(hits.astype(np.int64), 2, cases, once)))
    drawn = np.concatenate(list(_sums(hits.astype(np.int64), 2, cases, weights)), axis=2)
    return (
        Spread(_share(exact)[:, 0], _share(drawn)),
        Spread(
            _share(exact.sum(axis=0, keepdims=True) - exact)[:, 0], _share(drawn.sum(axis=0, keepdims=True) - drawn)
        ),
    )


def distributions(
    cells: Ints, count: int, cases: Cases, weights: NDArray[np.uint8]
) -> tuple[Floats, NDArray[np.float32]]:
    """Return how the films of each group spread over the cells, in shares (G, count), and in each draw, (G, count,
    B)."""
    once = next(iter(_sums(cells, count, cases, np.ones((len(weights), 1), np.uint8))))
    drawn = np.concatenate(list(_sums(cells, count, cases, weights)), axis=2)
    with np.errstate(invalid="ignore", divide="ignore"):
        return (
            np.asarray((once / once.sum(axis=1, keepdims=True))[:, :, 0], np.float64),
            np.asarray(drawn / drawn.sum(axis=1, keepdims=True), np.float32),
        )


def error_of_areas(area: float, with_it: Ints, without: Ints) -> Floats:
    """Return the standard error (G,) of the difference that each group's AUC has from that of all others where both are
    `area`, by films with and without the finding (G,) of each group (Hanley and McNeil, Radiology 1982)."""
    two_with = area / (2 - area) - area**2  # of two films with the finding and one without, and the reverse
    two_without = 2 * area**2 / (1 + area) - area**2

    def variance(positive: Ints, negative: Ints) -> Floats:
        positive, negative = np.maximum(positive, 1), np.maximum(negative, 1)
        summed = area * (1 - area) + (positive - 1) * two_with + (negative - 1) * two_without
        return np.asarray(summed / (positive * negative), np.float64)

    outside = variance(with_it.sum() - with_it, without.sum() - without)
    return np.asarray(np.sqrt(variance(with_it, without) + outside), np.float64)


def error_of_shares(share: float, films: Ints) -> Floats:
    """Return the same of a share, by films (G,)."""
    parts = 1 / np.maximum(films, 1) + 1 / np.maximum(films.sum() - films, 1)
    return np.asarray(np.sqrt(share * (1 - share) * parts), np.float64)


def p_of_difference(of: Spread, other: Spread, patients: Ints, least: Floats) -> Floats:
    """Test whether two figures differ: the difference over its standard error among the draws, by Student's t with as
    many degrees of freedom as the group's scarcer class has `patients` (G,), less one. Two-sided, (G,).

    The error is `least` (G,), what it is of films that do not differ, where the draws have less: of a figure near 0
    or 1 they hardly vary, however few films it rests on.
    """
    from scipy.stats import t  # type: ignore[import-untyped]

    difference = of.values - other.values
    with np.errstate(invalid="ignore", divide="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        error = np.fmax(np.nanstd(of.draws - other.draws, axis=1), least)
        ratio = np.where(error > 0, np.abs(difference) / error, np.where(difference == 0, 0.0, np.inf))
    return np.asarray(2 * t.sf(ratio, np.maximum(patients - 1, 1)), np.float64)


def _binned(scores: Floats) -> tuple[Ints, int]:
    """Give each score its place among the distinct scores, or among _BINS parts of them that are equally full."""
    distinct = np.unique(scores)
    if len(distinct) > _BINS:
        distinct = np.unique(np.quantile(scores, np.linspace(0, 1, _BINS + 1)[1:-1]))
    return np.searchsorted(distinct, scores, "right").astype(np.int64), len(distinct) + 1


def _sums(cells: Ints, count: int, cases: Cases, weights: NDArray[np.uint8]) -> Iterator[NDArray[np.float32]]:
    """Count the films of each cell of each group in each draw: arrays (G, count, some draws)."""
    from scipy.sparse import csr_array  # type: ignore[import-untyped]

    present, rows = np.unique(cases.patients, return_inverse=True)
    places = cases.groups * count + cells
    films = csr_array(  # what stands twice is added up
        (np.ones(len(cells), np.float32), (places, rows)), shape=(cases.count * count, len(present))
    )
    for start in range(0, weights.shape[1], _AT_ONCE):
        drawn = weights[present, start : start + _AT_ONCE].astype(np.float32)
        yield (films @ drawn).reshape(cases.count, count, drawn.shape[1])


def _area(histograms: NDArray[np.float32]) -> Floats:
    """Turn (G, 2, K, B) counts without and with it by score into AUC (G, B)."""
    without, with_it = histograms[:, 0], histograms[:, 1]
    below = np.cumsum(without, axis=1) - 0.5 * without
    pairs = without.sum(axis=1, dtype=np.float64) * with_it.sum(axis=1, dtype=np.float64)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(np.einsum("gkb,gkb->gb", below, with_it, dtype=np.float64) / pairs, np.float64)


def _share(sums: NDArray[np.float32]) -> Floats:
    """Turn (G, 2, B) counts of misses and hits into the share of hits (G, B)."""
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(sums[:, 1] / sums.sum(axis=1), np.float64)
