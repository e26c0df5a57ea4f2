"""Show one film large, what is known of it, and its others_of."""

from __future__ import annotations

import dataclasses

import streamlit as st
from filmroom.db.archive import Archive
from filmroom.db.errors import BadInput, FilmroomError, NotFound
from filmroom.db.reads import films
from filmroom.db.records import UNCERTAIN_ORIENTATION, Film, Label
from filmroom.db.writes import annotations as db_annotations
from filmroom.db.writes import findings
from filmroom.db.writes.annotations import Judgement
from filmroom.db.writes.facts import SPLIT, sources
from filmroom.search.evaluation.pooling import GRADES
from filmroom.search.query.parser import Query
from filmroom.search.request import Order, SearchRequest
from filmroom.search.results import Hit
from filmroom.search.searcher import Searcher
from filmroom.search.ui import export_panel, film_view, layout, models, undo
from filmroom.search.ui.components.grid.grid import Act
from filmroom.search.ui.components.grid.pick_button import pick_button
from filmroom.search.ui.components.report_text.report_text import sheet
from filmroom.search.ui.query import search_state
from filmroom.search.ui.result_grid import picks_place, wall_of_films, wall_of_hits
from filmroom.search.ui.server import dicom_viewer
from filmroom.search.ui.text import films as films_in_words
from filmroom.search.ui.text import is_normal, number, plain

NEAREST = 16

_SHEET = {
    "view": "View", "sex": "Sex", "age": "Age", "year": "Year", "study": "Study", "patient": "Patient key",
    SPLIT: "Split",
}  # fmt: skip
"""What the sheet calls the facts that a table may have given."""


def show() -> None:
    archive = layout.archive()
    searcher = models.searcher(archive)
    request = search_state.request_of_address()
    number_text = st.query_params.get("film", "")
    if not number_text.isdecimal() or len(number_text) > 17:
        _no_film("No film is named", "The address of this page names a film that the search has found.", request)
        return
    film = next(iter(films.films(archive.catalog, [int(number_text)])), None)
    if film is None:
        title = f"There is no film {int(number_text)}"
        _no_film(title, "It was forgotten on request, or it never was in this archive.", request)
        return
    place = _place(searcher, request, film.id)
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        st.page_link(
            layout.pages()["search"],
            label="Search" if request.empty else "Results",
            icon=":material/arrow_back:",
            query_params=request.parameters(),
        )
        st.subheader(f"Film {film.id}", width="content")
        st.caption(place.words, width="stretch")
        if film.tags.study_uid or film.tags.patient_key:
            st.page_link(
                layout.pages()["study"],
                label="Study",
                icon=":material/view_column:",
                query_params={"film": str(film.id), **request.parameters()},
            )
        pick_button(film.id, picks=picks_place(archive.catalog), key="pick")
        _step("Previous", place.before, "Left", request)
        _step("Next", place.after, "Right", request)
    large, words = st.columns([2, 1], gap="medium")
    with large:
        film_view.film_pane(archive, searcher, film, request, key="viewer")
    with words:
        _words(archive, film, request)
    _relatives(archive, searcher, film, request)


def _no_film(title: str, explanation: str, request: SearchRequest) -> None:
    st.subheader(title)
    st.write(explanation)
    st.page_link(
        layout.pages()["search"],
        label="To the search" if request.empty else "Back to the results",
        icon=":material/search:",
        query_params=request.parameters(),
    )


def _go(film_id: int, request: SearchRequest) -> None:
    st.switch_page(layout.pages()["film"], query_params={"film": str(film_id), **request.parameters()})


def _step(label: str, film_id: int | None, key: str, request: SearchRequest) -> None:
    """Draw a button to the next film of the answer; Shift and an arrow key do the same."""
    if st.button(label, key=f"step-{label}", shortcut=f"Shift+{key}", disabled=film_id is None, type="tertiary"):
        _go(int(film_id or 0), request)


@dataclasses.dataclass(frozen=True)
class _Place:
    """Where a film stands in the answer that led to it: the films beside it, and its rank and score in words."""

    before: int | None = None
    after: int | None = None
    words: str = ""


