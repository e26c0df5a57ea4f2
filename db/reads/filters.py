"""Turn a `Filter` into SQL conditions on films. Values never stand in the SQL itself."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any
from unicodedata import normalize

from filmroom.db.batching import marks
from filmroom.db.records import Filter, Range, ReportedFinding

LATERALS = {"LATERAL": ("LATERAL", "LL", "RL")}
"""A lateral may say which side was nearest to the detector."""

OF_FILM = "(report.film_id = film.id OR report.film_id IS NULL AND report.study_uid = film.study_uid)"
"""The reports of a film: its own, and those of its study."""

_INDEXED = ("views", "modalities", "body_parts", "sexes", "age", "year")

# NULL IN (...) is NULL, and so is its negation: a film without a study would answer neither question.
_STUDY = "coalesce(film.study_uid, '')"


@dataclass(frozen=True)
class Clause:
    """A piece of SQL, and the values of its question marks in their order."""

    sql: str
    values: tuple[str | int | float, ...] = ()


def film_ids(where: Filter) -> Clause:
    """Return the SELECT of the ids of the films that are present and pass."""
    passing = present(where)
    return Clause(f"SELECT film.id AS id FROM film WHERE {passing.sql}", passing.values)


def film_ids_of_any_state(where: Filter) -> Clause:
    """Return the SELECT of the ids of the films that pass, present or not: where one field is asked for, its index has
    it all, and no film's row is read."""
    passing = condition(where)
    return Clause(f"SELECT film.id AS id FROM film WHERE {passing.sql}", passing.values)


def by_field(where: Filter) -> list[Filter]:
    """Return filters that a film passes all of where it passes this one. Where nothing is asked but fields that have
    an index each, they are one a field: then no film's row is read, and no index's films are looked for in another."""
    fields = fields_of(where)
    if not fields or not asks_fields_alone(where):
        return [where]
    return [Filter(**{name: value}) for name, value in fields.items()]


def asks_fields_alone(where: Filter) -> bool:
    """Tell whether nothing is asked but fields that have an index each."""
    return Filter(**fields_of(where)) == where


def fields_of(where: Filter) -> dict[str, Any]:
    """Return what is asked of the fields that have an index each, by the attribute of the filter."""
    return {name: value for name in _INDEXED if (value := getattr(where, name)) != getattr(Filter(), name)}


def present(where: Filter) -> Clause:
    """Return the condition of a film that is present and passes."""
    return _joined(" AND ", [Clause("film.state = 'present'"), *_conditions(where)])


def _conditions(where: Filter) -> list[Clause]:
    clauses: list[Clause] = []
    for name, clause in _LISTS.items():
        if values := getattr(where, name):
            clauses.append(clause(values))
        if excluded := getattr(where, f"not_{name}"):
            clauses.append(_unless(clause(excluded)))
    clauses += _between("film.age", where.age) + _between("film.year", where.year)
    clauses += [_has_phrase(phrase) for phrase in where.phrases]
    clauses += [_not(_has_phrase(phrase)) for phrase in where.not_phrases]
    if where.has_report is not None:
        clauses.append(_HAS_REPORT if where.has_report else _not(_HAS_REPORT))
    if where.burned_in is not None:
        clauses.append(Clause("film.burned_in" if where.burned_in else "NOT coalesce(film.burned_in, FALSE)"))
    for score in where.scores:
        scored = "label.name = ? AND label.source = 'probe' AND label.value BETWEEN ? AND ?"
        clauses.append(_of("label", Clause(scored, (score.name.lower(), score.low, score.high))))
    clauses += [_any(condition(alternative) for alternative in group) for group in where.any_of]
    return clauses


def condition(where: Filter) -> Clause:
    return _joined(" AND ", _conditions(where) or [Clause("true")])


def _view_any(views: Sequence[str]) -> Clause:
    names = {name for view in views for name in LATERALS.get(view.upper(), (view.upper(),))}
    return _within("film.view", sorted(names))


def _tag_any(names: Sequence[str]) -> Clause:
    return _of("tag", _within("tag.name", [name.lower() for name in names]))


def _collection_any(names: Sequence[str]) -> Clause:
    folded = [*names, *(name.lower() for name in names)]  # SQLite folds the case of ASCII letters only
    return _of(
        "collection_film JOIN collection ON collection.id = collection_film.collection_id",
        _any([_within("collection.name", folded), _within("lower(collection.name)", folded)]),
    )


def _split_any(names: Sequence[str]) -> Clause:
    split = _within("fact.value", [name.lower() for name in names])
    return _of("fact", _joined(" AND ", [Clause("fact.name = 'split'"), split]))


def _between(column: str, span: Range) -> list[Clause]:
    if span.low is not None and span.low == span.high:
        # Of a range SQLite thinks that it keeps too many films to ask the column's index.
        return [Clause(f"{column} = ?", (span.low,))]
    ends = ((">=", span.low), ("<=", span.high))
    return [Clause(f"{column} {sign} ?", (end,)) for sign, end in ends if end is not None]


def _has_label(name: str) -> Clause:
    labelled = Clause("label.name = ? AND label.value >= 0.5 AND label.source != 'probe'", (name.lower(),))
    return _of("label", labelled)


