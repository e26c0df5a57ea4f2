"""Make ground truth: which films to judge for a query, how far the judges agree, and the qrels that come of it."""

from __future__ import annotations

import hashlib
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import combinations

from filmroom.db.records import Film
from filmroom.db.writes.annotations import Judgement
from filmroom.search.evaluation.trec import Qrels, Topic, document_names
from filmroom.search.searcher import Searcher

DEPTH = 20
"""Films of each model that enter the pool."""

GRADES = {0: "No match", 1: "Related", 2: "A match", 3: "Exactly this"}

ADJUDICATED = "adjudicated by "
"""Begins the name under which a grade stands that settles what two readers graded differently."""


def is_adjudication(judge: str) -> bool:
    return judge.startswith(ADJUDICATED)


def disagreements(judgements: Iterable[Judgement]) -> list[tuple[str, int]]:
    """List (query, film id) that readers graded differently and nobody has adjudicated, in order of their first
    grade."""
    grades: dict[tuple[str, int], dict[str, int]] = {}
    for judgement in judgements:
        grades.setdefault((judgement.query, judgement.film_id), {})[judgement.judge] = judgement.grade
    return [key for key, by in grades.items() if len(set(by.values())) > 1 and not any(map(is_adjudication, by))]


def pool(searchers: Sequence[Searcher], query: str, *, depth: int = DEPTH) -> list[int]:
    """Return the ids of the `depth` best films of each model, in an order that is always the same and says nothing of
    rank (a judge who knows a film's rank judges the rank)."""
    pooled = {film_id for searcher in searchers for film_id, _ in searcher.rank(query, k=depth)}
    return sorted(pooled, key=lambda film_id: hashlib.sha256(f"{query}\0{film_id}".encode()).digest())


@dataclass(frozen=True)
class Agreement:
    """Two judges over the films that both judged: the share of equal grades and Cohen's kappa with linear weights
    (1968); kappa is None where chance alone explains everything."""

    a: str
    b: str
    films: int
    equal: float
    kappa: float | None


def agreements(judgements: Iterable[Judgement]) -> list[Agreement]:
    """Return every pair of judges with films in common."""
    grades: dict[str, dict[tuple[str, int], int]] = {}
    for judgement in judgements:
        if is_adjudication(judgement.judge):
            continue
        grades.setdefault(judgement.judge, {})[judgement.query, judgement.film_id] = judgement.grade
    pairs_of_judges = []
    for a, b in combinations(sorted(grades), 2):
        pairs = [(grades[a][key], grades[b][key]) for key in grades[a] if key in grades[b]]
        if pairs:
            equal = sum(x == y for x, y in pairs) / len(pairs)
            pairs_of_judges.append(Agreement(a, b, len(pairs), equal, weighted_kappa(pairs)))
    return pairs_of_judges


def weighted_kappa(pairs: Sequence[tuple[int, int]]) -> float | None:
    """Return Cohen's kappa with linear weights: 1 - observed / expected distance."""
    count = len(pairs)
    observed = sum(abs(x - y) for x, y in pairs) / count
    expected = sum(abs(x - y) for x, _ in pairs for _, y in pairs) / count**2
    return None if expected == 0 else 1 - observed / expected


def to_qrels(judgements: Iterable[Judgement], films: Iterable[Film]) -> tuple[list[Topic], Qrels]:
    """Return questions q1, q2 ... in the order they were first judged, and their grades by document name.

    Of several judges the lower median counts; where a film was adjudicated, that grade.
    """
    names = document_names(films)
    judgements = list(judgements)
    settled = {
        (judgement.query, judgement.film_id): judgement.grade
        for judgement in judgements
        if is_adjudication(judgement.judge)
    }
    grades: dict[str, dict[int, list[int]]] = {}
    for judgement in judgements:
        grades.setdefault(judgement.query, {}).setdefault(judgement.film_id, []).append(judgement.grade)
    questions = [Topic(f"q{at}", query) for at, query in enumerate(grades, start=1)]
    qrels = {
        question.qid: {
            names[film_id]: settled.get((question.text, film_id), statistics.median_low(film_grades))
            for film_id, film_grades in grades[question.text].items()
            if film_id in names
        }
        for question in questions
    }
    return questions, qrels
