"""Hand texts over between Python and PostgreSQL without loss: a server's text holds neither a NUL nor what is no UTF-8.

A file name may hold bytes that are no UTF-8, which Python knows as lone surrogates, and a report may hold a NUL. Each
such byte goes as one code point at the very end of Unicode, which is of private use; a text that holds such a code
point itself sends its bytes in the same way, so that every text comes back as it was.
"""

from __future__ import annotations

import re
from typing import Any

from psycopg import Connection
from psycopg.adapt import Buffer, Dumper, Loader

_BASE = 0x10FF00
_STRANGE = re.compile("[\x00\udc80-\udcff\U0010ff00-\U0010ffff]")
_CARRIED = re.compile("[\U0010ff00-\U0010ffff]+")
_LEAD = b"\xf4\x8f"
"""How such a code point begins in UTF-8."""
_TEXTS = ("text", "varchar", "bpchar", "name")


def carried(text: str) -> str:
    """Return the text as the server keeps it."""
    return _STRANGE.sub(_escaped, text) if _STRANGE.search(text) else text


def restored(text: str) -> str:
    """Return the text of which `carried` made this one."""
    return _CARRIED.sub(
        lambda content: bytes(ord(letter) - _BASE for letter in content[0]).decode("utf-8", "surrogateescape"), text
    )


def _escaped(content: re.Match[str]) -> str:
    return "".join(chr(_BASE + byte) for byte in content[0].encode("utf-8", "surrogateescape"))


class _Text(Loader):
    def load(self, data: Buffer) -> str:
        content = bytes(data)
        return restored(content.decode()) if _LEAD in content else content.decode()


class _Number(Loader):
    """A sum of whole numbers comes as a decimal."""

    def load(self, data: Buffer) -> int | float:
        text = bytes(data).decode()
        return int(text) if text.lstrip("-").isdecimal() else float(text)


class _Carrying(Dumper):
    def dump(self, obj: str) -> bytes:
        return carried(obj).encode()


def adapt(connection: Connection[Any]) -> None:
    """Let a connection carry texts so, and give numbers as SQLite does."""
    for name in _TEXTS:
        connection.adapters.register_loader(name, _Text)
    connection.adapters.register_loader("numeric", _Number)
    connection.adapters.register_dumper(str, _Carrying)
