"""The page about exports is what the program does."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
from filmroom.search.export.dataset.writer import Layout
from filmroom.search.export.export import What

from tests.search.export.conftest import House
from tests.terminal import Terminal

PAGE = (Path(__file__).resolve().parents[3] / "docs" / "export.md").read_text("utf-8")


def test_the_commands_of_the_page_run(
    shell: Terminal, house: House, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    commands = [line for block in re.findall(r"```sh\n(.*?)```", PAGE, re.DOTALL) for line in block.splitlines()]
    assert len(commands) == 8
    for command in commands:
        _, *words = shlex.split(command)
        more = ["--model", house.model] if words[0] == "export" and "--all" not in words else []
        out = shell(*words, *more)
        assert shell.code == 0, (command, shell.err)
        assert "film" in out
    assert len(list(tmp_path.iterdir())) == 7


def test_every_kind_and_layout_is_documented() -> None:
    assert [one for one in (*What, *Layout) if f"`{one}`" not in PAGE] == []
