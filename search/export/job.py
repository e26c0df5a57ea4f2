"""Run an export batch by batch: resumable, in constant memory, and whole or not there at all.

Everything is written into `.NAME.part` beside the target, with the films that were chosen. After each batch the state
is committed: how many films are done and how long each growing file is. The same command run again cuts those files to
these lengths and goes on. At the end the finished file or folder is renamed.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import time
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Protocol

import numpy as np
from filmroom.db.archive import Archive
from filmroom.db.errors import ArchiveBusy, BadInput
from filmroom.search.exchange.tables import check_folder_of, write_aside
from filmroom.search.export.selection import Selection, hits
from filmroom.search.results import Hit, Ranking
from numpy.typing import NDArray

_VERSION = 1
_SHOWN = 20
_FAILURES = "failures.jsonl"
_GONE = "it is no longer in the archive"

Progress = Callable[[int, int], None]
"""Called with the films done and the films in all."""

Failures = Sequence[tuple[int, str]]
"""(film id, reason) of films that could not be written."""


class Writer(Protocol):
    """One format. `batch` says how many films are written at a time."""

    batch: int

    def write(self, films: Sequence[Hit]) -> Failures:
        """Write films; again with the same films where an earlier run was cut off in them."""
        ...

    def finish(self) -> Path:
        """Complete the file or folder, which lies in the job's folder."""
        ...


@dataclass(frozen=True)
class Plan:
    """What makes two runs the same export: `what` is its kind, `options` everything else that was asked."""

    what: str
    options: Mapping[str, Any]

    @property
    def digest(self) -> str:
        text = json.dumps([_VERSION, self.what, self.options], sort_keys=True, default=str)
        return hashlib.sha256(text.encode()).hexdigest()


@dataclass(frozen=True)
class Start:
    """What an export begins with: the films, the split of each as a place in `split_names` (-1 for none), and `facts`
    in plain values that must not change when it goes on."""

    selection: Selection
    splits: NDArray[np.int8]
    split_names: tuple[str, ...]
    facts: Mapping[str, Any]


@dataclass(frozen=True)
class Done:
    """What an export wrote: `films` are in it, `failed` counts those that are not, of which `failures` are the first.

    `resumed` films had been written by an earlier run of the same command. `sha256` is that of a single file.
    """

    what: str
    path: str
    films: int
    failed: int
    failures: tuple[tuple[int, str], ...]
    megabytes: float
    seconds: float
    resumed: int
    sha256: str | None


class Job:
    """An export under way in its folder: the films, their splits, and the files that grow."""

    def __init__(self, archive: Archive, folder: Path, state: dict[str, Any]) -> None:
        self.archive = archive
        self.folder = folder
        self.state = state
        with np.load(folder / "films.npz", allow_pickle=False) as arrays:
            self.ranking = Ranking(arrays["ids"], arrays["scores"], arrays["percentiles"])
            self._splits = dict(zip(self.ranking.ids.tolist(), arrays["splits"].tolist(), strict=True))
        self._open: dict[str, IO[bytes]] = {}

    @classmethod
    def begin(cls, archive: Archive, folder: Path, plan: Plan, start: Start) -> Job:
        """Make the folder, with the films as they are now."""
        folder.mkdir(mode=0o700)
        ranking = start.selection.ranking
        with (folder / "films.npz").open("wb") as out:
            np.savez(out, ids=ranking.ids, scores=ranking.scores, percentiles=ranking.percentiles, splits=start.splits)
        facts = dict(start.facts) | {"model": start.selection.model, "fingerprint": start.selection.fingerprint}
        job = cls(
            archive,
            folder,
            {"plan": plan.digest, "facts": facts, "splits": start.split_names, "at": 0, "films": 0, "sizes": {}},
        )
        job.commit()
        return job

    @classmethod
    def resume(cls, archive: Archive, folder: Path, plan: Plan) -> Job | None:
        """Open the folder of an earlier run of the same plan; None where there is none, another's, or a torn one."""
        try:
            state = json.loads((folder / "state.json").read_text("utf-8"))
            return cls(archive, folder, state) if state["plan"] == plan.digest else None
        except (OSError, ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile):
            return None

    @property
    def facts(self) -> dict[str, Any]:
        facts: dict[str, Any] = self.state["facts"]
        return facts

    @property
    def split_names(self) -> tuple[str, ...]:
        return tuple(self.state["splits"])

    def split_of(self, film_id: int) -> str | None:
        """Name the split of a film; None where the films are not split."""
        place = self._splits.get(film_id, -1)
        return None if place < 0 else self.split_names[place]

    def growing(self, name: str) -> IO[bytes]:
        """Open a file that batches append to; what a batch that was cut off has left in it is cut off."""
        if name not in self._open:
            path = self.folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
            os.truncate(path, self.state["sizes"].get(name, 0))
            self._open[name] = path.open("ab")
        return self._open[name]

    def commit(self) -> None:
        """Make sure of what was written so far."""
        for name, file in self._open.items():
            file.flush()
            os.fsync(file.fileno())
            self.state["sizes"][name] = file.tell()
        write_aside(self.folder / "state.json", json.dumps(self.state))

    def close(self) -> None:
        while self._open:
            self._open.popitem()[1].close()

    def write(self, writer: Writer, progress: Progress) -> None:
        """Write the films that are not written yet."""
        total = self.ranking.ids.size
        progress(self.state["at"], total)
        while (at := self.state["at"]) < total:
            stop = min(total, at + writer.batch)
            batch = hits(self.archive, self.ranking, at, stop)
            present = [hit for hit in batch if hit is not None]
            gone = [self.ranking.ids[at + n].item() for n, hit in enumerate(batch) if hit is None]
            failures = [*((film_id, _GONE) for film_id in gone), *writer.write(present)]
            self.growing(_FAILURES).write("".join(json.dumps(failure) + "\n" for failure in failures).encode())
            self.state["at"] = stop
            self.state["films"] += stop - at - len(failures)
            self.commit()
            progress(stop, total)

    def failures(self) -> list[tuple[int, str]]:
        """List the films that could not be written."""
        self.growing(_FAILURES).flush()
        with (self.folder / _FAILURES).open(encoding="utf-8") as lines:
            return [(int(failure[0]), str(failure[1])) for failure in map(json.loads, lines)]


