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
_ROWS = 256
"""Films of a ranking that are looked through at once."""
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


@dataclass(frozen=True)
class _Draws:
    """How often each patient is drawn, (patients, B), with the patient of each film (N,) and, where not all films can
    be drawn, which can (N,)."""

    weights: NDArray[np.uint8]
    patients: Ints
    known: NDArray[np.bool_] | None = None

    def of(self, films: Ints, draws: int = _DRAWS) -> NDArray[np.int64]:
        """Return how often each of these films is in each of the first draws, (films, draws)."""
        times = self.weights[self.patients[films], :draws].astype(np.int64)
        return times if self.known is None else times * self.known[films, None]


def group_ndcg(queries: Sequence[RankedQuery], groups: Ints, patients: Ints) -> Mapping[int, GroupNdcg]:
    """Measure each group of films, `groups` (N,) places from 0 and -1 for a film of none, by its place."""
    from scipy.stats import norm  # type: ignore[import-untyped]

    resampled = _Draws(patient_weights(int(patients.max()) + 1, draws=_DRAWS, seed=_SEED), patients)
    places, filled = _shuffled(groups >= 0, patients)
    results = {}
    for group in range(int(groups.max()) + 1):
        inside = groups == group
        answerable = [query for query in queries if (query.grades[inside] > 0).any()]
        if not answerable:
            continue
        values = [_ndcg(query, inside, None) for query in answerable]
        drawn = _mean([_ndcg(query, inside, resampled) for query in answerable])
        # Films of random patients, about as many as are inside, among those whose group is known.
        until = np.array([np.searchsorted(films, inside.sum()) for films in filled])
        random = _Draws((places <= until).astype(np.uint8), patients, groups >= 0)
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


def _shuffled(known: NDArray[np.bool_], patients: Ints) -> tuple[Ints, list[Ints]]:
    """Shuffle the patients once a draw: the place of each, (patients, draws), and by draw how many known films those up
    to each place have together."""
    rng = np.random.default_rng(_SEED + 1)
    sizes = np.bincount(patients[known], minlength=int(patients.max()) + 1)
    places = np.empty((len(sizes), _DRAWS), np.int64)
    filled = []
    for draw in range(_DRAWS):
        order = rng.permutation(len(sizes))
        places[order, draw] = np.arange(len(sizes))
        filled.append(np.cumsum(sizes[order]))
    return places, filled


def _ndcg(query: RankedQuery, inside: NDArray[np.bool_] | None, draws: _Draws | None) -> Floats:
    """Return nDCG (B,) of the films inside, each as often as it is drawn; NaN without a relevant film."""
    order = query.order if inside is None else query.order[inside[query.order]]
    best = np.argsort(-query.grades, kind="stable")
    best = best[query.grades[best] > 0]
    best = best if inside is None else best[inside[best]]
    if draws is None:
        return _gained(query.grades, order, None) / _gained(query.grades, best, None)
    share = 1.0 if inside is not None else max(float(draws.of(order[:_MOST], 1).mean()), 1e-3)
    order = order[: min(_MOST, int(_READ / share))]
    with np.errstate(invalid="ignore", divide="ignore"):
        return _gained(query.grades, order, draws) / _gained(query.grades, best, draws)


def _gained(grades: Floats, order: Ints, draws: _Draws | None) -> Floats:
    """Return the discounted gain (B,) of the first DEPTH films in this order, each as often as it is drawn."""
    gain: Floats = np.zeros(1 if draws is None else _DRAWS)
    before = np.zeros(len(gain), np.int64)
    for start in range(0, len(order), _ROWS):
        films = order[start : start + _ROWS]
        times = np.ones((len(films), 1), np.int64) if draws is None else draws.of(films)
        ends = before + np.cumsum(times, axis=0)
        relevant = np.flatnonzero(grades[films])
        last, first = ends[relevant], ends[relevant] - times[relevant]
        gain += grades[films[relevant]] @ (_WORTH[np.minimum(last, DEPTH)] - _WORTH[np.minimum(first, DEPTH)])
        before = ends[-1]
        if (before >= DEPTH).all():
            break
    return gain
