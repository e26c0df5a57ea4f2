"""What is printed cannot steer a terminal, and needs none: closed streams, left pipes, locales without UTF-8."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from filmroom.search.cli.printing import json_line, printable

from tests.terminal import Terminal

Films = Callable[..., Path]
# Retitles a terminal, rings, clears it, colours it, and turns the direction of the line.
HOSTILE = "\x1b]0;taken\x07 \x1b[2J \x9b31m \u202e [bold]x[/bold] [link=http://a]b[/link]"
COMMAND = [sys.executable, "-P", "-c", "from filmroom.cli import main; main()"]


@pytest.fixture
def steered(terminal: Terminal, films: Films, tiny: Path, tmp_path: Path) -> Terminal:
    """An archive whose labels, reports and names hold what would steer a terminal."""
    terminal("index", films(4), "--model", tiny)
    table = tmp_path / "labels.jsonl"
    rows = [{"film": f"film-{number:03}", "label": HOSTILE} for number in range(4)]
    table.write_text("".join(json.dumps(one) + "\n" for one in rows))
    terminal("label", table)
    assert terminal.code == 0, terminal.err
    return terminal


def visible(text: str) -> bool:
    return all(line.isprintable() for line in text.split("\n"))


def test_every_character_that_is_printed_is_visible() -> None:
    assert printable("é \u3000 \x1b[0m \t\n") == "é \u3000 \\x1b[0m \\t\\n"
    assert printable(b"a \xff \xc3\xa9".decode("ascii", "surrogateescape")) == "a \\xff é"
    assert visible(printable(HOSTILE + "\ud800"))
    assert json.loads(json_line({"label": HOSTILE + "\x7f\ud800"})) == {"label": HOSTILE + "\x7f\ud800"}
    assert visible(json_line(HOSTILE))


@pytest.mark.parametrize(
    "command",
    [
        ["search", "edema"],
        ["search", "edema", "--json"],
        ["status"],
        ["status", "--json"],
        ["label", "TABLE"],
        ["label", "TABLE", "--json"],
        ["zeroshot", HOSTILE],
        ["search", "edema", "--like", "\x1b[2J"],
        ["search", "x", "--model", "\x1b[2J"],
    ],
)
def test_labels_and_names_steer_no_terminal(steered: Terminal, tmp_path: Path, command: list[str]) -> None:
    table = tmp_path / "nobody.jsonl"
    table.write_text(json.dumps({"film": HOSTILE, "label": "x"}) + "\n")
    out = steered(*[str(table) if part == "TABLE" else part for part in command])
    assert visible(out), out
    assert visible(steered.err), steered.err
    assert out or steered.err
    assert "unexpected fault" not in steered.err


def test_what_looks_like_markup_is_printed_as_it_is(steered: Terminal) -> None:
    assert "[bold]x[/bold] [link=http://a]b[/link]" in " ".join(steered("status").split())


def run(archive: Path, *command: object, shell: str = "", env: dict[str, str] | None = None, **how: Any) -> Any:
    """A command in a process of its own, with `shell` behind it as a shell is told: `>&-`, `| head -1`."""
    line = ["bash", "-o", "pipefail", "-c", f'"$@" {shell}', "bash", *COMMAND, *map(str, command)]
    environment = os.environ | {"FILMROOM_ARCHIVE": str(archive), "PYTHONUNBUFFERED": "1"} | (env or {})
    return subprocess.run(line, env=environment, capture_output=True, text=True, errors="replace", timeout=120, **how)


@pytest.mark.parametrize("shell", [">&-", "<&- >&- 2>&-"])
def test_a_service_without_streams_does_its_work(terminal: Terminal, films: Films, tiny: Path, shell: str) -> None:
    done = run(terminal.archive, "index", films(3), "--model", tiny, shell=shell)
    assert (done.returncode, done.stderr.count("Traceback")) == (0, 0), done.stderr
    assert run(terminal.archive, "search", "edema", shell=shell).returncode == 0
    assert run(terminal.archive, "search", "colour:red", shell=shell).returncode == 1
    assert terminal.json("status")["films"] == 3  # type: ignore[index, call-overload]


@pytest.mark.parametrize("command", [["search", "edema"], ["search", "edema", "--json"]])
@pytest.mark.parametrize("unbuffered", ["1", ""])
def test_a_reader_that_leaves_is_no_fault(steered: Terminal, command: list[object], unbuffered: str) -> None:
    done = run(steered.archive, *command, shell="| true", env={"PYTHONUNBUFFERED": unbuffered})
    assert (done.returncode, done.stderr) == (0, "")


def test_a_full_disk_is_said_in_one_line(steered: Terminal) -> None:
    done = run(steered.archive, "status", shell=">/dev/full", env={"PYTHONUNBUFFERED": ""})
    assert done.returncode == 1
    assert "the disk is full" in done.stderr
    assert len(done.stderr.splitlines()) == 1, done.stderr


@pytest.mark.parametrize("settings", [{"PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}, {"PYTHONIOENCODING": "ascii"}])
def test_a_locale_without_utf8_ends_in_no_traceback(
    terminal: Terminal, films: Films, tiny: Path, tmp_path: Path, settings: dict[str, str]
) -> None:
    folder = films(2, "Röntgen")
    (folder / "film-000.png").rename(folder / "ödem.png")
    (folder / "größe.txt").write_text("no film")
    table = tmp_path / "labels.csv"
    table.write_text("film,label\nödem,Ödem\n", "utf-8")
    env = {"LC_ALL": "C", "LANG": "C", **settings}
    commands: list[list[object]] = [["label", table], ["search", "edema"], ["status"], ["rejected"]]
    for command in [["index", folder, "--model", tiny], *commands]:
        done = run(terminal.archive, *command, env=env)
        assert (done.returncode, "Traceback" in done.stderr) == (0, False), done
