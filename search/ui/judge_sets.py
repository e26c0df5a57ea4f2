"""Judge through query sets, and list the films on which two readers differ."""

from __future__ import annotations

import functools
import re
import tempfile
from collections import Counter
from pathlib import Path

import streamlit as st
from filmroom.db.archive import Archive
from filmroom.db.errors import FilmroomError
from filmroom.db.writes import annotations as db_annotations
from filmroom.db.writes import query_sets as stored
from filmroom.search.evaluation import trec
from filmroom.search.evaluation.pooling import is_adjudication
from filmroom.search.ui import undo
from filmroom.search.ui.text import counted, films, number, plain

JUDGED = "Queries judged here"
_TAB = re.compile(r"\t|^\s*qid\b")


def sets(archive: Archive) -> dict[str, list[str]]:
    """Return the sets that were kept, and that of all queries that have grades."""
    judged = list(dict.fromkeys(judgement.query for judgement in db_annotations.judgements(archive.catalog)))
    return {**stored.query_sets(archive.catalog), **({JUDGED: judged} if judged else {})}


def progress(archive: Archive, queries: list[str], judge: str, depth: int) -> tuple[dict[str, int], int]:
    """Say how many films of each query this judge has graded, and of how many queries at least `depth`."""
    mine = Counter(
        judgement.query for judgement in db_annotations.judgements(archive.catalog) if judgement.judge == judge
    )
    return {query: mine[query] for query in queries}, sum(mine[query] >= depth for query in queries)


def choose_query(archive: Archive, judge: str, depth: int) -> None:
    """Offer a set, how far this judge is in it, and its queries, the next of which is put into the box above."""
    known = sets(archive)
    with st.container(horizontal=True, vertical_alignment="bottom", gap="small"):
        name = st.selectbox(
            "Query set",
            list(known),
            index=None,
            key="judge-set",
            bind="query-params",
            placeholder="None: one query at a time",
            format_func=lambda query_set: f"{query_set} ({counted(len(known[query_set]), 'query', 'queries')})",
            width=320,
        )
        if name in known:
            queries = known[name]
            graded, done = progress(archive, queries, judge, depth)
            _steps(queries, graded, depth)
        with st.popover("Sets", icon=":material/checklist:"):
            _manage(archive)
    if name in known:
        total = sum(min(count, depth) for count in graded.values())
        of_all = counted(len(queries), "query", "queries")
        text = f"{number(done)} of {of_all}, {number(total)} of {films(depth * len(queries))}"
        st.progress(total / max(1, depth * len(queries)), text=text)


def _steps(queries: list[str], graded: dict[str, int], depth: int) -> None:
    """Offer the next query that lacks grades, and any of them."""
    left = [query for query in queries if graded[query] < depth]
    current = st.session_state.get("judged")
    after = left[(left.index(current) + 1) % len(left)] if current in left else next(iter(left), None)
    st.button(
        "Next query" if current in queries else "Begin",
        key="next-query",
        shortcut="n",
        disabled=after is None or after == current,
        on_click=_ask,
        args=(after,),
    )
    st.selectbox(
        "Its queries",
        queries,
        index=None,
        key="judge-query",
        on_change=_ask_chosen,
        placeholder="Go to a query",
        format_func=lambda query: f"{query} ({number(graded[query])} of {depth})",
        width="stretch",
    )


def _ask(query: str | None) -> None:
    st.session_state["judged"] = query or ""


def _ask_chosen() -> None:
    _ask(st.session_state.get("judge-query"))


def _manage(archive: Archive) -> None:
    """Make a set of written or uploaded queries, or take one away."""
    name = st.text_input("Name of the set", key="set-name", max_chars=80)
    text = st.text_area("Queries, one a line, or the lines of a query file (qid, tab, query)", key="set-text")
    if st.button("Keep the set", key="set-keep", disabled=not (name.strip() and text.strip())):
        try:
            stored.put_query_set(archive.catalog, name, queries_of(text))
        except FilmroomError as fault:
            st.error(plain(str(fault)))
        else:
            undo.offer(f"The query set {name.strip()} is kept.")
            st.rerun()
    for stored_name, queries in stored.query_sets(archive.catalog).items():
        if st.button(f"Remove {plain(stored_name)}", key=f"set-remove-{stored_name}", type="tertiary"):
            stored.remove_query_set(archive.catalog, stored_name)
            undo.offer(
                f"The query set {stored_name} is removed; its judgements stay.",
                functools.partial(stored.put_query_set, archive.catalog, stored_name, queries),
            )
            st.rerun()


def queries_of(text: str) -> list[str]:
    """Return the queries of lines, or of the text of a query file. Raises BadInput."""
    if not _TAB.search(text):
        return [line.strip() for line in text.splitlines() if line.strip()]
    with tempfile.TemporaryDirectory(prefix="filmroom-") as folder:
        path = Path(folder) / "queries.tsv"
        path.write_text(text, "utf-8")
        return [topic.text for topic in trec.read_queries(path)]


def readers(archive: Archive, query: str, film_id: int) -> list[tuple[str, int]]:
    """Say who gave a film which grade for a query, without adjudications."""
    judgements = db_annotations.judgements(archive.catalog, query)
    of_film = [judgement for judgement in judgements if judgement.film_id == film_id]
    return [(judgement.judge, judgement.grade) for judgement in of_film if not is_adjudication(judgement.judge)]
