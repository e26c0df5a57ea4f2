"""Serve bytes that the browser fetches by URL: thumbnails, pixels, attention maps."""

from __future__ import annotations

import streamlit as st
from filmroom.search.ui.server import streamlit_private


def url(data: bytes, kind: str, *, slot: str) -> str:
    """Return the address of `data` for this session. `kind` is its MIME type.

    `slot` names the place on the page: what stood there before is forgotten with the next run. The address is
    a hash of the content, so the browser keeps what it has seen. Streamlit's own parts (`st.image`) do the same;
    there is no public function for it.
    """
    return base() + streamlit_private.add_media(data, kind, slot)


def base() -> str:
    """Return the path that the server stands under: empty, or `/` and a name."""
    name = str(st.get_option("server.baseUrlPath") or "").strip("/")
    return f"/{name}" if name else ""
