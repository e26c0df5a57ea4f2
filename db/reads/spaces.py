"""Read the spaces of an archive, and the stored vectors of each."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from filmroom.db.batching import chunked, ids_of, marks
from filmroom.db.catalog import Catalog
from filmroom.db.errors import ArchiveDamaged, NotFound
from filmroom.db.reads.summary import stored_spaces
from filmroom.db.records import StoredSpace as StoredSpace
from numpy.typing import NDArray

BLOCK = 20_000
"""Vectors read from the catalog at a time."""


def spaces(catalog: Catalog) -> list[StoredSpace]:
    """Return all spaces, the most complete first, the newest first among equals."""
    with catalog.look() as connection:
        return list(stored_spaces(connection, catalog.path.with_name("vectors")))


@dataclass(frozen=True)
class Stamp:
    """What a cached index depends on: while it is equal, nothing that can be searched has changed."""

    generation: int
    mark: int
    film_states: int


def stamp(catalog: Catalog, space_id: int) -> Stamp:
    """Raise NotFound where the space has been removed."""
    statement = """
SELECT generation, (SELECT max(id) FROM embedding WHERE space_id = space.id) AS mark,
       (SELECT value FROM meta WHERE key = 'film_states') AS states
FROM space WHERE id = ?
"""
    with catalog.look() as connection:
        row = connection.execute(statement, (space_id,)).fetchone()
    if row is None:
        raise NotFound("the vectors of this model were removed from the archive", fix="Open the archive again.")
    return Stamp(row["generation"], row["mark"] or 0, int(row["states"] or 0))


def remove(catalog: Catalog, space_id: int) -> int:
    """Delete a space and its vectors; films and their judgements stay. Returns the number of vectors deleted."""
    with catalog.write() as connection:
        deleted = connection.exec_driver_sql("DELETE FROM embedding WHERE space_id = ?", (space_id,)).rowcount
        connection.exec_driver_sql("DELETE FROM space WHERE id = ?", (space_id,))
    return int(deleted)


@dataclass(frozen=True)
class Block:
    """Rows of one space in the order of their ids: embedding ids (N,), film ids (N,), vectors float16 (N, T, D)."""

    ids: NDArray[np.int64]
    film_ids: NDArray[np.int64]
    vectors: NDArray[np.float16]


def vectors_since(catalog: Catalog, stored_space: StoredSpace, mark: int) -> Iterator[Block]:
    """Yield what was committed after the watermark `mark`, in blocks."""
    statement = "SELECT id, film_id, vectors FROM embedding WHERE space_id = ? AND id > ? ORDER BY id LIMIT ?"
    while True:
        with catalog.look() as connection:
            rows = connection.execute(statement, (stored_space.id, mark, BLOCK)).fetchall()
        if not rows:
            return
        shape = (len(rows), stored_space.space.vectors, stored_space.space.dim)
        _check_sizes((row[2] for row in rows), stored_space)
        yield Block(
            np.fromiter((row[0] for row in rows), np.int64, len(rows)),
            np.fromiter((row[1] for row in rows), np.int64, len(rows)),
            np.frombuffer(b"".join(row[2] for row in rows), np.float16).reshape(shape),
        )
        mark = int(rows[-1][0])


def live_ids(catalog: Catalog, space_id: int) -> NDArray[np.int64]:
    """Return the ids of all vectors of a space, ascending."""
    with catalog.look() as connection:
        return ids_of(connection, "SELECT id FROM embedding WHERE space_id = ?", (space_id,))


def film_ids(catalog: Catalog, space_id: int) -> NDArray[np.int64]:
    """Return the ids of all films that have a vector in a space, gone ones too, ascending."""
    with catalog.look() as connection:
        return ids_of(connection, "SELECT film_id AS id FROM embedding WHERE space_id = ?", (space_id,))


def vectors_of(catalog: Catalog, stored_space: StoredSpace, film_ids: Sequence[int]) -> dict[int, NDArray[np.float32]]:
    """Return the stored vectors, float32 (T, D), by film id; films without one are left out."""
    by_film: dict[int, NDArray[np.float32]] = {}
    shape = (stored_space.space.vectors, stored_space.space.dim)
    with catalog.look() as connection:
        for chunk in chunked(int(i) for i in film_ids):
            statement = f"SELECT film_id, vectors FROM embedding WHERE space_id = ? AND film_id IN ({marks(chunk)})"
            rows = connection.execute(statement, (stored_space.id, *chunk)).fetchall()
            _check_sizes((row[1] for row in rows), stored_space)
            for film_id, stored in rows:
                by_film[film_id] = np.frombuffer(stored, np.float16).reshape(shape).astype(np.float32)
    return by_film


def _check_sizes(stored: Iterable[object], stored_space: StoredSpace) -> None:
    """Raise ArchiveDamaged where a stored vector is not the bytes of one of this space."""
    size = 2 * stored_space.space.vectors * stored_space.space.dim
    if any(not isinstance(vector, bytes) or len(vector) != size for vector in stored):
        raise ArchiveDamaged(
            "stored vectors have the wrong length",
            where=stored_space.space.model,
            fix="`filmroom doctor` counts them; index again with this model.",
        )