def _place(searcher: Searcher, request: SearchRequest, film_id: int) -> _Place:
    if request.empty and request.order is Order.MATCH:
        return _Place()
    try:
        results = searcher.answer(request)
        ids = [hit.id for hit in results.hits]
        hit = results.hits[ids.index(film_id)] if film_id in ids else searcher.hits_of(request, [film_id])[0]
    except (FilmroomError, IndexError):
        return _Place()
    if not isinstance(hit, Hit):
        return _Place(words="Not among the films that pass")
    words = f"Rank {number(hit.rank)} of {films_in_words(results.total)}"
    if hit.score is not None:
        standing = "" if results.doubtful or not hit.standing else f" · {hit.standing} %"
        words += f"{standing} · score {hit.score:.2f}"
    if film_id not in ids:
        ids = searcher.passing(request, hit.rank + 1)
    at = ids.index(film_id)
    return _Place(ids[at - 1] if at else None, ids[at + 1] if at + 1 < len(ids) else None, words)


def _words(archive: Archive, film: Film, request: SearchRequest) -> None:
    sheet(key="facts", facts=_facts(archive, film))
    labels = [
        (label.name, f"{label.value:.2g}, {label.source}" if label.value < 1 else label.source)
        for label in _present(film)
    ]
    absent = ", ".join(label.name for label in film.labels if label.value == 0 and not is_normal(label.name))
    if absent:
        labels.append(("Absent", absent))
    known = film_view.concepts(request.query)
    words = [*(known.positive if known else ()), *(known.filter.phrases if known else ())]
    if labels:
        st.markdown("###### Labels")
        sheet(key="labels", facts=labels)
    reports = films.reports(archive.catalog, film)
    if reports:
        st.markdown("###### Report")
        sheet(key="reports", texts=reports, words=words, read=True)
        st.caption("Underlined: says. Dotted: denies. Dashed: leaves open. Read by rules; the text is what counts.")
    for source, sentences in _written(archive, film).items():
        st.markdown(f"###### Written by {plain(source)}, a model")
        sheet(key=f"written-{source}", texts=sentences, words=words)
    _grade(archive, film, known)
    _marks(archive, film)
    if address := dicom_viewer.link(dicom_viewer.template(archive.catalog), film):
        st.link_button(dicom_viewer.LABEL, address, icon=":material/open_in_new:")


def _facts(archive: Archive, film: Film) -> list[tuple[str, str]]:
    """Return what is known of the film, and which table said so where the film's own header did not."""
    tags = film.tags
    fact_sources = sources(archive.catalog, film.id)
    facts = [
        ("View", tags.view),
        ("Modality", tags.modality),
        ("Maker", tags.maker),
        ("Body part", tags.body_part),
        ("Sex", tags.sex),
        ("Age", None if tags.age is None else f"{tags.age} years"),
        ("Year", tags.year),
        ("Size", f"{tags.columns} by {tags.rows} pixels"),
        ("Orientation", _orientation(tags.orientation)),
        ("Study", tags.study_uid),
        ("Instance", tags.instance_uid),
        ("Patient key", tags.patient_key),
        ("Split", fact_sources[SPLIT][0] if SPLIT in fact_sources else None),
        ("Burned-in text", "likely" if tags.burned_in else None),
        ("File", film.path.encode("utf-8", "backslashreplace").decode()),
    ]
    origin = {_SHEET[name]: source for name, (_, source) in fact_sources.items()}
    rows = [(name, str(value)) for name, value in facts if value not in (None, "")]
    return [(name, f"{value}, from {origin[name]}" if name in origin else value) for name, value in rows]


def _orientation(orientation: str | None) -> str | None:
    """Return what was done to the picture of the file; None where it is shown as it lies."""
    if orientation is None:
        return None
    if orientation == UNCERTAIN_ORIENTATION:
        return "not certain: it may be mirrored or turned, and is shown as it lies in its file"
    return f"{orientation}, as its header says how it lies in its file"


