"""Collections: named sets of films, and the way out of the archive for them."""

from __future__ import annotations

import streamlit as st
from filmroom.db.archive import Archive
from filmroom.db.reads import films as db_films
from filmroom.db.writes import annotations as kept
from filmroom.search.ui import export_panel, layout
from filmroom.search.ui.components.grid.grid import Act
from filmroom.search.ui.result_grid import wall_of_films
from filmroom.search.ui.text import films, plain

SHOWN = 240


def show() -> None:
    archive = layout.archive()
    found = kept.collections(archive.catalog)
    st.title("Collections")
    if not found:
        st.write("There is no collection yet. On the Search page, pick films and choose Collect.")
        st.page_link(layout.pages()["search"], label="To the search", icon=":material/search:")
        return
    counts = {one.name: one.films for one in found}
    names = list(counts)
    asked = st.query_params.get("collection", "")
    if "collection" not in st.session_state:
        st.session_state.collection = asked if asked in counts else names[0]
    if st.session_state.collection not in counts:
        st.session_state.collection = names[0]
    name = st.selectbox(
        "Collection",
        names,
        key="collection",
        format_func=lambda one: f"{one} ({films(counts[one])})",
        label_visibility="collapsed",
    )
    st.query_params["collection"] = name
    _collection(archive, name)


@st.fragment
def _collection(archive: Archive, name: str) -> None:
    ids = kept.collected(archive.catalog, name)
    picks: set[int] = st.session_state.setdefault(f"picks-{name}", set())
    picks &= set(ids)
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        st.page_link(
            layout.pages()["search"],
            label="Search within it",
            icon=":material/search:",
            query_params={"q": f'collection:"{name.replace(chr(34), chr(34) * 2)}"'},
        )
        if picks and st.button(f"Take {films(len(picks))} out"):
            kept.uncollect(archive.catalog, name, sorted(picks))
            picks.clear()
            st.rerun()
        with st.popover("Export", icon=":material/download:"):
            found = db_films.films(archive.catalog, ids)
            export_panel.downloads(lambda: found, name="collection", key="collection", tag="collection")
            st.divider()
            export_panel.copies(archive, ids, key="collection")
        with st.popover("Delete", icon=":material/delete:"):
            st.write("The films stay in the archive; only the collection goes.")
            if st.button(f"Delete {plain(name)}", type="primary"):
                kept.uncollect(archive.catalog, name)
                st.session_state.pop("collection", None)
                st.query_params.clear()
                st.rerun()
    shown = db_films.films(archive.catalog, ids[:SHOWN])
    if not shown:
        st.write("This collection is empty.")
        return
    if len(ids) > SHOWN:
        st.caption(f"The first {SHOWN} of {films(len(ids))}; the search shows the others.")
    done = wall_of_films(
        archive.catalog,
        shown,
        key="wall-collection",
        title="Films of the collection",
        tools=(Act.PICK,),
        picked=frozenset(picks),
    )
    if done and done[0] is Act.OPEN:
        st.switch_page(layout.pages()["film"], query_params={"film": str(done[1])})
    elif done:
        picks.symmetric_difference_update({done[1]})
        st.rerun(scope="fragment")
