"""Show recent searches of this browser (they never leave it), and bind the `/` key to the search box."""

from __future__ import annotations

from pathlib import Path

import streamlit as st

HERE = Path(__file__).parent

_component = st.components.v2.component(
    "filmroom.memory",
    html='<div class="memory" role="group" aria-label="Recent searches"></div>\n',
    css=(HERE / "recent_searches.css").read_text("utf-8"),
    js=(HERE / "recent_searches.js").read_text("utf-8"),
)


def memory(query: str, *, listed: bool) -> str | None:
    """Remember `query`; where `listed`, offer the recent ones and return the one that was chosen."""
    chosen = _component(key="memory", data={"query": query, "list": listed}, on_ask_change=lambda: None).ask
    return chosen if isinstance(chosen, str) else None
