"""Say what was done in a line, with the way back, on the page that follows."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import streamlit as st
from filmroom.search.ui.text import plain

SECONDS = 90
_PLACE = "undo-offer"


@dataclass(frozen=True)
class _Offer:
    text: str
    back: Callable[[], object] | None
    until: float


def offer(text: str, back: Callable[[], object] | None = None) -> None:
    """Say `text` on the next run of a page; `back`, where it is given, takes back what was done."""
    st.session_state[_PLACE] = _Offer(text, back, time.monotonic() + SECONDS)


def show() -> None:
    """Show what was done last, for a while."""
    last: _Offer | None = st.session_state.get(_PLACE)
    if last is None or time.monotonic() > last.until:
        return
    with st.container(key="undo", horizontal=True, vertical_alignment="center", gap="small"):
        st.markdown(plain(last.text), width="content")
        if last.back is not None:
            st.button("Undo", key="undo-do", type="tertiary", on_click=_undo, args=(last,))
        st.button("Close", key="undo-close", type="tertiary", on_click=_close)


def _undo(last: _Offer) -> None:
    if last.back is not None:
        last.back()
    offer("Undone")


def _close() -> None:
    st.session_state.pop(_PLACE, None)
