"""Start checks as processes of their own, follow and stop them from anywhere, and keep their results.

Each has a file in the archive's folder that says how far it is, a lock that its process holds, and at the end a result.
They are the archive's own: forgetting films removes them all.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import Any

from filmroom.db.archive import CHECKS, Archive
from filmroom.db.errors import ArchiveBusy, BadInput, FilmroomError, NotFound
from filmroom.db.files import private_files
from filmroom.search.checks.result import Result, from_json
from filmroom.search.checks.run import check_answerable, checked_options, run_check

KEPT = 100
"""Checks whose results are kept; of more, the oldest go when another one starts."""
_STARTING = 60
"""Seconds within which a process that was started takes its lock."""
_TOLD_EVERY = 0.5
_MAIN = (
    "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); "
    "from filmroom.search.background_check import main; main()"
)


class CheckState(StrEnum):
    """How a check stands."""

    RUNNING = "running"
    DONE = "done"
    STOPPED = "stopped"
    FAILED = "failed"


@dataclass(frozen=True)
class CheckRun:
    """A check that was started: its options, since when (seconds since 1970), `done` of `total` steps so far, and what
    came of it. `ok`: there is nothing to look at; `error` says why it failed."""

    id: int
    check: str
    options: Mapping[str, Any]
    state: CheckState
    started: int
    ended: int | None = None
    done: int = 0
    total: int | None = None
    ok: bool | None = None
    error: str | None = None


def start_check(archive: Archive, check: str, options: Mapping[str, Any]) -> CheckRun:
    """Start a check of this archive; it outlives its starter. Raises BadInput and NotFound for what can only fail,
    ArchiveReadOnly, and ArchiveBusy while another one is under way."""
    checked = checked_options(check, options)
    check_answerable(archive, check, checked)
    options_given = checked.given()
    archive.catalog.check_writable()
    earlier = check_runs(archive)
    if busy := next((run_before for run_before in earlier if run_before.state is CheckState.RUNNING), None):
        raise ArchiveBusy("another check is under way", where=f"check {busy.id}", fix="Wait for it, or stop it.")
    for old in earlier[KEPT - 1 :]:
        _remove(archive, old.id)
    run = CheckRun(0, check, options_given, CheckState.RUNNING, int(time.time()))
    number = max((run_before.id for run_before in earlier), default=0) + 1
    try:
        private_files.make_folder(archive.folder / CHECKS)
        while True:
            with suppress(FileExistsError), private_files.create(_path(archive, number)) as file:
                run = replace(run, id=number)
                file.write(_text(run))
                break
            number += 1  # another one was started at the same time
    except OSError as fault:
        raise BadInput(f"cannot be written ({fault.strerror})", where=archive.folder / CHECKS) from None
    process = subprocess.Popen(  # noqa: S603 (our own command; folder and number are arguments, not a shell's line)
        [sys.executable, "-P", "-c", _MAIN, str(archive.folder), str(number)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    threading.Thread(target=process.wait, daemon=True).start()
    return run


def check_runs(archive: Archive) -> list[CheckRun]:
    """List the checks that were started, the newest first."""
    numbers = sorted((int(path.stem) for path in _folder(archive).glob("*.json") if path.stem.isdigit()), reverse=True)
    runs = []
    for number in numbers:
        with suppress(NotFound):
            runs.append(get(archive, number))
    return runs


def get(archive: Archive, number: int) -> CheckRun:
    """Return a check as it stands. Raises NotFound."""
    run = _read(archive, number)
    if run.state is CheckState.RUNNING and _process(archive, number) is None:
        run = _read(archive, number)  # it may have ended between the two looks
        if run.state is CheckState.RUNNING and time.time() - run.started > _STARTING:
            return replace(run, state=CheckState.FAILED, error="Its process ended too early. Start it again.")
    return run


def result_of(archive: Archive, number: int) -> Result:
    """Return what a check found. Raises NotFound where it is not done, or its result is torn."""
    run = get(archive, number)
    try:
        return from_json(json.loads(_path(archive, number, "result").read_text("utf-8")))
    except OSError:
        reason = run.error or f"it is {run.state.value}"
    except (ValueError, KeyError, TypeError, AttributeError):
        reason = "it is damaged; start it again"
    raise NotFound(f"this check has no result: {reason}", where=f"check {number}")


def stop_check(archive: Archive, number: int) -> None:
    """Interrupt a check. Raises NotFound where it is over."""
    if get(archive, number).state is not CheckState.RUNNING:
        raise NotFound("this check is over", where=f"check {number}")
    private_files.write(_path(archive, number, "stop"), b"")  # for one that has not begun, and its next step
    if (process := _process(archive, number)) is not None:
        with suppress(ProcessLookupError):
            os.kill(process, signal.SIGINT)


def remove_check(archive: Archive, number: int) -> None:
    """Remove a check that is over, with its result. Raises NotFound, and ArchiveBusy while it is under way."""
    if get(archive, number).state is CheckState.RUNNING:
        raise ArchiveBusy("this check is under way", where=f"check {number}", fix="Stop it first.")
    _remove(archive, number)


def main() -> None:
    """Run the check that the arguments name, the archive's folder and a number: what the process does."""
    from filelock import FileLock

    archive, number = Archive.open(Path(sys.argv[1])), int(sys.argv[2])
    run = _read(archive, number)
    # Those who look whether it runs hold the lock for a moment.
    with FileLock(_path(archive, number, "lock"), timeout=_STARTING, mode=private_files.MODE):
        private_files.write(_path(archive, number, "lock.pid"), str(os.getpid()).encode())
        try:
            run = _carried_out(archive, run)
        except KeyboardInterrupt:
            run = replace(run, state=CheckState.STOPPED)
        except FilmroomError as fault:
            run = replace(run, state=CheckState.FAILED, error=str(fault))
        except Exception as fault:  # whatever it is, those who wait are told; its text may name a path
            run = replace(run, state=CheckState.FAILED, error=f"A fault of the program: {type(fault).__name__}.")
        _write(archive, replace(run, ended=int(time.time())))
        _path(archive, number, "lock.pid").unlink(missing_ok=True)


