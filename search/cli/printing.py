"""Print text that files, tables and people wrote, so that it cannot steer the terminal. Imports nothing heavy."""

from __future__ import annotations

import json
import os
import sys
import unicodedata
from contextlib import suppress

import typer


def printable(text: str) -> str:
    """Spell out what is no visible character: escapes, other controls, marks that turn the direction, stray bytes."""
    with suppress(UnicodeEncodeError):  # half a surrogate pair, out of a table
        # A name whose bytes are UTF-8 is text, whatever the locale took it for.
        text = text.encode("utf-8", "surrogateescape").decode("utf-8", "surrogateescape")
    return text if text.isprintable() else "".join(map(_visible, text))


def _visible(char: str) -> str:
    if char.isprintable() or unicodedata.category(char) == "Zs":
        return char
    if "\udc80" <= char <= "\udcff":
        return f"\\x{ord(char) - 0xDC00:02x}"
    return repr(char)[1:-1]


def say(text: str, *, err: bool = False) -> None:
    """Print lines of text, on stderr where `err`. A reader that has left ends the command: nobody wants more of it."""
    try:
        typer.echo("\n".join(map(printable, text.split("\n"))), err=err)
    except BrokenPipeError:
        discard_output()
        sys.exit(0)


def json_line(value: object) -> str:
    """Return `value` as one line of JSON in which every character is visible; what JSON does not know is text."""
    line = json.dumps(value, ensure_ascii=False, default=str)
    if line.isprintable():
        return line
    return "".join(char if char.isprintable() else json.dumps(char)[1:-1] for char in line)


def open_missing_streams() -> None:
    """Give this process the streams that its starter closed (`>&-`, a service): what is printed there goes nowhere.

    The places 0 to 2 are filled first. The next file to be opened would be given one of them, and a library that prints
    would write into it.
    """
    while (place := os.open(os.devnull, os.O_RDWR)) < 3:
        os.set_inheritable(place, True)
    os.close(place)
    sys.stdin = sys.stdin or os.fdopen(0, closefd=False)
    sys.stdout = sys.stdout or os.fdopen(1, "w", closefd=False)
    sys.stderr = sys.stderr or os.fdopen(2, "w", closefd=False)


def discard_output() -> None:
    """Let what is still to be printed go nowhere: whoever read it has left."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)
