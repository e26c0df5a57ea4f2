"""The wall of films: thumbnails from the catalog with score, percentile, view and labels."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

import streamlit as st
from filmroom.search.ui import media

HERE = Path(__file__).parent

AT_ONCE = 24
"""Thumbnails that come with the wall itself: asked for one by one they cost more than the search. The others are
fetched when they come into view."""

_component = st.components.v2.component(
    "filmroom.grid",
    html='<ul class="grid"></ul>\n',
    css=(HERE / "grid.css").read_text("utf-8"),
    js=(HERE / "grid.js").read_text("utf-8"),
)


class Mark(StrEnum):
    """Judged against the ground truth."""

    RIGHT = "right"
    WRONG = "wrong"


class Act(StrEnum):
    """What a reader did to a film."""

    OPEN = "open"
    UP = "up"
    DOWN = "down"
    LIKE = "like"
    PICK = "pick"


@dataclass(frozen=True)
class Cell:
    """One film on the wall. Texts are plain; `bar` is in [0, 1]; `href` opens the film in a tab of its own."""

    id: int
    href: str
    alt: str
    facts: str
    labels: str = ""
    thumbnail: bytes | None = None
    bar: float | None = None
    score: str = ""
    score_says: str = ""
    vote: int = 0
    picked: bool = False
    mark: Mark | None = None
    mark_says: str = ""


def grid(
    cells: Sequence[Cell],
    *,
    key: str,
    title: str,
    tools: Sequence[Act] = (),
    small: bool = False,
) -> tuple[Act, int] | None:
    """Show films; returns what was done to which film in this run, if anything."""
    items: list[dict[str, Any]] = []
    for at, cell in enumerate(cells):
        src = None
        if cell.thumbnail and at < AT_ONCE:
            src = "data:image/webp;base64," + base64.b64encode(cell.thumbnail).decode()
        elif cell.thumbnail:
            src = media.url(cell.thumbnail, "image/webp", slot=f"{key}-{cell.id}")
        items.append(
            {
                "id": str(cell.id),
                "href": cell.href,
                "src": src,
                "alt": cell.alt,
                "facts": cell.facts,
                "labels": cell.labels,
                "bar": cell.bar,
                "score": cell.score,
                "score_says": cell.score_says,
                "vote": cell.vote,
                "picked": cell.picked,
                "mark": cell.mark,
                "mark_says": cell.mark_says,
            }
        )
    data = {"items": items, "title": title, "tools": list(tools), "small": small}
    result = _component(key=key, data=data, on_act_change=lambda: None)
    done = result.act
    if not isinstance(done, dict):
        return None
    shown = {str(cell.id): cell.id for cell in cells}
    act, film = done.get("what"), shown.get(str(done.get("id")))
    if film is None or act not in list(Act):
        return None
    return Act(act), film
