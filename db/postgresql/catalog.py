"""Open the catalog of an archive on a PostgreSQL server: many clients read and write it at once."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg
from filmroom.db import migrate
from filmroom.db.catalog import HEAD, Catalog
from filmroom.db.errors import ArchiveBusy, ArchiveReplaced, BadInput
from filmroom.db.files.writer_lock import Writer
from filmroom.db.postgresql import address, locks, tables, vector_tables
from filmroom.db.postgresql import connection as connections
from filmroom.db.postgresql.connection import Looking
from filmroom.db.postgresql.error_messages import no_archive, speaking
from filmroom.db.reads.summary import Glance, counts_of, glance_at
from filmroom.db.records import Run, StoredSpace
from filmroom.db.schema import metadata
from filmroom.db.writes.meta import count_write, put_meta

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from sqlalchemy import Connection, Engine

_OLDEST = 140000
_KEPT = 4
"""Idle connections that a catalog keeps to look through."""

_TABLES = ", ".join(metadata.tables)  # a database may hold other things
_BEGIN = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"
_KEY_CHECK = "key_check"
_REVISION = "SELECT to_regclass('alembic_version') IS NOT NULL"
_MAY_WRITE = "SELECT NOT pg_is_in_recovery() AND has_table_privilege('meta', 'UPDATE')"
_SIZE = """
SELECT coalesce(sum(pg_total_relation_size(pg_class.oid)), 0) FROM pg_class
WHERE relnamespace = CAST(current_schema() AS regnamespace) AND relkind = 'r'
"""
_ARCHIVE = "SELECT value FROM meta WHERE key = 'archive_id'"


class ServerCatalog(Catalog):
    """`path` is the file beside the client that holds the address."""

    is_file = False
    _at_work: psycopg.Connection[Any]

    @classmethod
    def open(cls, path: Path, *, create: bool = True) -> ServerCatalog:
        """Open the catalog, bringing older tables up to date. Raises NotFound where there are none, unless they may be
        made."""
        catalog = cls(path)
        with speaking(catalog.address):
            catalog._check_server()
            revision = catalog._revision()
            if revision is None and not create:
                raise no_archive(catalog.address)
            if revision is None:
                with catalog.engine.execution_options(filmroom_write=True).begin() as connection:
                    tables.make_tables(connection, HEAD)
            elif revision != HEAD:
                migrate.check_known(Path(catalog.place), revision)
                catalog.check_writable()
                migrate.upgrade(catalog.engine)
        _ = catalog._id
        return catalog

    @cached_property
    def address(self) -> str:
        return address.read(self.path)

    @cached_property
    def place(self) -> str:
        """The address without its password."""
        return address.shown(address.parts(self.address))

    @cached_property
    def read_only(self) -> bool:
        with self.look() as connection:
            return not connection.execute(_MAY_WRITE).fetchone()[0]

    @cached_property
    def engine(self) -> Engine:
        return connections.engine(self.address, locks.COMMIT)

    @cached_property
    def _id(self) -> str | None:
        with self.look() as connection:
            row = connection.execute(_ARCHIVE).fetchone()
        return None if row is None else str(row[0])

    @contextmanager
    def look(self) -> Iterator[Any]:
        with self._speaking():
            connection = self._begun()
            try:
                yield Looking(connection)
            finally:
                self._ended(connection)

    def _begun(self) -> psycopg.Connection[Any]:
        """Return a connection in a transaction: one that was idle may have been cut meanwhile."""
        while self._idle:
            connection: Any = self._idle.pop()
            try:
                connection.execute(_BEGIN)
            except psycopg.OperationalError:
                connection.close()
            else:
                return connection  # type: ignore[no-any-return]
        opened = connections.connect(self.address)
        opened.execute(_BEGIN)
        return opened

    def _ended(self, connection: psycopg.Connection[Any]) -> None:
        """Keep a connection for the next look, or close it: who looks from many threads at once needs many, a server
        has a hundred for all, and none is given back by who is idle."""
        if connection.closed:
            return
        connection.execute("ROLLBACK")
        if len(self._idle) < _KEPT:
            self._idle.append(connection)  # type: ignore[arg-type]
        else:
            connection.close()

    @contextmanager
    def read(self) -> Iterator[Connection]:
        reading = self.engine.execution_options(isolation_level="REPEATABLE READ")
        with self._speaking(), reading.begin() as connection:
            yield connection

    @contextmanager
    def write(self, *, annotates: bool = False) -> Iterator[Connection]:
        self.check_writable()
        writing = self.engine.execution_options(filmroom_write=True)
        with self._speaking(), writing.begin() as connection:
            if connection.exec_driver_sql(_ARCHIVE).scalar() != self._id:
                raise ArchiveReplaced(
                    "the archive was replaced while it was open", where=self.place, fix="Open it again."
                )
            yield connection
            if not annotates:
                vector_tables.keep_up(connection)
            count_write(connection, annotates=annotates)

    @contextmanager
    def refill(self) -> Iterator[Connection]:
        with super().refill() as connection:
            yield connection
            connection.execution_options(yield_per=None, stream_results=False)  # who fills it may have read in blocks
            vector_tables.keep_up(connection)

    def searches(self, stored: StoredSpace) -> bool:
        """Tell whether the server has all vectors of a space in a table of pgvector that this client may read."""
        with self.look() as connection:
            return vector_tables.are_there(connection, stored)

    def build_index(self, stored: StoredSpace, sample: NDArray[np.float32]) -> None:
        with self._speaking(), closing(connections.connect(self.address)) as connection:
            vector_tables.build(connection, self.look, stored, sample)

    def remake_vectors(self) -> None:
        with self.write() as connection:
            vector_tables.drop_all(connection)

    @contextmanager
    def _speaking(self) -> Iterator[None]:
        with speaking(self.address):
            yield

    @contextmanager
    def working(self, doing: str, *, alone: bool) -> Iterator[None]:
        self.check_writable()
        with self._speaking():
            try:
                with locks.working(self.address, doing.split(" ")[0], alone=alone) as self._at_work:
                    yield
            except locks.Held as held:
                raise ArchiveBusy(
                    f"another client works on this archive ({held.holder or 'unknown'})",
                    where=self.place,
                    fix="Wait for it, or stop it; its work so far is kept.",
                ) from None

    def begin_run(self, run_id: int) -> None:
        with self._speaking():
            locks.say_run(self._at_work, run_id)

    def living(self) -> Callable[[Run], bool]:
        with self.look() as connection:
            return _living(connection)

    def check_key(self, key: bytes | None, path: Path) -> None:
        """Raise BadInput where this client has no key of the patients, or another than the archive was made with. The
        database holds a keyed hash, which tells nothing of the key."""
        with self.look() as connection:
            row = connection.execute("SELECT value FROM meta WHERE key = ?", (_KEY_CHECK,)).fetchone()
        if key is None and row is None:
            return  # it is to be made
        if key is None:
            raise BadInput(
                "this machine has not the key of this archive's patients",
                where=path,
                fix="Copy the file patient.key there from a machine that indexes into this archive.",
            )
        check = hmac.new(key, b"key of the archive", hashlib.sha256).hexdigest()
        if row is None:
            with self.write() as writing:
                put_meta(writing, _KEY_CHECK, check)
        elif row[0] != check:
            raise BadInput(
                "this is the key of another archive",
                where=path,
                fix="Copy the file patient.key there from a machine that indexes into this archive.",
            )

    def learn_sizes(self) -> None:
        with self._speaking(), self.engine.connect() as connection:
            connection.exec_driver_sql(f"ANALYZE {_TABLES}")
            connection.commit()

    def settle(self, *, everything: bool) -> str | None:
        """Let the server reuse the place of what was deleted; it overwrites nothing by itself."""
        with self.look() as looking:
            relations = ", ".join([_TABLES, *sorted(vector_tables.names(looking))])
        with self._speaking(), closing(connections.connect(self.address)) as connection:
            connection.execute(f"VACUUM {'(FULL) ' if everything else ''}{relations}")
        return None

    def empty_log(self, *, seconds: float) -> None:
        """Do nothing: the log is the server's."""

    def _check_server(self) -> None:
        connection = self._begun()
        try:
            row = connection.execute("SELECT current_setting('server_version_num'), current_setting('server_encoding')")
            version, encoding = row.fetchone() or ("0", "")
        finally:
            self._ended(connection)
        if int(version) < _OLDEST or encoding != "UTF8":
            raise BadInput(
                f"the server is PostgreSQL {int(version) // 10000} and the database's encoding {encoding}",
                where=self.place,
                fix="PostgreSQL 14 or later is needed, and a database in UTF8.",
            )

    def _revision(self) -> str | None:
        with self.look() as connection:
            if not connection.execute(_REVISION).fetchone()[0]:
                return None
            row = connection.execute("SELECT version_num FROM alembic_version").fetchone()
        return None if row is None else str(row[0])


def glance(path: Path) -> Glance:
    """Count what the archive holds whose address a file keeps. Raises NotFound."""
    with _looking(path) as connection:
        looking: Any = Looking(connection)
        counted = glance_at(looking, path.with_name("vectors"), _living(connection), counts_of(looking))
        size = connection.execute(_SIZE).fetchone()[0]  # type: ignore[index]
        return replace(counted, size=size, hnsw=vector_tables.stats(looking))


def writers(path: Path) -> list[Writer]:
    """Return the clients that work on the archive whose address a file keeps, the longest first."""
    with _looking(path) as connection:
        return locks.holders(connection)


def _living(connection: Any) -> Callable[[Run], bool]:
    under_way = {client.run for client in locks.holders(connection)}
    return lambda run: run.id in under_way


@contextmanager
def _looking(path: Path) -> Iterator[psycopg.Connection[Any]]:
    place = address.read(path)
    with speaking(place), closing(connections.connect(place)) as connection:
        connection.execute(_BEGIN)
        if not connection.execute(_REVISION).fetchone()[0]:  # type: ignore[index]
            raise no_archive(place)
        yield connection
