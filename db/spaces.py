"""The spaces of an archive, and the stored vectors of each."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import delete, func, select

from db.catalog import Catalog
from db.chunks import chunked, ids_of
from db.errors import ArchiveDamaged, NotFound
from db.records import Space, State
from db.records import StoredSpace as StoredSpace
from db.schema import embedding, film, meta, space

BLOCK = 20_000
"""Vectors read from the catalog at a time."""


def spaces(catalog: Catalog) -> list[StoredSpace]:
    """All spaces, the most complete first, the newest first among equals."""
    stored = select(embedding.c.space_id, func.count().label("films")).group_by(embedding.c.space_id).subquery()
    # Counted over those that are absent, which are few: a count over all would read every film's row.
    absent = (
        select(embedding.c.space_id, func.count().label("films"))
        .join(film, film.c.id == embedding.c.film_id)
        .where(film.c.state.in_([State.GONE.value, State.REPLACED.value]))
        .group_by(embedding.c.space_id)
        .subquery()
    )
    present = (func.coalesce(stored.c.films, 0) - func.coalesce(absent.c.films, 0)).label("films")
    statement = (
        select(space, present)
        .outerjoin(stored, stored.c.space_id == space.c.id)
        .outerjoin(absent, absent.c.space_id == space.c.id)
        .order_by(present.desc(), space.c.id.desc())
    )
    with catalog.read() as connection:
        rows = connection.execute(statement).all()
    return [
        StoredSpace(row.id, Space(row.model, row.fingerprint, row.dim, row.vectors, row.has_text), row.films)
        for row in rows
    ]


@dataclass(frozen=True)
class Stamp:
    """What a cached index depends on: while it is equal, nothing that can be searched has changed."""

    generation: int
    mark: int
    film_states: int


def stamp(catalog: Catalog, space_id: int) -> Stamp:
    """Raises NotFound where the space has been removed."""
    states = select(meta.c.value).where(meta.c.key == "film_states").scalar_subquery()
    last = select(func.max(embedding.c.id)).where(embedding.c.space_id == space_id).scalar_subquery()
    statement = select(space.c.generation, last.label("mark"), states.label("states")).where(space.c.id == space_id)
    with catalog.read() as connection:
        row = connection.execute(statement).first()
    if row is None:
        raise NotFound("the vectors of this model were removed from the archive", fix="Open the archive again.")
    return Stamp(row.generation, row.mark or 0, int(row.states or 0))


def remove(catalog: Catalog, space_id: int) -> int:
    """Deletes a space and its vectors; films and their judgements stay. Returns the number of vectors deleted."""
    with catalog.write() as connection:
        deleted = connection.execute(delete(embedding).where(embedding.c.space_id == space_id)).rowcount
        connection.execute(delete(space).where(space.c.id == space_id))
    return int(deleted)


@dataclass(frozen=True)
class Block:
    """Rows of one space in the order of their ids: embedding ids (N,), film ids (N,), vectors float16 (N, T, D)."""

    ids: NDArray[np.int64]
    film_ids: NDArray[np.int64]
    vectors: NDArray[np.float16]


def vectors_since(catalog: Catalog, held: StoredSpace, mark: int) -> Iterator[Block]:
    """What was committed after the watermark `mark`, in blocks."""
    while True:
        statement = (
            select(embedding.c.id, embedding.c.film_id, embedding.c.vectors)
            .where(embedding.c.space_id == held.id, embedding.c.id > mark)
            .order_by(embedding.c.id)
            .limit(BLOCK)
        )
        with catalog.read() as connection:
            rows = connection.execute(statement).all()
        if not rows:
            return
        shape = (len(rows), held.space.vectors, held.space.dim)
        if any(len(row[2]) != 2 * shape[1] * shape[2] for row in rows):
            raise ArchiveDamaged(
                "stored vectors have the wrong length",
                where=held.space.model,
                fix="`filmroom doctor` counts them; index again with this model.",
            )
        yield Block(
            np.fromiter((row[0] for row in rows), np.int64, len(rows)),
            np.fromiter((row[1] for row in rows), np.int64, len(rows)),
            np.frombuffer(b"".join(row[2] for row in rows), np.float16).reshape(shape),
        )
        mark = int(rows[-1][0])


def live_ids(catalog: Catalog, space_id: int) -> NDArray[np.int64]:
    """The ids of all vectors of a space, ascending."""
    with catalog.read() as connection:
        return ids_of(connection, select(embedding.c.id).where(embedding.c.space_id == space_id))


def vectors_of(catalog: Catalog, held: StoredSpace, film_ids: Sequence[int]) -> dict[int, NDArray[np.float32]]:
    """The stored vectors, float32 (T, D), by film id; films without one are left out."""
    found: dict[int, NDArray[np.float32]] = {}
    shape = (held.space.vectors, held.space.dim)
    with catalog.read() as connection:
        for some in chunked(int(i) for i in film_ids):
            statement = select(embedding.c.film_id, embedding.c.vectors).where(
                embedding.c.space_id == held.id, embedding.c.film_id.in_(some)
            )
            for row in connection.execute(statement):
                found[row.film_id] = np.frombuffer(row.vectors, np.float16).reshape(shape).astype(np.float32)
    return found
