"""Show the archive: what is in it, its models, its index runs, what was turned away, and whether all agrees."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

import altair as alt
import pandas as pd
import streamlit as st
from filmroom.db.archive import Archive
from filmroom.db.doctor import Examination, examine, repair
from filmroom.db.errors import FilmroomError, NotFound
from filmroom.db.reads import films as db_films
from filmroom.db.records import Facet, Run, RunState, is_remote, same_uid_note
from filmroom.db.writes.runs import runs
from filmroom.indexer.sources.dicomweb import is_address
from filmroom.search.background_index import last_words, start_index, stop_index
from filmroom.search.exchange.delimited import cell
from filmroom.search.exchange.tables import rejected_csv
from filmroom.search.sources.known_sources import Kind, check_connection, known_sources
from filmroom.search.status import models, rejected_files, status
from filmroom.search.ui import layout
from filmroom.search.ui.components.download.download import File, download
from filmroom.search.ui.pages import film_lists
from filmroom.search.ui.text import number, plain

POLL = 1.0
_REJECTED_SHOWN = 500
_STATES = {
    RunState.RUNNING: "under way",
    RunState.DONE: "done",
    RunState.STOPPED: "stopped: run it again to go on",
    RunState.FAILED: "failed",
    RunState.BROKEN: "broken off: run it again to go on",
}


def show() -> None:
    st.title("Archive")
    folder = layout.archive_folder()
    first = st.container()  # there with an archive too: what stands below keeps its place, and so what is typed there
    try:
        archive: Archive | None = Archive.open(folder)
    except NotFound:
        archive = None
        first.write("There is no archive yet. Index a folder of films, and it is made here:")
        first.code(str(folder), language=None)
    _index(archive, folder)
    if archive is None:
        return
    _sources(archive, folder)
    st.subheader("What is in it")
    counts = st.container()  # all films are counted last: nobody waits for them to see the rest
    film_lists.show(archive)
    _models(archive)
    _rejected(archive)
    _doctor(archive)
    with counts, st.spinner("Counting all films by label, view, year and modality"):
        _contents(archive)


def _index(archive: Archive | None, folder: Path) -> None:
    st.subheader("Index a folder or a PACS")
    if not layout.may_name_folders():
        st.caption("On the serving machine: filmroom index FOLDER|URL. From here only after a sign-in.")
        _progress(folder, seen=archive is not None)
        return
    ready = [model.name for model in models(archive) if model.ready]
    with st.form("index", border=False):
        place, model, go, ask = st.columns([5, 2, 1, 2], vertical_alignment="bottom")
        path = place.text_input(
            "Folder or file on the machine that serves this page, or `https://HOST/dicom-web`", key="index-path"
        ).strip()
        chosen = model.selectbox("Model", ready, key="index-model")
        pressed = go.form_submit_button("Index", type="primary", width="stretch")
        tested = ask.form_submit_button("Test connection", width="stretch")
    if pressed and path and chosen:
        _start(archive, folder, path, chosen)
    elif pressed:
        st.warning("Name a folder or a server, and a model that is on this machine.")
    elif tested:
        _test(path)
    _progress(folder, seen=archive is not None)


def _start(archive: Archive | None, folder: Path, place: str, model: str) -> None:
    try:
        start_index(folder, [place if is_remote(place) else Path(place).expanduser()], model=model)
    except FilmroomError as fault:
        st.error(plain(str(fault)))
    else:
        st.session_state["started"] = time.time()
        st.session_state["started-after"] = _newest(archive)


def _test(place: str) -> None:
    """Ask a server, and say what is wrong with it."""
    if not is_address(place):
        st.warning("Name the address of a DICOMweb server: https://HOST/dicom-web")
        return
    try:
        with st.spinner("Asking the server"):
            answer = check_connection(place)
    except FilmroomError as fault:
        st.error(plain(str(fault)))
    else:
        st.success(plain(answer))


def _sources(archive: Archive, folder: Path) -> None:
    """Show where the films come from, and a run over one of them again."""
    st.subheader("Sources")
    known = known_sources(archive)
    if not known:
        st.write("None yet.")
        return
    table = pd.DataFrame(
        [
            {
                "Source": cell(source.place),
                "Kind": source.kind.value,
                "Films": source.films,
                "Rejected": source.rejected,
                "State": source.state,
                "Last run": _when(source.last_run),
            }
            for source in known
        ]
    )
    st.dataframe(table, hide_index=True, alt="The sources of the archive, their state and last run")
    if not layout.may_name_folders():
        return
    choice, again, ask = st.columns([6, 1, 2], vertical_alignment="bottom")
    source = known[choice.selectbox("Source", range(len(known)), format_func=lambda at: known[at].place, key="source")]
    if again.button("Index again", width="stretch", disabled=source.last_run is None):
        _start(archive, folder, source.place, source.last_run.model if source.last_run else "")
        st.rerun()
    if source.kind is Kind.PACS and ask.button("Test connection", key="test-source", width="stretch"):
        _test(source.place)


def _when(run: Run | None) -> str:
    if run is None:
        return ""
    return f"{time.strftime('%d %B, %H:%M', time.localtime(run.ended_at or run.started_at))}, {_STATES[run.state]}"


def _newest(archive: Archive | None) -> int:
    latest = runs(archive.catalog, 1) if archive else []
    return latest[0].id if latest else 0


@st.fragment(run_every=POLL)
def _progress(folder: Path, *, seen: bool) -> None:
    """Show the newest run every second: it goes on in its own process whether or not anybody looks. `seen` is
    False where the page around it was drawn before there was an archive."""
    try:
        archive = Archive.open(folder)
    except NotFound:
        archive = None
    run = next(iter(runs(archive.catalog, 1)), None) if archive else None
    waiting = "started" in st.session_state
    if waiting and run and run.id > st.session_state["started-after"]:
        del st.session_state["started"]
        waiting = False
    if waiting:
        if time.time() - st.session_state["started"] > 3 and (words := last_words(folder)):
            st.error(plain(words))
        else:
            st.info("Starting")
        return
    if run is None or archive is None:
        return
    _run_line(archive, run)
    was = st.session_state.get("watched")
    st.session_state["watched"] = (run.id, run.state)
    ended = run.state is not RunState.RUNNING
    if ended and (not seen or (was and was != (run.id, run.state))):
        st.rerun()


def _run_line(archive: Archive, run: Run) -> None:
    counts = run.counts
    seconds = max(1, (run.ended_at or int(time.time())) - run.started_at)
    where = plain(", ".join(run.paths))
    if run.state is RunState.RUNNING:
        share = counts.done / counts.listed if counts.listed else 0.0
        new = max(0, counts.done - counts.unchanged)
        rate = new / seconds
        left = f", about {(counts.listed - counts.done) / rate:.0f} s left" if rate > 0 else ""
        done = f"{number(counts.done)} of {number(counts.listed)}"
        st.progress(min(1.0, share), text=f"{where}: {done}, {rate:.1f} a second{left}")
        if st.button("Stop", help="Ends after the batch in hand; running it again goes on from there."):
            try:
                stop_index(archive, run)
            except NotFound:
                st.rerun()
        return
    counted = [
        f"{number(getattr(counts, name))} {name}"
        for name in ("indexed", "unchanged", "duplicate", "rejected", "gone")
        if getattr(counts, name)
    ]
    when = time.strftime("%d %B, %H:%M", time.localtime(run.ended_at or run.started_at))
    files = ", ".join(counted) or "No files"
    st.caption(f"Last run, {when}, {plain(run.model)}, {_STATES[run.state]}: {where}. {files}.")
    if run.message:
        st.error(plain(run.message))


@st.cache_data(show_spinner=False, max_entries=2)
def _by_year_and_modality(_archive: Archive, folder: str, fact_state: str) -> tuple[list[Facet], list[Facet]]:
    """Count the films by both; anew when `fact_state` has changed."""
    by_year, by_modality = (db_films.facets(_archive.catalog, column) for column in ("year", "modality"))
    return by_year, by_modality


def _contents(archive: Archive) -> None:
    contents = status(archive.folder)
    years, modalities = _by_year_and_modality(archive, str(archive.folder), archive.catalog.fact_state())
    facts = [
        ("Films", number(contents.films)),
        ("Duplicates", number(contents.files.duplicate)),
        ("Rejected", number(contents.files.rejected)),
        ("Gone", number(contents.files.gone)),
        ("With labels", number(contents.labelled)),
        ("Reports", number(contents.reports)),
        ("Size", f"{contents.megabytes:.0f} MB"),
    ]
    with st.container(horizontal=True, gap="large"):
        for name, value in facts:
            st.metric(name, value, width="content")
    if contents.same_uid:
        st.info(plain(f"{same_uid_note(contents.same_uid)}."), icon=":material/difference:")
    every: list[tuple[str, Sequence[Facet], bool]] = [
        ("Labels", contents.labels[:20], False),
        ("Views", contents.views[:12], False),
        ("Years", years, True),
        ("Modality", modalities, False),
    ]
    charts = [chart for chart in every if chart[1]]
    for column, (title, facets, ordered) in zip(st.columns(max(1, len(charts))), charts, strict=False):
        with column:
            _bars(title, [(facet.value, facet.count) for facet in facets], ordered=ordered)


def _bars(title: str, counts: Sequence[tuple[str, int]], *, ordered: bool) -> None:
    table = pd.DataFrame(counts, columns=[title, "Films"])
    most = max(count for _, count in counts)
    rows = alt.Chart(table).encode(
        x=alt.X("Films:Q", axis=None, scale=alt.Scale(domain=[0, most * 1.15])),
        y=alt.Y(
            f"{title}:N",
            sort=None if ordered else "-x",
            axis=alt.Axis(title=None, labelLimit=140, labelOverlap=False, labelFlush=False),
        ),
    )
    numbers = rows.mark_text(align="left", dx=5, color=layout.quiet_colour()).encode(
        text=alt.Text("Films:Q", format=",")
    )
    bars = rows.mark_bar(height={"band": 0.7})
    chart = alt.layer(bars, numbers).properties(height=alt.Step(18), title=title)
    st.altair_chart(
        layout.readable(chart),
        width="stretch",
        alt=f"Films by {title.lower()}: " + ", ".join(f"{v} {c}" for v, c in counts),
    )


def _models(archive: Archive) -> None:
    st.subheader("Models")
    table = pd.DataFrame(
        [
            {
                "Model": model.name,
                "Films embedded": model.films,
                "On this machine": model.ready,
                "Licence": model.licence,
                "Size, MB": model.size_mb,
                "Notes": model.notes,
            }
            for model in models(archive)
        ]
    )
    st.dataframe(table, hide_index=True, alt="The models that are known and how many films are embedded with each")


def _rejected(archive: Archive) -> None:
    st.subheader("Rejected files")
    files = rejected_files(archive.catalog)
    if not files:
        st.write("None.")
        return
    table = [
        {"File": cell(file.path), "Stage": file.stage, "Reason": file.reason, "Remedy": file.remedy}
        for file in files[:_REJECTED_SHOWN]
    ]
    st.dataframe(pd.DataFrame(table), hide_index=True, alt="Rejected files with reason and remedy")
    if any(file.option for file in files):
        st.caption("Words with two dashes are options of `filmroom index`, on the machine that serves this page.")
    download([File("All as CSV", "rejected.csv", "text/csv", lambda: rejected_csv(files))], key="rejected-csv")


def _doctor(archive: Archive) -> None:
    st.subheader("Doctor")
    st.write("Compares the catalog, its vectors and the search index.")
    with st.container(horizontal=True):
        if st.button("Examine"):
            with st.spinner("Examining"):
                st.session_state["examined"] = examine(archive)
        examined: Examination | None = st.session_state.get("examined")
        if examined and examined.faults and st.button("Repair", help="Mends by the side whose checksum is right."):
            with st.spinner("Repairing"):
                st.session_state["examined"] = examined = repair(archive)
    if examined is None:
        return
    if not examined.faults:
        st.success(f"All agrees: {number(examined.films)} films.")
    for fault in examined.faults:
        st.warning(plain(f"{fault.what} {fault.remedy}"))
