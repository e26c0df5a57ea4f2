"""Map: the archive's films by what the model sees in them; a region of it opens as films."""

from __future__ import annotations

from enum import StrEnum

import altair as alt
import numpy as np
import pandas as pd
import streamlit as st
from filmroom.db.archive import Archive
from filmroom.db.errors import BadInput, FilmroomError
from filmroom.db.reads import films as db_films
from filmroom.db.records import Film, Filter
from filmroom.search.projection import MOST, Method, project, sample
from filmroom.search.query.parser import parse
from filmroom.search.searcher import Searcher
from filmroom.search.ui import layout, picks
from filmroom.search.ui.components.grid.grid import Act
from filmroom.search.ui.result_grid import wall_of_films
from filmroom.search.ui.text import films, findings, plain
from numpy.typing import NDArray

SHOWN = 48


class Colour(StrEnum):
    """What the map is coloured by."""

    LABEL = "Label"
    VIEW = "View"
    SEX = "Sex"
    MODALITY = "Modality"
    QUERY = "Query"


_TAGS = {Colour.VIEW: "view", Colour.SEX: "sex", Colour.MODALITY: "modality"}
KINDS = 9
"""Colours that can be told apart; the rest is "other"."""


def show() -> None:
    archive = layout.archive()
    searcher = layout.searcher(layout.archive_folder())
    st.title("Map")
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
    try:
        ids, places = _places(
            searcher, searcher.held.space.fingerprint, len(searcher.index), Method(method or Method.PCA)
        )
    except FilmroomError as fault:
        st.warning(plain(str(fault)))
        return
    if not len(ids):
        st.write("Nothing is indexed yet.")
        return
    if len(ids) < len(searcher.index):
        st.caption(f"{films(MOST)}, evenly chosen of {films(len(searcher.index))}.")
    _map(archive, searcher, ids, places, colour, query or "")


@st.cache_data(show_spinner="Drawing the map", max_entries=8)
def _places(
    _searcher: Searcher, fingerprint: str, count: int, method: Method
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    ids = sample(db_films.select_ids(_searcher.catalog, Filter()))
    zero = np.zeros((1, _searcher.held.space.dim), np.float32)
    ids = ids[~np.isnan(_searcher.index.scores(zero, ids)[0])]
    return ids, project(_searcher.index.vectors(ids), method) if len(ids) else np.zeros((0, 2), np.float32)


@st.fragment
def _map(
    archive: Archive,
    searcher: Searcher,
    ids: NDArray[np.int64],
    places: NDArray[np.float32],
    colour: Colour,
    query: str,
) -> None:
    found = db_films.films(archive.catalog, ids.tolist())
    table = pd.DataFrame({"id": ids, "x": places[:, 0], "y": places[:, 1]})
    if colour is Colour.QUERY:
        try:
            vector = searcher.vector(query) if parse(query).concepts else None
        except BadInput as fault:
            st.warning(plain(str(fault)))
            return
        if vector is None:
            st.write("Type a query in words to colour the films by their score.")
            return
        table["Kind"] = searcher.index.percentiles(vector, searcher.index.scores(vector[None], ids)[0])
        shade = alt.Color("Kind:Q", title="Percentile", legend=alt.Legend(orient="top"))
    else:
        table["Kind"] = _kinds(found, colour)
        order = [kind for kind in table["Kind"].value_counts().index if kind != "other"] + ["other"]
        shade = alt.Color("Kind:N", sort=order, title=None, legend=alt.Legend(orient="top", columns=3, labelLimit=90))
    # Vega's wheel over a region makes it larger or smaller: who scrolls the page would take other films than he marked.
    brush = alt.selection_interval(name="region", zoom=False)
    chart = (
        alt.Chart(table)
        .mark_circle(size=38 if len(table) < 5000 else 12, opacity=0.8)
        .encode(
            x=alt.X("x:Q", axis=None, scale=alt.Scale(domain=[-1.05, 1.05])),
            y=alt.Y("y:Q", axis=None, scale=alt.Scale(domain=[-1.05, 1.05])),
            color=shade,
            tooltip=[alt.Tooltip("id:Q", title="Film"), alt.Tooltip("Kind", title=colour.value)],
        )
        .add_params(brush)
        .properties(height=560)
    )
    st.caption("Drag over a region to see its films, and drag it elsewhere; the wheel scrolls the page.")
    chosen = st.altair_chart(
        chart, width="stretch", on_select="rerun", key="map", alt=f"Map of {films(len(ids))} by {colour.value}"
    )
    _region(archive, table, chosen.get("selection", {}).get("region", {}))


def _kinds(found: list[Film], colour: Colour) -> list[str]:
    if colour is Colour.LABEL:
        values = [(findings(film).split(", ") or [""])[0] or "no label" for film in found]
    else:
        values = [str(getattr(film.tags, _TAGS[colour]) or "unknown") for film in found]
    common = set(pd.Series(values).value_counts().index[:KINDS])
    return [value if value in common else "other" for value in values]


def _region(archive: Archive, table: pd.DataFrame, region: dict[str, list[float]]) -> None:
    if not region or "x" not in region or "y" not in region:
        return
    (left, right), (low, high) = sorted(region["x"]), sorted(region["y"])
    inside = table[table["x"].between(left, right) & table["y"].between(low, high)]["id"].tolist()
    st.subheader(f"{films(len(inside))} in the region")
    shown = db_films.films(archive.catalog, inside[:SHOWN])
    if not shown:
        return
    answer = picks.Answer(archive, tuple(film.id for film in shown), len(inside), listed=tuple(inside))
    done = wall_of_films(
        archive.catalog,
        shown,
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
