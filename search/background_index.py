"""Do index runs in processes of their own: started from a page, followed through the catalog, stopped cleanly."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path

from filmroom.db.archive import LOG, Archive
from filmroom.db.errors import BadInput, NotFound
from filmroom.db.files import private_files
from filmroom.db.records import Run
from filmroom.indexer.sources.folder import check_there
from filmroom.search.sources.read_sources import read_sources

# A process that was started in the background may be born deaf to interrupts, which are how a run is stopped.
_MAIN = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); from filmroom.cli import main; main()"


def start_index(archive: Path, sources: Sequence[Path | str], *, model: str | None = None) -> int:
    """Start `filmroom index SOURCES --json` for this archive and return its process id; it outlives its starter.

    Text is the address of a server or bucket, whose credentials are those of this process's environment. What is
    printed goes to index.log in the archive. Raises NotFound for a path that is not there, BadInput for no address.
    """
    check_there([source for source in sources if isinstance(source, Path)])
    read_sources([source for source in sources if isinstance(source, str)])
    paths = [str(source.resolve()) if isinstance(source, Path) else source for source in sources]
    try:
        archive.mkdir(parents=True, exist_ok=True, mode=0o700)
        private_files.write(archive / LOG, b"")
        log = (archive / LOG).open("wb")
    except OSError as fault:
        raise BadInput(f"cannot be written ({fault.strerror})", where=archive) from None
    options = ["--model", model] if model else []
    with log:
        process = subprocess.Popen(  # noqa: S603 (our own command; the paths are arguments, not a shell's line)
            [sys.executable, "-P", "-c", _MAIN, "index", "--archive", str(archive), *options, "--json", "--", *paths],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    # Waited for, so that a run that was killed is not mistaken for one that is alive.
    threading.Thread(target=process.wait, daemon=True).start()
    return process.pid


def last_words(archive: Path) -> str:
    """Return the last line that the newest started run printed; a run that could not begin says why here."""
    try:
        lines = (archive / LOG).read_text("utf-8", "replace").strip().splitlines()
    except OSError:
        return ""
    return lines[-1] if lines else ""


def stop_index(archive: Archive, run: Run) -> None:
    """Interrupt a run, which ends after its batch and can be started again. Raises NotFound where it is over."""
    worker = archive.worker(run)
    if worker is None:
        raise NotFound("this run is over", where=f"run {run.id}")
    if worker.host:
        raise BadInput("this run is on another machine", where=worker.host, fix="Stop it there, with Ctrl-C.")
    os.kill(worker.pid, signal.SIGINT)
