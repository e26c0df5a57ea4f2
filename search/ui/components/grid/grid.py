"""Show the wall of films: thumbnails from the catalog with score, percentile, view and labels."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
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
    html='<div class="picks" role="toolbar" aria-label="Picked films" hidden></div><ul class="grid"></ul>\n',
    css=(HERE / "grid.css").read_text("utf-8"),
    js="\n".join((HERE / name).read_text("utf-8") for name in ("picks.js", "place.js", "drag.js", "grid.js")),
)


class Mark(StrEnum):
    """Judged against the ground truth, an example that the search is by, or something that is said of it."""

    RIGHT = "right"
    WRONG = "wrong"
    LIKED = "liked"
    NOTED = "noted"


class Act(StrEnum):
    """What a reader does: to one film, to the films that are picked, or (`passing`) to the picks themselves."""

    OPEN = "open"
    UP = "up"
    DOWN = "down"
    LIKE = "like"
    PICK = "pick"
    FILTER = "filter"
    STUDY = "study"
    PASSING = "passing"
    COLLECT = "collect"
    TAG = "tag"
    EXPORT = "export"
    COPY = "copy"
    SIMILAR = "similar"
    JUDGE = "judge"
    TAKE_OUT = "take_out"


OF_PICKS = frozenset((Act.PASSING, Act.COLLECT, Act.TAG, Act.EXPORT, Act.COPY, Act.SIMILAR, Act.JUDGE, Act.TAKE_OUT))
MOST_PICKED = 100_000


@dataclass(frozen=True)
class Done:
    """What a reader did, to which films: the one of the cell, or all that are picked, in the order of picking. `term`
    is the label or tag that was clicked, as a query filters by it."""

    act: Act
    films: tuple[int, ...]
    term: str = ""

    @property
    def film(self) -> int:
        return self.films[0]


@dataclass(frozen=True)
class PickBar:
    """The bar of the picked films: what may be done to them, and the words of the button that picks all that pass,
    empty where all of them are shown. A bar that stands above several walls says which films those show."""

    actions: tuple[Act, ...]
    passing: str = ""
    shown: tuple[int, ...] | None = None

    def to_json(self) -> dict[str, Any]:
        ids = None if self.shown is None else list(map(str, self.shown))
        return {"actions": list(self.actions), "passing": self.passing, "shown": ids}


@dataclass(frozen=True)
class PickChange:
    """Films that the server adds to the picks or drops from them; obeyed once a `token`."""

    token: str
    add: tuple[int, ...] = ()
    drop: tuple[int, ...] = ()

    def to_json(self) -> dict[str, Any]:
        return {"token": self.token, "add": list(map(str, self.add)), "drop": list(map(str, self.drop))}


@dataclass(frozen=True)
class Cell:
    """One film on the wall. Texts are plain; `bar` is in [0, 1]; `href` opens the film in a tab of its own; `terms` are
    its labels and tags, each as it reads and as a query filters by it; `viewer` is where a DICOM viewer shows it."""

    id: int
    href: str
    alt: str
    facts: str
    terms: tuple[tuple[str, str], ...] = ()
    thumbnail: bytes | None = None
    bar: float | None = None
    score: str = ""
    score_says: str = ""
    vote: int = 0
    mark: Mark | None = None
    mark_says: str = ""
    viewer: str = ""


def grid(
    cells: Sequence[Cell],
    *,
    key: str,
    title: str,
    picks: str,
    tools: Sequence[Act] = (),
    small: bool = False,
    bar: PickBar | None = None,
    change: PickChange | None = None,
) -> Done | None:
    """Show films; returns what was done to which films in this run, if anything. `picks` names the set of picked films,
    which the browser keeps."""
    data = {
        "items": [_item(cell, key=key, at_once=at < AT_ONCE) for at, cell in enumerate(cells)],
        "title": title,
        "tools": list(tools),
        "small": small,
        "picks": f"filmroom-picks-{picks}",
        "bar": None if bar is None else bar.to_json(),
        "change": None if change is None else change.to_json(),
    }
    result = _component(key=key, data=data, on_act_change=lambda: None)
    return _done(result.act, menus={cell.id: cell.terms for cell in cells})


def _item(cell: Cell, *, key: str, at_once: bool) -> dict[str, Any]:
    src = None
    if cell.thumbnail and at_once:
        src = "data:image/webp;base64," + base64.b64encode(cell.thumbnail).decode()
    elif cell.thumbnail:
        src = media.url(cell.thumbnail, "image/webp", slot=f"{key}-{cell.id}")
    return {
        "id": str(cell.id),
        "href": cell.href,
        "src": src,
        "alt": cell.alt,
        "facts": cell.facts,
        "terms": [list(pair) for pair in cell.terms],
        "bar": cell.bar,
        "score": cell.score,
        "score_says": cell.score_says,
        "vote": cell.vote,
        "mark": cell.mark,
        "mark_says": cell.mark_says,
        "viewer": cell.viewer,
    }


def _done(message: object, *, menus: Mapping[int, Sequence[tuple[str, str]]]) -> Done | None:
    """Read what the browser sent; anything else than an act on films is nothing."""
    if not isinstance(message, dict) or message.get("what") not in list(Act):
        return None
    act = Act(message["what"])
    if act in OF_PICKS:
        ids = message.get("ids")
        return Done(act, tuple(_ids(ids if isinstance(ids, list) else [])))
    films = [film_id for film_id in _ids([message.get("id")]) if film_id in menus]
    if not films:
        return None
    term = next((term for _, term in menus[films[0]] if term == message.get("term")), "")
    return Done(act, tuple(films), term) if term or act is not Act.FILTER else None


def _ids(values: Sequence[object]) -> list[int]:
    known = dict.fromkeys(str(value) for value in values[:MOST_PICKED])
    return [int(value) for value in known if value.isascii() and value.isdecimal() and len(value) < 18]
