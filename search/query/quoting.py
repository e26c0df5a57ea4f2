"""Quote values of the query language: what has a space stands in quotes, and a quote within is written twice."""

from __future__ import annotations

import re

QUOTED = r'"(?:[^"]|"")*"'


def unquote(quoted: str) -> str:
    return " ".join(quoted[1:-1].replace('""', '"').split())


def quote(value: str) -> str:
    return '"' + value.replace('"', '""') + '"'


def plain(value: str) -> str:
    return value if re.fullmatch(r"(?![-!])[^\s,\"<>=|;()]+", value) else quote(value)


def shown(piece: str) -> str:
    return piece if len(piece) <= 60 else f"{piece[:57]}..."