def run(
    archive: Archive,
    plan: Plan,
    target: Path,
    *,
    begin: Callable[[], Start],
    writer: Callable[[Job], Writer],
    progress: Progress = lambda done, total: None,
) -> Done:
    """Export to `target`, which must be new. `begin` is called only where no earlier run can be gone on with.

    Raises BadInput where the target is taken or cannot be written or no film could be, ArchiveBusy where an export to
    the same place is under way.
    """
    started = time.monotonic()
    if "\0" in str(target) or target.name in ("", ".."):
        raise BadInput("no name of a file", where=repr(str(target)), fix="Name a new file or folder.")
    folder = target.absolute().with_name(f".{target.name}.part")
    try:
        _check_free(target, "Name a new file or folder.")
        check_folder_of(target)
        with _alone(folder, target), ExitStack() as stack:
            _check_own(folder, target)
            job = Job.resume(archive, folder, plan) or _begun(archive, folder, plan, begin())
            stack.callback(job.close)
            stack.callback(_leave_nothing_empty, job)
            return _written(job, plan, target, writer(job), progress, started)
    except OSError as fault:
        raise BadInput(
            f"the export cannot be written ({fault.strerror or type(fault).__name__})",
            where=target,
            fix="Make room or name another place; the same command goes on where it stopped.",
        ) from None


def _begun(archive: Archive, folder: Path, plan: Plan, start: Start) -> Job:
    shutil.rmtree(folder, ignore_errors=True)
    return Job.begin(archive, folder, plan, start)


def _written(job: Job, plan: Plan, target: Path, writer: Writer, progress: Progress, started: float) -> Done:
    """Write what is not written yet, and put it in its place. Raises BadInput where no film could be."""
    resumed = int(job.state["films"])
    job.write(writer, progress)
    failures = job.failures()
    films = int(job.state["films"])
    if not films:
        job.state["at"] = 0  # so that nothing is left of it
        raise BadInput(f"no film could be exported: {failures[0][1]}", where=target)
    finished = writer.finish()
    megabytes, sha256 = _weight(finished)
    job.close()
    _check_free(target, "Move it away: the same command ends the export.")  # again, as it can take hours
    if target.is_dir():
        target.rmdir()
    os.replace(finished, target)
    shutil.rmtree(job.folder, ignore_errors=True)
    listed = tuple(failures[:_SHOWN])
    seconds = round(time.monotonic() - started, 2)
    return Done(plan.what, str(target), films, len(failures), listed, megabytes, seconds, resumed, sha256)


def _check_free(target: Path, fix: str) -> None:
    """Raise BadInput where there is anything but an empty folder."""
    if target.exists() and not (target.is_dir() and not any(target.iterdir())):
        raise BadInput("there is something there already", where=target, fix=fix)


@contextmanager
def _alone(folder: Path, target: Path) -> Iterator[None]:
    from filelock import FileLock, Timeout

    lock = folder.with_name(f"{folder.name}.lock")
    try:
        with FileLock(lock, timeout=0):
            try:
                yield
            finally:
                lock.unlink(missing_ok=True)
    except Timeout:
        raise ArchiveBusy("an export to this place is under way", where=target, fix="Wait for it to end.") from None


def _check_own(folder: Path, target: Path) -> None:
    """Raise BadInput where the folder of an earlier run is somebody else's: links in it lead where they want."""
    if folder.is_symlink() or (hasattr(os, "geteuid") and folder.exists() and folder.stat().st_uid != os.geteuid()):
        raise BadInput(
            f"there is a folder {folder.name} that is not yours beside it", where=target, fix="Name another place."
        )


def _leave_nothing_empty(job: Job) -> None:
    """Remove the folder of an export that has written no film: there is nothing to go on from."""
    if not job.state["at"] and job.folder.exists():
        job.close()
        shutil.rmtree(job.folder, ignore_errors=True)


def _weight(path: Path) -> tuple[float, str | None]:
    """Measure megabytes, and the SHA-256 of a file."""
    if path.is_dir():
        return round(sum(file.stat().st_size for file in path.rglob("*") if file.is_file()) / 2**20, 1), None
    return round(path.stat().st_size / 2**20, 1), sha256_of(path)


def sha256_of(path: Path) -> str:
    """Hash a file in pieces. Raises OSError."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
