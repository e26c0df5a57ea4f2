"""Open the catalog: one SQLite file in WAL mode, one writer at a time, readers that never wait."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from filmroom.db.errors import (
    ArchiveBusy,
    ArchiveDamaged,
    ArchiveReadOnly,
    ArchiveReplaced,
    FilmroomError,
    no_such_film,
)
from filmroom.db.files import read_only, sqlite_file, writer_lock
from filmroom.db.files.sqlite_file import SETTINGS, revision_of
from filmroom.db.reads.summary import is_alive
from filmroom.db.records import Run, StoredSpace
from filmroom.db.stretches.versions import fact_state_of

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from sqlalchemy import Connection, Engine

HEAD = "0018"
"""The Alembic revision that the tables of `filmroom.db.schema` stand for; a test holds them equal to the migrations."""


@dataclass(frozen=True)
class Catalog:
    """The truth about an archive. `look`, `read` and `write` are transactions; everything else is a function over them.

    A search only looks: to import SQLAlchemy takes longer than all that a search asks.
    """

    is_file: ClassVar[bool] = True
    """Whether the catalog is a file of SQLite, which can be looked into; else it is on a server."""

    path: Path
    _idle: list[sqlite3.Connection] = field(default_factory=list, repr=False, compare=False)

    @classmethod
    def open(cls, path: Path) -> Catalog:
        """Open or create the catalog, migrating an older one after a backup copy beside it.

        Raises ArchiveDamaged where the file is no catalog.
        """
        fresh = False
        with suppress(FileExistsError, OSError):
            # Made here first, so that the file is its owner's alone whatever the folder allows.
            os.close(os.open(path, os.O_CREAT | os.O_EXCL, 0o600))
            fresh = True
        catalog = cls(path)
        _ensure_schema(catalog, fresh=fresh)
        _ = catalog._file, catalog._id
        return catalog

    @cached_property
    def read_only(self) -> bool:
        """Whether this process may read the catalog, and not write it."""
        return not read_only.may_write(self.path)

    def check_writable(self) -> None:
        """Raise ArchiveReadOnly where the catalog may not be written."""
        if self.read_only:
            raise ArchiveReadOnly(
                "may be read and not written (the file or its folder is read-only for you)",
                where=self.path,
                fix="Change its permissions, or copy the archive to where you may write.",
            )

    @cached_property
    def engine(self) -> Engine:
        from filmroom.db.engine import connect

        return connect(self.path)

    @cached_property
    def _file(self) -> tuple[int, int] | None:
        """The file that is open: looked at once it is, as some file systems number it anew when it is first opened."""
        return file_identity(self.path)

    @cached_property
    def _id(self) -> str | None:
        """The id that was in the catalog when it was opened: a copy over the file keeps the file's own identity."""
        with self.look() as connection:
            return _id_in(connection)

    @contextmanager
    def look(self) -> Iterator[sqlite3.Connection]:
        """Begin a transaction as `read` does, by SQLite alone; rows are known by name and by place."""
        with self._speaking():
            self._check_same(None)  # before anything is opened, as that would make the file anew
            if self.read_only:
                with read_only.reading(self.path) as connection:
                    self._check_same(connection)
                    yield connection
                return
            try:
                connection = self._idle.pop()
            except IndexError:
                connection = _looking(self.path)
            try:
                connection.execute("BEGIN")
                self._check_same(connection)
                yield connection
            finally:
                connection.rollback()
                self._idle.append(connection)

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """Begin a consistent view: what other processes commit meanwhile is not seen until the next `read`."""
        self._check_same(None)
        if self.read_only:
            from filmroom.db.engine import over

            with self._speaking(), read_only.reading(self.path) as found, over(found).begin() as connection:
                self._check_same(found)
                yield connection
            return
        with self._speaking(), self.engine.begin() as connection:
            self._check_same(connection.connection.driver_connection)
            yield connection

    @contextmanager
    def write(self, *, annotates: bool = False) -> Iterator[Connection]:
        """Begin one transaction: all of it or nothing. Takes the write lock at once, so that it cannot deadlock.

        `annotates` says that it touches nothing but what readers put on films (tags, collections, notes, judgements) or
        keep of their own, so that what is known of the films themselves stays known.
        """
        from filmroom.db.writes.meta import count_write

        self.check_writable()
        writing = self.engine.execution_options(filmroom_write=True)
        self._check_same(None)
        with self._speaking():
            with writing.begin() as connection:
                self._check_same(connection.connection.driver_connection)
                yield connection
                count_write(connection, annotates=annotates)
                self._check_same(connection.connection.driver_connection)
            self._check_same(None)  # what was committed is where the archive is

    @property
    def place(self) -> str:
        """Where it is, as people are told."""
        return str(self.path)

    @contextmanager
    def working(self, doing: str, *, alone: bool) -> Iterator[None]:
        """Hold the place of one that works on the archive, which of a file is always `alone`. Raises ArchiveBusy,
        ArchiveReadOnly."""
        self.check_writable()
        with writer_lock.writing(self.path.parent, doing):
            yield

    def begin_run(self, run_id: int) -> None:
        """Say which run it is that works on the archive. Those of a file are known by their processes."""

    def living(self) -> Callable[[Run], bool]:
        """Return what tells whether a run that says it is under way has a process that does it."""
        return is_alive

    def check_key(self, key: bytes | None, path: Path) -> None:
        """Raise BadInput where this is not the key of the archive's patients: never where both are in one folder."""

    def searches(self, stored: StoredSpace) -> bool:
        """Tell whether the catalog itself can search the vectors of a space: a file never does."""
        return False

    def build_index(self, stored: StoredSpace, sample: NDArray[np.float32]) -> None:
        """Build what makes such a search fast; `sample` (M, T, D) are vectors of the space."""

    def remake_vectors(self) -> None:
        """Make what the catalog itself searches anew, from its rows."""

    def learn_sizes(self) -> None:
        """Let SQLite look at a sample of every index, so that filters are answered by the one that tells most apart."""
        with self.write() as connection:
            connection.exec_driver_sql("PRAGMA analysis_limit=1000")
            connection.exec_driver_sql("ANALYZE")

    def settle(self, *, everything: bool) -> str | None:
        """Overwrite what was deleted; with `everything`, what is left of any earlier version, too. Gives what hindered
        it."""
        return sqlite_file.scrub(self.path) if everything else sqlite_file.settle(self.path)

    def empty_log(self, *, seconds: float) -> None:
        """Put what was committed in its place, unless somebody reads for long."""
        with suppress(sqlite3.OperationalError):
            sqlite_file.empty_log(self.path, seconds=seconds)

    @contextmanager
    def refill(self) -> Iterator[Connection]:
        """Begin a transaction that puts the rows of another archive in the place of all, its id among them: open the
        catalog again afterwards."""
        self.check_writable()
        with self._speaking(), self.engine.execution_options(filmroom_write=True).begin() as connection:
            yield connection

    def changes(self) -> int:
        """Return a number that rises with every committed write, by any process: what caches compare."""
        return int(get_meta(self, "changes") or 0)

    def fact_state(self) -> str:
        """Return `fact_state_of` this catalog as it is now."""
        with self.look() as connection:
            return fact_state_of(connection)

    def _check_same(self, connection: Any) -> None:
        """Raise ArchiveReplaced where the file that is open is not the one at the path any more.

        A file that was moved or deleted can be read and written as before by those who have it open: answers would be
        a ghost's, and what is written would be lost.
        """
        if "_file" not in vars(self):
            return  # it is being opened
        known = vars(self).get("_id")
        copied_over = connection is not None and known is not None and _id_in(connection) != known
        if copied_over or self._file != file_identity(self.path):
            raise ArchiveReplaced(
                "the archive was replaced or moved away while it was open", where=self.path, fix="Open it again."
            )

    def close(self) -> None:
        while self._idle:
            self._idle.pop().close()
        if "engine" in vars(self):
            self.engine.dispose()

    @contextmanager
    def _speaking(self) -> Iterator[None]:
        try:
            yield
        except Exception as error:
            # SQLAlchemy's errors hold those of SQLite.
            said = _in_words(getattr(error, "orig", error), self.path)
            if said is None:
                raise
            raise said from error


