"""Measure how good the ranking is: nDCG and its relatives per query and on average, with intervals and baselines.

The measures are ir_measures' (trec_eval inside). Gain is linear as in trec_eval unless asked otherwise. Lists are
put in trec_eval's order before anything is measured, so that every measure and every tool sees the same list.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import numpy as np
from filmroom.db.errors import BadInput
from filmroom.search.evaluation.statistics import FEWEST, Interval, bootstrap_mean
from filmroom.search.evaluation.trec import MAX_GRADE, Topic

MEASURES = ("nDCG@5", "nDCG@10", "P@5", "AP", "Judged@5")
DEPTH = 1_000
TIES = "equal scores (float32) by document id, descending, as trec_eval"
_DRAWS = 20
_PROVIDERS = {"pytrec_eval", "judged", "msmarco"}  # the others call programs that may not be there

Ranked = Sequence[tuple[int, float]]
Rank = Callable[[str, int | None, set[int] | None], Ranked]
"""`rank(query, k, within)`: film ids and scores, best first, at most k, only films of `within` where given."""
Grades = Mapping[str, Mapping[int, int]]
Scores = dict[str, dict[str, float]]


class Gain(StrEnum):
    """What a grade g is worth in nDCG: g, or 2^g - 1 (Burges et al.)."""

    LINEAR = "linear"
    EXPONENTIAL = "exponential"


def read_gain(name: str) -> Gain:
    """Raise BadInput for another word."""
    if name not in tuple(Gain):
        raise BadInput("not a gain", where=name, fix="Use linear or exponential.")
    return Gain(name)


BASELINES = {
    "random": "films in random order",
    "prior": "films by their grades in the other queries, whatever is asked",
}
"""What the rankings are that a ranking is compared with, and that do not look at the films."""


@dataclass(frozen=True)
class Evaluation:
    """`queries` qid -> measure -> value, over the queries that have a relevant film; `run` what was ranked, by the
    names that `film_ids` and `grades` (every judged film) use too.

    `baselines` are the same means for rankings that do not look at the films, which `BASELINES` names: `random` is the
    mean of 20 random orders, `prior` goes by the grades of the queries that have other relevant films.
    """

    measures: tuple[str, ...]
    queries: Scores
    mean: dict[str, Interval]
    groups: dict[str, dict[str, Interval]]
    baselines: dict[str, dict[str, float]]
    run: dict[str, list[tuple[str, float]]]
    texts: dict[str, str]
    grades: dict[str, dict[str, int]]
    film_ids: dict[str, int]
    unjudged: tuple[str, ...]
    unasked: tuple[str, ...]
    gain: Gain = Gain.LINEAR
    judged_only: bool = False
    per_study: bool = False
    hybrid: bool = False
    depth: int = DEPTH
    ties: str = TIES

    @property
    def perfect(self) -> dict[str, int]:
        """How many queries have the best value that each measure can take, 1."""
        return perfect(self.queries, self.measures)

    @property
    def baselines_in_words(self) -> str:
        """What the baselines rank by, on one line."""
        return "; ".join(f"{name}, {BASELINES[name]}" for name in self.baselines)

    @property
    def left_out(self) -> tuple[str, ...]:
        """A sentence for the queries that no film here is relevant to, and one for judged ones that were not asked."""
        unjudged = [f"{qid} ({self.texts[qid]})" for qid in self.unjudged]
        left_out = {"no film here is relevant": unjudged, "judged, but not among the queries": self.unasked}
        return tuple(f"Left out ({reason}): {_first(qids)}." for reason, qids in left_out.items() if qids)

    def to_json(self) -> dict[str, Any]:
        """Return plain data; `mean` and `queries` first, everything a reader must know to repeat it beside them."""
        return {
            "mean": {name: interval.value for name, interval in self.mean.items()},
            "interval": {name: [interval.low, interval.high] for name, interval in self.mean.items()},
            "perfect": self.perfect,
            "queries": self.queries,
            "groups": {
                group: {name: interval.value for name, interval in values.items()}
                | {"queries": next(iter(values.values())).n}
                | {"interval": {name: [interval.low, interval.high] for name, interval in values.items()}}
                for group, values in self.groups.items()
            },
            "baselines": self.baselines,
            "unjudged": list(self.unjudged),
            "unasked": list(self.unasked),
            "settings": self.settings(),
        }

    def settings(self) -> dict[str, Any]:
        """Say how it was measured, for the head of every report."""
        return {
            "tool": "ir_measures (pytrec_eval)",
            "gain": self.gain.value,
            "ties": self.ties,
            "judged_only": self.judged_only,
            "per_study": self.per_study,
            "hybrid": self.hybrid,
            "depth": self.depth,
            "interval": f"95 %, bootstrap over queries; none for fewer than {FEWEST}",
        }


def _first(names: Sequence[str]) -> str:
    return ", ".join(names[:5]) + (f" and {len(names) - 5:,} more" if len(names) > 5 else "")


@dataclass(frozen=True)
class _Measure:
    """A measure under the name it was asked by; `parsed` is ir_measures' object."""

    name: str
    parsed: Any


