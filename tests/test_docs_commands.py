"""Whatever a page of the documentation says to type is a command of the program, with options that it takes."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[1]
PAGES = sorted(
    path.relative_to(ROOT).as_posix()
    for path in (*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md"), *(ROOT / "assets").rglob("*.md"))
    if path.name not in ("commands.md", "CHANGELOG.md")
)
"""Not the page that is made of the commands, nor what was true of an earlier version."""

_LINE = re.compile(r"^[ \t]*(?:\$ )?(?:[A-Z_]+=\S+ )*(filmroom [^\n]*)$", re.MULTILINE)
_BLOCK = re.compile(r"^```(?:sh|bash|console|text)?\n(.*?)^```|(?:^ {4}[^\n]*\n)+", re.MULTILINE | re.DOTALL)
_NAMED = re.compile(r"`(filmroom\s[^`]+)`")
_UNFINISHED = ("MissingParameter", "BadParameter", "BadOptionUsage")
"""Errors of a command that a sentence names without all that it takes, or with FILE or NUMBER in the place of one."""


def typed_lines(page: str) -> Iterator[tuple[str, bool]]:
    """Yield what is to be typed, and whether it is whole: lines of blocks are, what a sentence names need not be."""
    for block in _BLOCK.finditer(page):
        for line in _LINE.findall(block[0].replace("\\\n", " ")):
            yield line, True
    for line in _NAMED.findall(page):
        yield line.replace("\n", " "), False


def words_of(line: str) -> list[str]:
    """Split a line as a shell does, up to a pipe or the next command; `[...]` and `...` mean what may be there."""
    words = shlex.split(re.sub(r"(?<=\s)\[(.+?)\](?=\s|$)", r"\1", line), comments=True)
    end = next((at for at, word in enumerate(words) if word in ("|", ">", "&&", ";")), len(words))
    return [word for word in words[1:end] if word != "..."]


@cache
def _program() -> Any:
    import typer
    from filmroom import cli

    return typer.main.get_command(cli.app)


def parse(words: list[str], *, whole: bool) -> None:
    """Parse words as the program would. Raises what the parser raises; of what is not `whole`, nothing unfinished."""
    command, context, name = _program(), None, "filmroom"
    while hasattr(command, "commands"):
        context = command.make_context(name, [], parent=context, resilient_parsing=True)
        if not words or words[0].startswith("-"):
            return
        name, words = words[0], words[1:]
        assert name in command.commands, f"there is no command {name}"
        command = command.commands[name]
    try:
        command.make_context(name, list(words), parent=context)
    except Exception as error:
        if type(error).__name__ == "Exit":  # --help has been printed
            return
        if whole or type(error).__name__ not in _UNFINISHED:
            raise


def test_what_is_no_command_is_noticed() -> None:
    parse(words_of('filmroom search "left effusion" -k 5 --json | jq .'), whole=True)
    for wrong in ("filmroom serach effusion", "filmroom check leaks", "filmroom search effusion --cutoff 3"):
        with pytest.raises(Exception, match=r"no command|[Nn]o such option"):
            parse(words_of(wrong), whole=False)
    with pytest.raises(Exception, match="Missing"):
        parse(["check", "drift", "year:2019"], whole=True)
    page = "    filmroom status\n\n```sh\nX=1 filmroom models list   # all\n```\nas `filmroom\nserve` does\n"
    assert [words_of(line) for line, _ in typed_lines(page)] == [["status"], ["models", "list"], ["serve"]]


@pytest.mark.parametrize("page", PAGES)
def test_what_a_page_says_to_type_is_a_command(page: str) -> None:
    wrong = []
    for line, whole in typed_lines((ROOT / page).read_text(encoding="utf-8")):
        try:
            parse(words_of(line), whole=whole)
        except Exception as error:
            wrong.append(f"{line}: {error}")
    assert wrong == []
