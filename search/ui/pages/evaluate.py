"""Evaluate: how good the ranking is on queries with judgements, query by query, and whether another is better."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path

import altair as alt
import pandas as pd
import streamlit as st
from filmroom.db.archive import Archive
from filmroom.db.errors import BadInput, FilmroomError
from filmroom.db.reads import films as db_films
from filmroom.db.writes import annotations as db_annotations
from filmroom.db.writes import runs
from filmroom.search.evaluation.comparison import Compared, missing_queries, side_by_side
from filmroom.search.evaluation.evaluator import Measured, evaluate_questions
from filmroom.search.evaluation.metrics import BASELINES, Evaluation, measure_run
from filmroom.search.evaluation.pooling import to_qrels
from filmroom.search.evaluation.statistics import Interval
from filmroom.search.evaluation.trec import Qrels, Run, Topic, read_qrels, read_queries, read_run, resolve
from filmroom.search.results import Hit
from filmroom.search.searcher import Searcher
from filmroom.search.ui import layout
from filmroom.search.ui.components.grid.grid import Act, Mark
from filmroom.search.ui.result_grid import wall_of_hits
from filmroom.search.ui.text import counted, films, plain

MINE = "Judgements made here"
UPLOADED = "Files from my computer"
SHOWN = 16


@dataclass(frozen=True)
class Task:
    """Queries and their judgements by document name."""

    questions: tuple[Topic, ...]
    qrels: Qrels


def show() -> None:
    archive = layout.archive()
    st.title("Evaluate")
    st.write("Asks every query of a set and compares the answers with judgements.")
    models = [space.space.model for space in layout.spaces(archive)]
    left, middle, right = st.columns([3, 2, 2], vertical_alignment="bottom")
    files = _sets(archive)
    offered = [*files, *([MINE] if db_annotations.judgements(archive.catalog) else []), UPLOADED]
    chosen = left.selectbox("Queries and judgements", offered, key="set", bind="query-params")
    model = middle.selectbox("Model", models, key="model", bind="query-params")
    judged_only = right.toggle(
        "Judged films only",
        key="judged-only",
        bind="query-params",
        help="Ranks only the films that were judged for the query (the condensed list).",
    )
    hybrid = right.toggle(
        "With report words",
        key="hybrid",
        bind="query-params",
        help="Fuses each ranking with that of the report words, as the search does with hybrid.",
    )
    if not model:
        st.write("No film is indexed with a model that is on this machine.")
        return
    try:
        task = _uploaded() if chosen == UPLOADED else _mine(archive) if chosen == MINE else _read(*files[str(chosen)])
        if task is None:
            return
        searcher = layout.searcher(layout.archive_folder(), model)
        measured = _measure(searcher, _state(searcher), task, judged_only, hybrid)
    except FilmroomError as fault:
        st.warning(plain(str(fault)))
        return
    _mean(measured)
    _bars(archive, searcher, measured, task)
    _other(archive, measured, task, models, judged_only=judged_only)


def _sets(archive: Archive) -> dict[str, tuple[Path, Path]]:
    """Return queries.tsv and qrels.txt that lie in or beside an indexed folder."""
    sets = {}
    for root in runs.roots(archive.catalog):
        for folder in (Path(root), Path(root).parent):
            pair = (folder / "queries.tsv", folder / "qrels.txt")
            if all(file.is_file() for file in pair):
                sets[str(folder)] = pair
    return sets


def _uploaded() -> Task | None:
    left, right = st.columns(2)
    queries = left.file_uploader("Queries: id TAB query [TAB group]", key="queries-file")
    qrels = right.file_uploader("Qrels: query-id 0 document grade", key="qrels-file")
    if queries is None or qrels is None:
        st.caption("A document is a film's name without its suffix, its path, or its SOP Instance UID.")
        return None
    with tempfile.TemporaryDirectory(prefix="filmroom-") as folder:
        paths = Path(folder) / "queries.tsv", Path(folder) / "qrels.txt"
        for path, upload in zip(paths, (queries, qrels), strict=True):
            path.write_bytes(upload.getbuffer())
        return _read(*paths)


def _read(queries: Path, qrels: Path) -> Task:
    return Task(tuple(read_queries(queries)), read_qrels(qrels))


def _mine(archive: Archive) -> Task:
    questions, qrels = to_qrels(db_annotations.judgements(archive.catalog), db_films.everyone(archive.catalog))
    return Task(tuple(questions), qrels)


def _state(searcher: Searcher) -> tuple[str, int]:
    return searcher.held.space.fingerprint, searcher.catalog.changes()


@st.cache_data(show_spinner="Asking every query", max_entries=16)
def _measure(_searcher: Searcher, state: tuple[str, int], task: Task, judged_only: bool, hybrid: bool) -> Measured:
    return evaluate_questions(_searcher, task.questions, task.qrels, judged_only=judged_only, hybrid=hybrid)


def _mean(measured: Measured) -> None:
    evaluation = measured.evaluation
    with st.container(horizontal=True, gap="large"):
        for name, mean in evaluation.mean.items():
            span = f"{mean.low:.3f} to {mean.high:.3f}" if mean.bounded else "too few queries"
            st.metric(name, f"{mean.value:.3f}", span, delta_color="off",
                      delta_arrow="off", width="content")  # fmt: skip
    first = evaluation.measures[0]
    base = ", ".join(
        f"{plain(name)} {values[first]:.3f} ({BASELINES[name]})" for name, values in evaluation.baselines.items()
    )
    queries = counted(len(evaluation.queries), "query", "queries")
    intervals = (
        "; means with their 95 % intervals, bootstrapped over the queries" if evaluation.mean[first].bounded else ""
    )
    st.caption(
        f"{queries}, {plain(measured.model)}{intervals}. "
        f"Answered perfectly: {evaluation.perfect[first]}. "
        f"{first} of rankings that look at no film: {base}."
    )
    for sentence in evaluation.left_out:
        st.caption(plain(sentence))
    if measured.missing:
        names = ", ".join(measured.missing[:5]) + (" ..." if len(measured.missing) > 5 else "")
        match = "judged name matches" if len(measured.missing) == 1 else "judged names match"
        st.caption(plain(f"{len(measured.missing)} {match} no film here: {names}"))


@st.fragment
def _bars(archive: Archive, searcher: Searcher, measured: Measured, task: Task) -> None:
    evaluation = measured.evaluation
    measures = evaluation.measures
    measure = st.segmented_control("Measure", measures, default=measures[0], required=True, key="measure")
    groups = {question.qid: question.group for question in task.questions}
    table = pd.DataFrame(
        [
            {
                "qid": qid,
                "Query": evaluation.texts[qid],
                "Group": groups.get(qid) or "all",
                "value": values[str(measure)],
            }
            for qid, values in evaluation.queries.items()
        ]
    ).sort_values("value", ascending=False)
    mean = evaluation.mean[str(measure)]
    chosen = st.altair_chart(
        layout.readable(_chart(table, mean, str(measure))),
        width="stretch",
        on_select="rerun",
        key="bars",
        alt=f"{measure} of each query, best first; their mean {mean}",
    )
    band = ", the band its 95 % interval" if mean.bounded else ""
    st.caption(f"A bar is one query, which has a value and no interval. The dashed line is the mean over all{band}.")
    _groups(measured, str(measure))
    ordered = table["qid"].tolist()
    clicked = [row.get("qid") for row in chosen.get("selection", {}).get("bar", [])]
    if clicked and st.session_state.get("clicked") != clicked[0] and clicked[0] in ordered:
        st.session_state.clicked = st.session_state["behind"] = clicked[0]
    qid = st.selectbox(
        "The films behind a query",
        ordered,
        key="behind",
        format_func=lambda option: f"{evaluation.texts[option]} ({evaluation.queries[option][str(measure)]:.3f})",
    )
    if qid:
        _behind(archive, searcher, task, str(qid), evaluation)


def _chart(table: pd.DataFrame, mean: Interval, measure: str) -> alt.LayerChart | alt.FacetChart:
    """Return a bar a query, before the mean over all and its interval."""
    picked = alt.selection_point(name="bar", fields=["qid"], on="click")
    chart = (
        alt.Chart(table)
        .mark_bar()
        .encode(
            x=alt.X(
                "Query:N", sort=None, axis=alt.Axis(labels=len(table) <= 40, labelAngle=-50, labelLimit=150, title=None)
            ),
            y=alt.Y("value:Q", scale=alt.Scale(domain=[0, 1]), title=measure, axis=alt.Axis(labelFlush=False)),
            color=alt.Color("Group:N", legend=alt.Legend(orient="top", title=None, columns=3, labelLimit=90)),
            opacity=alt.condition(picked, alt.value(1.0), alt.value(0.55)),
            tooltip=["Query", "Group", alt.Tooltip("value:Q", format=".3f", title=measure)],
        )
        .add_params(picked)
    )
    low, high = (mean.low, mean.high) if mean.bounded else (mean.value, mean.value)
    over_all = alt.Chart(pd.DataFrame([{"mean": mean.value, "low": low, "high": high}]))
    band = over_all.mark_rect(opacity=0.22, color="#9aa2ab").encode(y="low:Q", y2="high:Q")
    line = over_all.mark_rule(strokeDash=[5, 4], strokeWidth=2, color="#8a929a").encode(y="mean:Q")
    return alt.layer(band, chart, line, height=300)


def _groups(measured: Measured, measure: str) -> None:
    means = {group: values[measure] for group, values in measured.evaluation.groups.items()}
    if len(means) < 2:
        return
    table = pd.DataFrame(
        [
            {
                "Group": f"{group} ({interval.n})",
                "mean": interval.value,
                "low": interval.low if interval.bounded else interval.value,
                "high": interval.high if interval.bounded else interval.value,
            }
            for group, interval in means.items()
        ]
    ).sort_values("mean", ascending=False)
    base = alt.Chart(table).encode(y=alt.Y("Group:N", sort=None, title=None, axis=alt.Axis(labelFlush=False)))
    bars = base.mark_bar(opacity=0.6, height=12).encode(
        x=alt.X(
            "mean:Q",
            scale=alt.Scale(domain=[0, 1]),
            title=f"mean {measure}, 95 %",
            axis=alt.Axis(tickCount=6, labelBound=False),
        )
    )
    ends = base.mark_rule(strokeWidth=2, color="#e5a561").encode(x="low:Q", x2="high:Q")
    st.altair_chart(
        layout.readable(alt.layer(bars, ends, height=alt.Step(22))),
        width="stretch",
        alt=f"Mean {measure} by kind of query, with intervals",
    )


def _behind(archive: Archive, searcher: Searcher, task: Task, qid: str, evaluation: Evaluation) -> None:
    text, judged_only = evaluation.texts[qid], evaluation.judged_only
    grades = resolve(task.qrels, db_films.everyone(archive.catalog)).grades.get(qid, {})
    ranked = searcher.rank(text, k=len(searcher.index) if judged_only else SHOWN, hybrid=evaluation.hybrid)
    if judged_only:
        ranked = [(film_id, score) for film_id, score in ranked if film_id in grades]
    ranked = ranked[:SHOWN]
    records = {film.id: film for film in db_films.films(archive.catalog, [film_id for film_id, _ in ranked])}
    hits = [
        Hit(at, records[film_id], score, None) for at, (film_id, score) in enumerate(ranked, 1) if film_id in records
    ]
    marks = {
        film_id: (Mark.RIGHT if grade else Mark.WRONG, f"right, grade {grade}" if grade else "wrong")
        for film_id, grade in grades.items()
    }
    relevant = sum(grade > 0 for grade in grades.values())
    st.caption(f"{relevant} relevant of {films(len(grades))} judged. Films without a mark were not judged.")
    done = wall_of_hits(
        archive.catalog, hits, key="wall-behind", title="Ranked films of the query", marks=marks, small=True
    )
    if done and done.act is Act.OPEN:
        st.switch_page(layout.pages()["film"], query_params={"film": str(done.film), "q": text})


def _other(archive: Archive, measured: Measured, task: Task, models: list[str], *, judged_only: bool) -> None:
    """Compare in pairs with another model of the archive, or with a run file."""
    st.subheader("Compare")
    other_models = [name for name in models if name != measured.model]
    left, right = st.columns(2)
    other = left.selectbox("With another model", other_models, index=None, key="other") if other_models else None
    run = (right if other_models else left).file_uploader(
        "Or with a TREC run" if other_models else "With a TREC run", key="run-file"
    )
    lacking: tuple[str, ...] = ()
    try:
        if run is not None:
            ranked = _read_run(run.getvalue())
            scores, lacking = measure_run(ranked, task.qrels), missing_queries(ranked, task.qrels)
        elif other:
            searcher = layout.searcher(layout.archive_folder(), other)
            scores = _measure(
                searcher, _state(searcher), task, judged_only, measured.evaluation.hybrid
            ).evaluation.queries
        else:
            return
        done = side_by_side(("here", "there"), (measured.evaluation.queries, scores), lacking=((), lacking))
    except BadInput as fault:
        st.warning(plain(str(fault)))
        return
    _differences(measured.model, done)


def _read_run(content: bytes) -> Run:
    with tempfile.TemporaryDirectory(prefix="filmroom-") as folder:
        path = Path(folder) / "run"
        path.write_bytes(content)
        return read_run(path)


def _differences(model: str, done: Compared) -> None:
    """Show the differences of a comparison, measure by measure, with what makes it unfair."""
    comparison = done.comparison
    table = pd.DataFrame(
        [
            {
                "Measure": measure.measure,
                model: measure.a,
                "Other": measure.b,
                "Difference": f"{measure.difference.value:+.3f}"
                + (
                    f" [{measure.difference.low:+.3f}, {measure.difference.high:+.3f}]"
                    if measure.difference.bounded
                    else ""
                ),
                "p": measure.p,
                "p (Holm)": measure.p_holm,
                "Better, worse": f"{measure.better}, {measure.worse}",
            }
            for measure in comparison.measures
        ]
    )
    st.dataframe(table, hide_index=True, alt="Differences by measure with a paired test")
    for warning in done.warnings:
        st.warning(plain(f"{warning}. A is {model}, B the other."))
    queries = counted(comparison.n, "query", "queries")
    st.caption(plain(f"{queries} of both; {comparison.test}. A positive difference says that the other is better."))
