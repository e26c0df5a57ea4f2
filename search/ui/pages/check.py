"""Check the data set: choose one of the checks, run it, and look at what it found for as long as the session lasts."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass

import streamlit as st
from filmroom.db.archive import Archive
from filmroom.db.errors import FilmroomError
from filmroom.db.reads import films as db_films
from filmroom.db.reads.judged import judged_queries
from filmroom.db.records import Filter
from filmroom.db.writes import annotations as db_annotations
from filmroom.db.writes.query_sets import query_sets
from filmroom.search.checks.archive_health import check_archive
from filmroom.search.checks.duplicates import check_duplicates
from filmroom.search.checks.labels import check_labels
from filmroom.search.checks.next_films import check_next, check_next_judgements
from filmroom.search.checks.result import Result
from filmroom.search.checks.sides import SPLIT
from filmroom.search.checks.splits import check_splits
from filmroom.search.checks.subgroups.drift import check_drift
from filmroom.search.checks.subgroups.slices import MOST_SCORE, check_slices, judged_here
from filmroom.search.ui import layout, models
from filmroom.search.ui.pages import check_results
from filmroom.search.ui.result_grid import picks_place
from filmroom.search.ui.text import films, number, plain

OnStep = Callable[[int, int], None]
QUESTIONS = {
    "Archive": "Do the counts add up, and what needs a look?",
    "Splits": "Is a patient, a file or a picture on both sides of a split?",
    "Duplicates": "Which films show one picture, and which of them to keep?",
    "Labels": "Which labels do a probe and the nearest films contradict?",
    "Slices": "Is the search worse for some films, by sex, age, view, year, modality, source or maker?",
    "Drift": "Do two years, sites, splits, runs or collections differ, and which films are typical of it?",
    "Next": "Which films to label next, so that a probe learns most, or to judge next for a query set?",
}
_RESULTS = "checked"
_running = threading.Lock()  # of all sessions: a check takes a processor core for as long as it lasts


@dataclass(frozen=True)
class Checked:
    """A result, of which archive it is, and how many writes that had seen."""

    result: Result
    place: str
    changes: int


@dataclass(frozen=True)
class _Asked:
    """What a check is run on: the fact or the collections that make the sides, or the findings; and how long it may
    take, in seconds."""

    seconds: float
    column: str = SPLIT
    collections: tuple[str, ...] = ()
    findings: tuple[str, ...] = ()
    threshold: float | None = None
    query_set: str | None = None
    between: tuple[str, str] = ("", "")
    missing: str = ""


def show() -> None:
    archive = layout.archive()
    with st.container(horizontal=True, vertical_alignment="center"):
        st.title("Check")
        models.choose(archive)
    st.write("What spoils training and measuring. A check changes no label, no split and no film.")
    name = st.segmented_control(
        "Check",
        list(QUESTIONS),
        key="check",
        default="Archive",
        required=True,
        bind="query-params",
        label_visibility="collapsed",
    )
    _check(archive, name or "Archive")


@st.fragment
def _check(archive: Archive, title: str) -> None:
    st.write(QUESTIONS[title])
    name = title.lower()
    question = _asked(archive, name)
    pressed = st.button("Run the check", key="run-check", type="primary", disabled=bool(question.missing))
    st.caption(
        question.missing or f"It takes {roughly(question.seconds)}. Leaving or using this page meanwhile ends it."
    )
    results: dict[str, Checked] = st.session_state.setdefault(_RESULTS, {})
    place = picks_place(archive.catalog)
    if pressed:
        results.pop(name, None)
        try:
            result = _run(archive, name, question)
        except FilmroomError as fault:
            st.error(plain(str(fault)))
            return
        if result is None:
            st.info("Another check is under way on this server. Run this one when it has ended.")
            return
        results[name] = Checked(result, place, archive.catalog.changes())
        check_results.begin()
    checked = results.get(name)
    if checked is None or checked.place != place:
        return
    if checked.changes != archive.catalog.changes():
        st.caption("The archive has been written to since: run the check again to be sure.")
    check_results.show(archive, checked.result)


def _asked(archive: Archive, name: str) -> _Asked:
    """Ask what the check is to be run on."""
    count = int(db_films.select_ids(archive.catalog, Filter()).size)
    if name == "splits":
        return _sides(archive, _compared_in(count))
    if name == "labels":
        known = [facet.value for facet in db_films.facets(archive.catalog, "label")]
        chosen = st.multiselect("Findings", known, key="check-findings", placeholder="All that have enough films")
        return _Asked(_doubted_in(count, len(chosen or known)), findings=tuple(chosen))
    if name == "slices":
        return _slices(archive, count)
    if name == "drift":
        return _between(count)
    if name == "next":
        known = [facet.value for facet in db_films.facets(archive.catalog, "label")]
        left, right = st.columns(2)
        finding = left.selectbox("Finding", known, index=None, key="check-next", placeholder="Choose a label")
        sets = list(query_sets(archive.catalog))
        query_set = right.selectbox("Or query set", sets, index=None, key="check-next-set", placeholder="Choose a set")
        missing = "" if bool(finding) != bool(query_set) else "Choose a finding or a query set."
        findings = (finding,) if finding else ()
        return _Asked(3 + count * 8e-5, findings=findings, query_set=query_set, missing=missing)
    return _Asked(_compared_in(count) if name == "duplicates" else 3 + count * 0.002)


def _slices(archive: Archive, count: int) -> _Asked:
    left, middle, right = st.columns([2, 1, 1], vertical_alignment="bottom")
    known = [facet.value for facet in db_films.facets(archive.catalog, "label")]
    chosen = left.multiselect("Findings", known, key="check-slices-of", placeholder="All that enough films have")
    sets = list(query_sets(archive.catalog))
    query_set = middle.selectbox("Query set", sets, index=None, key="check-query-set", placeholder="All judged queries")
    threshold = right.number_input(
        "Threshold", value=None, min_value=-float(MOST_SCORE), max_value=float(MOST_SCORE), key="check-threshold",
        format="%.3f", placeholder="Specificity 90 %",
        help="The zero-shot score from which a film counts as found; without one, that of each finding which 90 % of "
        "the films without it stay under.",
    )  # fmt: skip
    seconds = _measured_in(count, len(chosen or known), len(judged_queries(archive.catalog)))
    return _Asked(seconds, findings=tuple(chosen), threshold=threshold, query_set=query_set)


def _between(count: int) -> _Asked:
    left, right = st.columns(2)
    a = left.text_input("A", key="check-a", placeholder="year:2019, split:train, collection:NAME", bind="query-params")
    b = right.text_input("B", key="check-b", placeholder="year:2020, split:test, source:FOLDER", bind="query-params")
    missing = "" if a.strip() and b.strip() else "Name both sides: by year, split, collection, source, run or others."
    return _Asked(3 + count * 4e-4, between=(a, b), missing=missing)


def _sides(archive: Archive, seconds: float) -> _Asked:
    sizes = {collection.name: collection.films for collection in db_annotations.collections(archive.catalog)}
    left, right = st.columns(2, vertical_alignment="bottom")
    by = left.segmented_control(
        "The sides are", ("what a table says", "two collections"), key="check-sides", default="what a table says"
    )
    if by != "two collections":
        column = right.text_input("The fact that names each film's side", SPLIT, key="check-column").strip()
        return _Asked(seconds, column=column, missing="" if column else "Name the fact.")
    chosen = right.multiselect(
        "Collections",
        list(sizes),
        key="check-collections",
        max_selections=2,
        format_func=lambda name: f"{name} ({films(sizes.get(name, 0))})",
    )
    return _Asked(seconds, collections=tuple(chosen), missing="" if len(chosen) == 2 else "Choose two collections.")


def _compared_in(count: int) -> float:
    """Estimate the seconds in which the pictures of so many films are sketched and compared; see docs/checks.md."""
    return count * 0.008


def _doubted_in(count: int, findings: int) -> float:
    """Estimate the seconds in which the labels of so many films are checked: a probe each, all pairs compared once."""
    return 2 + count * count * 4e-9 + findings * count * 9e-5


def _measured_in(count: int, findings: int, queries: int) -> float:
    """Estimate the seconds in which the slices of so many films are measured."""
    return 3 + count * (5e-5 + findings * 3e-5 + queries * 1e-5)


def roughly(seconds: float) -> str:
    """Say roughly how long something takes."""
    if seconds < 10:
        return "a few seconds"
    if seconds < 100:
        return f"about {10 * round(seconds / 10)} seconds"
    if seconds < 5_400:
        return f"about {round(seconds / 60)} minutes"
    return f"about {round(seconds / 3600)} hours"


def _run(archive: Archive, name: str, question: _Asked) -> Result | None:
    """Run the check and show how far it is; None while another one runs."""
    if not _running.acquire(blocking=False):
        return None
    try:
        bar = st.progress(0.0, text=f"Checking: {roughly(question.seconds)}")

        def tell(done: int, total: int) -> None:
            unit = "findings" if name == "labels" else "steps"
            bar.progress(min(1.0, done / max(1, total)), text=f"{number(done)} of {number(total)} {unit}")

        result = _result(archive, name, question, tell)
        bar.empty()
    finally:
        _running.release()
    return result


def _result(archive: Archive, name: str, question: _Asked, tell: OnStep) -> Result:
    if name == "archive":
        return check_archive(archive, on_films=tell)
    searcher = models.searcher(archive)
    searcher.index.refresh()
    if name == "splits":
        return check_splits(searcher, column=question.column, collections=question.collections, on_pairs=tell)
    if name == "duplicates":
        return check_duplicates(searcher, on_pairs=tell)
    if name == "slices":
        judged = judged_here(searcher, question.query_set)
        return check_slices(searcher, question.findings, threshold=question.threshold, judged=judged, on_finding=tell)
    if name == "next":
        if question.query_set is not None:
            return check_next_judgements(searcher, question.query_set)
        return check_next(searcher, question.findings[0])
    if name == "drift":
        return check_drift(searcher, *question.between, on_step=tell)
    return check_labels(searcher, question.findings, on_finding=tell)
