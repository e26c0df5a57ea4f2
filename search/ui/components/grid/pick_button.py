"""Show the button beside a large film that picks it, as X does on a wall."""

from __future__ import annotations

from pathlib import Path

import streamlit as st

HERE = Path(__file__).parent

_component = st.components.v2.component(
    "filmroom.pick",
    html='<button type="button" class="pick-one"></button>\n',
    css="""
:host { display: block; }
button {
  font: 0.87rem/1.35 var(--st-font); color: var(--st-text-color); background: none;
  border: 1px solid var(--st-border-color);
  border-radius: var(--st-button-radius); min-height: 30px; min-width: 5.6rem; padding: 3px 10px; cursor: pointer;
}
button[aria-pressed="true"] { color: var(--st-primary-color); border-color: var(--st-primary-color); }
button:hover { border-color: var(--st-gray-color); }
button:focus-visible { outline: 2px solid var(--st-primary-color); outline-offset: 1px; }
@media (pointer: coarse) { button { min-height: 40px; } }
""",
    js="\n".join((HERE / name).read_text("utf-8") for name in ("picks.js", "pick_button.js")),
)


def pick_button(film_id: int, *, picks: str, key: str, keyed: bool = True) -> None:
    """Show whether a film is picked, and change it; `picks` names the set, which the browser keeps. With `keyed`, for a
    page of one film, P does it, too."""
    data = {"film": str(film_id), "picks": f"filmroom-picks-{picks}", "keyed": keyed}
    _component(key=key, data=data, width="content")
