"""What the tests of the measuring commands share."""

from __future__ import annotations

import csv
import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import write_film
from tests.terminal import Terminal

COUNT = 30


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with 30 films, and the archive of them once it was indexed; tests copy that."""
    place = tmp_path_factory.mktemp("measured")
    for number in range(COUNT):
        write_film(place / "films" / f"film-{number:03}.png", number)
    return place


@pytest.fixture
def indexed(terminal: Terminal, tiny: Path, shared: Path) -> Terminal:
    if (shared / "archive").is_dir():
        shutil.copytree(shared / "archive", terminal.archive)
    else:
        terminal("index", shared / "films", "--model", tiny)
        assert terminal.code == 0, terminal.err
        shutil.copytree(terminal.archive, shared / "archive")
    return terminal


def labels(path: Path, *, finding: str = "edema", patient: bool = False) -> Path:
    """Every second film has the finding."""
    with path.open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(["film", "label", "value", *(["patient"] if patient else [])])
        for number in range(COUNT):
            extra = [f"p{number // 2 if number < 4 else number}"] if patient else []
            table.writerow([f"film-{number:03}", finding, number % 2, *extra])
    return path


def said(terminal: Terminal, *command: object) -> str:
    """The one line of a command that must fail."""
    out = terminal(*command)
    assert terminal.code == 1, out
    assert out == ""
    assert len(terminal.err.splitlines()) == 1, terminal.err
    return terminal.err


def as_json(terminal: Terminal, *command: object) -> Any:
    found = terminal.json(*command)
    assert terminal.code == 0, terminal.err
    return found
