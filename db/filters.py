"""A `Filter` as SQL conditions on films."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Select,
    String,
    and_,
    cast,
    column,
    exists,
    func,
    literal,
    or_,
    select,
    table,
)

from db.records import Filter, Range, State
from db.schema import collection, collection_film, file, film, finding, label, report, tag

LATERALS = {"LATERAL": ("LATERAL", "LL", "RL")}
"""A lateral may say which side was nearest to the detector."""

_fts = table("report_fts", column("rowid"), column("report_fts"))


def film_ids(where: Filter) -> Select[Any]:
    """SELECT of the ids of the films that are present and pass."""
    return select(film.c.id).where(film.c.state == State.PRESENT.value, *conditions(where))


def conditions(where: Filter) -> list[ColumnElement[bool]]:
    found: list[ColumnElement[bool]] = []
    if where.views:
        found.append(_view_any(where.views))
    if where.not_views:
        found.append(or_(film.c.view.is_(None), ~_view_any(where.not_views)))
    for values, col in (
        (where.modalities, film.c.modality),
        (where.body_parts, film.c.body_part),
        (where.sexes, film.c.sex),
    ):
        if values:
            found.append(func.lower(col).in_([value.lower() for value in values]))
    found += _between(film.c.age, where.age) + _between(film.c.year, where.year)
    if where.studies:
        found.append(film.c.study_uid.in_(where.studies))
    if where.patients:
        found.append(film.c.patient_key.in_(where.patients))
    if where.not_patients:
        found.append(or_(film.c.patient_key.is_(None), film.c.patient_key.not_in(where.not_patients)))
    # Several labels are alternatives, as for every other field; an excluded one is excluded whatever its source.
    if where.labels:
        found.append(or_(*[_has_label(name) for name in where.labels]))
    found += [~_has_label(name) for name in where.not_labels]
    if where.tags:
        found.append(exists().where(tag.c.film_id == film.c.id, tag.c.name.in_([t.lower() for t in where.tags])))
    if where.collections:
        # SQLite folds the case of ASCII letters only.
        names = [*where.collections, *(name.lower() for name in where.collections)]
        joined = collection_film.join(collection, collection.c.id == collection_film.c.collection_id)
        found.append(
            exists()
            .select_from(joined)
            .where(
                collection_film.c.film_id == film.c.id,
                or_(collection.c.name.in_(names), func.lower(collection.c.name).in_(names)),
            )
        )
    if where.paths:
        wanted = [cast(file.c.path, String).contains(part, autoescape=True) for part in where.paths]
        found.append(exists().where(file.c.id == film.c.file_id, or_(*wanted)))
    found += [has_phrase(phrase) for phrase in where.phrases]
    found += [~has_phrase(phrase) for phrase in where.not_phrases]
    if where.findings:
        found.append(or_(*[_has_finding(phrase) for phrase in where.findings]))
    if where.has_report is not None:
        found.append(_has_report() if where.has_report else ~_has_report())
    if where.burned_in is not None:
        found.append(func.coalesce(film.c.burned_in, False).is_(where.burned_in))
    for score in where.scores:
        found.append(
            exists().where(
                label.c.film_id == film.c.id,
                label.c.source == "probe",
                label.c.name == score.name.lower(),
                label.c.value.between(score.low, score.high),
            )
        )
    return found


def _view_any(views: Sequence[str]) -> ColumnElement[bool]:
    wanted = {one for view in views for one in LATERALS.get(view.upper(), (view.upper(),))}
    return film.c.view.in_(sorted(wanted))


def _between(col: ColumnElement[Any], span: Range) -> list[ColumnElement[bool]]:
    if span.low is not None and span.low == span.high:
        return [col == span.low]  # of a range SQLite thinks that it keeps too many films to ask the column's index
    found = []
    if span.low is not None:
        found.append(col >= span.low)
    if span.high is not None:
        found.append(col <= span.high)
    return found


def _has_label(name: str) -> ColumnElement[bool]:
    return exists().where(
        label.c.film_id == film.c.id,
        label.c.name == name.lower(),
        label.c.value >= 0.5,
        label.c.source != "probe",
    )


def of_film() -> ColumnElement[bool]:
    """The reports of a film: its own, and those of its study."""
    return or_(
        report.c.film_id == film.c.id,
        and_(report.c.film_id.is_(None), report.c.study_uid == film.c.study_uid),
    )


def _has_report() -> ColumnElement[bool]:
    return or_(
        film.c.id.in_(select(report.c.film_id).where(report.c.film_id.is_not(None))),
        _study().in_(select(report.c.study_uid).where(report.c.film_id.is_(None))),
    )


def has_phrase(phrase: str) -> ColumnElement[bool]:
    """Films whose report has these words in this order."""
    matching = select(_fts.c.rowid).where(column("report_fts").op("MATCH")(literal(fts_phrase(phrase))))
    hit = report.c.id.in_(matching)
    return or_(
        film.c.id.in_(select(report.c.film_id).where(hit, report.c.film_id.is_not(None))),
        _study().in_(select(report.c.study_uid).where(hit, report.c.film_id.is_(None))),
    )


def _has_finding(phrase: str) -> ColumnElement[bool]:
    """Films about which a model wrote a sentence with these words in this order."""
    fts = table("sentence_fts", column("rowid"), column("sentence_fts"))
    matching = select(fts.c.rowid).where(column("sentence_fts").op("MATCH")(literal(fts_phrase(phrase))))
    return film.c.id.in_(select(finding.c.film_id).where(finding.c.sentence_id.in_(matching)))


def _study() -> ColumnElement[str]:
    # NULL IN (...) is NULL, and so is its negation: a film without a study would answer neither question.
    return func.coalesce(film.c.study_uid, "")


def fts_phrase(words: str) -> str:
    """The words as one FTS5 phrase: quoted, so that nothing in them is an operator."""
    return '"' + words.replace('"', '""').replace("\x00", " ") + '"'
