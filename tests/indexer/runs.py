"""Runs over an archive that is whole afterwards, and what came into it."""

from __future__ import annotations

from pathlib import Path

from filmroom.db.archive import Archive
from filmroom.db.doctor import examine
from filmroom.db.records import State
from filmroom.db.schema import embedding, film, space
from filmroom.indexer.models.registry import load_towers
from filmroom.indexer.pipeline import Options, Summary, index
from sqlalchemy import select


def run(archive: Archive, tiny: Path, *paths: Path, **options: object) -> Summary:
    done = index(archive, paths, load_towers(str(tiny)), options=Options(workers=1, **options))  # type: ignore[arg-type]
    counts = done.counts
    assert counts.listed == counts.indexed + counts.unchanged + counts.duplicate + counts.rejected
    assert examine(archive).faults == ()
    return done


def content(archive: Archive) -> dict[str, bytes]:
    """Every present film's vectors by its identity."""
    statement = (
        select(film.c.identity, embedding.c.vectors)
        .join(embedding, embedding.c.film_id == film.c.id)
        .where(film.c.state == State.PRESENT.value)
    )
    with archive.catalog.read() as connection:
        return {row.identity: row.vectors for row in connection.execute(statement)}


def content_of(archive: Archive, model: str) -> dict[str, bytes]:
    """As `content`, of one model."""
    statement = (
        select(film.c.identity, embedding.c.vectors)
        .join(embedding, embedding.c.film_id == film.c.id)
        .join(space, space.c.id == embedding.c.space_id)
        .where(film.c.state == State.PRESENT.value, space.c.model == model)
    )
    with archive.catalog.read() as connection:
        return {row.identity: row.vectors for row in connection.execute(statement)}


def embedded(archive: Archive) -> int:
    """The highest embedding id: how many vectors were ever written."""
    with archive.catalog.read() as connection:
        ids = list(connection.scalars(select(embedding.c.id)))
    return max(ids, default=0)
