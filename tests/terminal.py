"""The terminal door for tests."""

from __future__ import annotations

import json
import signal
import sys
import threading
from pathlib import Path

import pytest
from filmroom import cli


class Terminal:
    """Runs commands in this process against one archive; output and exit code as a shell would see them."""

    def __init__(self, archive: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
        self.archive = archive
        self._monkeypatch = monkeypatch
        self._capfd = capfd
        self.code = 0
        self.err = ""

    def __call__(self, *args: object) -> str:
        self._capfd.readouterr()
        command = [str(arg) for arg in args]
        self._monkeypatch.setattr(sys, "argv", ["filmroom", *command])
        self._monkeypatch.setenv("FILMROOM_ARCHIVE", str(self.archive))
        self._monkeypatch.setenv("COLUMNS", "140")
        if loaded := sys.modules.get("filmroom.search.cli.output"):
            loaded.console.width = 140  # it took its width from whatever first imported it
        on_interrupt = signal.getsignal(signal.SIGINT)
        try:
            cli.run()
            self.code = 0
        except SystemExit as end:
            self.code = int(end.code or 0)
        finally:
            if threading.current_thread() is threading.main_thread():
                signal.signal(signal.SIGINT, on_interrupt)  # a program keeps its own to its end
        said = self._capfd.readouterr()
        self.err = said.err
        return said.out

    def json(self, *args: object) -> object:
        out = self(*args, "--json")
        assert self.code in (0, 1), self.err
        return json.loads(out.splitlines()[-1])
