"""Judge: the pool of films for a query, one at a time, graded 0 to 3: how an archive gets its own ground truth."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path

import streamlit as st
from filmroom.db.archive import Archive
from filmroom.db.reads import films as db_films
from filmroom.db.writes import annotations as db_annotations
from filmroom.db.writes.annotations import Judgement
from filmroom.search.evaluation import trec
from filmroom.search.evaluation.pooling import (
    ADJUDICATED,
    DEPTH,
    GRADES,
    agreements,
    disagreements,
    is_adjudication,
    pool,
    to_qrels,
)
from filmroom.search.query.parser import parse
from filmroom.search.query.reading import unknown_words_in
from filmroom.search.searcher import Searcher
from filmroom.search.ui import film_view, judge_sets, layout
from filmroom.search.ui.components.download.download import File, download
from filmroom.search.ui.text import counted, facts, films, findings, plain


def show() -> None:
    archive = layout.archive()
    st.title("Judge")
    query, judge, depth, names = _question(archive)
    judge_sets.choose_query(archive, judge, depth)
    if _adjudicates(archive):
        _adjudicating(archive, judge)
        return
    if not query or not judge or not names:
        st.write("Name a query and yourself. Films come in an order that does not tell their rank; keys 0 to 3 grade.")
        _overview(archive)
        return
    if not (words := parse(query).positive + parse(query).negated):
        st.warning("A query to judge needs words that say what the films should show.")
        return
    for doubt in unknown_words_in(words, layout.searcher(layout.archive_folder(), names[0]).towers, archive.catalog):
        st.warning(plain(f"{doubt} Grades are kept under the query as it stands."))
    _judging(archive, query, judge, _picked(archive) or _pooled(query, depth, names))


def _adjudicates(archive: Archive) -> bool:
    """Tell whether the reader wants to settle what others graded differently; offered where there is something to
    settle."""
    count = len(disagreements(db_annotations.judgements(archive.catalog)))
    if not count and not st.session_state.get("adjudicate"):
        return False
    label = f"Adjudicate {counted(count, 'film')} on which readers differ"
    return st.toggle(label, key="adjudicate", help="The grade given here counts in place of theirs, in qrels too.")


def _adjudicating(archive: Archive, judge: str) -> None:
    left = disagreements(db_annotations.judgements(archive.catalog))
    mine = [
        judgement for judgement in db_annotations.judgements(archive.catalog) if judgement.judge == ADJUDICATED + judge
    ]
    if not judge:
        st.write("Name yourself above to adjudicate.")
        return
    film = next(iter(db_films.films(archive.catalog, [left[0][1]])), None) if left else None
    with st.container(key="judging"):
        large, side = st.columns([2, 1], gap="medium")
    with side:
        if film is None:
            st.success("There is nothing left to adjudicate.")
        else:
            query = left[0][0]
            st.subheader(plain(query))
            st.caption(plain(f"Film {film.id}: {facts(film.tags)}"))
            for reader, grade in judge_sets.readers(archive, query, film.id):
                st.write(plain(f"{reader}: {GRADES[grade]}"))
            _grades(archive, query, film.id, ADJUDICATED + judge)
        st.button(
            "Undo", key="undo-grade", shortcut="Backspace", disabled=not mine, type="tertiary",
            on_click=_undo, args=(archive, None, ADJUDICATED + judge),
        )  # fmt: skip
    if film is not None:
        with large:
            film_view.plain_viewer(archive, film, key="judge-viewer", focus=True)
    _overview(archive)


def _grades(archive: Archive, query: str, film_id: int, judge: str) -> None:
    with st.container(key="grades"):
        for grade, meaning in GRADES.items():
            st.button(
                meaning,
                key=f"grade-{grade}",
                shortcut=str(grade),
                width="stretch",
                on_click=_grade,
                args=(archive, Judgement(query, film_id, judge, grade)),
            )


def _picked(archive: Archive) -> list[int]:
    """Return the films that were picked elsewhere to be judged, as long as they are asked for."""
    ids = [film.id for film in db_films.films(archive.catalog, st.session_state.get("judge-films", ()))]
    if ids:
        with st.container(horizontal=True, vertical_alignment="center", gap="small"):
            st.caption(f"The {films(len(ids))} that you picked, in place of the pool.", width="content")
            if st.button("Judge the pool", key="judge-pool", type="tertiary"):
                del st.session_state["judge-films"]
                st.rerun()
    return ids


def _pooled(query: str, depth: int, names: list[str]) -> list[int]:
    searchers = [layout.searcher(layout.archive_folder(), name) for name in names]
    fingerprints = tuple(searcher.held.space.fingerprint for searcher in searchers)
    return _pool(searchers, fingerprints, query, depth, len(searchers[0].index))


def _question(archive: Archive) -> tuple[str, str, int, list[str]]:
    models = [space.space.model for space in layout.spaces(archive)]
    person = str(st.user.get("email", "") or "") if st.user.get("is_logged_in") else ""
    left, middle, right = st.columns([5, 2, 1], vertical_alignment="bottom")
    query = left.text_input("Query", key="judged", bind="query-params", placeholder="small left pleural effusion")
    if person:
        middle.text_input("Judge", person, disabled=True)
    else:
        person = middle.text_input("Judge", key="judge", placeholder="your initials", persist_state="session") or ""
    with right.popover("Pool", width="stretch"):
        names = st.multiselect("Models", models, default=models[:3], key="judge-models")
        depth = st.number_input("Depth", 5, 100, DEPTH, key="judge-depth", help="Films of each model in the pool")
    return (query or "").strip(), person.strip(), int(depth), names


@st.cache_data(show_spinner="Gathering the pool", max_entries=64)
def _pool(_searchers: list[Searcher], fingerprints: tuple[str, ...], query: str, depth: int, films: int) -> list[int]:
    return pool(_searchers, query, depth=depth)


def _judging(archive: Archive, query: str, judge: str, ids: list[int]) -> None:
    graded = {
        judgement.film_id: judgement
        for judgement in db_annotations.judgements(archive.catalog, query)
        if judgement.judge == judge
    }
    done = [film_id for film_id in ids if film_id in graded]
    left = [film_id for film_id in ids if film_id not in graded]
    st.progress(len(done) / max(1, len(ids)), text=f"{len(done)} of {len(ids)} judged")
    film = next(iter(db_films.films(archive.catalog, left[:1])), None)
    with st.container(key="judging"):
        large, side = st.columns([2, 1], gap="medium")
    with side:
        st.subheader(plain(query))
        if film is None:
            st.success("All of these films are judged. The judgements are below, and on the Evaluate page.")
        else:
            st.caption(plain(f"Film {film.id}: {facts(film.tags)}"))
            _grades(archive, query, film.id, judge)
        st.button(
            "Undo", key="undo-grade", shortcut="Backspace", disabled=not graded, on_click=_undo,
            args=(archive, query, judge), type="tertiary",
        )  # fmt: skip
        if film and findings(film):
            with st.expander("Labels"):
                st.write(plain(findings(film)))
    if film is not None:
        with large:
            film_view.plain_viewer(archive, film, key="judge-viewer", focus=True)
    _overview(archive)


def _grade(archive: Archive, judgement: Judgement) -> None:
    with layout.faults_as_toasts():
        db_annotations.judge(archive.catalog, judgement)


def _undo(archive: Archive, query: str | None, judge: str) -> None:
    """Take back the last grade of a judge, for a query or for any."""
    mine = [judgement for judgement in db_annotations.judgements(archive.catalog, query) if judgement.judge == judge]
    if mine:
        db_annotations.unjudge(archive.catalog, mine[-1])


def _overview(archive: Archive) -> None:
    judgements = db_annotations.judgements(archive.catalog)
    if not judgements:
        return
    st.subheader("Judgements")
    grades = counted(len(judgements), "grade")
    queries = counted(len({judgement.query for judgement in judgements}), "query", "queries")
    names = [judgement.judge for judgement in judgements]
    judges = counted(len({name for name in names if not is_adjudication(name)}), "judge")
    settled = sum(map(is_adjudication, names))
    st.write(f"{grades}, {queries}, {judges}{f', {settled} adjudicated' if settled else ''}.")
    for pair in agreements(judgements):
        kappa = "undefined" if pair.kappa is None else f"{pair.kappa:.2f}"
        st.caption(
            plain(
                f"{pair.a} and {pair.b}: {films(pair.films)} in common, {100 * pair.equal:.0f} % equal, "
                f"weighted kappa {kappa}"
            )
        )
    files = [
        File("Queries, TSV", "queries.tsv", "text/tab-separated-values", lambda: _queries(archive)),
        File("Qrels", "qrels.txt", "text/plain", lambda: _qrels(archive)),
    ]
    download(files, key="judged-files")


def _queries(archive: Archive) -> bytes:
    questions, _ = to_qrels(db_annotations.judgements(archive.catalog), db_films.everyone(archive.catalog))
    return _written(lambda path: trec.write_queries(path, questions))


def _qrels(archive: Archive) -> bytes:
    _, qrels = to_qrels(db_annotations.judgements(archive.catalog), db_films.everyone(archive.catalog))
    return _written(lambda path: trec.write_qrels(path, qrels))


def _written(write: Callable[[Path], None]) -> bytes:
    with tempfile.TemporaryDirectory(prefix="filmroom-") as folder:
        path = Path(folder) / "file"
        write(path)
        return path.read_bytes()