def _carried_out(archive: Archive, run: CheckRun) -> CheckRun:
    written = 0.0

    def tell(done: int, total: int | None) -> None:
        nonlocal run, written
        run = replace(run, done=done, total=total)
        if time.monotonic() - written > _TOLD_EVERY:
            written = time.monotonic()
            if _path(archive, run.id, "stop").exists():
                raise KeyboardInterrupt
            _write(archive, run)

    tell(0, None)
    result = run_check(archive, run.check, checked_options(run.check, run.options), tell)
    if _is_there(archive, run):  # films may have been forgotten meanwhile: nothing of them comes back
        _put(_path(archive, run.id, "result"), json.dumps(result.to_json()).encode())
    return replace(run, state=CheckState.DONE, ok=result.ok)


def _process(archive: Archive, number: int) -> int | None:
    """Return the process that runs a check; None where none holds its lock."""
    from filelock import FileLock, Timeout

    lock = _path(archive, number, "lock")
    if not lock.exists():
        return None
    try:
        with FileLock(lock, timeout=0, mode=private_files.MODE):
            return None
    except Timeout:
        try:
            return int(_path(archive, number, "lock.pid").read_text())
        except (OSError, ValueError):
            return None
    except OSError:
        return None


def _folder(archive: Archive) -> Path:
    return archive.folder / CHECKS


def _path(archive: Archive, number: int, suffix: str = "json") -> Path:
    return _folder(archive) / f"{number}.{suffix}"


def _read(archive: Archive, number: int) -> CheckRun:
    try:
        record = json.loads(_path(archive, number).read_text("utf-8"))
        return CheckRun(**{**record, "state": CheckState(record["state"])})
    except (OSError, ValueError, KeyError, TypeError):
        raise NotFound("there is no such check", where=f"check {number}", fix="List the checks.") from None


def _is_there(archive: Archive, run: CheckRun) -> bool:
    """Tell whether a check was not removed, nor another given its number since."""
    try:
        record = _read(archive, run.id)
    except NotFound:
        return False
    return (record.started, record.check, record.options) == (run.started, run.check, run.options)


def _write(archive: Archive, run: CheckRun) -> None:
    if _is_there(archive, run):
        _put(_path(archive, run.id), _text(run))


def _put(path: Path, data: bytes) -> None:
    with private_files.aside(path) as (part, file):
        file.write(data)
        file.flush()
        os.replace(part, path)


def _text(run: CheckRun) -> bytes:
    return json.dumps(asdict(run)).encode()


def _remove(archive: Archive, number: int) -> None:
    for suffix in ("json", "result", "stop", "lock", "lock.pid"):
        _path(archive, number, suffix).unlink(missing_ok=True)
