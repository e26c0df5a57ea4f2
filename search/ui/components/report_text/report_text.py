"""Facts and reports as plain text, with the words of the query marked."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import streamlit as st

HERE = Path(__file__).parent
_NOISE = frozenset(
    [
        "a",
        "an",
        "and",
        "any",
        "at",
        "for",
        "from",
        "in",
        "is",
        "no",
        "not",
        "of",
        "on",
        "or",
        "the",
        "to",
        "with",
        "without",
        "film",
        "xray",
    ]
)

_component = st.components.v2.component(
    "filmroom.sheet",
    html='<div class="sheet"></div>\n',
    css=(HERE / "report_text.css").read_text("utf-8"),
    js=(HERE / "report_text.js").read_text("utf-8"),
)

Piece = tuple[str, bool]


def sheet(
    *,
    key: str,
    facts: Sequence[tuple[str, str]] = (),
    texts: Sequence[str] = (),
    words: Sequence[str] = (),
) -> None:
    """A list of (name, value) and paragraphs; `words` are marked in the paragraphs."""
    paragraphs = [marked(text, words) for text in texts]
    _component(key=key, data={"facts": [list(fact) for fact in facts], "paragraphs": paragraphs})


def marked(text: str, words: Sequence[str]) -> list[Piece]:
    """`text` in pieces, each with whether one of `words` stands there (whole words or their beginnings)."""
    wanted = sorted({part for word in words for part in _parts(word)}, key=len, reverse=True)
    if not wanted:
        return [(text, False)]
    found = re.compile("|".join(rf"\b{re.escape(part)}\w*" for part in wanted), re.IGNORECASE)
    pieces: list[Piece] = []
    at = 0
    for hit in found.finditer(text):
        pieces += [(text[at : hit.start()], False), (hit.group(), True)]
        at = hit.end()
    return [piece for piece in (*pieces, (text[at:], False)) if piece[0]]


def _parts(words: str) -> list[str]:
    return [part for part in re.findall(r"\w{3,}", words.lower()) if part not in _NOISE]