def file_identity(path: Path) -> tuple[int, int] | None:
    """Return device and inode of the file at a path; None where there is none. While it is open they are nobody
    else's."""
    try:
        facts = path.stat()
    except OSError:
        return None
    return facts.st_dev, facts.st_ino


def _id_in(connection: sqlite3.Connection) -> str | None:
    try:
        row = connection.execute("SELECT value FROM meta WHERE key = 'archive_id'").fetchone()
    except sqlite3.OperationalError:
        return None  # no tables yet
    return None if row is None else str(row[0])


def _looking(path: Path) -> sqlite3.Connection:
    # No transaction is begun by the driver, and none that is begun here writes; the next to look may be another thread.
    connection = sqlite3.connect(path, timeout=sqlite_file.BUSY_SECONDS, isolation_level=None, check_same_thread=False)
    connection.row_factory = sqlite3.Row
    try:
        for setting in (*SETTINGS, "PRAGMA query_only=ON"):
            connection.execute(setting)
    except sqlite3.Error:
        connection.close()
        raise
    return connection


def _ensure_schema(catalog: Catalog, *, fresh: bool) -> None:
    found = revision(catalog)
    if found == HEAD:
        return
    catalog.check_writable()  # its tables are to be made or changed
    if found is None:
        if not fresh and any(catalog.path.with_name("vectors").glob("*.json")):
            raise ArchiveDamaged(
                "the catalog is empty, and the index beside it is not: it was emptied or cut off",
                where=catalog.path,
                fix="Restore a backup; or remove catalog.sqlite and the folder vectors, and index again.",
            )
        from filmroom.db.engine import make_tables

        with catalog.write() as connection:
            make_tables(connection, HEAD)
        return
    from filmroom.db.migrate import bring_up

    with catalog._speaking():
        bring_up(catalog.path, catalog.engine, HEAD)


