"""Grade judgements by labels, boxes and reports: finding with all qualifiers 2, finding 1, known absent 0.

What nobody stated is left unjudged, unless the source is closed: a set whose labels name every finding of a film.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

from filmroom.indexer.radiology.abbreviations import spell_out
from filmroom.indexer.radiology.report_labeler import (
    Statement,
    mentions,
    qualified,
    spoken,
    with_parents,
)
from filmroom.indexer.radiology.vocabulary import NORMAL, finding_of, is_view
from filmroom.search.evaluation.trec import Qrels, Topic
from filmroom.search.query.parser import parse

_MIN_POSITIVE = 5
_DEVICES = {"device", "pacemaker", "tube", "nasogastric", "line", "chest tube", "sternotomy"}


@dataclass(frozen=True)
class Wanted:
    """What a query asks: a finding with qualifiers, findings beside it, findings that must not be there."""

    main: Statement | None
    others: tuple[Statement, ...] = ()
    denied: tuple[str, ...] = ()

    @property
    def qualified(self) -> bool:
        main = self.main
        return bool(self.others or self.denied or (main and (main.side or main.severity or main.places)))


@dataclass(frozen=True)
class Document:
    """One film of a labelled set, or one study of it. `closed`: a finding that is not stated is absent.

    `labels` are (name, 1 present or 0 absent) in the set's own words, what is uncertain left out; `report` is its text.
    `study` is (patient, study) where the row is of all films of a study; `id` is then the study's folder.
    """

    id: str
    statements: tuple[Statement, ...]
    closed: bool = True
    labels: tuple[tuple[str, float], ...] = ()
    report: str = ""
    study: tuple[str, str] | None = None
    _by_idea: dict[str, list[Statement]] = field(init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        by_idea: dict[str, list[Statement]] = {}
        for statement in self.statements:
            for implied in with_parents(statement):
                by_idea.setdefault(implied.idea, []).append(implied)
        object.__setattr__(self, "_by_idea", by_idea)

    def of(self, idea: str) -> list[Statement]:
        """Return statements of an idea; those that say present count where both are there."""
        stated = self._by_idea.get(idea, [])
        return [statement for statement in stated if statement.present] or stated


@dataclass(frozen=True)
class Judged:
    """Qrels, and the questions that could not be read as findings (they have no judgements)."""

    qrels: Qrels
    unread: tuple[str, ...]


def build_qrels(questions: Sequence[Topic], documents: Iterable[Document]) -> Judged:
    """Judge every film for every question that names a finding or denies one."""
    films = list(documents)
    known = frozenset(statement.idea for film in films for statement in film.statements)
    qrels: Qrels = {}
    unread = []
    for question in questions:
        query = read_wanted(question.text, known=known)
        if query.main is None and not query.denied:
            unread.append(question.qid)
            continue
        grades = {film.id: grade(query, film) for film in films}
        qrels[question.qid] = {document: value for document, value in grades.items() if value is not None}
    return Judged(qrels, tuple(unread))


def grade(query: Wanted, film: Document) -> int | None:
    """Return 2, 1, 0, or None where nobody knows; the number of readers where they were counted and nothing
    qualifies."""
    sure = True
    for idea in query.denied:
        stated = film.of(idea)
        if any(statement.present for statement in stated):
            return 0
        if not stated and not film.closed:
            return None
        sure = sure and bool(stated)
    if query.main is None:
        return 2 if sure else 1
    stated = film.of(query.main.idea)
    present = [statement for statement in stated if statement.present]
    if not present:
        return 0 if stated or film.closed else None
    votes = max(statement.votes for statement in present)
    if votes and not query.qualified:
        return votes
    if {"left", "right"} <= {statement.side for statement in present}:
        present += [replace(statement, side="bilateral") for statement in present]
    fits = any(statement.certain and _fits(query.main, statement) for statement in present)
    beside = all(any(statement.present for statement in film.of(other.idea)) for other in query.others)
    absent = all(film.of(idea) or film.closed for idea in query.denied)
    return 2 if fits and beside and absent else 1


def _fits(asked_for: Statement, stated: Statement) -> bool:
    """Tell whether every qualifier asked for is stated; what is on both sides is on each."""
    side = asked_for.side in {"", stated.side} or (stated.side == "bilateral" and asked_for.side in {"left", "right"})
    return side and asked_for.severity in {"", stated.severity} and asked_for.places <= stated.places


def make_questions(documents: Iterable[Document], *, at_least: int = _MIN_POSITIVE) -> list[Topic]:
    """Return queries that a set can judge, with at least `at_least` films each: findings, views, devices, findings with
    a side, a severity or a place, and denials of what the set both states and denies. Groups are named so."""
    counts: dict[tuple[str, str, str], set[str]] = {}
    for film in documents:
        for statement in film.statements:
            for group, word in _answered_by(statement):
                counts.setdefault((group, word, statement.idea), set()).add(film.id)
    enough = {key for key, films in counts.items() if len(films) >= at_least}
    findings = {idea for group, _, idea in enough if group == "finding"}
    questions = []
    for group, word, idea in sorted(enough):
        if group != "negation" or idea in findings:
            text = f"{word} {spoken(idea)}".strip()
            questions.append(Topic("-".join(text.split()), text, group))
    return questions


def _answered_by(statement: Statement) -> list[tuple[str, str]]:
    """Return (group, word before the finding) of every query that the statement is an answer to."""
    if not statement.present:
        return [("negation", "no")]
    if not statement.certain:
        return []
    if is_view(statement.idea):
        return [("view", "")]
    if statement.idea == NORMAL:
        return [("finding", "")]
    plain = ("device" if statement.idea in _DEVICES else "finding", "")
    qualifiers = [("side", statement.side), ("severity", statement.severity)]
    qualifiers += [("place", place) for place in statement.places]
    return [plain, *((group, word) for group, word in qualifiers if word)]


def read_wanted(text: str, *, known: Iterable[str] = ()) -> Wanted:
    """Return what a query asks, by the query language; its filters are no part of it."""
    ideas = frozenset(known)
    query = parse(text)
    positive = spell_out(" ".join(query.positive)).text
    findings = mentions(positive, ideas) or ([NORMAL] if finding_of(positive) == NORMAL else [])
    denied = [idea for clause in query.negated for idea in mentions(spell_out(clause).text, ideas)]
    if not findings:
        return Wanted(None, (), tuple(denied))
    main = replace(qualified(findings[0], positive), certain=True)
    return Wanted(main, tuple(Statement(idea) for idea in findings[1:]), tuple(denied))
