"""Score the archive for a finding from prompts alone, and choose a threshold with its films in sight."""

from __future__ import annotations

from dataclasses import dataclass

import altair as alt
import numpy as np
import pandas as pd
import streamlit as st
from filmroom.db.archive import Archive
from filmroom.db.errors import BadInput, ModelUnavailable
from filmroom.db.reads import films as db_films
from filmroom.db.records import Filter
from filmroom.search.classification.zero_shot import Prompts, even_threshold, prompts_for, zero_shot
from filmroom.search.classification.zero_shot_archive import filter_of, patients_of, truths_in
from filmroom.search.evaluation.statistics import Interval, auc_interval
from filmroom.search.query.model_limits import limits_of_texts
from filmroom.search.query.reading import unknown_words_in
from filmroom.search.results import Hit
from filmroom.search.searcher import Searcher
from filmroom.search.ui import export_panel, layout, models, picks
from filmroom.search.ui.components.grid.grid import Act, Done, PickBar
from filmroom.search.ui.result_grid import wall_of_hits
from filmroom.search.ui.text import films, is_normal, number, plain
from numpy.typing import NDArray

AROUND = 16
BLOCK = 8_192
"""Films whose vectors are unpacked at a time: few enough for the processor's caches."""
FINDINGS = ("pleural effusion", "cardiomegaly", "pneumothorax", "edema", "pneumonia", "atelectasis")


def show() -> None:
    archive = layout.archive()
    searcher = models.searcher(archive)
    with st.container(horizontal=True, vertical_alignment="center"):
        st.title("Zero-shot")
        models.choose(archive)
    st.write("How much nearer a film is to prompts that say a finding than to prompts that deny it. No training.")
    known = [facet.value for facet in db_films.facets(archive.catalog, "label") if not is_normal(facet.value)][:30]
    finding = st.selectbox(
        "Finding", list(dict.fromkeys([*known, *FINDINGS])), key="finding", bind="query-params", accept_new_options=True
    )
    if not finding:
        return
    try:
        usual = prompts_for([finding], model=searcher.model)[0]
    except BadInput as fault:
        st.warning(plain(str(fault)))
        return
    left, middle, right = st.columns([2, 2, 1.4], vertical_alignment="top")
    positive = left.text_area("Prompts that say it, one a line", "\n".join(usual.positive), key=f"say-{finding}")
    negative = middle.text_area("Prompts that deny it, one a line", "\n".join(usual.negative), key=f"deny-{finding}")
    among = right.text_input("Only films that pass", placeholder="view:PA age:60..", key="among", bind="query-params")
    prompts = Prompts(finding, _lines(positive), _lines(negative), usual.labels)
    if not prompts.positive or not prompts.negative:
        st.warning("Both sides need a prompt.")
        return
    try:
        where = filter_of(among or "")
        state = archive.catalog.changes() if where.asks_annotations else archive.catalog.fact_state()
        key = (searcher.held.space.fingerprint, state, prompts, where)
        ids, scores = _scores(searcher, *key)
    except (BadInput, ModelUnavailable) as fault:
        st.warning(plain(str(fault)))
        return
    if not len(ids):
        st.write("No film passes.")
        return
    _doubts(searcher, prompts)
    _threshold(archive, prompts, ids, scores, _measured(searcher, *key))


def _doubts(searcher: Searcher, prompts: Prompts) -> None:
    weakness = limits_of_texts(searcher.held.space, [prompts.finding]).sentence
    for doubt in (weakness, *unknown_words_in(prompts.positive, searcher.towers, searcher.catalog)):
        if doubt:
            st.caption(plain(doubt))


def _lines(text: str) -> tuple[str, ...]:
    return tuple(line.strip() for line in text.splitlines() if line.strip())[:20]


