"""Tell other processes what one that stays does for an archive: watch folders, or receive films."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filmroom.db.errors import ArchiveBusy
from filmroom.db.files import private_files

WATCHING, RECEIVING = "watching", "receiving"


@contextmanager
def announced(folder: Path, task: str, doing: str) -> Iterator[None]:
    """Hold the place of the one process that does this task for the archive in `folder`. Raises ArchiveBusy where there
    is another."""
    from filelock import FileLock, Timeout

    try:
        with FileLock(folder / f"{task}.lock", timeout=0.5, mode=private_files.MODE):
            with suppress(OSError):
                note = {"pid": os.getpid(), "doing": doing, "since": int(time.time())}
                private_files.write(folder / f"{task}.json", json.dumps(note).encode())
            try:
                yield
            finally:
                with suppress(OSError):
                    (folder / f"{task}.json").unlink()
    except Timeout:
        raise ArchiveBusy(
            f"another process is {task} for this archive ({underway(folder, task) or 'unknown'})",
            where=folder,
            fix="Stop it, or name another --archive.",
        ) from None


def underway(folder: Path, task: str) -> str | None:
    """Return what a process that is alive says of this task; None where there is none."""
    try:
        note = json.loads((folder / f"{task}.json").read_text())
    except (OSError, ValueError):
        return None
    from filelock import FileLock, Timeout

    try:
        # One that was killed leaves its note behind, but no lock.
        with FileLock(folder / f"{task}.lock", timeout=0, mode=private_files.MODE):
            return None
    except Timeout:
        return str(note["doing"])
    except OSError:
        return None
