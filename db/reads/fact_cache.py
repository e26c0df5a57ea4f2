"""Keep answers about all films of an archive beside its index, for as long as nothing is written that may change them:
what is counted or collected from millions of rows is read again in a few milliseconds.

What can be brought up to date where something was written is kept by `filmroom.db.stretches` instead.
"""

from __future__ import annotations

import sqlite3
from contextlib import suppress
from hashlib import blake2b
from pathlib import Path

from filmroom.db.stretches.kept_answers import PREFIX, KeptAnswers
from filmroom.db.stretches.versions import fact_state_of

MOST = 64
"""Answers that are kept, the newest: of ten million films at most 1.3 MB each, and 50 MB for each of eleven facets."""

_DIGEST = 16


class FactCache(KeptAnswers):
    """The answers, by question, of the catalog at `path` as it is in the transaction of a connection."""

    def __init__(self, connection: sqlite3.Connection, path: Path) -> None:
        super().__init__(connection, path, state=fact_state_of(connection))

    def put(self, name: str, answer: bytes) -> None:
        """Keep an answer, where the archive is large and may be written."""
        super().put(name, answer)
        with suppress(OSError):
            answers = sorted(self._folder.glob(PREFIX + "?" * 2 * _DIGEST), key=lambda file: file.stat().st_mtime)
            for file in answers[:-MOST]:
                file.unlink(missing_ok=True)

    def _path(self, name: str) -> Path:
        # What is asked may be of one patient alone (an age): its name says nothing.
        return super()._path(blake2b(name.encode(), digest_size=_DIGEST).hexdigest())
