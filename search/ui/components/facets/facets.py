"""Show the values that films can be filtered by, and how many films have each; a click filters, another one ends it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path

import streamlit as st

HERE = Path(__file__).parent

_component = st.components.v2.component(
    "filmroom.facets",
    html='<div class="facets"></div>\n',
    css=(HERE / "facets.css").read_text("utf-8"),
    js=(HERE / "facets.js").read_text("utf-8"),
)


class Chosen(StrEnum):
    """What the filter says of a value."""

    NOTHING = ""
    ONLY = "only"
    NOT = "not"


@dataclass(frozen=True)
class Value:
    value: str
    text: str
    count: int
    chosen: Chosen = Chosen.NOTHING


@dataclass(frozen=True)
class Section:
    """One facet. `can_exclude` offers to leave a value's films out, too."""

    name: str
    title: str
    values: tuple[Value, ...]
    can_exclude: bool = False


def facets(sections: Sequence[Section], *, key: str) -> tuple[str, str, Chosen] | None:
    """Show facets; returns (facet, value, what was clicked: ONLY or NOT), if anything was."""
    data = {"sections": [asdict(section) for section in sections]}
    click = _component(key=key, data=data, on_choose_change=lambda: None).choose
    if not isinstance(click, dict) or click.get("how") not in (Chosen.ONLY, Chosen.NOT):
        return None
    known = {(section.name, value.value) for section in sections for value in section.values}
    name, value = click.get("name"), click.get("value")
    return (str(name), str(value), Chosen(click["how"])) if (name, value) in known else None
