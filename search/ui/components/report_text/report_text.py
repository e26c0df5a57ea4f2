"""Show facts and reports as plain text, with the words of the query marked."""

from __future__ import annotations

import re
from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path

import streamlit as st
from filmroom.indexer.radiology.report_labeler import read_report
from filmroom.indexer.radiology.vocabulary import VIEWS
from filmroom.search.ui.text import is_normal

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


_NO_FINDINGS = frozenset((*VIEWS, "male", "female", "child", "elderly"))
_SENTENCE = re.compile(r"[^.;\n]+[.;\n]*|[.;\n]+")


class Says(StrEnum):
    """What a sentence says of findings; nothing where it says both, or names none."""

    NOTHING = ""
    THERE = "says"
    DENIED = "denies"
    DOUBTED = "doubts"


def asserted(text: str) -> list[tuple[str, Says]]:
    """Return `text` in sentences, each with what it says of the findings that it names."""
    return [(sentence, _says(sentence)) for sentence in _SENTENCE.findall(text)]


def _says(sentence: str) -> Says:
    statements = [statement for statement in read_report(sentence) if statement.idea not in _NO_FINDINGS]
    if any(not statement.certain for statement in statements):
        return Says.DOUBTED
    kinds = {
        Says.THERE if statement.present and not is_normal(statement.idea) else Says.DENIED for statement in statements
    }
    return kinds.pop() if len(kinds) == 1 else Says.NOTHING


def sheet(
    *,
    key: str,
    facts: Sequence[tuple[str, str]] = (),
    texts: Sequence[str] = (),
    words: Sequence[str] = (),
    read: bool = False,
) -> None:
    """Show a list of (name, value) and paragraphs; `words` are marked in the paragraphs. With `read`, what a sentence
    says or denies is shown by the line below it."""
    paragraphs = [
        [[*piece, kind] for sentence, kind in (asserted(text) if read else [(text, Says.NOTHING)])
         for piece in marked(sentence, words)]
        for text in texts
    ]  # fmt: skip
    _component(key=key, data={"facts": [list(fact) for fact in facts], "paragraphs": paragraphs})


def marked(text: str, words: Sequence[str]) -> list[Piece]:
    """Return `text` in pieces, each with whether one of `words` stands there (whole words or their beginnings)."""
    parts = sorted({part for word in words for part in _parts(word)}, key=len, reverse=True)
    if not parts:
        return [(text, False)]
    pattern = re.compile("|".join(rf"\b{re.escape(part)}\w*" for part in parts), re.IGNORECASE)
    pieces: list[Piece] = []
    at = 0
    for hit in pattern.finditer(text):
        pieces += [(text[at : hit.start()], False), (hit.group(), True)]
        at = hit.end()
    return [piece for piece in (*pieces, (text[at:], False)) if piece[0]]


def _parts(words: str) -> list[str]:
    return [part for part in re.findall(r"\w{3,}", words.lower()) if part not in _NOISE]
