"""Opening the catalog: one SQLite file in WAL mode, one writer at a time, readers that never wait."""

from __future__ import annotations

import os
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event, select, text, update
from sqlalchemy.dialects.sqlite import insert
from sqlalchemy.exc import DatabaseError, OperationalError

from db import schema
from db.errors import ArchiveBusy, ArchiveDamaged, FilmroomError

BUSY_SECONDS = 15


@dataclass(frozen=True)
class Catalog:
    """The truth about an archive. `read` and `write` are transactions; everything else is a function over them."""

    path: Path
    engine: Engine

    @classmethod
    def open(cls, path: Path) -> Catalog:
        """Opens or creates the catalog, migrating an older one after a backup copy beside it.

        Raises ArchiveDamaged where the file is no catalog.
        """
        with suppress(FileExistsError, OSError):
            # Made here first, so that the file is its owner's alone whatever the folder allows.
            os.close(os.open(path, os.O_CREAT | os.O_EXCL, 0o600))
        catalog = cls(path, connect(path))
        with catalog._speaking():
            _ensure_schema(catalog)
        return catalog

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A consistent view: what other processes commit meanwhile is not seen until the next `read`."""
        with self._speaking(), self.engine.begin() as connection:
            yield connection

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """One transaction: all of it or nothing. Takes the write lock at once, so that it cannot deadlock."""
        writing = self.engine.execution_options(filmroom_write=True)
        with self._speaking(), writing.begin() as connection:
            yield connection
            _bump(connection)

    def changes(self) -> int:
        """A number that rises with every committed write, by any process: what caches compare."""
        with self.read() as connection:
            found = connection.scalar(select(schema.meta.c.value).where(schema.meta.c.key == "changes"))
            return int(found or 0)

    def close(self) -> None:
        self.engine.dispose()

    @contextmanager
    def _speaking(self) -> Iterator[None]:
        try:
            yield
        except OperationalError as error:
            raise _in_words(error, self.path) from error
        except DatabaseError as error:
            if "malformed" in str(error.orig) or "not a database" in str(error.orig):
                raise _damaged(self.path) from error
            raise


def connect(path: Path) -> Engine:
    """An engine with the settings that every connection to a catalog needs; makes no tables."""
    engine = create_engine(f"sqlite:///{path}", connect_args={"timeout": BUSY_SECONDS})

    @event.listens_for(engine, "connect")
    def _on_connect(connection: Any, _record: object) -> None:
        # SQLAlchemy's own BEGIN is used (below) instead of the driver's, which would start reading before locking.
        connection.isolation_level = None
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=NORMAL")
        connection.execute("PRAGMA foreign_keys=ON")
        connection.execute("PRAGMA temp_store=MEMORY")
        # What is deleted is overwritten, whatever SQLite was built with.
        connection.execute("PRAGMA secure_delete=ON")

    @event.listens_for(engine, "begin")
    def _on_begin(connection: Connection) -> None:
        write = connection.get_execution_options().get("filmroom_write", False)
        if connection.get_execution_options().get("filmroom_migrate", False):
            # Recreating a table would otherwise delete what points to it.
            connection.exec_driver_sql("PRAGMA foreign_keys=OFF")
        connection.exec_driver_sql("BEGIN IMMEDIATE" if write else "BEGIN")

    return engine


def _bump(connection: Connection) -> None:
    statement = insert(schema.meta).values(key="changes", value="1")
    connection.execute(
        statement.on_conflict_do_update(
            index_elements=["key"], set_={"value": text("CAST(CAST(meta.value AS INTEGER) + 1 AS TEXT)")}
        )
    )


def _ensure_schema(catalog: Catalog) -> None:
    found = revision(catalog)
    if found == schema.HEAD:
        return
    if found is None:
        with catalog.write() as connection:
            # A second process may have made it while this one waited for the lock.
            if not connection.dialect.has_table(connection, "alembic_version"):
                schema.metadata.create_all(connection)
                connection.exec_driver_sql("CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL)")
                connection.exec_driver_sql(f"INSERT INTO alembic_version VALUES ('{schema.HEAD}')")  # noqa: S608
        return
    from db.migrate import bring_up

    bring_up(catalog)


def revision(catalog: Catalog) -> str | None:
    """The Alembic revision of its tables; None where it has none yet."""
    with catalog.read() as connection:
        if not connection.dialect.has_table(connection, "alembic_version"):
            return None
        found = connection.exec_driver_sql("SELECT version_num FROM alembic_version").scalar()
    return None if found is None else str(found)


def backup(source: Path, target: Path) -> None:
    """A consistent copy of the catalog, taken while others read and write it."""
    aside = target.with_name(target.name + ".part")
    aside.unlink(missing_ok=True)
    os.close(os.open(aside, os.O_CREAT | os.O_EXCL, 0o600))
    try:
        with closing(sqlite3.connect(source)) as from_, closing(sqlite3.connect(aside)) as to:
            from_.backup(to)
        shutil.move(aside, target)
    except BaseException:
        aside.unlink(missing_ok=True)
        raise


def scrub(path: Path) -> str | None:
    """Writes a catalog anew without what was deleted, and empties its log. Gives what hindered it, if anything did."""
    folder = str(path.parent).replace("'", "''")
    try:
        with closing(sqlite3.connect(path, timeout=BUSY_SECONDS, isolation_level=None)) as connection:
            # What is written anew passes through a file, which is not to lie on a disk that the archive is not on.
            connection.execute(f"PRAGMA temp_store_directory='{folder}'")
            try:
                connection.execute("VACUUM")
            finally:
                connection.execute("PRAGMA temp_store_directory=''")
        return None if empty_log(path, seconds=BUSY_SECONDS) else "another process is reading it"
    except sqlite3.OperationalError as error:
        return str(error)


def empty_log(path: Path, *, seconds: float) -> bool:
    """Puts what was committed in its place, so that what the log still shows of before is gone. False where somebody
    who began to read before is not done after `seconds`."""
    with closing(sqlite3.connect(path, timeout=seconds, isolation_level=None)) as connection:
        (blocked, *_) = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    return not blocked


def learn_sizes(catalog: Catalog) -> None:
    """Lets SQLite look at a sample of every index, so that filters are answered by the one that tells most apart."""
    with catalog.write() as connection:
        connection.exec_driver_sql("PRAGMA analysis_limit=1000")
        connection.exec_driver_sql("ANALYZE")


def set_meta(catalog: Catalog, key: str, value: str) -> None:
    """Keeps a setting of the archive."""
    with catalog.write() as connection:
        statement = insert(schema.meta).values(key=key, value=value)
        connection.execute(statement.on_conflict_do_update(index_elements=["key"], set_={"value": value}))


def get_meta(catalog: Catalog, key: str) -> str | None:
    with catalog.read() as connection:
        return connection.scalar(select(schema.meta.c.value).where(schema.meta.c.key == key))


def touch_generation(connection: Connection, space_ids: set[int]) -> None:
    """Tells cached indexes of these spaces that a vector they may hold is no longer valid."""
    if space_ids:
        connection.execute(
            update(schema.space)
            .where(schema.space.c.id.in_(space_ids))
            .values(generation=schema.space.c.generation + 1)
        )


def _damaged(path: Path) -> ArchiveDamaged:
    return ArchiveDamaged(
        "is not a readable Filmroom catalog",
        where=path,
        fix="Restore it from a backup, or move it away and run `filmroom index` again.",
    )


def _in_words(error: OperationalError, path: Path) -> FilmroomError:
    said = str(error.orig)
    if "locked" in said or "busy" in said:
        return ArchiveBusy(
            f"another process held the catalog for more than {BUSY_SECONDS} s",
            where=path,
            fix="Try again when it has finished; `filmroom status` says which run is under way.",
        )
    if "disk is full" in said or "disk I/O" in said:
        return FilmroomError(
            f"the catalog could not be written ({said})",
            where=path,
            fix="Make room on that disk and run the command again; what was committed is kept.",
        )
    if "unable to open" in said:
        return FilmroomError("cannot be opened", where=path, fix="Check that the folder exists and is yours to write.")
    if "readonly" in said:
        return FilmroomError(
            "may not be written",
            where=path,
            fix="Check the permissions of the archive folder, or use another --archive.",
        )
    return FilmroomError(f"the catalog could not be used ({said})", where=path, fix="Run `filmroom doctor`.")
