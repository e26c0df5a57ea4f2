"""Read films: one, many, a filter of them, and what there is to filter by."""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import astuple
from functools import reduce
from pathlib import Path
from typing import Literal

import numpy as np
from filmroom.db.batching import chunked, ids_by_value, ids_of, marks
from filmroom.db.catalog import Catalog
from filmroom.db.errors import NotFound
from filmroom.db.reads.fact_cache import FactCache
from filmroom.db.reads.filters import OF_FILM, Clause, asks_fields_alone, by_field, film_ids, film_ids_of_any_state
from filmroom.db.records import Facet, Film, Filter, Label, State, Tags
from filmroom.db.stretches.columns import passing_columns
from filmroom.db.stretches.kept_answers import KeptAnswers
from numpy.typing import NDArray

_TAGS = (
    "modality", "view", "body_part", "laterality", "sex", "age", "year", "rows", "columns", "photometric",
    "study_uid", "series_uid", "instance_uid", "patient_key", "orientation", "maker",
)  # fmt: skip
# Named, not "other than present": a condition that an index answers.
_GONE = "SELECT id FROM film WHERE state IN ('gone', 'replaced')"
_FACETS = ("view", "modality", "sex", "body_part", "year", "age")
_NAMED = {
    "label": "label WHERE value >= 0.5 AND source != 'probe'",
    "probe": "label WHERE source = 'probe'",
    "tag": "tag WHERE TRUE",
    "collection": "collection_film JOIN collection ON collection.id = collection_id WHERE TRUE",
}
"""What films have by name, apart from their own columns."""
ANNOTATED = ("tag", "collection")
"""What of that changes while the facts stay."""


def select_ids(catalog: Catalog, where: Filter) -> NDArray[np.int64]:
    """Return the ids, ascending, of the films that are present and pass the filter."""
    with catalog.look() as connection:
        gone = ids_of(connection, _GONE)
        passing = None
        if catalog.is_file and asks_fields_alone(where):
            passing = passing_columns(connection, KeptAnswers(connection, catalog.path), where)
        if passing is None:
            clauses = map(film_ids_of_any_state, by_field(where))
            parts = [ids_of(connection, clause.sql, clause.values) for clause in clauses]
            passing = reduce(_in_both, sorted(parts, key=len))
    return passing[np.isin(passing, gone, assume_unique=True, invert=True)] if gone.size else passing


