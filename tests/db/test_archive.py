"""An archive is a folder; what is none is refused before anything is made."""

from __future__ import annotations

import os
from pathlib import Path

import filmroom
import pytest
from filmroom.db.archive import Archive, folder_of
from filmroom.db.errors import BadInput

from tests.terminal import Terminal

ADDRESSES = ["mysql://me:secret@host/films", "s3://bucket/films", "foo:", "foo:bar", "GS://films"]


@pytest.mark.parametrize("address", ADDRESSES)
@pytest.mark.parametrize("command", [["status"], ["search", "effusion"], ["index", "."], ["doctor"], ["serve"]])
def test_an_address_is_no_archive(
    terminal: Terminal, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, address: str, command: list[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    terminal(*command, "--archive", address)
    assert terminal.code == 1
    assert "an archive is a folder on this machine, and this is an address" in terminal.err
    assert len(terminal.err.splitlines()) == 1
    assert "secret" not in terminal.err
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("address", ADDRESSES)
def test_no_other_door_takes_an_address(
    terminal: Terminal, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, address: str
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FILMROOM_ARCHIVE", address)
    for opened in (filmroom.open, lambda: filmroom.open(address), lambda: Archive.create(Path(address))):
        with pytest.raises(BadInput, match="an archive is a folder"):
            opened()
    terminal("restore", "backup.zip", address)
    assert "an archive is a folder" in terminal.err
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("folder", ["archive", "./wards/2020:a", "/wards:2020", "C:\\films", "2020:a"])
def test_other_names_are_folders(folder: str) -> None:
    assert folder_of(folder) == Path(folder)
