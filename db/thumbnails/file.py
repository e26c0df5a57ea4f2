"""Keep thumbnails in a SQLite file of their own beside the catalog, each under its film's id and its checksum.

The catalog says which picture a film has: its row holds the checksum and no bytes. A key that no row of the catalog
means is seen by nobody. So the file is written before the catalog commits, and the films that were touched stand in
`unsettled` until somebody has looked what became of them: whatever ends a process, a film never has another's picture.
"""

from __future__ import annotations

import sqlite3
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from filmroom.db.batching import SIZE, chunked, marks
from filmroom.db.catalog import Catalog
from filmroom.db.errors import ArchiveDamaged
from filmroom.db.files import private_files, read_only, sqlite_file

NAME = "thumbnails.sqlite"
_BITS = 32
_LAST = (1 << _BITS) - 1
_MOST_FILMS = 1 << 31
_DAMAGE = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
_TABLES = (
    "CREATE TABLE IF NOT EXISTS picture (id INTEGER PRIMARY KEY, webp BLOB NOT NULL)",
    "CREATE TABLE IF NOT EXISTS unsettled (film_id INTEGER PRIMARY KEY)",
)
_PUT = "INSERT OR REPLACE INTO picture (id, webp) VALUES (?, ?)"
_MARK = "INSERT OR IGNORE INTO unsettled (film_id) VALUES (?)"
_SWEEP = "DELETE FROM picture WHERE id BETWEEN ? AND ? AND id != ?"

KeysOf = Callable[[Sequence[int]], Mapping[int, int]]
"""Gives the key of each of these films that the catalog means, by the film's id."""


def key_of(film_id: int, checksum: int) -> int:
    """Return the key of a film's picture: its id, and below it the picture's CRC-32."""
    return film_id << _BITS | checksum


def film_of(key: int) -> int:
    """Return the id of the film whose picture a key is."""
    return key >> _BITS


def is_whole(key: int, data: object) -> bool:
    """Tell whether these are the bytes that were put under the key."""
    return isinstance(data, bytes) and zlib.crc32(data) == key & _LAST


def beside(catalog: Catalog) -> ThumbnailFile | None:
    """Return the file of a catalog's thumbnails; None on a server, which keeps them in a table."""
    return ThumbnailFile(catalog.path.with_name(NAME)) if catalog.is_file else None


@dataclass(frozen=True)
class ThumbnailFile:
    """The file is made by the first picture that is put into it."""

    path: Path

    def read(self, keys: Sequence[int]) -> dict[int, bytes]:
        """Return the pictures of these keys; those that are not there or damaged are left out."""
        try:
            with self._reading() as connection:
                pictures = _rows(connection, keys)
        except sqlite3.DatabaseError:
            pictures = self._each(keys)
        return {key: data for key, data in pictures.items() if is_whole(key, data)}

    def _each(self, keys: Sequence[int]) -> dict[int, bytes]:
        """Read what can be read of a file that is damaged."""
        pictures: dict[int, bytes] = {}
        with suppress(sqlite3.DatabaseError), self._reading() as connection:
            connection.execute("SELECT 1 FROM sqlite_master").fetchone()
            for key in keys:
                with suppress(sqlite3.DatabaseError):
                    pictures |= _rows(connection, [key])
        return pictures

    def put(self, pictures: Mapping[int, bytes]) -> None:
        """Write pictures by their keys, in one transaction, before the catalog means them. Raises ArchiveDamaged."""
        with self._writing() as connection:
            connection.executemany(_PUT, pictures.items())
            connection.executemany(_MARK, [(film,) for film in {film_of(key) for key in pictures}])

    def mark(self, film_ids: Iterable[int]) -> None:
        """Remember, before the catalog drops films or their pictures, that theirs are to go."""
        films = [(film,) for film in film_ids]
        if films and self.path.exists():
            with self._writing() as connection:
                connection.executemany(_MARK, films)

    def settle(self, keys_of: KeysOf) -> None:
        """Delete the pictures of touched films that the catalog, as it is committed now, does not mean."""
        remaining = self.path.exists()
        while remaining:
            with self._writing() as connection:
                remaining = _settle(connection, keys_of)

    def overwrite(self) -> str | None:
        """Leave nothing in the log of what was deleted. Gives what hindered it."""
        return sqlite_file.settle(self.path) if self.path.exists() else None

    def all_keys(self) -> Iterator[list[int]]:
        """Yield the keys of all pictures, some at a time."""
        if self.path.exists():
            with self._reading() as connection:
                for block in chunked(connection.execute("SELECT id FROM picture")):
                    yield [key for (key,) in block]

    def faults(self) -> list[str]:
        """Return what SQLite finds wrong with the file."""
        if not self.path.exists():
            return []
        try:
            with self._reading() as connection:
                connection.execute("SELECT id, webp FROM picture LIMIT 1").fetchone()
                connection.execute("SELECT film_id FROM unsettled LIMIT 1").fetchone()
                pictures = [str(row[0]) for row in connection.execute("PRAGMA integrity_check(5)")]
        except sqlite3.DatabaseError as error:
            return [str(error)]
        return [fault for fault in pictures if fault != "ok"]

    @contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection]:
        if not self.path.exists():
            with closing(sqlite3.connect(":memory:")) as connection:
                connection.execute(_TABLES[0])
                yield connection
        elif not read_only.may_write(self.path):
            with read_only.reading(self.path) as connection:
                yield connection
        else:
            with closing(_connected(self.path)) as connection:
                connection.execute("PRAGMA query_only=ON")
                yield connection

    @contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        with suppress(FileExistsError):
            private_files.create(self.path).close()
        try:
            with closing(_connected(self.path)) as connection:
                # A picture is on the disk before the catalog says that it is there.
                for setting in (*sqlite_file.SETTINGS, "PRAGMA synchronous=FULL"):
                    connection.execute(setting)
                connection.execute("BEGIN IMMEDIATE")
                for statement in _TABLES:
                    connection.execute(statement)
                yield connection
                connection.execute("COMMIT")
        except sqlite3.DatabaseError as error:
            if (getattr(error, "sqlite_errorcode", None) or 0) & 0xFF not in _DAMAGE:
                raise
            raise ArchiveDamaged(
                "the file of the thumbnails is damaged",
                where=self.path,
                fix="Run `filmroom doctor --repair`, which keeps what is whole.",
            ) from error


def _connected(path: Path) -> sqlite3.Connection:
    where = f"{path.absolute().as_uri()}?mode=rw"
    return sqlite3.connect(where, uri=True, timeout=sqlite_file.BUSY_SECONDS, isolation_level=None)


def _rows(connection: sqlite3.Connection, keys: Sequence[int]) -> dict[int, bytes]:
    pictures: dict[int, bytes] = {}
    for block in chunked(keys):
        statement = f"SELECT id, webp FROM picture WHERE id IN ({marks(block)})"
        pictures.update((row[0], row[1]) for row in connection.execute(statement, block))
    return pictures


def _settle(connection: sqlite3.Connection, keys_of: KeysOf) -> bool:
    """Settle some films; False where none is left."""
    touched = [film for (film,) in connection.execute("SELECT film_id FROM unsettled LIMIT ?", (SIZE,))]
    films = [film for film in touched if 0 <= film < _MOST_FILMS]
    keys = keys_of(films)
    connection.executemany(_SWEEP, [(key_of(film, 0), key_of(film, _LAST), keys.get(film, -1)) for film in films])
    connection.executemany("DELETE FROM unsettled WHERE film_id = ?", [(film,) for film in touched])
    return len(touched) == SIZE