def _in_both(fewer: NDArray[np.int64], larger: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the ids that are in both, ascending."""
    in_larger = np.zeros(int(max(fewer.max(initial=-1), larger.max(initial=-1))) + 1, np.bool_)
    in_larger[larger] = True
    ids: NDArray[np.int64] = fewer[in_larger[fewer]]
    return ids


def gone_ids(catalog: Catalog) -> NDArray[np.int64]:
    with catalog.look() as connection:
        return ids_of(connection, _GONE)


def films(catalog: Catalog, ids: Sequence[int]) -> list[Film]:
    """Return the films of these ids, in their order; ids that are not there are left out."""
    by_id: dict[int, Film] = {}
    with catalog.look() as connection:
        for chunk in chunked(film_id for film_id in ids if film_id.bit_length() < 64):
            by_id.update(_films(connection, chunk))
    return [by_id[i] for i in ids if i in by_id]


def get(catalog: Catalog, film_id: int) -> Film:
    """Read one film. Raises NotFound."""
    film = next(iter(films(catalog, [film_id])), None)
    if film is None:
        raise NotFound("no film has this id", where=film_id, fix="A search shows the ids of films.")
    return film


def _films(connection: sqlite3.Connection, ids: Sequence[int]) -> Iterator[tuple[int, Film]]:
    labels: dict[int, list[Label]] = {}
    columns = "film_id, name, value, source"
    statement = f"SELECT {columns} FROM label WHERE film_id IN ({marks(ids)}) ORDER BY value DESC, name"
    for film_id, *fields in connection.execute(statement, ids):
        labels.setdefault(film_id, []).append(Label(*fields))
    for row in connection.execute(rows_of(len(ids)), ids):
        yield row["id"], _film(row, tuple(labels.get(row["id"], ())))


def rows_of(count: int) -> str:
    """Return the SELECT of `count` films by id, with their files.

    The plus keeps SQLite from beginning with the root, all of whose files it would go through for some hundred films.
    """
    return f"""
SELECT film.*, file.path AS path, file.size AS size, file.sha256 AS sha256, root.path AS root,
       EXISTS (SELECT 1 FROM report WHERE {OF_FILM}) AS has_report
FROM film JOIN file ON file.id = film.file_id JOIN root ON root.id = +file.root_id
WHERE film.id IN ({marks(range(count))})
"""


def _film(row: sqlite3.Row, labels: tuple[Label, ...]) -> Film:
    return Film(
        id=row["id"],
        root=os.fsdecode(row["root"]),
        path=os.fsdecode(row["path"]),
        frame=row["frame"],
        state=State(row["state"]),
        size=row["size"],
        tags=Tags(
            **{name: row[name] for name in _TAGS},
            burned_in=None if row["burned_in"] is None else bool(row["burned_in"]),
        ),
        labels=labels,
        has_report=bool(row["has_report"]),
        sha256=row["sha256"],
    )


def full_path(film: Film) -> Path:
    return Path(film.root) / film.path


def file_hashes(catalog: Catalog, ids: Sequence[int]) -> dict[int, str]:
    """Return the SHA-256 of each film's file, as it was indexed, by film id."""
    hashes: dict[int, str] = {}
    with catalog.look() as connection:
        for chunk in chunked(ids):
            statement = (
                "SELECT film.id, file.sha256 FROM film JOIN file ON file.id = film.file_id "
                f"WHERE film.id IN ({marks(chunk)}) AND file.sha256 IS NOT NULL"
            )
            hashes.update(map(tuple, connection.execute(statement, chunk)))
    return hashes


def reports(catalog: Catalog, film: Film) -> list[str]:
    """Return the reports of a film and of its study, newest first."""
    statement = f"SELECT report.text FROM film JOIN report ON {OF_FILM} WHERE film.id = ? ORDER BY report.id DESC"
    with catalog.look() as connection:
        return [row[0] for row in connection.execute(statement, (film.id,))]


def ids_by_fact(catalog: Catalog, column: Literal["year", "age"], *, descending: bool) -> NDArray[np.int64]:
    """Sort the ids of all present films by a fact; films without it come last, equal ones by id."""
    # By the column's index: no film's row is read, and nothing is sorted but the few values.
    statement = f"SELECT {column}, {{ids}} FROM film WHERE {column} IS NOT NULL GROUP BY {column}"
    with catalog.look() as connection:
        present = ids_of(connection, "SELECT id FROM film WHERE state = 'present'")
        values, ids, counts = ids_by_value(connection, statement)
    groups = dict(zip(map(int, values), np.split(ids, np.cumsum(counts)), strict=False))
    ordered = np.concatenate([present[:0], *(np.sort(groups[value]) for value in sorted(groups, reverse=descending))])
    ordered = ordered[np.isin(ordered, present, assume_unique=True)]
    return np.concatenate([ordered, present[np.isin(present, ordered, assume_unique=True, invert=True)]])


def study_uids(catalog: Catalog, ids: Sequence[int]) -> dict[int, str | None]:
    studies: dict[int, str | None] = {}
    with catalog.look() as connection:
        for chunk in chunked(ids):
            statement = f"SELECT id, study_uid FROM film WHERE id IN ({marks(chunk)})"
            studies.update(map(tuple, connection.execute(statement, chunk)))
    return studies


def with_shared_uid(catalog: Catalog, ids: Sequence[int]) -> set[int]:
    """Return those of the films whose instance UID and frame another present film has, too."""
    shared: set[int] = set()
    with catalog.look() as connection:
        for chunk in chunked(ids):
            statement = (
                f"SELECT id FROM film WHERE id IN ({marks(chunk)}) AND EXISTS (SELECT 1 FROM film AS other "
                "WHERE other.instance_uid = film.instance_uid AND other.frame = film.frame AND other.id != film.id "
                "AND other.state = 'present')"
            )
            shared.update(row[0] for row in connection.execute(statement, chunk))
    return shared


def study_of(catalog: Catalog, film: Film) -> list[Film]:
    """Return the other films of its study."""
    return _others(catalog, film, "study_uid", film.tags.study_uid)


def patient_of(catalog: Catalog, film: Film) -> list[Film]:
    """Return the other films of the same patient key."""
    return _others(catalog, film, "patient_key", film.tags.patient_key)


def _others(catalog: Catalog, film: Film, column: str, value: str | None) -> list[Film]:
    if not value:
        return []
    statement = (
        f"SELECT id FROM film WHERE state = 'present' AND {column} = ? AND id != ? ORDER BY year IS NOT NULL, year, id"
    )
    with catalog.look() as connection:
        ids = [row[0] for row in connection.execute(statement, (value, film.id))]
    return films(catalog, ids)


def facets(catalog: Catalog, name: str, where: Filter | None = None) -> list[Facet]:
    """Say how many present films have each value of a column (`view`, `modality`, `sex`, `body_part`, `year`, `age`),
    or each `label`, `probe`, `tag` or `collection`."""
    with catalog.look() as connection:
        # Of all films, what only facts change is kept until they do.
        cache = FactCache(connection, catalog.path) if catalog.is_file and not where and name not in ANNOTATED else None
        question = f"facets {name}"
        if cache is not None and (answer := cache.get(question)) is not None:
            return [Facet(*row) for row in json.loads(answer)]
        facets = _counts(connection, name, where)
        if cache is not None:
            cache.put(question, json.dumps([astuple(facet) for facet in facets]).encode())
    return facets


def _counts(connection: sqlite3.Connection, name: str, where: Filter | None) -> list[Facet]:
    within = film_ids(where) if where else Clause(_GONE)
    among = f"IN ({within.sql})"
    if name in _NAMED:
        # Of all, those that are gone are left out, which are few: the index of the names then answers in its order.
        among = among if where else f"NOT {among}"
        statement = f"SELECT name, count(DISTINCT film_id) FROM {_NAMED[name]} AND film_id {among} GROUP BY name"
    else:
        column = _FACETS[_FACETS.index(name)]
        statement = _counted(column, f"id {among}") if where else _counted_without(column, f"id {among}")
    counts = [Facet(str(value), int(count)) for value, count in connection.execute(statement, within.values)]
    if name in ("year", "age"):
        return sorted(counts, key=lambda facet: int(facet.value))
    return sorted(counts, key=lambda facet: (-facet.count, facet.value))


def _counted(column: str, condition: str) -> str:
    return (
        f"SELECT {column} AS value, count(*) AS films FROM film WHERE {column} IS NOT NULL AND {condition} GROUP BY 1"
    )


def _counted_without(column: str, condition: str) -> str:
    """Count all by the index of the column, and take away the few of the condition: none of the others is looked up."""
    gone = f"SELECT value, -films FROM ({_counted(column, condition)}) AS gone"
    counts = f"SELECT * FROM ({_counted(column, 'true')}) AS everyone UNION ALL {gone}"
    return f"SELECT value, sum(films) FROM ({counts}) AS counted GROUP BY value HAVING sum(films) > 0"


def count(catalog: Catalog, where: Filter | None = None) -> int:
    within = film_ids(where or Filter())
    with catalog.look() as connection:
        return int(connection.execute(f"SELECT count(*) FROM ({within.sql}) AS passing", within.values).fetchone()[0])


def everyone(catalog: Catalog, where: Filter | None = None) -> Iterator[Film]:
    """Yield every present film that passes, by id."""
    ids = select_ids(catalog, where or Filter()).tolist()
    for chunk in chunked(ids):
        yield from films(catalog, chunk)