def _written(archive: Archive, film: Film) -> dict[str, list[str]]:
    """Return what models wrote about the film, by model."""
    by_source: dict[str, list[str]] = {}
    for finding in findings.of_film(archive.catalog, film.id):
        by_source.setdefault(finding.source, []).append(finding.text)
    return by_source


def _present(film: Film) -> list[Label]:
    return [label for label in film.labels if label.value > 0]


def _grade(archive: Archive, film: Film, known: Query | None) -> None:
    """Take the grade that this reader gives the film for the words of the search; a second press takes it back."""
    query = " ".join(known.positive) if known else ""
    if not query:
        return
    with st.expander(f"Grade for {plain(query)}"):
        judge = str(st.user.get("email", "") or "") if st.user.get("is_logged_in") else ""
        judge = judge or st.text_input("Judge", key="judge", placeholder="your initials", persist_state="session") or ""
        if not (judge := judge.strip()):
            st.caption("Name yourself, as on the Judge page, to grade.")
            return
        judgements = db_annotations.judgements(archive.catalog, query)
        mine = {judgement.film_id: judgement for judgement in judgements if judgement.judge == judge}
        before = mine.get(film.id)
        key = f"grade-{film.id}"

        def keep_grade() -> None:
            grade = st.session_state[key]
            if grade is not None:
                with layout.faults_as_toasts():
                    db_annotations.judge(archive.catalog, Judgement(query, film.id, judge, grade))
            elif before:
                db_annotations.unjudge(archive.catalog, before)

        st.session_state[key] = before.grade if before else None
        st.segmented_control(
            "Grade",
            list(GRADES),
            key=key,
            format_func=GRADES.__getitem__,
            label_visibility="collapsed",
            on_change=keep_grade,
        )


def _marks(archive: Archive, film: Film) -> None:
    """Show what this archive's people say of the film."""
    with st.expander("Tags, note and collections"):
        tags = db_annotations.tags_of(archive.catalog, film.id)
        key = f"tags-{film.id}"

        def keep_tags() -> None:
            with layout.faults_as_toasts():
                db_annotations.set_tags(archive.catalog, film.id, st.session_state[key])
                undo.offer(
                    f"Tags of film {film.id} are kept.", lambda: db_annotations.set_tags(archive.catalog, film.id, tags)
                )

        # Kept as they are chosen: the menu of tags lies over whatever stands below it.
        st.session_state[key] = tags
        st.multiselect(
            "Tags",
            sorted({*db_annotations.all_tags(archive.catalog), *tags}),
            accept_new_options=True,
            key=key,
            on_change=keep_tags,
            placeholder="A tag, old or new",
        )
        note = st.text_area("Note", db_annotations.note_of(archive.catalog, film.id), key=f"note-{film.id}")
        if st.button("Keep note", key=f"keep-{film.id}"):
            db_annotations.set_note(archive.catalog, film.id, note)
            undo.offer(f"The note of film {film.id} is kept.")
            st.rerun()
        export_panel.collect(archive, [film.id], key="film")


@st.fragment
def _relatives(archive: Archive, searcher: Searcher, film: Film, request: SearchRequest) -> None:
    done = []
    study = films.study_of(archive.catalog, film)
    in_study = {other.id for other in study}
    patient = [other for other in films.patient_of(archive.catalog, film) if other.id not in in_study]
    for title, group, key in (("Of the same study", study, "study"), ("Of the same patient", patient, "patient")):
        if group:
            st.markdown(f"##### {title}")
            done.append(
                wall_of_films(archive.catalog, group[:24], key=f"wall-{key}", title=title, request=request, small=True)
            )
    try:
        nearest = searcher.search("", like=(film.id,), k=NEAREST).hits
    except (NotFound, BadInput):
        nearest = ()
    if nearest:
        st.markdown("##### Nearest films")
        done.append(
            wall_of_hits(
                archive.catalog,
                nearest,
                key="wall-nearest",
                title="Nearest films",
                request=dataclasses.replace(request, like=(), unlike=()),
                small=True,
            )
        )
    for act in done:
        if act and act.act is Act.OPEN:
            _go(act.film, request)
