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
class _MadeFile:
    token: str
    click: object
    name: str
    kind: str
    data: bytes


def download(files: Sequence[File], *, key: str) -> None:
    """Show a button a file. What was made last is kept for as long as the buttons are there, so that the browser finds
    it whenever it comes."""
    place = f"made-{key}"
    click = st.session_state.get(key, {}).get("make")
    latest: _MadeFile | None = st.session_state.get(place)
    label = click.get("label") if isinstance(click, dict) else None
    file = next((offered for offered in files if offered.label == label), None)
    if file is not None and (latest is None or latest.click != click):
        latest = st.session_state[place] = _MadeFile(uuid.uuid4().hex, click, file.name, file.kind, file.make())
    buttons = [{"label": offered.label, "title": offered.title} for offered in files]
    data: dict[str, Any] = {"files": buttons, "made": None}
    if latest is not None:
        address = media.url(latest.data, latest.kind, slot=f"{key}-file")
        data["made"] = {"token": latest.token, "url": address, "name": latest.name}
    _component(key=key, data=data, on_make_change=lambda: None)
