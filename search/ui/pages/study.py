"""Show the films of a study and the patient's earlier ones side by side, with one window, zoom and place for all."""

from __future__ import annotations

import streamlit as st
from filmroom.db.archive import Archive
from filmroom.db.reads import films as db_films
from filmroom.db.reads.filters import LATERALS
from filmroom.db.records import Film
from filmroom.db.writes import findings
from filmroom.search.request import SearchRequest
from filmroom.search.searcher import Searcher
from filmroom.search.ui import film_view, layout, models
from filmroom.search.ui.components.grid.pick_button import pick_button
from filmroom.search.ui.query import search_state
from filmroom.search.ui.result_grid import picks_place
from filmroom.search.ui.server import dicom_viewer
from filmroom.search.ui.text import facts, films, plain

MOST, USUAL = 4, 3


def show() -> None:
    archive = layout.archive()
    request = search_state.request_of_address()
    number = st.query_params.get("film", "")
    ids = [int(number)] if number.isdecimal() and len(number) < 18 else []
    film = next(iter(db_films.films(archive.catalog, ids)), None)
    if film is None:
        st.subheader("There is no such film")
        st.write("The address of this page names one film of the study.")
        st.page_link(layout.pages()["search"], label="To the search", icon=":material/search:")
        return
    every = in_order(film, db_films.study_of(archive.catalog, film), db_films.patient_of(archive.catalog, film))
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        st.page_link(
            layout.pages()["film"],
            label=f"Film {film.id}",
            icon=":material/arrow_back:",
            query_params={"film": str(film.id), **request.parameters()},
        )
        st.subheader(f"Study of {films(sum(same_study(film, relative) for relative in every))}", width="stretch")
        linked = st.toggle("Linked", True, key="linked", help="Window, zoom and place of one film are those of all.")
    side_by_side = _chosen(film, every)
    searcher = models.searcher(archive)
    for column, other in zip(st.columns(max(1, len(side_by_side)), gap="small"), side_by_side, strict=False):
        with column:
            _pane(archive, searcher, film, other, request, linked=linked)


def same_study(film: Film, other: Film) -> bool:
    return other.id == film.id or (other.tags.study_uid is not None and other.tags.study_uid == film.tags.study_uid)


def in_order(film: Film, study: list[Film], patient: list[Film]) -> list[Film]:
    """Return the study's frontal films, its laterals, then the patient's other films, the newest first; each once."""

    def lateral(image: Film) -> bool:
        return image.tags.view in LATERALS["LATERAL"]

    of_study = sorted([film, *study], key=lambda image: (lateral(image), image.id != film.id, image.id))
    known = {image.id for image in of_study}
    of_patient = [image for image in patient if image.id not in known]
    return [*of_study, *sorted(of_patient, key=lambda image: (-(image.tags.year or 0), lateral(image), image.id))]


def _chosen(film: Film, every: list[Film]) -> list[Film]:
    """Return the films side by side: those of the address, else the first of each kind."""
    by_id = {image.id: image for image in every}
    parts = st.query_params.get("side", "").split(",")
    in_address = [int(part) for part in parts if part.isdecimal() and len(part) < 18]
    usual = [film_id for film_id in in_address if film_id in by_id][:MOST] or [image.id for image in every[:USUAL]]
    if len(every) == 1:
        return every
    chosen = st.multiselect(
        "Side by side",
        list(by_id),
        usual,
        key=f"side-{film.id}",
        max_selections=MOST,
        format_func=lambda film_id: _name(film, by_id[film_id]),
        label_visibility="collapsed",
        placeholder="Films to show side by side",
    )
    st.query_params["side"] = ",".join(map(str, chosen))
    return [by_id[film_id] for film_id in chosen]


def _name(film: Film, other: Film) -> str:
    return f"Film {other.id}: {facts(other.tags)}{'' if same_study(film, other) else ', another study'}"


def _pane(
    archive: Archive, searcher: Searcher, film: Film, other: Film, request: SearchRequest, *, linked: bool
) -> None:
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        st.page_link(layout.pages()["film"], label=plain(_name(film, other)), query_params={"film": str(other.id)})
        pick_button(other.id, picks=picks_place(archive.catalog), key=f"pick-{other.id}", keyed=False)
        if address := dicom_viewer.link(dicom_viewer.template(archive.catalog), other):
            st.link_button("Viewer", address, icon=":material/open_in_new:", help=dicom_viewer.LABEL, type="tertiary")
    film_view.film_pane(archive, searcher, other, request, key=f"study-{other.id}", linked=linked)
    boxed = [finding for finding in findings.of_film(archive.catalog, other.id) if finding.boxes]
    if boxed:
        sources = dict.fromkeys(finding.source for finding in boxed)
        st.caption(plain(f"Boxes and sentences were written by {', '.join(sources)}, a model."))
