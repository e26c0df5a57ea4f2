"""Test whether one ranking is better: per-query differences, a paired randomisation test, Holm's correction."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from filmroom.db.errors import BadInput
from filmroom.search.evaluation.statistics import Interval, holm, paired_randomisation

Scores = Mapping[str, Mapping[str, float]]
"""Query id -> measure -> value."""


@dataclass(frozen=True)
class MeasureDifference:
    """One measure: means of both, b - a with its 95 % interval, p of the test, and p adjusted for all measures."""

    measure: str
    a: float
    b: float
    difference: Interval
    p: float
    p_holm: float
    better: int
    worse: int


@dataclass(frozen=True)
class Comparison:
    """`measures` over the `n` queries of both; `queries` b - a by query and measure, biggest gain of the first
    measure first; `only_a` and `only_b` are queries that the other lacks, which are left out."""

    n: int
    measures: tuple[MeasureDifference, ...]
    queries: dict[str, dict[str, float]]
    only_a: tuple[str, ...]
    only_b: tuple[str, ...]
    test: str = "paired randomisation, two-sided; p_holm: Holm over the measures"

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def compare(a: Scores, b: Scores, *, measures: Sequence[str] | None = None) -> Comparison:
    """Compare two evaluations query by query; `measures` defaults to those that both have.

    Raises BadInput when they share no query or lack a measure.
    """
    shared = [qid for qid in a if qid in b]
    if not shared:
        raise BadInput("The two evaluations share no query", fix="Evaluate both with the same queries and qrels")
    common = [name for name in a[shared[0]] if name in b[shared[0]]]
    names = list(measures) if measures else common
    missing = [name for name in names if name not in common]
    if missing or not names:
        raise BadInput("A measure is not in both evaluations", where=", ".join(missing) or None)
    columns = {name: ([a[qid][name] for qid in shared], [b[qid][name] for qid in shared]) for name in names}
    tests = {name: paired_randomisation(*columns[name]) for name in names}
    adjusted = holm([tests[name].p for name in names])
    rows = tuple(
        MeasureDifference(
            measure=name,
            a=sum(columns[name][0]) / len(shared),
            b=sum(columns[name][1]) / len(shared),
            difference=tests[name].difference,
            p=tests[name].p,
            p_holm=p_holm,
            better=sum(new > old for old, new in zip(*columns[name], strict=True)),
            worse=sum(new < old for old, new in zip(*columns[name], strict=True)),
        )
        for name, p_holm in zip(names, adjusted, strict=True)
    )
    changes = {qid: {name: b[qid][name] - a[qid][name] for name in names} for qid in shared}
    ordered = dict(sorted(changes.items(), key=lambda item: -item[1][names[0]]))
    return Comparison(
        n=len(shared),
        measures=rows,
        queries=ordered,
        only_a=tuple(qid for qid in a if qid not in b),
        only_b=tuple(qid for qid in b if qid not in a),
    )
