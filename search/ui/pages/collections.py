"""Show collections: named sets of films, and the way out of the archive for them."""

from __future__ import annotations

import streamlit as st
from filmroom.db.archive import Archive
from filmroom.db.reads import films as db_films
from filmroom.db.writes import annotations as db_annotations
from filmroom.search.ui import layout, picks, undo
from filmroom.search.ui.components.grid.grid import Act
from filmroom.search.ui.result_grid import wall_of_films
from filmroom.search.ui.text import films, plain

SHOWN = 240


def show() -> None:
    archive = layout.archive()
    collections = db_annotations.collections(archive.catalog)
    st.title("Collections")
    if not collections:
        st.write("There is no collection yet. On the Search page, pick films and choose Collect.")
        st.page_link(layout.pages()["search"], label="To the search", icon=":material/search:")
        return
    counts = {collection.name: collection.films for collection in collections}
    names = list(counts)
    in_address = st.query_params.get("collection", "")
    if "collection" not in st.session_state:
        st.session_state.collection = in_address if in_address in counts else names[0]
    if st.session_state.collection not in counts:
        st.session_state.collection = names[0]
    name = st.selectbox(
        "Collection",
        names,
        key="collection",
        format_func=lambda collection: f"{collection} ({films(counts[collection])})",
        label_visibility="collapsed",
    )
    st.query_params["collection"] = name
    _collection(archive, name)


@st.fragment
def _collection(archive: Archive, name: str) -> None:
    ids = db_annotations.collected(archive.catalog, name)
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        st.page_link(
            layout.pages()["search"],
            label="Search within it",
            icon=":material/search:",
            query_params={"q": f'collection:"{name.replace(chr(34), chr(34) * 2)}"'},
        )
        if st.button(f"Delete {plain(name)}", icon=":material/delete:", help="The films stay in the archive."):
            _delete(archive, name)
    members = db_films.films(archive.catalog, ids[:SHOWN])
    if not members:
        st.write("This collection is empty.")
        return
    if len(ids) > SHOWN:
        st.caption(f"The first {SHOWN} of {films(len(ids))}; the search shows the others.")
    answer = picks.Answer(archive, tuple(film.id for film in members), len(ids), listed=tuple(ids))
    done = wall_of_films(
        archive.catalog,
        members,
        key="wall-collection",
        title="Films of the collection",
        tools=(Act.PICK,),
        bar=answer.bar((Act.TAKE_OUT, *picks.ON_RESULTS)),
        change=picks.change(),
    )
    if done and done.act is Act.OPEN:
        st.switch_page(layout.pages()["film"], query_params={"film": str(done.film)})
    elif done and done.act is Act.TAKE_OUT:
        _take_out(archive, name, done.films)
    elif done:
        picks.carry_out(done, answer)


def _delete(archive: Archive, name: str) -> None:
    gone = db_annotations.uncollect(archive.catalog, name)
    undo.offer(
        f"The collection {name} of {films(len(gone))} is deleted.",
        lambda: db_annotations.recollect(archive.catalog, name, gone),
    )
    st.session_state.pop("collection", None)
    st.query_params.clear()
    st.rerun()


def _take_out(archive: Archive, name: str, picked: tuple[int, ...]) -> None:
    gone = db_annotations.uncollect(archive.catalog, name, picked)
    undo.offer(
        f"{films(len(gone))} taken out of {name}.", lambda: db_annotations.recollect(archive.catalog, name, gone)
    )
    picks.order_change(drop=[film_id for film_id, _ in gone])
    st.rerun()
