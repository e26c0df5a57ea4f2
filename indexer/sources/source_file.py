"""Hold what a source lists: a file by its place, or why it ends here."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from filmroom.db.errors import Rejected


@dataclass(frozen=True)
class SourceFile:
    """A file by its place. `path` is relative to `root`, with "/" between its parts.

    Bytes of a name that are not UTF-8 are kept as lone surrogates (`os.fsdecode`), so that the file can be
    opened again; `size` is in bytes, `mtime_ns` in nanoseconds since 1970. `decoding` is the version of decoding that
    made the films which are known of it, where it has not changed since: it is decoded only if they are others now.
    A server's film lies, for as long as it is worked on, where it was `fetched` to; `rejected` says why it was not.
    """

    root: str
    path: str
    size: int
    mtime_ns: int
    decoding: int | None = None
    fetched: str | None = None
    rejected: Rejected | None = None

    @property
    def location(self) -> Path:
        """Where to open it."""
        return Path(self.fetched) if self.fetched else Path(self.root, self.path)


@dataclass(frozen=True)
class Failure:
    """A file that ends here, and why."""

    listed: SourceFile
    error: Rejected
