"""Look up by index what films are called: the ends of their paths, and their UIDs."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
from filmroom.db.batching import chunked, marks
from filmroom.db.catalog import Catalog
from filmroom.db.records import Film, State, Tags
from numpy.typing import NDArray

_COLUMNS = (
    "film.id, film.frame, film.instance_uid, film.study_uid, file.path AS path, file.size AS size, root.path AS root"
)
_PRESENT = "+film.state = 'present'"
"""With a plus no index is asked for it: nearly all films of an archive are present, and SQLite takes them for few."""

_PAIRS = 400
"""Ranges in one statement."""

_STREAMED = 2000
"""Rows read at a time, so that nobody holds all of a large archive."""


def by_tail(catalog: Catalog, ranges: Iterable[tuple[bytes, bytes]]) -> Iterator[tuple[bytes, bytes, Film]]:
    """Yield (low, high, film) for each present film whose path's tail (`filmroom.db.path_names`) is from `low` on and
    below `high`. The films know their names and UIDs alone."""
    for chunk in chunked(ranges, _PAIRS):
        # CROSS: each range asks the index; SQLite would else go through all files and compare them with the ranges.
        # IN: before an equality it would go through all films, to learn which files have none (a Bloom filter).
        statement = (
            f"WITH asked(low, high) AS (VALUES {', '.join(['(?, ?)'] * len(chunk))}) "
            f"SELECT asked.low AS low, asked.high AS high, {_COLUMNS} FROM asked "
            "CROSS JOIN file ON file.tail >= asked.low AND file.tail < asked.high "
            "CROSS JOIN film ON film.file_id IN (file.id) CROSS JOIN root ON root.id = file.root_id "
            f"WHERE {_PRESENT}"
        )
        for row in _rows(catalog, statement, [end for pair in chunk for end in pair]):
            yield row["low"], row["high"], _film(row)


def by_uid(catalog: Catalog, uids: Iterable[str], *, of: str = "instance") -> Iterator[Film]:
    """Yield the present films of these UIDs, of `instance` or `study`. They know their names and UIDs alone."""
    column = {"instance": "film.instance_uid", "study": "film.study_uid"}[of]
    for chunk in chunked(filter(_is_text, uids)):
        statement = (
            f"SELECT {_COLUMNS} FROM film CROSS JOIN file ON file.id = film.file_id "
            f"CROSS JOIN root ON root.id = file.root_id WHERE {column} IN ({marks(chunk)}) AND {_PRESENT}"
        )
        for row in _rows(catalog, statement, chunk):
            yield _film(row)


def everyone(catalog: Catalog) -> Iterator[Film]:
    """Yield every present film by its names and UIDs alone."""
    statement = (
        f"SELECT {_COLUMNS} FROM film JOIN file ON file.id = film.file_id JOIN root ON root.id = file.root_id "
        "WHERE film.state = 'present'"
    )
    for row in _rows(catalog, statement, []):
        yield _film(row)


def firsts_of_studies(catalog: Catalog) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return all present films, ascending, and for each the first film of its study by path and frame (ids depend on
    which file was decoded first); a film without a study stands for itself."""
    statement = """
SELECT film.id, CASE WHEN coalesce(study_uid, '') = '' THEN film.id
                ELSE first_value(film.id) OVER (PARTITION BY study_uid ORDER BY file.path, frame, film.id) END
FROM film JOIN file ON file.id = film.file_id WHERE film.state = 'present'
"""
    with catalog.look() as connection:
        pairs = np.fromiter((end for row in connection.execute(statement) for end in row), np.int64).reshape(-1, 2)
    pairs = pairs[np.argsort(pairs[:, 0])]
    return pairs[:, 0].copy(), pairs[:, 1].copy()


def _is_text(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:
        return False  # half a character, which no UID has and SQLite does not take
    return True


def _rows(catalog: Catalog, statement: str, values: list[Any]) -> Iterator[sqlite3.Row]:
    with catalog.look() as connection:
        cursor = connection.execute(statement, values)
        while rows := cursor.fetchmany(_STREAMED):
            yield from rows


def _film(row: sqlite3.Row) -> Film:
    return Film(
        id=row["id"],
        root=os.fsdecode(row["root"]),
        path=os.fsdecode(row["path"]),
        frame=row["frame"],
        state=State.PRESENT,
        size=row["size"],
        tags=Tags(study_uid=row["study_uid"], instance_uid=row["instance_uid"]),
    )
