"""Map: the archive's films by what the model sees in them; what is drawn around opens as films."""

from __future__ import annotations

from enum import StrEnum

import numpy as np
import streamlit as st
from filmroom.db.archive import Archive
from filmroom.db.errors import BadInput, FilmroomError
from filmroom.db.reads import films as db_films
from filmroom.db.reads.facets import SEVERAL
from filmroom.db.records import Filter
from filmroom.search.projection import MOST, Method, Projection, outlier_scores, sample
from filmroom.search.query.parser import parse
from filmroom.search.searcher import Searcher
from filmroom.search.ui import layout, models, picks
from filmroom.search.ui.components.grid.grid import Act
from filmroom.search.ui.components.scatter.scatter import KINDS, Colours, scatter
from filmroom.search.ui.query import filter_panel
from filmroom.search.ui.result_grid import picks_place, wall_of_films
from filmroom.search.ui.text import films, number, plain
from numpy.typing import NDArray

SHOWN = 48
MOST_NUMBERS = 50_000_000
"""Of the vectors that a map is drawn from at most: films with many vectors each make a map of fewer films."""


class Colour(StrEnum):
    """What the map is coloured by."""

    LABEL = "Label"
    VIEW = "View"
    SEX = "Sex"
    AGE = "Age"
    YEAR = "Year"
    MODALITY = "Modality"
    BODY_PART = "Body part"
    TAG = "Tag"
    COLLECTION = "Collection"
    SPLIT = "Split"
    REPORT = "Report"
    BURNED_IN = "Burned-in text"
    OUTLIER = "Outlier score"
    QUERY = "Query"


_NUMBERS = (Colour.AGE, Colour.YEAR)
_PLURAL = {Colour.LABEL: "labels", Colour.TAG: "tags", Colour.COLLECTION: "collections"}
_MAPS_KEPT = 8


def show() -> None:
    archive = layout.archive()
    searcher = models.searcher(archive)
    with st.container(horizontal=True, vertical_alignment="center"):
        st.title("Map")
        models.choose(archive)
    left, middle, right = st.columns([1, 1, 3], vertical_alignment="bottom")
    method = left.selectbox(
        "Projection", list(Method), key="method", bind="query-params", format_func=lambda m: m.value
    )
    colour = Colour(
        middle.selectbox("Colour", list(Colour), key="colour", bind="query-params", format_func=str) or Colour.LABEL
    )
    query = right.text_input(
        "Query", key="near", bind="query-params", disabled=colour is not Colour.QUERY, placeholder="pleural effusion"
    )
    key = (searcher.held.space.fingerprint, len(searcher.index), Method(method or Method.PCA))
    try:
        ids = _films(searcher, *key[:2])
        if not len(ids):
            st.write("Nothing is indexed yet.")
            return
        with st.spinner("Placing the films"):
            projection = _projection(searcher, ids, key)
            places = projection.places() if projection.done else None
        if places is None:
            _progress(projection, len(ids))
            return
    except FilmroomError as fault:
        _maps().pop(key, None)
        st.warning(plain(str(fault)))
        return
    if len(ids) < len(searcher.index):
        st.caption(f"{films(len(ids))}, evenly chosen of {films(len(searcher.index))}.")
    _map(archive, searcher, ids, places, colour, query or "")


