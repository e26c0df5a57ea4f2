"""Show a row of chips, each a part of the search that can be taken away, and of offers of another one."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

import streamlit as st

HERE = Path(__file__).parent

_component = st.components.v2.component(
    "filmroom.chips",
    html='<ul class="chips" aria-label="What this search is made of"></ul>\n',
    css=(HERE / "chips.css").read_text("utf-8"),
    js=(HERE / "chips.js").read_text("utf-8"),
)


class Kind(StrEnum):
    """What a part does to the films."""

    FOR = "for"
    AGAINST = "against"
    DOUBTED = "not sure"
    FILTER = "only"
    WARNING = "warning"


@dataclass(frozen=True)
class Chip:
    """One part. `part` is its name, empty where it cannot be taken away; `says` tells how it was read."""

    part: str
    kind: Kind
    text: str
    says: str = ""
    href: str = ""
    thumbnail: bytes | None = None


@dataclass(frozen=True)
class Offer:
    """Another query that could be meant."""

    text: str
    query: str


def chips(parts: Sequence[Chip], offered: Sequence[Offer] = (), *, key: str) -> str | Offer | None:
    """Show the parts of a search; returns the name of the one that is to go, or the offer that was taken."""
    items = [
        {
            "part": chip.part,
            "kind": chip.kind,
            "text": chip.text,
            "says": chip.says,
            "href": chip.href,
            "src": f"data:image/webp;base64,{base64.b64encode(chip.thumbnail).decode()}" if chip.thumbnail else None,
        }
        for chip in parts
    ]
    data = {"items": items, "offers": [offer.text for offer in offered]}
    result = _component(key=key, data=data, on_remove_change=lambda: None, on_take_change=lambda: None)
    if result.remove in {chip.part for chip in parts if chip.part}:
        return str(result.remove)
    return next((offer for offer in offered if offer.text == result.take), None)
