"""Show the original of a film in the viewer, kept for a while so that coming back is quick."""

from __future__ import annotations

import numpy as np
import streamlit as st
from filmroom.db.archive import Archive
from filmroom.db.errors import BadInput, FilmroomError, ModelUnavailable
from filmroom.db.records import Film
from filmroom.db.thumbnails.reading import thumbnails
from filmroom.db.writes import annotations as db_annotations
from filmroom.db.writes import findings
from filmroom.indexer.decoding.dicom.spacing import Spacing, spacing_of
from filmroom.indexer.sources.film_cache import source_path
from filmroom.search.exchange.original_pixels import original, radiograph
from filmroom.search.findings.measurements import Measurement, Point, measure, measurements_of, with_measurements
from filmroom.search.heatmap import heat_map
from filmroom.search.query.parser import Query, parse
from filmroom.search.request import SearchRequest
from filmroom.search.searcher import Searcher
from filmroom.search.ui import undo
from filmroom.search.ui.components.viewer.viewer import Attention, Region, viewer
from filmroom.search.ui.text import counted, plain, spoken
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
    preview = thumbnails(archive.catalog, [film.id]).get(film.id)
    original = pixels(film)
    missing = isinstance(original, str)
    if isinstance(original, str):
        st.warning(f"Only the thumbnail can be shown: {plain(original)}")
    known = None if missing else spacing(film)
    measured = viewer(
        key=key,
        film=str(film.id),
        alt=spoken(film),
        pixels=None if isinstance(original, str) else original,
        preview=preview,
        note="The original cannot be shown" if missing else "",
        attention=attention,
        regions=regions,
        focus=focus,
        linked=linked,
        spacing=known,
        measured=measurements_of(db_annotations.note_of(archive.catalog, film.id)),
    )
    if measured and not isinstance(original, str):
        _keep(archive, film, [measure(kind, points, known, _grey(original, points)) for kind, points in measured])


@st.cache_data(show_spinner=False, max_entries=64)
def _heat(_searcher: Searcher, fingerprint: str, film: Film, query: str) -> NDArray[np.float32]:
    original = pixels(film)
    vector = _searcher.vector(query)
    if isinstance(original, str) or vector is None:
        raise ModelUnavailable("the map needs the original film and words to look for")
    return heat_map(_searcher.towers, radiograph(film, original), vector)


@st.fragment
def film_pane(
    archive: Archive, searcher: Searcher, film: Film, request: SearchRequest, *, key: str, linked: bool = False
) -> None:
    """Show the film in the viewer, with the boxes of what a model wrote and the attention map of the search's words."""
    boxed = [finding for finding in findings.of_film(archive.catalog, film.id) if finding.boxes]
    regions = tuple(Region(finding.text, finding.boxes) for finding in boxed)
    attention_on = bool(st.session_state.get(key, {}).get("attention", False))
    attention = _attention(searcher, film, request, on=attention_on)
    plain_viewer(archive, film, key=key, attention=attention, regions=regions, linked=linked)


def _attention(searcher: Searcher, film: Film, request: SearchRequest, *, on: bool) -> Attention:
    if isinstance(pixels(film), str):
        return Attention(why_not="The attention map needs the original film.")
    if not concepts(request.query):
        return Attention(why_not="The attention map needs a query in words.")
    if not on:
        return Attention()
    try:
        heat = _heat(searcher, searcher.held.space.fingerprint, film, request.query)
    except ModelUnavailable as fault:
        return Attention(why_not=str(fault))
    return Attention(on=True, heat=heat)


def concepts(query: str) -> Query | None:
    """Return the query where it has words to look for."""
    try:
        parsed = parse(query)
    except BadInput:
        return None
    return parsed if parsed.concepts else None


@st.cache_data(show_spinner=False, max_entries=64)
def spacing(film: Film) -> Spacing | None:
    """Say how large its pixels are, where its file says so."""
    try:
        path = source_path(film)
    except FilmroomError:
        return None
    return spacing_of(path, turned=film.tags.orientation is not None) if film.tags.photometric else None


def _grey(pixels: NDArray[np.uint16], points: tuple[Point, ...]) -> float:
    column, row = (int(part) for part in points[0])
    high, wide = pixels.shape
    return float(pixels[min(row, high - 1), min(column, wide - 1)]) / 65535


def _keep(archive: Archive, film: Film, measurements: list[Measurement]) -> None:
    before = db_annotations.note_of(archive.catalog, film.id)
    db_annotations.set_note(archive.catalog, film.id, with_measurements(before, measurements))
    undo.offer(
        f"{counted(len(measurements), 'measurement')} kept in the note of film {film.id}.",
        lambda: db_annotations.set_note(archive.catalog, film.id, before),
    )
    st.rerun()
