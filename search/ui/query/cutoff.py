"""Cut an answer off: at a least percentile or score, over the histogram of the scores of all that pass."""

from __future__ import annotations

import dataclasses

import altair as alt
import numpy as np
import pandas as pd
import streamlit as st
from filmroom.search.request import PAGE, SearchRequest
from filmroom.search.searcher import Searcher
from filmroom.search.ui import layout
from filmroom.search.ui.text import films, number
from numpy.typing import NDArray

BINS = 36
_PERCENTILE, _SCORE = "Percentile", "Score"


def control(searcher: Searcher, request: SearchRequest) -> SearchRequest | None:
    """Return a button that opens the cut-off; returns the request with another one where it was changed."""
    with st.popover("Cut-off", icon=":material/content_cut:", key="cutoff", on_change="rerun") as opened:
        if not opened.open:
            return None
        scores = searcher.scores(request)
        if scores.size < 2 or scores[0] - scores[-1] < 1e-6:
            st.write("There are no scores to cut: say in words what the films should show.")
            return None
        return _chosen(scores, request)


def _chosen(scores: NDArray[np.float32], request: SearchRequest) -> SearchRequest | None:
    kind = st.segmented_control(
        "Cut by",
        (_PERCENTILE, _SCORE),
        key="cut-by",
        default=_SCORE if request.least_score is not None else _PERCENTILE,
    )
    if kind == _SCORE:
        low, high = float(np.floor(100 * scores[-1]) / 100), float(np.ceil(100 * scores[0]) / 100)
        was = low if request.least_score is None else float(np.clip(request.least_score, low, high))
        value = st.slider("Least score", low, high, was, 0.01, key="cut-score")
        cut = dataclasses.replace(request, least_percentile=None, least_score=value if value > low else None)
        edge = value
    else:
        value = st.slider(
            "Least percentile of the archive",
            0.0,
            100.0,
            float(request.least_percentile or 0.0),
            0.5,
            key="cut-percentile",
        )
        cut = dataclasses.replace(request, least_percentile=value if value > 0 else None, least_score=None)
        edge = None
    st.altair_chart(
        layout.readable(_histogram(scores, edge)),
        width="stretch",
        alt=f"Histogram of the scores of {films(scores.size)}",
    )
    if edge is not None:
        st.caption(f"{number(int((scores >= edge).sum()))} of {films(scores.size)} score at least {edge:.2f}.")
    left, right = st.columns(2)
    if left.button("Cut here", type="primary", key="cut-do", width="stretch"):
        return dataclasses.replace(cut, k=PAGE)
    if right.button("Show all", key="cut-none", width="stretch", disabled=not request.has_cut):
        return dataclasses.replace(request, least_percentile=None, least_score=None)
    return None


def _histogram(scores: NDArray[np.float32], edge: float | None) -> alt.LayerChart | alt.FacetChart:
    counts, edges = np.histogram(scores, BINS)
    table = pd.DataFrame({"from": edges[:-1], "to": edges[1:], "Films": counts})
    bars = (
        alt.Chart(table)
        .mark_bar(binSpacing=1)
        .encode(
            x=alt.X("from:Q", title="Score", bin="binned"),
            x2="to:Q",
            y=alt.Y("Films:Q", axis=alt.Axis(labelFlush=False, tickMinStep=1)),
        )
    )
    rule = alt.Chart(pd.DataFrame({"cut": [] if edge is None else [edge]})).mark_rule(strokeWidth=2, strokeDash=[5, 4])
    return alt.layer(bars, rule.encode(x="cut:Q"), height=150)
