"""The terminal door for tests."""

from __future__ import annotations

import json
import sys
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
        try:
            cli.main()
            self.code = 0
        except SystemExit as end:
            self.code = int(end.code or 0)
        said = self._capfd.readouterr()
        self.err = said.err
        return said.out

    def json(self, *args: object) -> object:
        out = self(*args, "--json")
        assert self.code in (0, 1), self.err
        return json.loads(out.splitlines()[-1])