@st.cache_data(show_spinner="Scoring", max_entries=16)
def _scores(
    _searcher: Searcher, fingerprint: str, state: int | str, prompts: Prompts, where: Filter
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Return (film ids, scores), best first, of the films that pass."""
    _searcher.index.refresh()
    ids = db_films.select_ids(_searcher.catalog, where)
    ids = ids[_searcher.index.holds(ids)]
    scores = np.zeros(len(ids), np.float32)
    texts = [*prompts.positive, *prompts.negative]
    text_vectors = dict(zip(texts, _searcher.towers.embed_texts(texts), strict=True))
    for start in range(0, len(ids), BLOCK):
        vectors = _searcher.index.vectors(ids[start : start + BLOCK])
        scores[start : start + BLOCK] = zero_shot(
            vectors, prompts, lambda names: np.stack([text_vectors[name] for name in names])
        )
    order = np.argsort(-scores, kind="stable")  # the ids ascend
    return ids[order], scores[order]


@dataclass(frozen=True)
class _Measured:
    """What labels say of the films (N,), the AUC, None where they do not say both present and absent, and the
    threshold at which sensitivity and specificity are equal, None where there are too few labels for one. None of it
    depends on the threshold that is chosen."""

    truth: NDArray[np.float64]
    area: Interval | None = None
    even: float | None = None


@st.cache_data(show_spinner="Measuring", max_entries=16)
def _measured(_searcher: Searcher, fingerprint: str, state: int | str, prompts: Prompts, where: Filter) -> _Measured:
    """Return what is measured of the films that `_scores` returns."""
    ids, scores = _scores(_searcher, fingerprint, state, prompts, where)
    truth = truths_in(_searcher.catalog, [prompts], ids)[prompts.finding]
    known = ~np.isnan(truth)
    present = truth[known] > 0.5
    if present.all() or not present.any():
        return _Measured(truth)
    area = auc_interval(scores[known], present, groups=patients_of(_searcher.catalog, ids[known].tolist()))
    return _Measured(truth, area, None if np.isnan(area.low) else even_threshold(scores, truth))


@st.fragment
def _threshold(
    archive: Archive,
    prompts: Prompts,
    ids: NDArray[np.int64],
    scores: NDArray[np.float32],
    measured: _Measured,
) -> None:
    truth = measured.truth
    low, high = float(scores.min()), float(scores.max())
    if high - low < 1e-6:
        st.write("All films score the same.")
        return
    step = (high - low) / 200
    start = float(np.clip(measured.even or 0.0, low, high))
    cut = st.slider("Threshold", low, high, start, step=step, format="%.3f", key=f"cut-{prompts.finding}")
    selected = int(np.searchsorted(-scores, -cut, side="right"))
    share = selected / len(ids)
    summary = f"**{number(selected)}** of {films(len(ids))} ({100 * share:.1f} %) score at least {cut:.3f}"
    st.markdown(summary + _accuracy(truth, measured.area, selected))
    st.caption(
        "No measured cut: at 0 both sides of prompts are equally near. Look at the films on either side of it."
        if measured.even is None
        else f"The start, {measured.even:.3f}, is where sensitivity and specificity meet, by these labels."
    )
    st.altair_chart(
        layout.readable(_histogram(scores, truth, cut)),
        width="stretch",
        alt=f"Histogram of the scores; {selected} at or above",
    )
    with st.container(horizontal=True), st.popover("Collect", icon=":material/library_add:"):
        export_panel.collect(archive, ids[:selected].tolist(), key="zeroshot")
    above, below = _around(archive, ids, scores, selected)
    answer = picks.Answer(archive, tuple(hit.id for hit in above), selected, listed=tuple(ids[:selected].tolist()))
    done = _walls(archive, above, below, answer.bar())
    if done and done.act is Act.OPEN:
        st.switch_page(layout.pages()["film"], query_params={"film": str(done.film), "q": prompts.positive[0]})
    elif done:
        picks.carry_out(done, answer)


def _around(
    archive: Archive, ids: NDArray[np.int64], scores: NDArray[np.float32], selected: int
) -> tuple[list[Hit], list[Hit]]:
    """Return the last films above the threshold and the first below it."""
    first = max(0, selected - AROUND)
    near = ids[first : selected + AROUND].tolist()
    records = {film.id: film for film in db_films.films(archive.catalog, near)}
    last = max(1, len(ids) - 1)
    hits = [
        Hit(place + 1, records[film_id], float(scores[place]), 100.0 * (1 - place / last))
        for place, film_id in enumerate(near, first)
        if film_id in records
    ]
    return hits[: selected - first], hits[selected - first :]


def _walls(archive: Archive, above: list[Hit], below: list[Hit], bar: PickBar) -> Done | None:
    """Show both groups under one bar, which the first of them has; returns what was done on either."""
    bar_to_show: PickBar | None = bar
    acts = []
    for title, hits in (("Last above the threshold", above), ("First below", below)):
        if hits:
            st.markdown(f"##### {title}")
            acts.append(
                wall_of_hits(
                    archive.catalog,
                    hits,
                    key=f"wall-{title}",
                    title=title,
                    small=True,
                    tools=(Act.PICK,),
                    bar=bar_to_show,
                    change=picks.change(),
                )
            )
            bar_to_show = None
    return next((act for act in acts if act), None)


def _accuracy(truth: NDArray[np.float64], area: Interval | None, selected: int) -> str:
    """Return AUC, sensitivity and specificity at the threshold, where labels say what is there."""
    if area is None:
        return ". No AUC: the archive has no labels that say both present and absent."
    known = ~np.isnan(truth)
    present = truth[known] > 0.5
    span = "" if np.isnan(area.low) else f" ({area.low:.3f} to {area.high:.3f}, over patients)"
    above = np.flatnonzero(known) < selected
    sensitivity = float(above[present].mean())
    specificity = float((~above[~present]).mean())
    return (
        f". AUC **{area.value:.3f}**{span} over {films(int(known.sum()))} with labels, "
        f"{number(int(present.sum()))} of them positive; "
        f"here sensitivity {sensitivity:.2f}, specificity {specificity:.2f}"
    )


def _histogram(scores: NDArray[np.float32], truth: NDArray[np.float64], cut: float) -> alt.LayerChart | alt.FacetChart:
    edges = np.linspace(scores.min(), scores.max(), 61)
    kinds = {"Labelled present": truth > 0.5, "Labelled absent": truth <= 0.5, "No label": np.isnan(truth)}
    table = pd.concat(
        [
            pd.DataFrame(
                {"from": edges[:-1], "to": edges[1:], "Films": np.histogram(scores[members], edges)[0], "Label": kind}
            )
            for kind, members in kinds.items()
            if members.any()
        ]
    )
    bars = (
        alt.Chart(table)
        .mark_bar()
        .encode(
            x=alt.X("from:Q", title="Score", bin="binned"),
            x2="to:Q",
            y=alt.Y("Films:Q", stack=True, axis=alt.Axis(labelFlush=False, tickMinStep=1)),
            color=alt.Color("Label:N", sort=list(kinds), legend=alt.Legend(orient="top", title=None)),
            order=alt.Order("Label:N"),
        )
    )
    rule = (
        alt.Chart(pd.DataFrame({"cut": [cut]}))
        .mark_rule(strokeWidth=2, strokeDash=[5, 4], color="#8a929a")
        .encode(x="cut:Q")
    )
    return alt.layer(bars, rule, height=220)
