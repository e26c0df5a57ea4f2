"""Make files that are their owner's alone from the first byte, whatever the folder allows and whoever prepared it."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

MODE = 0o600
PREFIX = ".filmroom-"
"""How the names of unfinished files and folders begin."""

_NO_LINKS = getattr(os, "O_NOFOLLOW", 0)
_BINARY = getattr(os, "O_BINARY", 0)


def create(path: Path) -> IO[bytes]:
    """Open a new file to write. Raises FileExistsError where there is anything of this name, a link too."""
    return open(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | _NO_LINKS | _BINARY, MODE), "w+b")


def write(path: Path, data: bytes) -> None:
    """Write a file in place of one that may be there, and through no link. Raises OSError."""
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | _NO_LINKS | _BINARY, MODE)
    with open(handle, "wb") as out:
        if hasattr(os, "fchmod"):
            os.fchmod(handle, MODE)
        out.write(data)


@contextmanager
def aside(target: Path) -> Iterator[tuple[Path, IO[bytes]]]:
    """Open a new file beside `target` under a name that nobody can guess; removed where it is still there at the
    end."""
    path = target.absolute().with_name(f"{PREFIX}{secrets.token_hex(16)}.part")
    out = create(path)
    try:
        with out:
            yield path, out
    finally:
        path.unlink(missing_ok=True)


def make_folder(folder: Path) -> None:
    """Make a folder for such files, where it is not there yet."""
    folder.mkdir(mode=0o700, exist_ok=True)
