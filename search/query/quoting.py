"""Quote values of the query language: what has a space stands in quotes, and a quote within is written twice."""

from __future__ import annotations

import re

QUOTED = r'"(?:[^"]|"")*"'
TYPOGRAPHIC = str.maketrans({"“": '"', "”": '"', "„": '"', "‟": '"', "\N{MINUS SIGN}": "-"})
"""What a query is read with: quotes and minus as Word and macOS write them are those of the keyboard."""
MARK = "\ue000"
"""Stands for a quote that quotes nothing, as in 5" tube, while a query is read; no query holds a private character."""
_HIDDEN = str.maketrans(" ()|", "\ue001\ue002\ue003\ue004")
_RESTORED = {hidden: plain for plain, hidden in _HIDDEN.items()}


def hidden(value: str) -> str:
    """Make one word of a text with its quoted parts, whatever stands in them."""
    return re.sub(QUOTED, lambda match: match[0].translate(_HIDDEN), value)


def restored(text: str) -> str:
    """Undo `hidden`."""
    return text.translate(_RESTORED)


def unquote(quoted: str) -> str:
    return " ".join(quoted[1:-1].replace('""', '"').split())


def quote(value: str) -> str:
    return '"' + value.translate(TYPOGRAPHIC).replace('"', '""') + '"'


def plain(value: str) -> str:
    value = value.translate(TYPOGRAPHIC)
    return value if re.fullmatch(r"(?![-!]|//)[^\s,\"<>=|;()]+", value) else quote(value)


def shown(piece: str) -> str:
    piece = restored(piece).replace(MARK, '"')
    return piece if len(piece) <= 60 else f"{piece[:57]}..."
