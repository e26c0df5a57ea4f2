"""Check that a catalog still says what was written into it: its structure, its texts, its vectors and pictures."""

from __future__ import annotations

import sqlite3
import zlib
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Any

from filmroom.db.catalog import Catalog
from filmroom.db.thumbnails.file import beside, film_of, key_of
from filmroom.db.thumbnails.reading import is_apart

_BLOBS = ("BLOB",)
_FTS = ("report_fts", "sentence_fts")
_BLOCK = 5000
_NEVER = -1
"""The checksum of nothing."""


@dataclass(frozen=True)
class Blob:
    """A stored vector or thumbnail: `space_id` is None for a thumbnail, `checksum` None where an earlier version that
    kept none has written it. One fallen bit turns bytes into a text, a number or nothing: `data` is then empty,
    and `checksum` never None."""

    film_id: int
    space_id: int | None
    data: bytes
    checksum: int | None

    @property
    def damaged(self) -> bool:
        return self.checksum is not None and checksum(self.data) != self.checksum


def checksum(data: bytes) -> int:
    """Return CRC-32: any change of up to four bytes in a row is noticed."""
    return zlib.crc32(data)


def structural_faults(catalog: Catalog) -> list[str]:
    """Return what SQLite finds wrong with its pages, with rows against their indexes, and with the words against the
    texts."""
    if not catalog.is_file:
        return []  # a server looks after its files, and holds no row that points nowhere
    with catalog.look() as connection:
        lines = [str(row[0]) for row in connection.execute("PRAGMA integrity_check(5)")]
    return [*(line for line in lines if line != "ok"), *_disagreeing_words(catalog)]


def dangling_rows(catalog: Catalog) -> int:
    """Count the rows that point to a row which is not there."""
    if not catalog.is_file:
        return 0
    with catalog.look() as connection:
        return len(connection.execute("PRAGMA foreign_key_check").fetchall())


def unreadable_tables(catalog: Catalog) -> list[str]:
    """Return the tables that hold a text which is none any more."""
    names: list[str] = []
    if not catalog.is_file:
        return names
    with catalog.look() as connection:
        for name, columns in _texts(connection):
            try:
                for _ in connection.execute(f"SELECT {columns} FROM {name}"):
                    pass
            except sqlite3.DatabaseError:
                names.append(name)
    return names


def blobs(catalog: Catalog) -> Iterator[Blob]:
    """Yield all vectors and thumbnails, in the order of their ids."""
    for table, key, space, data in (
        ("embedding", "id", "space_id", "vectors"),
        ("thumbnail", "film_id", "NULL", "webp"),
    ):
        after = -1
        columns = f"{key}, film_id, {space}, {data}, checksum"
        statement = f"SELECT {columns} FROM {table} WHERE {key} > ? ORDER BY {key} LIMIT {_BLOCK}"
        while True:
            with catalog.look() as connection:
                rows = connection.execute(statement, (after,)).fetchall()
            if not rows:
                break
            pictures = _apart(catalog, rows) if table == "thumbnail" else {}
            for _, film_id, space_id, content, check in rows:
                if space_id is None and catalog.is_file and content == b"":  # in the file beside the catalog
                    lost = check is None or film_id not in pictures
                    yield Blob(film_id, None, pictures.get(film_id, b""), _NEVER if lost else check)
                elif isinstance(content, bytes):
                    yield Blob(film_id, space_id, content, check)
                else:
                    yield Blob(film_id, space_id, b"", _NEVER if check is None else check)
            after = rows[-1][0]


def _apart(catalog: Catalog, rows: Sequence[Sequence[Any]]) -> dict[int, bytes]:
    """Return those thumbnails of rows that lie whole in the file beside the catalog, by film."""
    file = beside(catalog)
    keys = [key_of(row[1], row[4]) for row in rows if is_apart(catalog, row[3], row[4])]
    return {} if file is None else {film_of(key): data for key, data in file.read(keys).items()}


def unchecked(catalog: Catalog) -> bool:
    """Tell whether an earlier version, which kept no checksums, has written any of them."""
    with catalog.look() as connection:
        return any(
            connection.execute(f"SELECT 1 FROM {table} WHERE checksum IS NULL LIMIT 1").fetchone()
            for table in ("embedding", "thumbnail")
        )


def _texts(connection: sqlite3.Connection) -> list[tuple[str, str]]:
    """Return each table with those of its columns that are no blobs. The words of reports have a check of their own."""
    names = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name").fetchall()
    tables = []
    for (name,) in names:
        if name.startswith(("sqlite_", *_FTS)):
            continue
        columns = [row["name"] for row in connection.execute(f"PRAGMA table_info({name})") if row["type"] not in _BLOBS]
        tables.append((name, ", ".join(f'"{column}"' for column in columns)))
    return tables


def _disagreeing_words(catalog: Catalog) -> list[str]:
    """Return which words FTS5 finds to differ from their texts: it compares them in a statement that it calls an
    INSERT, which is taken back at once."""
    faults = []
    with closing(sqlite3.connect(catalog.path, timeout=1, isolation_level=None)) as connection:
        for name in _FTS:
            try:
                connection.execute("BEGIN")
                connection.execute(f"INSERT INTO {name}({name}, rank) VALUES ('integrity-check', 1)")
            except sqlite3.OperationalError:
                pass  # another process is writing, or nobody may: the rest is looked at all the same
            except sqlite3.DatabaseError:
                faults.append(f"the words of {name.removesuffix('_fts')}s are not those of their texts")
            finally:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
    return faults
