"""Reading films: one, many, a filter of them, and what there is to filter by."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection, Row, func, select
from sqlalchemy.sql.elements import ColumnElement

from db.catalog import Catalog
from db.chunks import chunked, ids_of
from db.errors import NotFound
from db.filters import film_ids, of_film
from db.records import Facet, Film, Filter, Label, State, Tags
from db.schema import file, film, label, report, root, thumbnail

_TAGS = (
    "modality", "view", "body_part", "laterality", "sex", "age", "year", "rows", "columns", "photometric",
    "study_uid", "series_uid", "instance_uid", "patient_key", "burned_in",
)  # fmt: skip


def select_ids(catalog: Catalog, where: Filter) -> NDArray[np.int64]:
    """The ids, ascending, of the films that are present and pass the filter."""
    with catalog.read() as connection:
        return ids_of(connection, film_ids(where))


def gone_ids(catalog: Catalog) -> NDArray[np.int64]:
    with catalog.read() as connection:
        # Named, not "other than present": a condition that an index answers.
        absent = film.c.state.in_([State.GONE.value, State.REPLACED.value])
        return ids_of(connection, select(film.c.id).where(absent))


def films(catalog: Catalog, ids: Sequence[int]) -> list[Film]:
    """The films of these ids, in their order; ids that are not there are left out."""
    found: dict[int, Film] = {}
    with catalog.read() as connection:
        for some in chunked(one for one in ids if one.bit_length() < 64):
            found.update(_films(connection, some))
    return [found[i] for i in ids if i in found]


def get(catalog: Catalog, film_id: int) -> Film:
    """One film. Raises NotFound."""
    found = films(catalog, [film_id])
    if not found:
        raise NotFound("no film has this id", where=film_id, fix="A search shows the ids of films.")
    return found[0]


def _films(connection: Connection, ids: Sequence[int]) -> Iterator[tuple[int, Film]]:
    labels: dict[int, list[Label]] = {}
    for row in connection.execute(
        select(label).where(label.c.film_id.in_(ids)).order_by(label.c.value.desc(), label.c.name)
    ):
        labels.setdefault(row.film_id, []).append(Label(row.name, row.value, row.source))
    reported = select(report.c.id).where(of_film()).limit(1).scalar_subquery()
    statement = (
        select(film, file.c.path, file.c.size, root.c.path.label("root"), reported.label("report_id"))
        .join(file, file.c.id == film.c.file_id)
        .join(root, root.c.id == file.c.root_id)
        .where(film.c.id.in_(ids))
    )
    for row in connection.execute(statement):
        yield row.id, _film(row, tuple(labels.get(row.id, ())))


def _film(row: Row[Any], labels: tuple[Label, ...]) -> Film:
    found = row._mapping
    return Film(
        id=row.id,
        root=row.root,
        path=row.path,
        frame=row.frame,
        state=State(row.state),
        size=row.size,
        tags=Tags(**{name: found[name] for name in _TAGS}),
        labels=labels,
        has_report=row.report_id is not None,
    )


def full_path(one: Film) -> Path:
    return Path(one.root) / one.path


def thumbnails(catalog: Catalog, ids: Sequence[int]) -> dict[int, bytes]:
    """WebP bytes by film id."""
    found: dict[int, bytes] = {}
    with catalog.read() as connection:
        for some in chunked(ids):
            for row in connection.execute(select(thumbnail).where(thumbnail.c.film_id.in_(some))):
                found[row.film_id] = row.webp
    return found


def reports(catalog: Catalog, one: Film) -> list[str]:
    """The reports of a film and of its study, newest first."""
    statement = (
        select(report.c.text)
        .select_from(film.join(report, of_film()))
        .where(film.c.id == one.id)
        .order_by(report.c.id.desc())
    )
    with catalog.read() as connection:
        return list(connection.scalars(statement))


def study_uids(catalog: Catalog, ids: Sequence[int]) -> dict[int, str | None]:
    found: dict[int, str | None] = {}
    with catalog.read() as connection:
        for some in chunked(ids):
            statement = select(film.c.id, film.c.study_uid).where(film.c.id.in_(some))
            found.update({row.id: row.study_uid for row in connection.execute(statement)})
    return found


def study_of(catalog: Catalog, one: Film) -> list[Film]:
    """The other films of its study."""
    return _others(catalog, one, film.c.study_uid == one.tags.study_uid) if one.tags.study_uid else []


def patient_of(catalog: Catalog, one: Film) -> list[Film]:
    """The other films of the same patient key."""
    return _others(catalog, one, film.c.patient_key == one.tags.patient_key) if one.tags.patient_key else []


def _others(catalog: Catalog, one: Film, same: ColumnElement[bool]) -> list[Film]:
    statement = film_ids(Filter()).where(same, film.c.id != one.id).order_by(film.c.year, film.c.id)
    with catalog.read() as connection:
        ids = list(connection.scalars(statement))
    return films(catalog, ids)


def facets(catalog: Catalog, name: str, where: Filter | None = None) -> list[Facet]:
    """How many present films have each value of `view`, `modality`, `sex`, `body_part`, `year`, `age` or `label`."""
    ids = film_ids(where or Filter())
    if name == "label":
        counted = (
            select(label.c.name, func.count(label.c.film_id.distinct()))
            .where(label.c.film_id.in_(ids), label.c.value >= 0.5, label.c.source != "probe")
            .group_by(label.c.name)
        )
    else:
        value = film.c[name]
        counted = select(value, func.count()).where(film.c.id.in_(ids), value.is_not(None)).group_by(value)
    with catalog.read() as connection:
        rows = connection.execute(counted).all()
    found = [Facet(str(row[0]), int(row[1])) for row in rows]
    if name in ("year", "age"):
        return sorted(found, key=lambda facet: int(facet.value))
    return sorted(found, key=lambda facet: (-facet.count, facet.value))


def count(catalog: Catalog, where: Filter | None = None) -> int:
    with catalog.read() as connection:
        return int(connection.scalar(select(func.count()).select_from(film_ids(where or Filter()).subquery())) or 0)


def everyone(catalog: Catalog, where: Filter | None = None) -> Iterator[Film]:
    """Every present film that passes, by id."""
    ids = select_ids(catalog, where or Filter()).tolist()
    for some in chunked(ids):
        yield from films(catalog, some)