@st.cache_data(show_spinner=False, max_entries=4)
def _films(_searcher: Searcher, fingerprint: str, count: int) -> NDArray[np.int64]:
    """Return the films of the map: all that have a vector, or an even share of them."""
    ids = db_films.select_ids(_searcher.catalog, Filter())
    ids = ids[_searcher.index.holds(ids)]
    space = _searcher.held.space
    return sample(ids, min(MOST, max(1_000, MOST_NUMBERS // (space.dim * space.vectors))))


@st.cache_resource(show_spinner=False)
def _maps() -> dict[tuple[str, int, Method], Projection]:
    """Keep the last maps, drawn or being drawn, for all sessions: nobody waits twice for one."""
    return {}


def _projection(searcher: Searcher, ids: NDArray[np.int64], key: tuple[str, int, Method]) -> Projection:
    maps = _maps()
    if key not in maps:
        maps[key] = Projection(searcher.index.vectors(ids), key[2])
        for oldest in list(maps)[: max(0, len(maps) - _MAPS_KEPT)]:
            maps.pop(oldest, None)
    return maps[key]


@st.fragment(run_every=1.0)
def _progress(projection: Projection, count: int) -> None:
    if projection.done:
        st.rerun()
    left = projection.seconds_left()
    state = f"UMAP of {films(count)}, {projection.seconds:.0f} s"
    state += f", about {left:.0f} s left" if left is not None else ": looking for neighbours"
    st.progress(min(1.0, projection.share), text=state)
    st.caption("It goes on when you leave the page. PCA is there at once.")


@st.cache_data(show_spinner="Looking for outliers", max_entries=4)
def _outliers(_searcher: Searcher, fingerprint: str, count: int, ids: NDArray[np.int64]) -> NDArray[np.float32]:
    return outlier_scores(_searcher.index.vectors(ids))


def _colours(searcher: Searcher, ids: NDArray[np.int64], colour: Colour, query: str) -> Colours | None:
    """Return the value of each film; None where the query has no words."""
    if colour is Colour.QUERY:
        vector = searcher.vector(query) if parse(query).concepts else None
        if vector is None:
            return None
        scores = searcher.index.scores(vector[None], ids)[0]
        return Colours(np.asarray(searcher.index.percentiles(vector, scores), np.float32), unit="Percentile")
    if colour is Colour.OUTLIER:
        fingerprint = searcher.held.space.fingerprint
        return Colours(_outliers(searcher, fingerprint, len(searcher.index), ids), unit=colour.value)
    name = colour.name.lower()
    table = filter_panel.facts(searcher.catalog)
    if name in SEVERAL:
        having = {facet.value: facet.count for facet in table.count(ids, (name,))[name]}
        return Colours.of_kinds(table.values(name, ids, rather=list(having)[:KINDS]), having)
    values = table.values(name, ids)
    if colour in _NUMBERS:
        numbers = np.array([np.nan if value is None else float(value) for value in values], np.float32)
        return Colours(numbers, unit=colour.value)
    return Colours.of_kinds(values)


@st.fragment
def _map(
    archive: Archive,
    searcher: Searcher,
    ids: NDArray[np.int64],
    places: NDArray[np.float32],
    colour: Colour,
    query: str,
) -> None:
    try:
        with st.spinner(f"Reading the films by {colour.value.lower()}"):
            colours = _colours(searcher, ids, colour, query)
    except BadInput as fault:
        st.warning(plain(str(fault)))
        return
    if colours is None:
        st.write("Type a query in words to colour the films by their score.")
        return
    several = [(count, having) for count, having in colours.counts().values() if count < having]
    if several:
        count, having = several[0]
        st.caption(
            f"A film has one colour: of several {_PLURAL[colour]} in the legend, that of the first by name. "
            f'"{count} of {having}": {films(having)} have it, {number(count)} in its colour.'
        )
    title = f"Map of {films(len(ids))} by {colour.value}"
    done = scatter(ids, places, colours, key="map", title=title, picks=picks_place(archive.catalog))
    if done.opened is not None:
        st.switch_page(layout.pages()["film"], query_params={"film": str(done.opened)})
    if done.region is not None:
        st.session_state["map-region"] = done.region
    _region(archive, ids, colours, st.session_state.get("map-region", ()))


def _region(archive: Archive, ids: NDArray[np.int64], colours: Colours, region: tuple[int, ...]) -> None:
    """Show the films that are selected; by their number, the greatest first, where the colours are numbers."""
    inside = list(region)
    if not inside:
        return
    order = ""
    if not colours.kinds:
        value = dict(zip(ids.tolist(), np.nan_to_num(colours.values, nan=-np.inf).tolist(), strict=True))
        inside.sort(key=lambda film_id: -value.get(film_id, -np.inf))
        order = f", by {colours.unit.lower()}"
    st.subheader(f"{films(len(inside))} in the region{order}")
    if len(inside) > SHOWN:
        st.caption(f"The first {SHOWN}; the bar picks all {number(len(inside))}.")
    members = db_films.films(archive.catalog, inside[:SHOWN])
    answer = picks.Answer(archive, tuple(film.id for film in members), len(inside), listed=tuple(inside))
    done = wall_of_films(
        archive.catalog,
        members,
        key="wall-map",
        title="Films of the region",
        tools=(Act.PICK,),
        small=True,
        bar=answer.bar(),
        change=picks.change(),
    )
    if done and done.act is Act.OPEN:
        st.switch_page(layout.pages()["film"], query_params={"film": str(done.film)})
    elif done:
        picks.carry_out(done, answer)
