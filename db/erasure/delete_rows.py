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
    found = [row for some in chunked(film_ids) for row in connection.execute(statement.where(film.c.id.in_(some)))]
    missing = sorted(set(film_ids) - {row.id for row in found})
    if missing:
        said = ", ".join(map(str, missing[:5])) + (", ..." if len(missing) > 5 else "")
        raise NotFound("there is no such film", where=f"film {said}", fix="A search shows the ids of films.")
    return found


def erase(connection: Connection, rows: Sequence[Row[Any]]) -> tuple[int, int]:
    """Delete these films, their files' rows, and what names them elsewhere. Gives (files, reports) deleted."""
    files, reports = {row.file_id for row in rows}, 0
    for some in chunked(row.id for row in rows):
        touched = select(embedding.c.space_id).where(embedding.c.film_id.in_(some)).distinct()
        touch_generation(connection, set(connection.scalars(touched)))
        files |= set(connection.scalars(select(file.c.id).where(file.c.duplicate_of.in_(some))))
        connection.execute(update(file).where(file.c.duplicate_of.in_(some)).values(duplicate_of=None))
        own = select(func.count()).select_from(report).where(report.c.film_id.in_(some))
        reports += connection.scalar(own) or 0
        # Labels, tags, notes, judgements, thumbnails, vectors and reports of the film go with it.
        connection.execute(delete(film).where(film.c.id.in_(some)))
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
    """Return rows of files that no film belongs to, and of folders without files; gives their full paths."""
    places: set[str] = set()
    dropped = 0
    for some in chunked(ids):
        unused = (file.c.id.in_(some), ~exists().where(film.c.file_id == file.c.id))
        statement = select(file.c.path, root.c.path.label("root")).join(root, root.c.id == file.c.root_id)
        places |= {str(Path(row.root, row.path)) for row in connection.execute(statement.where(*unused))}
        dropped += connection.execute(delete(file).where(*unused)).rowcount
    empty = ~exists().where(file.c.root_id == root.c.id)
    places |= set(connection.scalars(select(root.c.path).where(empty)))
    connection.execute(delete(root).where(empty))
    return places, dropped


def _drop_mentions(connection: Connection, rows: Sequence[Row[Any]], places: set[str]) -> None:
    """Search and run that name what is no longer there."""
    for one in connection.execute(select(run)).all():
        paths = [_REDACTED if path in places else path for path in json.loads(one.paths)]
        message = None if one.message and any(place in one.message for place in places) else one.message
        if paths != json.loads(one.paths) or message != one.message:
            connection.execute(update(run).where(run.c.id == one.id).values(paths=json.dumps(paths), message=message))
    for identifier in (film.c.patient_key, film.c.study_uid, film.c.series_uid, film.c.instance_uid):
        named = {value for row in rows if (value := getattr(row, identifier.name))}
        for some in chunked(named):
            left = set(connection.scalars(select(identifier).where(identifier.in_(some))))
            for value in set(some) - left:
                # Alone, not within a longer one: UIDs are numbered on.
                alone = re.compile(rf"(?<![\w.]){re.escape(value)}(?!\.?\w)")
                for kept in (saved_search, judgement):
                    holding = select(kept.c.query).where(kept.c.query.contains(value, autoescape=True)).distinct()
                    said = [query for query in connection.scalars(holding) if alone.search(query)]
                    for those in chunked(said):
                        connection.execute(delete(kept).where(kept.c.query.in_(those)))
