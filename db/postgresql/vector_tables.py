"""Keep vectors in tables of pgvector beside the catalog's, where the server has it, to be searched there.

The catalog's own column stays the truth: these tables are filled in the transaction that commits a vector, and a vector
goes with its row. A space of D dimensions has the table `film_vector_` and its number, of a row for each of the T
vectors of a film: `halves` is a halfvec of D, the same 16-bit numbers.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import astuple
from typing import TYPE_CHECKING, Any

import numpy as np
from filmroom.db.reads.summary import HnswStats
from filmroom.db.records import StoredSpace
from filmroom.db.vector_index.hnsw import STATS, Looking, measured, table_of
from numpy.typing import NDArray

if TYPE_CHECKING:
    import psycopg
    from psycopg import Cursor
    from sqlalchemy import Connection

MOST = 4000
"""Dimensions that pgvector indexes."""

FEW = 2000
"""Vectors below which the server answers exactly: it takes milliseconds, and an index is no faster."""

_BLOCK = 2000
_BUILD_MB = 256
_SPACE = 0x66726E  # beside that of `filmroom.db.postgresql.locks`
_NAME = re.compile(r"film_vector_[0-9]+")
# 0.8 is the first version that goes on looking where a filter leaves few.
_HAS = """
SELECT to_regtype('halfvec') IS NOT NULL
   AND EXISTS (SELECT 1 FROM pg_extension WHERE extname = 'vector'
               AND CAST(string_to_array(extversion, '.') AS integer[]) >= '{0,8}')
"""
_MAY_BE_ADDED = """
SELECT EXISTS (
    SELECT 1 FROM pg_available_extensions AS offered JOIN pg_available_extension_versions AS kind USING (name)
    WHERE name = 'vector' AND version = default_version AND CAST(string_to_array(version, '.') AS integer[]) >= '{0,8}'
      AND (trusted AND has_database_privilege(current_database(), 'CREATE')
           OR (SELECT rolsuper FROM pg_roles WHERE rolname = current_user)))
"""
_MAY_MAKE = "SELECT has_schema_privilege(current_schema(), 'CREATE')"
_OWN = "SELECT tablename FROM pg_tables WHERE schemaname = current_schema() AND pg_has_role(tableowner, 'USAGE')"
_TABLES = "SELECT tablename FROM pg_tables WHERE schemaname = current_schema()"
_SPACES = "SELECT id, dim, vectors, (SELECT max(id) FROM embedding WHERE space_id = space.id) AS newest FROM space"
_MAY_READ = """
SELECT coalesce(has_table_privilege(to_regclass(quote_ident(current_schema()) || '.' || ?), 'SELECT'), false)
   AND to_regtype('halfvec') IS NOT NULL
"""
_GRANTS = """
SELECT DISTINCT grantee, privilege_type FROM information_schema.role_table_grants
WHERE table_schema = current_schema() AND table_name = 'embedding' AND grantee <> current_user
  AND privilege_type IN ('SELECT', 'INSERT', 'DELETE')
