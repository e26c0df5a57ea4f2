"""The original of a film in the viewer, kept for a while so that coming back is quick."""

from __future__ import annotations

import numpy as np
import streamlit as st
from numpy.typing import NDArray

from db import films
from db.archive import Archive
from db.errors import FilmroomError
from db.records import Film
from search.originals import original
from search.ui.text import plain, spoken
from search.ui.viewer.viewer import Attention, Region, viewer


@st.cache_data(show_spinner=False, max_entries=12)
def pixels(film: Film) -> NDArray[np.uint16] | str:
    """The original (H, W), 0 black to 65535 white, or in words why it cannot be had."""
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
) -> None:
    """The film large; its thumbnail, and the reason, where the original cannot be shown."""
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
    )
