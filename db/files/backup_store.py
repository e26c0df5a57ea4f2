"""Keep a backup that is brought up to date: the pages of a catalog, thumbnails by their keys and the archive's key, in
one SQLite file that changes in one transaction.

Only what is new is written, and what the archive deleted is overwritten. Whatever ends the process, SQLite's journal
brings the backup of before back.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from hashlib import blake2b
from pathlib import Path

import numpy as np
from filmroom.db.batching import chunked
from filmroom.db.files import private_files
from numpy.typing import NDArray

NAME = "archive.backup"
_SUM = 16
_JOURNAL_MAGIC = bytes.fromhex("d9d505f920a163d7")
"""Begins a journal of SQLite, and ends one that names the journal of several files."""

_TOGETHER = 1000
_TABLES = (
    "CREATE TABLE page (number INTEGER PRIMARY KEY, data BLOB NOT NULL)",
    # Apart, so that the pages need not be read to know which are new; so are the keys of pictures.
    "CREATE TABLE page_sum (number INTEGER PRIMARY KEY, sum BLOB NOT NULL)",
    "CREATE TABLE picture (id INTEGER PRIMARY KEY, webp BLOB NOT NULL)",
    "CREATE INDEX picture_id ON picture (id)",
    "CREATE TABLE info (name TEXT PRIMARY KEY, value BLOB NOT NULL)",
)
_PAGES = """
SELECT page.number, data, sum FROM page JOIN page_sum ON page_sum.number = page.number ORDER BY page.number
"""

Pictures = Callable[[Sequence[int]], Mapping[int, bytes]]
"""Gives the pictures of keys that are there and whole."""


class Damaged(Exception):
    """The file is no backup, or not as it was written."""


class Another(Exception):
    """The backup is of another archive."""


def update(
    place: Path, archive: str, key: bytes, catalog: Path, picture_keys: NDArray[np.int64], pictures: Pictures
) -> int:
    """Bring the backup in the folder `place` to a copy of the catalog and the pictures of `picture_keys`; gives the
    bytes that were new. Raises Another, Damaged, sqlite3.OperationalError."""
    path = place / NAME
    if not path.exists():
        private_files.create(path).close()
    with _opened(path) as connection:
        connection.execute("PRAGMA secure_delete=ON")
        connection.execute("PRAGMA synchronous=FULL")
        connection.execute("BEGIN IMMEDIATE")
        if _tables(connection):
            _check(connection)
        else:
            for statement in _TABLES:
                connection.execute(statement)
        if _info(connection).get("archive", archive.encode()) != archive.encode():
            raise Another
        written = _put_pages(connection, catalog) + _put_pictures(connection, picture_keys, pictures)
        info = {"archive": archive.encode(), "key": key}
        connection.executemany("INSERT OR REPLACE INTO info (name, value) VALUES (?, ?)", info.items())
        connection.execute("COMMIT")
    return written


def unpack(path: Path, catalog: Path, put: Callable[[dict[int, bytes]], None]) -> bytes:
    """Write the catalog as a new file, give the pictures to `put`, some at a time, and return the archive's key. Raises
    Damaged, sqlite3.OperationalError."""
    with _opened(path) as connection:
        _check(connection)
        room = path.stat().st_size  # more is in no backup of ours
        with private_files.create(catalog) as out:
            for expected, (number, data, digest) in enumerate(connection.execute(_PAGES), 1):
                if number != expected or blake2b(data, digest_size=_SUM).digest() != digest:
                    raise Damaged
                room = _left(room, data)
                out.write(data)
        for block in chunked(connection.execute("SELECT id, webp FROM picture")):
            for _, webp in block:
                room = _left(room, webp)
            put(dict(block))
        return _info(connection)["key"]


def _left(room: int, data: bytes) -> int:
    if len(data) > room:
        raise Damaged
    return room - len(data)


def _put_pages(connection: sqlite3.Connection, catalog: Path) -> int:
    sums = b"".join(row[0] for row in connection.execute("SELECT sum FROM page_sum ORDER BY number"))
    count = written = 0
    for block in chunked(_pages(catalog), _TOGETHER):
        changed = []
        for page in block:
            digest = blake2b(page, digest_size=_SUM).digest()
            if sums[count * _SUM : (count + 1) * _SUM] != digest:
                changed.append((count + 1, page, digest))
            count += 1
        connection.executemany("INSERT OR REPLACE INTO page VALUES (?, ?)", [row[:2] for row in changed])
        connection.executemany("INSERT OR REPLACE INTO page_sum VALUES (?, ?)", [row[::2] for row in changed])
        written += sum(len(row[1]) for row in changed)
    for table in ("page", "page_sum"):
        connection.execute(f"DELETE FROM {table} WHERE number > ?", (count,))
    return written


def _pages(catalog: Path) -> Iterator[bytes]:
    with catalog.open("rb") as data:
        size = int.from_bytes(data.read(18)[16:], "big")
        data.seek(0)
        while page := data.read(65536 if size == 1 else size):  # of SQLite's file format: 1 stands for 65536
            yield page


def _put_pictures(connection: sqlite3.Connection, picture_keys: NDArray[np.int64], pictures: Pictures) -> int:
    rows = connection.execute("SELECT id FROM picture INDEXED BY picture_id ORDER BY id")
    stored = np.fromiter((row[0] for row in rows), np.int64)
    gone = np.setdiff1d(stored, picture_keys, assume_unique=True).tolist()
    connection.executemany("DELETE FROM picture WHERE id = ?", [(key,) for key in gone])
    written = 0
    for keys in chunked(np.setdiff1d(picture_keys, stored, assume_unique=True).tolist()):
        block = pictures(keys)
        connection.executemany("INSERT INTO picture VALUES (?, ?)", block.items())
        written += sum(map(len, block.values()))
    return written


@contextmanager
def _opened(path: Path) -> Iterator[sqlite3.Connection]:
    """Open the file, to be written: SQLite first undoes what an ended update wrote. Whatever its schema says, nothing
    of it is run."""
    _check_journal(path.with_name(f"{path.name}-journal"))
    where = f"{path.absolute().as_uri()}?mode=rw"
    try:
        with closing(sqlite3.connect(where, uri=True, isolation_level=None)) as connection:
            connection.execute("PRAGMA trusted_schema=OFF")
            connection.execute("PRAGMA cell_size_check=ON")
            yield connection
    except sqlite3.OperationalError:
        raise
    except (sqlite3.DatabaseError, LookupError, TypeError) as error:
        raise Damaged from error


def _check_journal(path: Path) -> None:
    """Refuse a journal that names another file, which SQLite would delete: ours never do. SQLite's "Database File
    Format", 3."""
    with suppress(FileNotFoundError), path.open("rb") as journal:
        journal.seek(max(len(_JOURNAL_MAGIC), path.stat().st_size - len(_JOURNAL_MAGIC)))
        if journal.read() == _JOURNAL_MAGIC:
            raise Damaged


def _tables(connection: sqlite3.Connection) -> list[str]:
    rows = connection.execute("SELECT sql FROM sqlite_master WHERE sql IS NOT NULL ORDER BY rowid")
    return [row[0] for row in rows]


def _check(connection: sqlite3.Connection) -> None:
    if _tables(connection) != list(_TABLES):
        raise Damaged


def _info(connection: sqlite3.Connection) -> dict[str, bytes]:
    rows = connection.execute("SELECT name, value FROM info").fetchall()
    if not all(isinstance(value, bytes) for _, value in rows):
        raise Damaged
    return dict(rows)