"""


def add_extension(connection: Connection) -> None:
    """Let the database of a new archive have pgvector, where this role may give it."""
    if connection.exec_driver_sql(_MAY_BE_ADDED).scalar():
        connection.exec_driver_sql("CREATE EXTENSION IF NOT EXISTS vector")


def keep_up(connection: Connection) -> None:
    """Add the vectors that the transaction has committed to the catalog, and make and drop tables with their spaces."""
    if not connection.exec_driver_sql(_HAS).scalar():
        return
    spaces = connection.exec_driver_sql(_SPACES).all()
    tables = _named(connection, _TABLES)
    if tables - {table_of(row.id) for row in spaces}:
        _drop(connection, _named(connection, _OWN) - {table_of(row.id) for row in spaces})
    for row in spaces:
        if row.newest is None or row.dim > MOST:
            continue
        if table_of(row.id) not in tables:
            if not connection.exec_driver_sql(_MAY_MAKE).scalar():
                continue
            _make(connection, table_of(row.id), row.dim)
        _fill(connection, row.id, (row.vectors, row.dim), row.newest)


def drop_all(connection: Connection) -> None:
    """Drop all tables of this role, which the end of the transaction makes anew, and what was measured of them."""
    if tables := _named(connection, _OWN):
        _drop(connection, tables)
        connection.exec_driver_sql(f"DELETE FROM {STATS}")


def _named(connection: Connection, statement: str) -> set[str]:
    return {name for name in connection.exec_driver_sql(statement).scalars() if _NAME.fullmatch(name)}


def _drop(connection: Connection, tables: set[str]) -> None:
    for table in tables:
        connection.exec_driver_sql(f"DROP TABLE {table}")


def names(connection: Looking) -> set[str]:
    """Return the names of the tables that there are, as a client that looks."""
    return {row[0] for row in connection.execute(_TABLES) if _NAME.fullmatch(row[0])}


def are_there(connection: Looking, stored: StoredSpace) -> bool:
    """Tell whether the table of a space has all its vectors, and this role may read it."""
    table = table_of(stored.id)
    if not connection.execute(_MAY_READ, (table,)).fetchone()[0]:
        return False
    newest = f"SELECT (SELECT max(id) FROM {table}), (SELECT max(id) FROM embedding WHERE space_id = ?)"
    in_table, in_catalog = connection.execute(newest, (stored.id,)).fetchone()
    return bool(in_table == in_catalog)


def stats(connection: Looking) -> dict[int, HnswStats]:
    """Return what is known of each space's index, where one was built."""
    if not connection.execute(_MAY_READ, (STATS,)).fetchone()[0]:
        return {}
    statement = f"SELECT space_id, rows, ef_search, recall, exact_ms, approximate_ms FROM {STATS} WHERE ef_search > 0"
    return {row[0]: HnswStats(*(row[at] for at in range(1, 6))) for row in connection.execute(statement)}


def build(
    connection: psycopg.Connection[Any], look: Callable[[], Any], stored: StoredSpace, sample: NDArray[np.float32]
) -> None:
    """Build the index of a space over a connection of its own, and measure it; again when the rows have grown by half.
    Others go on reading and writing meanwhile."""
    table = table_of(stored.id)
    if table not in {row[0] for row in connection.execute(_OWN)}:
        return  # its owner's runs do
    (rows,) = _row(connection, f"SELECT count(*) FROM {table}")
    (before,) = _row(connection, f"SELECT coalesce(max(rows), 0) FROM {STATS} WHERE space_id = {stored.id}")
    lock = f"SELECT pg_try_advisory_lock({_SPACE}, hashtext(current_schema() || '{table}'))"
    if rows < FEW or rows < 1.5 * before or not _row(connection, lock)[0]:
        return
    index = f"ix_{table}_hnsw"
    connection.execute("SET lock_timeout = 0")  # it waits for everybody who reads
    connection.execute(f"SET maintenance_work_mem = '{_BUILD_MB}MB'")
    broken = f"SELECT count(*) FROM pg_index WHERE indexrelid = to_regclass('{index}') AND NOT indisvalid"
    if _row(connection, broken)[0]:
        connection.execute(f"DROP INDEX {index}")  # whoever built it was ended
    connection.execute(f"CREATE INDEX CONCURRENTLY IF NOT EXISTS {index} ON {table} USING hnsw (halves halfvec_ip_ops)")
    connection.execute(f"ANALYZE {table}")
    stats_now = measured(look, stored, sample, rows)
    connection.execute(
        f"INSERT INTO {STATS} VALUES (%s, %s, %s, %s, %s, %s) ON CONFLICT (space_id) DO UPDATE SET "
        "rows = excluded.rows, ef_search = excluded.ef_search, recall = excluded.recall, exact_ms = excluded.exact_ms, "
        "approximate_ms = excluded.approximate_ms",
        (stored.id, *astuple(stats_now)),
    )


def _row(connection: psycopg.Connection[Any], statement: str) -> Any:
    return connection.execute(statement).fetchone()


