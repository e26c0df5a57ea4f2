"""Measure slices: one figure of the films of one group beside that of all others, with interval and p."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

import numpy as np
from filmroom.search.checks.result import Value
from filmroom.search.checks.subgroups.facts import Groups, KnownFilms
from filmroom.search.checks.subgroups.ranking import DEPTH, RankedQuery, group_ndcg
from filmroom.search.checks.subgroups.resampling import (
    Cases,
    Spread,
    areas,
    error_of_areas,
    error_of_shares,
    p_of_difference,
    shares,
)
from filmroom.search.evaluation.statistics import auc, holm
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
LEAST = 10
"""Films with and films without a finding that a slice and the films outside it need."""
LEAST_QUERIES = 5
ALPHA = 0.05
SPECIFICITY = 0.9
"""Where no threshold is given, it is the score that so many of the films without the finding stay under."""


class State(StrEnum):
    """What a slice is beside the films outside it."""

    WORSE = "worse"
    ALIKE = "no difference shown"
    BETTER = "better"
    SMALL = "too small"


@dataclass(frozen=True)
class SliceFigure:
    """One measure of one slice: its value with the 95 % interval, that of the films outside it, and p, adjusted for all
    slices that were measured. NaN where the slice is too small."""

    measure: str
    of: str
    fact: str
    name: str
    films: int
    patients: int
    with_it: int
    value: float = float("nan")
    low: float = float("nan")
    high: float = float("nan")
    rest: float = float("nan")
    p: float = float("nan")

    @property
    def state(self) -> State:
        if np.isnan(self.p):
            return State.SMALL
        if self.p >= ALPHA:
            return State.ALIKE
        return State.WORSE if self.value < self.rest else State.BETTER

    @property
    def test(self) -> tuple[str, str, str, float]:
        """What is tested: the same of two slices that are each what lies outside the other."""
        return self.measure, self.of, self.fact, round(abs(self.value - self.rest), 9)

    @property
    def row(self) -> dict[str, Value]:
        """The figure as a row of a table."""
        return {
            "measure": self.measure, "of": self.of, "fact": self.fact, "slice": self.name, "films": self.films,
            "patients": self.patients, "with it": self.with_it, "value": self.value, "low": self.low,
            "high": self.high, "others": self.rest, "difference": self.value - self.rest, "p": self.p,
            "state": self.state.value,
        }  # fmt: skip


def finding_slices(
    finding: str,
    scores: Floats,
    truth: Floats,
    films: KnownFilms,
    weights: NDArray[np.uint8],
    *,
    threshold: float,
) -> Iterator[SliceFigure]:
    """Yield AUC and sensitivity of one finding in every slice: `scores` (N,) and `truth` (N,), 1, 0 or NaN unknown, of
    the films, `weights` draws of their patients. p is not adjusted yet."""
    for groups in films.groups:
        known = ~np.isnan(truth) & (groups.codes >= 0)
        if not known.any():
            continue
        cases = Cases(groups.codes[known], len(groups.names), films.patients[known])
        present = truth[known] > 0.5
        counts = _Counts.of(cases, present)
        inside, outside = areas(scores[known], present, cases, weights)
        least = error_of_areas(auc(scores[known], present), counts.with_it, counts.films - counts.with_it)
        large = counts.enough & counts.enough_with
        yield from _figures("AUC", finding, groups, counts, inside, outside, least, enough=large)
        if present.any():
            hits = (scores[known] >= threshold)[present]
            inside, outside = shares(hits, cases.of(present), weights)
            least = error_of_shares(float(hits.mean()), counts.with_it)
            yield from _figures(
                "sensitivity", finding, groups, counts, inside, outside, least, enough=counts.enough_with
            )


def query_slices(name: str, queries: Sequence[RankedQuery], films: KnownFilms) -> Iterator[SliceFigure]:
    """Yield nDCG of the queries in every slice. The films outside it are as many films of random patients: nDCG of more
    films is another figure. p is not adjusted yet."""
    for groups in films.groups:
        if len(groups.names) < 2:
            continue
        measured = group_ndcg(queries, groups.codes, films.patients)
        for at, slice_name in enumerate(groups.names):
            inside = groups.codes == at
            patients = len(np.unique(films.patients[inside]))
            ndcg = measured.get(at)
            plain = SliceFigure(
                f"nDCG@{DEPTH}", name, groups.fact, slice_name, int(inside.sum()), patients,
                ndcg.relevant if ndcg else 0,
            )  # fmt: skip
            enough = ndcg is not None and ndcg.queries >= LEAST_QUERIES and ndcg.relevant >= LEAST
            yield (
                replace(plain, value=ndcg.value, low=ndcg.low, high=ndcg.high, rest=ndcg.rest, p=ndcg.p)
                if ndcg and enough
                else plain
            )


@dataclass(frozen=True)
class _Counts:
    """Films, patients, films with the finding and patients of these, by group, (G,) each; and whether a group and the
    films outside it have enough films without the finding (`enough`) and with it."""

    films: Ints
    patients: Ints
    with_it: Ints
    scarcer: Ints
    enough: NDArray[np.bool_]
    enough_with: NDArray[np.bool_]

    @classmethod
    def of(cls, cases: Cases, present: NDArray[np.bool_]) -> _Counts:
        films = np.bincount(cases.groups, minlength=cases.count)
        with_it = np.bincount(cases.groups[present], minlength=cases.count)
        sides = [_patients(cases.of(side), cases.count) for side in (present, ~present)]

        def enough(sizes: Ints) -> NDArray[np.bool_]:
            return np.asarray((sizes >= LEAST) & (sizes.sum() - sizes >= LEAST), bool)

        return cls(
            films,
            _patients(cases, cases.count),
            with_it,
            np.minimum(sides[0], np.where(sides[1] > 0, sides[1], sides[0])),
            enough(films - with_it),
            enough(with_it),
        )


def _patients(cases: Cases, count: int) -> Ints:
    """Count the patients of each group."""
    pairs = np.unique(np.stack([cases.groups, cases.patients]), axis=1)
    return np.asarray(np.bincount(pairs[0], minlength=count), np.int64)


def _figures(
    measure: str,
    finding: str,
    groups: Groups,
    counts: _Counts,
    inside: Spread,
    outside: Spread,
    least: Floats,
    *,
    enough: NDArray[np.bool_],
) -> Iterator[SliceFigure]:
    low, high = inside.intervals()
    p = p_of_difference(inside, outside, counts.scarcer, least)
    for at, name in enumerate(groups.names):
        if not counts.films[at] or len(groups.names) < 2:
            continue
        plain = SliceFigure(
            measure, finding, groups.fact, name, int(counts.films[at]), int(counts.patients[at]),
            int(counts.with_it[at]),
        )  # fmt: skip
        yield plain if not enough[at] else replace(
            plain, value=float(inside.values[at]), low=float(low[at]), high=float(high[at]),
            rest=float(outside.values[at]), p=float(p[at]),
        )  # fmt: skip


def threshold_of(scores: Floats, present: NDArray[np.bool_], chosen: float | None) -> float:
    """Return the threshold given, or the score under which SPECIFICITY of the films without the finding are."""
    if chosen is not None:
        return chosen
    return float(np.quantile(scores[~present], SPECIFICITY)) if (~present).any() else float(scores.min())


def worst_first(figures: Sequence[SliceFigure]) -> list[SliceFigure]:
    """Adjust p over all slices that were measured (Holm), and order them: worse ones first, by the difference.

    Where a fact has two groups, each is what lies outside the other: that is one test.
    """
    measured = [figure for figure in figures if not np.isnan(figure.p)]
    tests: dict[tuple[str, str, str, float], float] = {}
    for figure in measured:
        tests[figure.test] = max(figure.p, tests.get(figure.test, 0.0))
    adjusted = dict(zip(tests, holm(list(tests.values())), strict=True))
    measured = [replace(figure, p=adjusted[figure.test]) for figure in measured]
    states = list(State)
    measured.sort(key=lambda figure: (states.index(figure.state), figure.value - figure.rest))
    small = [figure for figure in figures if np.isnan(figure.p)]
    return [*measured, *sorted(small, key=lambda figure: (figure.measure, figure.of, figure.fact, figure.name))]
