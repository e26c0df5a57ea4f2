"""Let one process at a time write to an archive in a folder, and say who it is."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from filmroom.db.errors import ArchiveBusy
from filmroom.db.files import private_files

_LOCK, _NOTE = "writer.lock", "writer.json"


@dataclass(frozen=True)
class Writer:
    """A process at work on an archive: what it does, and since when, in seconds since 1970, where that is known. `host`
    is the machine it runs on where that is not this one; `run` the index run that it does, where a server knows it."""

    pid: int
    doing: str
    since: int | None
    host: str = ""
    run: int | None = None

    def __str__(self) -> str:
        at = f" on {self.host}" if self.host else ""
        lasting = "" if self.since is None else f", for {max(0, int(time.time()) - self.since) // 60} min"
        return f"process {self.pid}{at}: {self.doing}{lasting}"


@contextmanager
def writing(folder: Path, doing: str) -> Iterator[None]:
    """Hold the writer's lock of a folder. Raises ArchiveBusy, naming the holder, when there is one already."""
    from filelock import FileLock, Timeout

    note = folder / _NOTE
    try:
        # Not at once: `status` may be looking whether it is held.
        with FileLock(folder / _LOCK, timeout=0.5, mode=private_files.MODE):
            # For those who are told to wait: a full disk has no room for it, and forgetting may make some.
            with suppress(OSError):
                facts = {"pid": os.getpid(), "doing": doing, "since": int(time.time())}
                private_files.write(note, json.dumps(facts).encode())
            try:
                yield
            finally:
                with suppress(OSError):
                    note.unlink()
    except Timeout as error:
        raise ArchiveBusy(
            f"another process is writing to this archive ({writer(folder) or 'unknown'})",
            where=folder,
            fix="Wait for it, or stop it; its work so far is kept.",
        ) from error


def writer(folder: Path) -> Writer | None:
    """Say who holds the writer's lock of a folder; None when nobody does."""
    try:
        facts = json.loads((folder / _NOTE).read_text())
    except (OSError, ValueError):
        return None
    from filelock import FileLock, Timeout

    try:
        # A writer that was killed leaves its note behind, but no lock.
        with FileLock(folder / _LOCK, timeout=0, mode=private_files.MODE):
            return None
    except Timeout:
        return Writer(pid=int(facts["pid"]), doing=str(facts["doing"]), since=int(facts["since"]))
    except OSError:
        return None