def _make(connection: Connection, table: str, dim: int) -> None:
    connection.exec_driver_sql(
        f"CREATE TABLE {table} (id bigint NOT NULL REFERENCES embedding (id) ON DELETE CASCADE, "
        f"film_id bigint NOT NULL, part smallint NOT NULL, halves halfvec({dim}) NOT NULL, PRIMARY KEY (id, part))"
    )
    # As they are, they would be compressed in vain.
    connection.exec_driver_sql(f"ALTER TABLE {table} ALTER COLUMN halves SET STORAGE EXTERNAL")
    connection.exec_driver_sql(f"CREATE INDEX ix_{table}_film_id ON {table} (film_id)")
    connection.exec_driver_sql(
        f"CREATE TABLE IF NOT EXISTS {STATS} (space_id bigint PRIMARY KEY REFERENCES space (id) ON DELETE CASCADE, "
        "rows bigint NOT NULL, ef_search integer NOT NULL, recall float8 NOT NULL, exact_ms float8 NOT NULL, "
        "approximate_ms float8 NOT NULL)"
    )
    # Who may read and write vectors may do so here.
    for grantee, privilege in connection.exec_driver_sql(_GRANTS).all():
        whom = "PUBLIC" if grantee == "PUBLIC" else '"' + grantee.replace('"', '""') + '"'
        for name in (table, STATS):
            connection.exec_driver_sql(f"GRANT {privilege} ON {name} TO {whom}")


def _fill(connection: Connection, space_id: int, shape: tuple[int, int], newest: int) -> None:
    table = table_of(space_id)
    highest = connection.exec_driver_sql(f"SELECT coalesce(max(id), 0) FROM {table}").scalar() or 0
    statement = "SELECT id, film_id, vectors FROM embedding WHERE space_id = ? AND id > ? ORDER BY id LIMIT ?"
    while highest < newest:
        rows = connection.exec_driver_sql(statement, (space_id, highest, _BLOCK)).all()
        if not rows:
            return
        highest = rows[-1].id
        with _copying(connection, table) as copy:
            for block in _blocks([tuple(row) for row in rows], shape):
                copy.write(block)


@contextmanager
def _copying(connection: Connection, table: str) -> Iterator[Any]:
    cursor: Cursor[Any]
    with connection.connection.driver_connection.cursor() as cursor:  # type: ignore[union-attr]
        command = f"COPY {table} (id, film_id, part, halves) FROM STDIN (FORMAT BINARY)"
        with cursor.copy(command) as copy:
            yield copy


def _blocks(rows: list[tuple[int, int, bytes]], shape: tuple[int, int]) -> Iterator[bytes]:
    """Yield rows as COPY takes them (PostgreSQL's manual, COPY, "Binary Format"). A vector that is damaged, which
    `filmroom doctor` tells of, is left out."""
    parts, dim = shape
    yield b"PGCOPY\n\xff\r\n\0" + bytes(8)
    sound = [row for row in rows if len(row[2]) == 2 * parts * dim]
    halves = np.frombuffer(b"".join(row[2] for row in sound), np.float16).reshape(-1, dim)
    written = np.zeros(len(halves), _row_type(dim))
    ids = np.array([row[:2] for row in sound], np.int64).reshape(-1, 2).repeat(parts, axis=0)
    fields = {"fields": 4, "a": 8, "id": ids[:, 0], "b": 8, "film_id": ids[:, 1], "c": 2, "d": 4 + 2 * dim, "dim": dim}
    for name, values in fields.items():
        written[name] = values
    written["part"] = np.arange(len(halves)) % parts
    written["halves"] = halves
    yield written[_whole(halves, parts)].tobytes()
    yield b"\xff\xff"


def _whole(halves: NDArray[np.float16], parts: int) -> NDArray[np.bool_]:
    finite = np.isfinite(halves).all(axis=1).reshape(-1, parts).all(axis=1)
    sound: NDArray[np.bool_] = finite.repeat(parts)
    return sound


def _row_type(dim: int) -> np.dtype[Any]:
    return np.dtype(
        [("fields", ">i2"), ("a", ">i4"), ("id", ">i8"), ("b", ">i4"), ("film_id", ">i8"), ("c", ">i4"),
         ("part", ">i2"), ("d", ">i4"), ("dim", ">i2"), ("unused", ">i2"), ("halves", ">f2", (dim,))]
    )  # fmt: skip
