"""Show buttons that give files, each made when it is asked for; no click is lost to a run of the page."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import streamlit as st
from filmroom.search.ui import media

HERE = Path(__file__).parent

_component = st.components.v2.component(
    "filmroom.download",
    html='<div class="files"></div><p class="said" role="status"></p>\n',
    css="""
:host { display: block; }
.files { display: flex; flex-wrap: wrap; gap: 6px; }
.said { margin: 6px 0 0; font: 0.87rem/1.35 var(--st-font); color: var(--st-gray-color); min-height: 1.35em; }
button {
  font: 0.95rem/1.35 var(--st-font); color: var(--st-text-color); background: none; cursor: pointer;
  border: 1px solid var(--st-border-color);
  border-radius: var(--st-button-radius); min-height: 34px; padding: 4px 12px;
}
button:hover { border-color: var(--st-gray-color); background: var(--st-secondary-background-color); }
button:focus-visible { outline: 2px solid var(--st-primary-color); outline-offset: 1px; }
@media (pointer: coarse) { button { min-height: 40px; } }
""",
    js=(HERE / "download.js").read_text("utf-8"),
)


@dataclass(frozen=True)
class File:
    """A file that can be had: what its button says, its name, its MIME type, and how its bytes are made."""

    label: str
    name: str
    kind: str
    make: Callable[[], bytes]
    title: str = ""


@dataclass(frozen=True)
class _Made:
    token: str
    asked: object
    name: str
    kind: str
    data: bytes


def download(files: Sequence[File], *, key: str) -> None:
    """Show a button a file. What was made last is kept for as long as the buttons are there, so that the browser finds
    it whenever it comes."""
    place = f"made-{key}"
    asked = st.session_state.get(key, {}).get("make")
    made: _Made | None = st.session_state.get(place)
    label = asked.get("label") if isinstance(asked, dict) else None
    file = next((one for one in files if one.label == label), None)
    if file is not None and (made is None or made.asked != asked):
        made = st.session_state[place] = _Made(uuid.uuid4().hex, asked, file.name, file.kind, file.make())
    data: dict[str, Any] = {"files": [{"label": one.label, "title": one.title} for one in files], "made": None}
    if made is not None:
        address = media.url(made.data, made.kind, slot=f"{key}-file")
        data["made"] = {"token": made.token, "url": address, "name": made.name}
    _component(key=key, data=data, on_make_change=lambda: None)