def evaluate(
    rank: Rank,
    questions: Sequence[Topic],
    grades: Grades,
    *,
    films: Sequence[int],
    measures: Sequence[str] = MEASURES,
    gain: Gain = Gain.LINEAR,
    judged_only: bool = False,
    depth: int = DEPTH,
    name: Callable[[int], str] = str,
    on_query: Callable[[str], None] = lambda qid: None,
) -> Evaluation:
    """Ask every question that has a relevant film, and measure the answers.

    `films` are all ids that could be returned (for the baselines), `name` what the run calls a film.
    `judged_only` ranks only the films judged for the query (the condensed list). Raises BadInput for a measure
    that is not known, or when no question has a relevant film.
    """
    parsed = [_parse(measure, gain=gain) for measure in measures]
    judged_questions = [item for item in questions if any(grades.get(item.qid, {}).values())]
    if not judged_questions:
        raise BadInput(
            "No query has a relevant film",
            fix="Check that the query ids of both files agree and that the judged films are in the archive",
        )
    run: dict[str, list[tuple[int, float]]] = {}
    for item in judged_questions:
        on_query(item.qid)
        within = set(grades[item.qid]) if judged_only else None
        run[item.qid] = in_order(rank(item.text, None if judged_only else depth, within), name=name)
    relevant = {item.qid: grades[item.qid] for item in judged_questions}
    queries = measure(parsed, run, relevant)
    qids = {item.qid for item in questions}
    return Evaluation(
        measures=tuple(measures),
        queries=queries,
        mean=_means(queries, measures),
        groups={
            group: _means({item.qid: queries[item.qid] for item in judged_questions if item.group == group}, measures)
            for group in dict.fromkeys(item.group for item in judged_questions)
            if group
        },
        baselines=_baselines(parsed, relevant, films=films, depth=depth, judged_only=judged_only),
        run={qid: [(name(film), score) for film, score in ranked] for qid, ranked in run.items()},
        texts={item.qid: item.text for item in questions},
        grades={qid: {name(film): grade for film, grade in part.items()} for qid, part in relevant.items()},
        film_ids={name(film): film for ranked in run.values() for film, _ in ranked},
        unjudged=tuple(item.qid for item in questions if item not in judged_questions),
        unasked=tuple(qid for qid in grades if qid not in qids),
        gain=gain,
        judged_only=judged_only,
        depth=depth,
    )


def in_order(ranked: Ranked, *, name: Callable[[int], str] = str) -> list[tuple[int, float]]:
    """Sort in trec_eval's order: by score as float32, equal ones by document id descending. Raises BadInput for NaN."""
    rounded = [(film, float(np.float32(score))) for film, score in ranked]
    if any(np.isnan(score) for _, score in rounded):
        raise BadInput("A score is not a number", fix="Run filmroom doctor: a stored vector may be damaged")
    return sorted(rounded, key=lambda pair: (pair[1], name(pair[0])), reverse=True)


def measure_run(
    run: Mapping[str, Mapping[str, float]],
    qrels: Mapping[str, Mapping[str, int]],
    *,
    measures: Sequence[str] = MEASURES,
    gain: Gain = Gain.LINEAR,
) -> Scores:
    """Return per-query values of a run that was read from a file. Queries the run lacks count as 0, as in trec_eval."""
    parsed = [_parse(measure, gain=gain) for measure in measures]
    documents = sorted({document for part in (*run.values(), *qrels.values()) for document in part})
    number = {document: index for index, document in enumerate(documents)}
    relevant = {
        qid: {number[document]: grade for document, grade in grades.items()}
        for qid, grades in qrels.items()
        if any(grades.values())
    }
    ranked = {
        qid: in_order(
            [(number[document], score) for document, score in run.get(qid, {}).items()],
            name=lambda index: documents[index],
        )
        for qid in relevant
    }
    return measure(parsed, ranked, relevant)


