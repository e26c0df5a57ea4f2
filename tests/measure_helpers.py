"""What the tests of the measuring commands share."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

from tests.terminal import Terminal

COUNT = 30


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
