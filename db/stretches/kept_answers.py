"""Keep answers about all films of a large archive beside its index, from which they are brought up to date.

They are derived, like the snapshots of vectors beside which they lie: whatever is missing, torn or of another archive
is asked of the catalog again, and `filmroom forget` leaves none that knew a forgotten film.
"""

from __future__ import annotations

import os
import sqlite3
import zlib
from collections.abc import Mapping
from contextlib import suppress
from hashlib import blake2b
from pathlib import Path

from filmroom.db.files import private_files
from filmroom.db.files.read_only import may_write

LARGE = 50_000
"""Films below which the catalog is as fast."""

_VERSION = 2
"""Of what is kept: another where an answer changes its shape."""

_STAMP, _CRC = 16, 4
PREFIX = "films-"


class KeptAnswers:
    """The answers by name of the catalog at `path`, of which a connection has begun a transaction. `earlier`, where
    given, are the answers in place of those on the disk. Answers that were kept with another `state` are not known."""

    def __init__(
        self, connection: sqlite3.Connection, path: Path, earlier: Mapping[str, bytes] | None = None, *, state: str = ""
    ) -> None:
        newest = connection.execute("SELECT max(id) FROM film").fetchone()[0]
        archive = connection.execute("SELECT value FROM meta WHERE key = 'archive_id'").fetchone()
        self._folder = path.with_name("vectors")
        self._stamp = (
            blake2b(repr((_VERSION, archive[0], state)).encode(), digest_size=_STAMP).digest() if archive else b""
        )
        self._earlier = earlier
        is_large = bool(archive) and (newest or 0) >= LARGE and self._folder.is_dir() and _has_versions(connection)
        # Where nothing can be kept, what the indexes of the catalog answer is faster than all stretches.
        self.usable = is_large and (may_write(self._folder) or any(self._folder.glob(f"{PREFIX}*")))

    def get(self, name: str) -> bytes | None:
        """Return an answer as it was when it was kept; None where it is to be asked of the catalog."""
        if self._earlier is not None:
            return self._earlier.get(name)
        with suppress(OSError):
            content = memoryview(self._path(name).read_bytes())
            answer = content[_STAMP + _CRC :]
            if content[: _STAMP + _CRC] == self._head(answer):
                return bytes(answer)
        return None

    def put(self, name: str, answer: bytes) -> None:
        """Keep an answer, where the archive is large and may be written."""
        path = self._path(name)
        if not self.usable or not may_write(path.parent):
            return
        with suppress(OSError), private_files.aside(path) as (unfinished, out):
            out.write(self._head(answer))
            out.write(answer)
            out.flush()
            os.replace(unfinished, path)

    def remove_all(self) -> None:
        """Let everything be asked of the catalog again."""
        for path in self._folder.glob(f"{PREFIX}*"):
            path.unlink(missing_ok=True)

    def _path(self, name: str) -> Path:
        return self._folder / f"{PREFIX}{name}"

    def _head(self, answer: bytes | memoryview) -> bytes:
        return self._stamp + zlib.crc32(answer).to_bytes(_CRC, "little")


def _has_versions(connection: sqlite3.Connection) -> bool:
    """Tell whether stretches have versions: not in an earlier version's catalog, which `status` counts as it is."""
    return connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'stretch'").fetchone() is not None
