"""Handle a catalog as a SQLite file: its settings, its revision, a copy of it, and overwriting what was deleted."""

from __future__ import annotations

import os
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

from filmroom.db.files.read_only import may_write, reading

BUSY_SECONDS = 15

SETTINGS = (
    "PRAGMA journal_mode=WAL",
    "PRAGMA synchronous=NORMAL",
    "PRAGMA foreign_keys=ON",
    "PRAGMA temp_store=MEMORY",
    # What is deleted is overwritten, whatever SQLite was built with.
    "PRAGMA secure_delete=ON",
)
"""What every connection to a catalog needs."""


def revision_of(connection: sqlite3.Connection) -> str | None:
    """Read the Alembic revision of the tables; None where there is none yet."""
    if connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'alembic_version'").fetchone() is None:
        return None
    row = connection.execute("SELECT version_num FROM alembic_version").fetchone()
    return None if row is None else str(row[0])


def backup(source: Path, target: Path) -> None:
    """Make a consistent copy of the catalog while others read and write it."""
    partial = target.with_name(target.name + ".part")
    partial.unlink(missing_ok=True)
    os.close(os.open(partial, os.O_CREAT | os.O_EXCL, 0o600))
    try:
        opened = closing(sqlite3.connect(source)) if may_write(source) else reading(source)
        with opened as from_, closing(sqlite3.connect(partial)) as to:
            from_.backup(to)
        shutil.move(partial, target)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise


def scrub(path: Path) -> str | None:
    """Write a catalog anew without what was deleted, and empty its log. Gives what hindered it, if anything did."""
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


def settle(path: Path) -> str | None:
    """Leave nothing of what was deleted since every connection overwrites it (`SETTINGS`), which is in the log still;
    in a time that does not grow with the catalog. Gives what hindered it, if anything did."""
    try:
        return None if empty_log(path, seconds=BUSY_SECONDS) else "another process is reading it"
    except sqlite3.OperationalError as error:
        return str(error)


def empty_log(path: Path, *, seconds: float) -> bool:
    """Put what was committed in its place, so that what the log still shows of before is gone. False where somebody
    who began to read before is not done after `seconds`."""
    with closing(sqlite3.connect(path, timeout=seconds, isolation_level=None)) as connection:
        (blocked, *_) = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    return not blocked
