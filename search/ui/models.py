"""Choose which model answers this session, and show two models' answers to one search side by side."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import streamlit as st
from filmroom.db.archive import Archive
from filmroom.db.errors import FilmroomError
from filmroom.search.request import SearchRequest
from filmroom.search.results import Hit
from filmroom.search.searcher import Searcher
from filmroom.search.ui import layout, picks
from filmroom.search.ui.components.grid.grid import Act, Done, Mark
from filmroom.search.ui.result_grid import bar_of_walls, wall_of_hits
from filmroom.search.ui.text import number, plain

_MODEL, _BESIDE = "session-model", "beside-model"


def searcher(archive: Archive) -> Searcher:
    """Return the searcher of the model that this session has chosen, of the archive's own where it has chosen none."""
    usual = layout.searcher(layout.archive_folder())
    model = st.session_state.get(_MODEL)
    if model is None or model == usual.model or model not in names(archive):
        return usual
    return layout.searcher(layout.archive_folder(), model)


def names(archive: Archive) -> list[str]:
    """Return the models that can answer: films are embedded with them, and they are on this machine."""
    return list(dict.fromkeys(space.space.model for space in layout.spaces(archive)))


def choose(archive: Archive, *, beside: bool = False) -> None:
    """Offer a choice of model for this session alone, where there are several; with `beside`, of another one to
    compare."""
    known = names(archive)
    if len(known) < 2:
        return
    current = searcher(archive).model
    with st.popover(plain(current), icon=":material/neurology:", key="models"):
        st.selectbox("Model of this session", known, known.index(current), key="model-choice", on_change=_take)
        st.caption("Only for you. What answers everybody, `filmroom models use` says.")
        if beside:
            st.selectbox(
                "Side by side with",
                [name for name in known if name != current],
                index=None,
                key=_BESIDE,
                placeholder="No other model",
            )


def _take() -> None:
    st.session_state[_MODEL] = st.session_state["model-choice"]
    st.session_state.pop(_BESIDE, None)


def beside(archive: Archive, current: Searcher) -> Searcher | None:
    """Return the searcher of the model to compare with, where one was chosen."""
    model = st.session_state.get(_BESIDE)
    if model is None or model == current.model or model not in names(archive):
        return None
    return layout.searcher(layout.archive_folder(), model)


def side_by_side(
    left: Searcher, right: Searcher, answer: picks.Answer, mine: Sequence[Hit], *, tools: Sequence[Act]
) -> tuple[Done | None, picks.Answer]:
    """Show two walls below one bar, each film with its rank in the other answer; returns what was done on either, and
    the answer with the films of both."""
    request = dataclasses.replace(answer.request, k=len(mine))
    try:
        theirs = right.answer(request).hits
        ranks_right, ranks_left = _ranks(right, request, mine), _ranks(left, request, theirs)
    except FilmroomError as fault:
        st.warning(plain(str(fault)))
        return None, answer
    shared = len({hit.id for hit in mine} & {hit.id for hit in theirs})
    st.caption(
        f"{number(shared)} of the best {number(len(mine))} films are the same. "
        "Below a film stands its rank in the other answer."
    )
    film_ids = tuple(dict.fromkeys(hit.id for hit in (*mine, *theirs)))
    both_walls = dataclasses.replace(answer, shown=film_ids)
    bar = dataclasses.replace(both_walls.bar(), shown=film_ids)
    done = [bar_of_walls(left.catalog, bar, picks.change(), key="wall-bar")]
    walls = ((left, mine, ranks_right, "wall"), (right, theirs, ranks_left, "wall-beside"))
    for column, (searcher, hits, ranks, key) in zip(st.columns(2, gap="medium"), walls, strict=True):
        with column:
            st.markdown(f"##### {plain(searcher.model)}")
            done.append(
                wall_of_hits(
                    searcher.catalog,
                    hits,
                    key=key,
                    title=f"Films that match, {searcher.model}",
                    request=request,
                    tools=tools,
                    marks={hit.id: (Mark.NOTED, moved(hit.rank, ranks.get(hit.id))) for hit in hits},
                )
            )
    return next((act for act in done if act), None), both_walls


def _ranks(searcher: Searcher, request: SearchRequest, hits: Sequence[Hit]) -> dict[int, int]:
    hits_there = searcher.hits_of(request, [hit.id for hit in hits])
    return {hit.id: hit.rank for hit in hits_there if isinstance(hit, Hit)}


def moved(rank: int, other: int | None) -> str:
    """Say where a film stands in the other answer, and how far that is from here."""
    if other is None:
        return "not there"
    if other == rank:
        return f"rank {other} there, too"
    return f"rank {number(other)} there, {number(abs(other - rank))} {'lower' if other > rank else 'higher'}"
