"""The terminal with a server's name and password, and with none."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.orthanc import PASSWORD, USER
from tests.terminal import Terminal


@pytest.fixture
def reader(terminal: Terminal, tiny: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Terminal:
    monkeypatch.setenv("FILMROOM_PACS_USER", USER)
    monkeypatch.setenv("FILMROOM_PACS_PASSWORD", PASSWORD)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return terminal


@pytest.fixture
def door(terminal: Terminal, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Terminal:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("HOME", str(tmp_path))
    return terminal
