"""Keep answers about all films of an archive beside its index, for as long as nothing is written that may change them:
what is counted or collected from millions of rows is read again in a few milliseconds.

They are derived, like the snapshots of vectors beside which they lie: whatever is missing, torn or of another state is
asked of the catalog again, and `filmroom forget` removes them all.
"""

from __future__ import annotations

import os
import sqlite3
import zlib
from contextlib import suppress
from hashlib import blake2b
from pathlib import Path

from filmroom.db.files import private_files
from filmroom.db.files.read_only import may_write

LARGE = 50_000
"""Films below which the catalog is as fast."""

MOST = 64
"""Answers that are kept, the newest: of ten million films at most 1.3 MB each, and 50 MB for each of eleven facets."""

_VERSION = 1
"""Of what is kept: another where an answer changes its shape."""

_STAMP, _CRC = 16, 4
_PREFIX = "films-"


def fact_state_of(connection: sqlite3.Connection) -> str:
    """Return a text that every write changes but those that only annotate, and that no other archive has."""
    keys = "'annotations', 'archive_id', 'changes', 'facts'"
    values = dict(map(tuple, connection.execute(f"SELECT key, value FROM meta WHERE key IN ({keys})")))
    # What an earlier version wrote has a number alone.
    writes = int(values.get("changes", 0)) - int(values.get("annotations", 0))
    return f"{values.get('archive_id')} {values.get('facts')} {writes}"


class FactCache:
    """The answers of the catalog at `path` as it is in the transaction of a connection."""

    def __init__(self, connection: sqlite3.Connection, path: Path) -> None:
        newest = connection.execute("SELECT max(id) FROM film").fetchone()[0]
        state = (_VERSION, fact_state_of(connection), newest)
        self._folder = path.with_name("vectors")
        self._stamp = blake2b(repr(state).encode(), digest_size=_STAMP).digest()
        self._kept = (newest or 0) >= LARGE and self._folder.is_dir()

    def get(self, question: str) -> bytes | None:
        """Return the answer; None where it is to be asked of the catalog."""
        if not self._kept:
            return None
        with suppress(OSError):
            data = self._path(question).read_bytes()
            answer = data[_STAMP + _CRC :]
            if data[: _STAMP + _CRC] == self._head(answer):
                return answer
        return None

    def put(self, question: str, answer: bytes) -> None:
        """Keep an answer, where the archive may be written."""
        path = self._path(question)
        if not self._kept or not may_write(path.parent):
            return
        with suppress(OSError):
            with private_files.aside(path) as (unfinished, out):
                out.write(self._head(answer) + answer)
                out.flush()
                os.replace(unfinished, path)
            older = sorted(self._folder.glob(f"{_PREFIX}*"), key=lambda file: file.stat().st_mtime)
            for file in older[:-MOST]:
                file.unlink(missing_ok=True)

    def _head(self, answer: bytes) -> bytes:
        return self._stamp + zlib.crc32(answer).to_bytes(_CRC, "little")

    def _path(self, question: str) -> Path:
        # What is asked may be of one patient alone (an age): its name says nothing.
        return self._folder / f"{_PREFIX}{blake2b(question.encode(), digest_size=16).hexdigest()}"
