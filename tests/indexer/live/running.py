"""Commands that stay, as processes of their own, for tests."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

SECONDS = 120.0
_MAIN = "from filmroom.cli import main; main()"


@dataclass
class Command:
    """A running `filmroom`: what it has printed so far, and its end."""

    process: subprocess.Popen[bytes]
    log: Path
    archive: Path
    port: int = field(default=0)

    @property
    def said(self) -> str:
        return self.log.read_text("utf-8", "replace")

    def wait_for(self, what: Callable[[], bool]) -> None:
        until = time.monotonic() + SECONDS
        while not what():
            assert self.process.poll() is None, self.said
            assert time.monotonic() < until, self.said
            time.sleep(0.1)

    def stop(self, by: signal.Signals = signal.SIGINT) -> int:
        self.process.send_signal(by)
        return self.process.wait(SECONDS)

    def counts(self) -> dict[str, int]:
        """The counts of all its runs, summed up."""
        summed: dict[str, int] = {}
        for line in self.said.splitlines():
            if line.startswith("{"):
                for name, count in json.loads(line).items():
                    summed[name] = summed.get(name, 0) + count
        return summed


@contextmanager
def running(archive: Path, *args: object) -> Iterator[Command]:
    """`filmroom ARGS --archive ARCHIVE --json` until the end of the block."""
    archive.parent.mkdir(parents=True, exist_ok=True)
    log = archive.parent / f"{args[0]}.log"
    whole = [sys.executable, "-P", "-c", _MAIN, *map(str, args), "--archive", str(archive), "--json"]
    with log.open("wb") as out:
        process = subprocess.Popen(whole, stdout=out, stderr=out, start_new_session=True)
    command = Command(process, log, archive)
    try:
        yield command
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()


@contextmanager
def receiving(archive: Path, model: Path, *args: object) -> Iterator[Command]:
    """A receiver that listens."""
    port = free_port()
    whole = ("receive", "--port", port, "--model", model, "--workers", 1, "--min-free-gb", 0, *args)
    with running(archive, *whole) as command:
        command.port = port
        command.wait_for(lambda: "Receiving as" in command.said)
        yield command


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def dcmtk(program: str, *args: object) -> subprocess.CompletedProcess[str]:
    """A program of dcmtk, with its dictionary where Debian has it."""
    return subprocess.run(
        [program, *map(str, args)], capture_output=True, text=True, timeout=SECONDS, env=dict(os.environ), check=False
    )
