"""Measure the ranking of a query set within groups of films, against as many films of all groups taken at random."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from filmroom.search.checks.subgroups.resampling import Floats, Ints, patient_weights
from numpy.typing import NDArray

DEPTH = 10
"""nDCG is measured down to this rank."""
_DRAWS = 400
_READ = 400
_MOST = 20_000
"""Films of a ranking that a draw looks through for its first DEPTH."""
_SEED = 20240301
_WORTH = np.concatenate([[0.0], np.cumsum(1 / np.log2(np.arange(2, DEPTH + 2)))])
"""What the first 0, 1, 2 ... DEPTH places are worth together."""


@dataclass(frozen=True)
class RankedQuery:
    """The places of all films (N,), best first, and the grade of each film by its place (N,), 0 where not judged."""

    order: Ints
    grades: Floats


@dataclass(frozen=True)
class GroupNdcg:
    """The mean nDCG over the `queries` that have a relevant film in the group, its 95 % interval by patient, that of as
    many films of random patients (`rest`), and the two-sided p of their difference."""

    queries: int
    relevant: int
    value: float
    low: float
    high: float
    rest: float
    p: float


def group_ndcg(queries: Sequence[RankedQuery], groups: Ints, patients: Ints) -> Mapping[int, GroupNdcg]:
    """Measure each group of films, `groups` (N,) places from 0 and -1 for a film of none, by its place."""
    from scipy.stats import norm  # type: ignore[import-untyped]

    weights = patient_weights(int(patients.max()) + 1, draws=_DRAWS, seed=_SEED)
    results = {}
    for group in range(int(groups.max()) + 1):
        inside = groups == group
        answerable = [query for query in queries if (query.grades[inside] > 0).any()]
        if not answerable:
            continue
        values = [_ndcg(query, inside, None) for query in answerable]
        drawn = _mean([_ndcg(query, inside, weights[patients]) for query in answerable])
        random = _random_films(inside, groups, patients)
        chance = _mean([_ndcg(query, None, random) for query in answerable])
        value, error = float(np.mean(values)), float(np.nanstd(drawn))
        spread = float(np.nanstd(chance))
        ratio = abs(value - float(np.nanmean(chance))) / spread if spread > 0 else 0.0
        relevant = int(np.any([query.grades[inside] > 0 for query in answerable], axis=0).sum())
        results[group] = GroupNdcg(
            len(answerable), relevant, value, max(0.0, value - 1.96 * error), min(1.0, value + 1.96 * error),
            float(np.nanmean(chance)), float(2 * norm.sf(ratio)),
        )  # fmt: skip
    return results


def _mean(values: Sequence[Floats]) -> Floats:
    """Return the mean over the queries that have a relevant film in a draw, (B,); NaN where none has."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return np.asarray(np.nanmean(values, axis=0), np.float64)


def _random_films(inside: NDArray[np.bool_], groups: Ints, patients: Ints) -> NDArray[np.uint8]:
    """Draw films of random patients, about as many as are inside, among those whose group is known: (N, draws)."""
    rng = np.random.default_rng(_SEED + 1)
    known = groups >= 0
    sizes = np.bincount(patients[known], minlength=int(patients.max()) + 1)
    chosen = np.zeros((len(sizes), _DRAWS), np.uint8)
    for draw in range(_DRAWS):
        order = rng.permutation(len(sizes))
        filled = np.cumsum(sizes[order])
        chosen[order[: int(np.searchsorted(filled, inside.sum())) + 1], draw] = 1
    films: NDArray[np.uint8] = chosen[patients] * known[:, None].astype(np.uint8)
    return films


def _ndcg(query: RankedQuery, inside: NDArray[np.bool_] | None, weights: NDArray[np.uint8] | None) -> Floats:
    """Return nDCG (B,) of the films inside, each as often as its weight (N, B) says; NaN without a relevant film."""
    order = query.order if inside is None else query.order[inside[query.order]]
    best = np.argsort(-query.grades, kind="stable")
    best = best[query.grades[best] > 0]
    best = best if inside is None else best[inside[best]]
    if weights is None:
        return _gained(query.grades, order, None) / _gained(query.grades, best, None)
    share = 1.0 if inside is not None else max(float(weights[order[:_MOST], 0].mean()), 1e-3)
    order = order[: min(_MOST, int(_READ / share))]
    with np.errstate(invalid="ignore", divide="ignore"):
        return _gained(query.grades, order, weights) / _gained(query.grades, best, weights)


def _gained(grades: Floats, order: Ints, weights: NDArray[np.uint8] | None) -> Floats:
    """Return the discounted gain (B,) of the first DEPTH films in this order, each as often as its weight says."""
    times = np.ones((len(order), 1), np.int64) if weights is None else weights[order].astype(np.int64)
    ends = np.cumsum(times, axis=0)
    worth = _WORTH[np.minimum(ends, DEPTH)] - _WORTH[np.minimum(ends - times, DEPTH)]
    return np.asarray(grades[order] @ worth, np.float64)
