"""Show the original of a film in the viewer, kept for a while so that coming back is quick."""

from __future__ import annotations

import numpy as np
import streamlit as st
from filmroom.db.archive import Archive
from filmroom.db.errors import FilmroomError
from filmroom.db.reads import films
from filmroom.db.records import Film
from filmroom.search.exchange.original_pixels import original
from filmroom.search.ui.components.viewer.viewer import Attention, Region, viewer
from filmroom.search.ui.text import plain, spoken
from numpy.typing import NDArray


@st.cache_data(show_spinner=False, max_entries=12)
def pixels(film: Film) -> NDArray[np.uint16] | str:
    """Return the original (H, W), 0 black to 65535 white, or in words why it cannot be had."""
    try:
        return original(film)
    except FilmroomError as fault:
        return str(fault)


def plain_viewer(
    archive: Archive,
    film: Film,
    *,
    key: str,
    attention: Attention | None = None,
    regions: tuple[Region, ...] = (),
    focus: bool = False,
    linked: bool = False,
) -> None:
    """Show the film large; its thumbnail, and the reason, where the original cannot be shown."""
    preview = films.thumbnails(archive.catalog, [film.id]).get(film.id)
    found = pixels(film)
    missing = isinstance(found, str)
    if isinstance(found, str):
        st.warning(f"Only the thumbnail can be shown: {plain(found)}")
    viewer(
        key=key,
        film=str(film.id),
        alt=spoken(film),
        pixels=None if isinstance(found, str) else found,
        preview=preview,
        note="The original cannot be shown" if missing else "",
        attention=attention,
        regions=regions,
        focus=focus,
        linked=linked,
    )