def revision(catalog: Catalog) -> str | None:
    """Return the Alembic revision of its tables; None where it has none yet."""
    with catalog.look() as connection:
        return revision_of(connection)


def set_meta(catalog: Catalog, key: str, value: str) -> None:
    """Keep a setting of the archive."""
    from filmroom.db.writes.meta import put_meta

    with catalog.write() as connection:
        put_meta(connection, key, value)


def get_meta(catalog: Catalog, key: str) -> str | None:
    with catalog.look() as connection:
        row = connection.execute("SELECT value FROM meta WHERE key = ?", (key,)).fetchone()
    return None if row is None else str(row[0])


def _in_words(error: BaseException, path: Path) -> FilmroomError | None:
    """Say what a fault of SQLite means to who uses the archive; None for what is no fault of the file or the disk."""
    # The primary code (sqlite.org/rescode.html). What the driver itself says of a text that is none has no code.
    code = (getattr(error, "sqlite_errorcode", None) or 0) & 0xFF
    if isinstance(error, UnicodeDecodeError) or (not code and "decode to UTF-8" in str(error)):
        return _damaged(path)  # without what SQLite says: it shows the text, which may be a report's
    if getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_CONSTRAINT_FOREIGNKEY:
        return no_such_film()
    if not isinstance(error, sqlite3.OperationalError):
        return _damaged(path) if code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB) else None
    if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        return ArchiveBusy(
            f"another process held the catalog for more than {sqlite_file.BUSY_SECONDS} s",
            where=path,
            fix="Try again when it has finished; `filmroom status` says which run is under way.",
        )
    if code in (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR):
        return FilmroomError(
            f"the catalog could not be written ({error})",
            where=path,
            fix="Make room on that disk and run the command again; what was committed is kept.",
        )
    if code == sqlite3.SQLITE_CANTOPEN:
        return FilmroomError("cannot be opened", where=path, fix="Check that the folder exists and is yours to write.")
    if code == sqlite3.SQLITE_READONLY:
        return FilmroomError(
            "may not be written",
            where=path,
            fix="Check the permissions of the archive folder, or use another --archive.",
        )
    return FilmroomError(f"the catalog could not be used ({error})", where=path, fix="Run `filmroom doctor`.")


def _damaged(path: Path) -> ArchiveDamaged:
    return ArchiveDamaged(
        "is not a readable Filmroom catalog",
        where=path,
        fix="Restore it from a backup, or move it away and run `filmroom index` again.",
    )