def measure(measures: Sequence[_Measure], run: Mapping[str, Sequence[tuple[int, float]]], grades: Grades) -> Scores:
    """Return values per query of lists that are already in order."""
    import ir_measures

    documents = [
        ir_measures.ScoredDoc(qid, str(film), -float(position))
        for qid, ranked in run.items()
        for position, (film, _) in enumerate(ranked)
    ]
    judged = [ir_measures.Qrel(qid, str(film), grade) for qid, part in grades.items() for film, grade in part.items()]
    values: Scores = {qid: {} for qid in grades}
    names: dict[Any, list[str]] = {}
    for measure in measures:
        names.setdefault(measure.parsed, []).append(measure.name)
    with_gains = {parsed for parsed in names if "gains" in parsed.params}
    for together in (set(names) - with_gains, *({parsed} for parsed in with_gains)):
        # apart, since together ir_measures lets the gains of one nDCG leak into another
        for metric in ir_measures.iter_calc(together, judged, documents) if together else ():
            for name in names[metric.measure]:
                values[metric.query_id][name] = float(metric.value)
    plain = [measure.name for measure in measures]
    return {qid: {name: by_name.get(name, 0.0) for name in plain} for qid, by_name in values.items()}


def _parse(name: str, *, gain: Gain) -> _Measure:
    import ir_measures

    providers = [provider for provider in ir_measures.DefaultPipeline.providers if provider.NAME in _PROVIDERS]
    try:
        parsed = ir_measures.parse_measure(name)
        if gain is Gain.EXPONENTIAL and parsed.NAME == "nDCG" and "gains" not in parsed.params:
            parsed = parsed(gains={grade: 2**grade - 1 for grade in range(MAX_GRADE + 1)})
        supported = any(provider.is_available() and provider.supports(parsed) for provider in providers)
        supported = supported and parsed.params.get("cutoff", 1) >= 1
    except (NameError, ValueError, TypeError, KeyError, AttributeError, AssertionError):
        supported = False
    if not supported:
        raise BadInput(
            "There is no such measure", where=name, fix=f"For example: {', '.join(MEASURES)}, RR, R@10, P(rel=2)@5"
        )
    return _Measure(name, parsed)


def perfect(queries: Mapping[str, Mapping[str, float]], measures: Sequence[str]) -> dict[str, int]:
    """Count the queries whose value is 1, by measure."""
    return {name: sum(values[name] > 1 - 1e-9 for values in queries.values()) for name in measures}


def _means(queries: Scores, measures: Sequence[str]) -> dict[str, Interval]:
    return {name: bootstrap_mean([values[name] for values in queries.values()]) for name in measures}


def _baselines(
    measures: Sequence[_Measure], grades: Grades, *, films: Sequence[int], depth: int, judged_only: bool
) -> dict[str, dict[str, float]]:
    rng = random.Random(20240229)
    everyone = set(films)
    every_id = sorted(everyone)  # one list for all queries: an archive may have millions
    pool = {
        qid: sorted(part) if judged_only else every_id if everyone.issuperset(part) else sorted({*films, *part})
        for qid, part in grades.items()
    }
    chance = []
    for _ in range(_DRAWS):
        drawn = {qid: [(film, 0.0) for film in rng.sample(ids, min(depth, len(ids)))] for qid, ids in pool.items()}
        chance.append(_plain_means(measure(measures, drawn, grades)))
    blind = {}
    for qid, ids in pool.items():
        prior = _prior(qid, grades)
        order = sorted(rng.sample(ids, len(ids)), key=lambda film: -prior.get(film, 0.0))
        blind[qid] = [(film, 0.0) for film in order[:depth]]
    return {
        "random": {measure.name: float(np.mean([draw[measure.name] for draw in chance])) for measure in measures},
        "prior": _plain_means(measure(measures, blind, grades)),
    }


def _prior(qid: str, grades: Grades) -> dict[int, float]:
    """Return the sum of each film's grades over the queries whose relevant films differ from this one's."""
    relevant = {film for film, grade in grades[qid].items() if grade}
    total: dict[int, float] = {}
    for part in grades.values():
        if {film for film, grade in part.items() if grade} != relevant:
            for film, grade in part.items():
                total[film] = total.get(film, 0.0) + grade
    return total


def _plain_means(scores: Scores) -> dict[str, float]:
    names = next(iter(scores.values()))
    return {name: float(np.mean([values[name] for values in scores.values()])) for name in names}