def _has_path(part: str) -> Clause:
    """Take composed and decomposed Unicode for one name: zip files of macOS hold the latter."""
    spellings = dict.fromkeys((part, normalize("NFC", part), normalize("NFD", part)))
    literal = [spelling.replace("/", "//").replace("%", "/%").replace("_", "/_") for spelling in spellings]
    return _any(Clause("CAST(file.path AS TEXT) LIKE '%' || ? || '%' ESCAPE '/'", (spelling,)) for spelling in literal)


_HAS_REPORT = Clause(
    "(film.id IN (SELECT film_id FROM report WHERE film_id IS NOT NULL) "
    f"OR {_STUDY} IN (SELECT study_uid FROM report WHERE film_id IS NULL))"
)


def _has_phrase(phrase: str) -> Clause:
    """Return films whose report has these words in this order."""
    hit = "report.id IN (SELECT rowid FROM report_fts WHERE report_fts MATCH ?)"
    return Clause(
        f"(film.id IN (SELECT film_id FROM report WHERE {hit} AND film_id IS NOT NULL) "
        f"OR {_STUDY} IN (SELECT study_uid FROM report WHERE {hit} AND film_id IS NULL))",
        (fts_phrase(phrase),) * 2,
    )


def _has_finding(phrase: str) -> Clause:
    """Return films about which a model wrote a sentence with these words in this order."""
    return Clause(
        "film.id IN (SELECT film_id FROM finding WHERE sentence_id IN "
        "(SELECT rowid FROM sentence_fts WHERE sentence_fts MATCH ?))",
        (fts_phrase(phrase),),
    )


def _reported(finding: ReportedFinding, assertion: str) -> Clause:
    """Return films whose report, or study's report, asserts the finding so; both sides include each of them."""
    clauses = [Clause("report_finding.finding = ? AND report_finding.assertion = ?", (finding.finding, assertion))]
    if finding.side:
        clauses.append(_within("report_finding.side", (finding.side, "bilateral")))
    if finding.severity:
        clauses.append(Clause("report_finding.severity = ?", (finding.severity,)))
    clauses += [Clause("instr(report_finding.places, ?) > 0", (f" {place} ",)) for place in finding.places]
    rows = _joined(" AND ", clauses)
    hit = f"report.id IN (SELECT report_finding.report_id FROM report_finding WHERE {rows.sql})"
    return Clause(
        f"(film.id IN (SELECT film_id FROM report WHERE {hit} AND film_id IS NOT NULL) "
        f"OR {_STUDY} IN (SELECT study_uid FROM report WHERE {hit} AND film_id IS NULL))",
        rows.values * 2,
    )


def fts_phrase(words: str) -> str:
    """Return the words as one FTS5 phrase: quoted, so that nothing in them is an operator."""
    return '"' + words.replace('"', '""').replace("\x00", " ") + '"'


def _within(column: str, values: Sequence[str]) -> Clause:
    return Clause(f"{column} IN ({marks(values)})", tuple(values))


def _unless(clause: Clause) -> Clause:
    """Let films pass of which it is unknown."""
    return Clause(f"NOT coalesce({clause.sql}, FALSE)", clause.values)


def _of(rows: str, clause: Clause, *, film: str = "film.id", key: str = "film_id") -> Clause:
    """Return films that have such a row. The rows are looked up first: where there is none, no film is looked at."""
    return Clause(f"{film} IN (SELECT {key} FROM {rows} WHERE {clause.sql})", clause.values)


def _not(clause: Clause) -> Clause:
    return Clause(f"NOT {clause.sql}", clause.values)


def _any(clauses: Iterable[Clause]) -> Clause:
    joined = _joined(" OR ", clauses)
    return Clause(f"({joined.sql})", joined.values)


def _joined(word: str, clauses: Iterable[Clause]) -> Clause:
    parts = list(clauses)
    return Clause(word.join(part.sql for part in parts), tuple(value for part in parts for value in part.values))


def _each(clause: Callable[[Any], Clause]) -> Callable[[Sequence[Any]], Clause]:
    return lambda values: _any([clause(value) for value in values])


# The values of a field are alternatives. An excluded label is excluded whatever its source.
_LISTS: dict[str, Callable[[Sequence[Any]], Clause]] = {
    "views": _view_any,
    "modalities": lambda values: _within("film.modality COLLATE NOCASE", values),
    "body_parts": lambda values: _within("film.body_part COLLATE NOCASE", values),
    "sexes": lambda values: _within("film.sex COLLATE NOCASE", values),
    "studies": lambda values: _within("film.study_uid", values),
    "patients": lambda values: _within("film.patient_key", values),
    "labels": _each(_has_label),
    "tags": _tag_any,
    "collections": _collection_any,
    "paths": lambda values: _of("file", _each(_has_path)(values), film="film.file_id", key="id"),
    "says": _each(lambda finding: _reported(finding, "present")),
    "denies": _each(lambda finding: _reported(finding, "absent")),
    "findings": _each(_has_finding),
    "splits": _split_any,
}
