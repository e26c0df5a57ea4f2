"""Read a catalog that may not be written: on a read-only disk, or in a folder of somebody else.

SQLite reads a catalog together with its log, and wants to write beside them even to read. Where it may not, the file is
opened as one that nobody changes, as long as it has no log; with a log and what SQLite keeps of it, by these; with a
log alone, as a copy of both aside.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
import tempfile
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from filmroom.db.errors import ArchiveBusy

Stamp = tuple[tuple[int, int, int] | None, ...]

_TRIES = 3
_copying = threading.Lock()
_copies: dict[Path, tuple[Stamp, tempfile.TemporaryDirectory[str]]] = {}


def may_write(path: Path) -> bool:
    """Return True where the catalog at `path` can be written, and its log beside it."""
    return os.access(path, os.W_OK) and os.access(path.absolute().parent, os.W_OK)


@contextmanager
def reading(path: Path) -> Iterator[sqlite3.Connection]:
    """Open a connection that reads the catalog as it is now.

    Raises ArchiveBusy at its end where somebody who may write has written meanwhile: what was read may be half of the
    old and half of the new. Raises sqlite3.Error where it cannot be read.
    """
    stamp = _stamp(path)
    if stamp[1] is None or stamp[1][1] == 0:
        with closing(_connect(path, "immutable=1")) as connection:
            yield connection
        if _stamp(path) != stamp:
            raise _busy(path)
        return
    with closing(_with_log(path)) as connection:
        yield connection


def _with_log(path: Path) -> sqlite3.Connection:
    connection = _connect(path)
    try:
        connection.execute("SELECT 1 FROM sqlite_master").fetchone()
    except sqlite3.OperationalError:
        connection.close()
        return _connect(_copied(path))
    return connection


def _copied(path: Path) -> Path:
    """Return a copy of catalog and log in a folder of this process, made again when either has changed."""
    with _copying:
        for _ in range(_TRIES):
            stamp = _stamp(path)
            known = _copies.get(path)
            if known is not None and known[0] == stamp:
                return Path(known[1].name, path.name)
            folder = tempfile.TemporaryDirectory(prefix="filmroom-")
            for file in (path, _log(path)):
                if file.exists():
                    shutil.copyfile(file, Path(folder.name, file.name))
            if _stamp(path) == stamp:
                _copies[path] = stamp, folder
            else:
                folder.cleanup()
    raise _busy(path)


def _connect(path: Path, how: str = "mode=ro") -> sqlite3.Connection:
    where = f"{path.absolute().as_uri()}?mode=ro&{how}"
    connection = sqlite3.connect(where, uri=True, isolation_level=None, check_same_thread=False)
    connection.row_factory = sqlite3.Row
    connection.execute("PRAGMA temp_store=MEMORY")
    return connection


def _log(path: Path) -> Path:
    return path.with_name(f"{path.name}-wal")


def _stamp(path: Path) -> Stamp:
    """Return what tells that catalog or log have changed."""
    stamps: list[tuple[int, int, int] | None] = []
    for file in (path, _log(path)):
        try:
            facts = file.stat()
        except FileNotFoundError:
            stamps.append(None)
        else:
            stamps.append((facts.st_ino, facts.st_size, facts.st_mtime_ns))
    return tuple(stamps)


def _busy(path: Path) -> ArchiveBusy:
    return ArchiveBusy("was written while it was read, by somebody who may", where=path, fix="Ask again.")
