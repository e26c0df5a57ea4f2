"""Delete films with all that is said of them anywhere in the catalog, in one transaction."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from filmroom.db.batching import chunked
from filmroom.db.errors import NotFound
from filmroom.db.schema import embedding, file, film, judgement, report, root, run, saved_search
from filmroom.db.writes import query_sets
from filmroom.db.writes.meta import touch_generation
from sqlalchemy import Column, Connection, Row, column, delete, distinct, exists, func, insert, select, table, update

_REDACTED = "(forgotten)"
_FTS = [table(name, Column(name)) for name in ("report_fts", "sentence_fts")]


def rows_of(connection: Connection, film_ids: Sequence[int]) -> list[Row[Any]]:
    """Return the films' rows with their places. Raises NotFound where one is not there."""
    statement = (
        select(film, file.c.path, root.c.path.label("root"))
        .join(file, file.c.id == film.c.file_id)
        .join(root, root.c.id == file.c.root_id)
    )
    possible = (film_id for film_id in film_ids if int(film_id).bit_length() < 64)
    rows = [row for chunk in chunked(possible) for row in connection.execute(statement.where(film.c.id.in_(chunk)))]
    missing = sorted(set(film_ids) - {row.id for row in rows})
    if missing:
        ids = ", ".join(map(str, missing[:5])) + (", ..." if len(missing) > 5 else "")
        raise NotFound("there is no such film", where=f"film {ids}", fix="A search shows the ids of films.")
    return rows


def erase(connection: Connection, rows: Sequence[Row[Any]]) -> tuple[int, int]:
    """Delete these films, their files' rows, and what names them elsewhere. Gives (files, reports) deleted."""
    files, reports = {row.file_id for row in rows}, 0
    for chunk in chunked(row.id for row in rows):
        touched = select(embedding.c.space_id).where(embedding.c.film_id.in_(chunk)).distinct()
        touch_generation(connection, set(connection.scalars(touched)))
        files |= set(connection.scalars(select(file.c.id).where(file.c.duplicate_of.in_(chunk))))
        connection.execute(update(file).where(file.c.duplicate_of.in_(chunk)).values(duplicate_of=None))
        own_reports = select(func.count()).select_from(report).where(report.c.film_id.in_(chunk))
        reports += connection.scalar(own_reports) or 0
        # Labels, tags, notes, judgements, thumbnails, vectors and reports of the film go with it.
        connection.execute(delete(film).where(film.c.id.in_(chunk)))
    studies = {row.study_uid for row in rows if row.study_uid}
    for some_studies in chunked(studies):
        filmless = ~exists().where(film.c.study_uid == report.c.study_uid)
        orphaned = delete(report).where(report.c.film_id.is_(None), report.c.study_uid.in_(some_studies), filmless)
        reports += connection.execute(orphaned).rowcount
    for words in _FTS if connection.dialect.name == "sqlite" else ():
        # The words of texts that were deleted, now or before, stay in segments of their own until then.
        segments = select(func.count(distinct(column("segid")))).select_from(table(f"{words.name}_idx"))
        if connection.scalars(segments).one() > 1:
            connection.execute(insert(words).values({words.name: "optimize"}))
    places, dropped = _drop_files(connection, files)
    _drop_mentions(connection, rows, places)
    return dropped, reports


def _drop_files(connection: Connection, ids: set[int]) -> tuple[set[str], int]:
    """Delete rows of files that no film belongs to, and of folders without files. Returns their full paths, and how
    many files there were."""
    places: set[str] = set()
    dropped = 0
    for chunk in chunked(ids):
        unused = (file.c.id.in_(chunk), ~exists().where(film.c.file_id == file.c.id))
        statement = select(file.c.path, root.c.path.label("root")).join(root, root.c.id == file.c.root_id)
        places |= {str(Path(row.root, row.path)) for row in connection.execute(statement.where(*unused))}
        dropped += connection.execute(delete(file).where(*unused)).rowcount
    empty = ~exists().where(file.c.root_id == root.c.id)
    places |= set(connection.scalars(select(root.c.path).where(empty)))
    connection.execute(delete(root).where(empty))
    return places, dropped


def _drop_mentions(connection: Connection, rows: Sequence[Row[Any]], places: set[str]) -> None:
    """Delete the searches, judgements and queries of sets that name what is no longer there, and its paths from the
    runs."""
    for old in connection.execute(select(run)).all():
        paths = [_REDACTED if path in places else path for path in json.loads(old.paths)]
        message = None if old.message and any(place in old.message for place in places) else old.message
        if paths != json.loads(old.paths) or message != old.message:
            connection.execute(update(run).where(run.c.id == old.id).values(paths=json.dumps(paths), message=message))
    for identifier in (film.c.patient_key, film.c.study_uid, film.c.series_uid, film.c.instance_uid):
        values = {value for row in rows if (value := getattr(row, identifier.name))}
        for chunk in chunked(values):
            left = set(connection.scalars(select(identifier).where(identifier.in_(chunk))))
            for value in set(chunk) - left:
                # Alone, not within a longer one: UIDs are numbered on.
                alone = re.compile(rf"(?<![\w.]){re.escape(value)}(?!\.?\w)")
                for holder in (saved_search, judgement):
                    holding = select(holder.c.query).where(holder.c.query.contains(value, autoescape=True)).distinct()
                    queries = [query for query in connection.scalars(holding) if alone.search(query)]
                    for those in chunked(queries):
                        connection.execute(delete(holder).where(holder.c.query.in_(those)))
                query_sets.drop_queries(connection, value, alone)
