"""Quote values of the query language: what has a space stands in quotes, and a quote within is written twice."""

from __future__ import annotations

import re

QUOTED = r'"(?:[^"]|"")*"'
MARK = "\ue000"
"""Stands for a quote that quotes nothing, as in 5" tube, while a query is read; no query holds this character."""


def unquote(quoted: str) -> str:
    return " ".join(quoted[1:-1].replace('""', '"').split())


def quote(value: str) -> str:
    return '"' + value.replace('"', '""') + '"'


def plain(value: str) -> str:
    return value if re.fullmatch(r"(?![-!])[^\s,\"<>=|;()]+", value) else quote(value)


def shown(piece: str) -> str:
    piece = piece.replace(MARK, '"')
    return piece if len(piece) <= 60 else f"{piece[:57]}..."
