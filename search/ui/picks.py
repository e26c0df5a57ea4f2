"""Act on the films that a reader has picked: collect, tag, export, copy, judge, and search by them."""

from __future__ import annotations

import dataclasses
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import streamlit as st
from filmroom.db.archive import Archive
from filmroom.db.reads import film_facts
from filmroom.db.reads import films as db_films
from filmroom.db.records import Film
from filmroom.db.writes import annotations as db_annotations
from filmroom.search.query.parser import parse, to_text
from filmroom.search.request import MOST_EXAMPLES, Order, SearchRequest
from filmroom.search.results import Hit
from filmroom.search.searcher import Searcher
from filmroom.search.ui import export_panel, layout, undo
from filmroom.search.ui.components.grid.grid import Act, Done, PickBar, PickChange
from filmroom.search.ui.text import counted, films, number, plain

MOST_PASSING = 10_000
"""Films of an answer that can be picked or exported at once."""

ON_FILMS = (Act.COLLECT, Act.TAG, Act.EXPORT, Act.COPY)
ON_RESULTS = (*ON_FILMS, Act.SIMILAR, Act.JUDGE)
_CHANGE = "pick-change"
_MANY_TAGS, _TAGS_HEIGHT = 30, 220


@dataclass(frozen=True)
class Answer:
    """The films of a page that may be acted on: those shown, and of how many they are the first. All of them are those
    that pass the request of `searcher`, or, where no search made them, `listed`."""

    archive: Archive
    shown: tuple[int, ...]
    total: int
    request: SearchRequest = dataclasses.field(default_factory=SearchRequest)
    searcher: Searcher | None = None
    listed: tuple[int, ...] = ()

    def bar(self, actions: tuple[Act, ...] = ON_RESULTS) -> PickBar:
        return PickBar(actions, self.passing_words() if self.total > len(self.shown) else "")

    def passing_words(self) -> str:
        if self.searcher is None:
            return f"All {number(self.total)}"
        if self.request.per_study:
            return "One of every study that passes"
        return f"All {number(self.total)} that pass" if self.total <= MOST_PASSING else f"The first {MOST_PASSING:,}"

    def passing(self) -> list[int]:
        return list(self.listed) if self.searcher is None else self.searcher.passing(self.request, MOST_PASSING)

    def hits(self, ids: Sequence[int]) -> Sequence[Hit | Film]:
        """Return these films in the order of the answer, for an export."""
        if self.searcher is None or (self.request.empty and self.request.order is Order.MATCH):
            return db_films.films(self.archive.catalog, ids)
        return self.searcher.hits_of(self.request, ids)


def change() -> PickChange | None:
    """Return what the server has last changed of this session's picks."""
    changed: PickChange | None = st.session_state.get(_CHANGE)
    return changed


def order_change(*, add: Sequence[int] = (), drop: Sequence[int] = ()) -> None:
    """Add films to the picks of this browser, or drop them, with the next wall that is shown."""
    st.session_state[_CHANGE] = PickChange(uuid.uuid4().hex, tuple(add), tuple(drop))


def carry_out(done: Done, answer: Answer) -> None:
    """Do what the bar was asked for. Without picks a dialog asks which films are meant."""
    if done.act is Act.PASSING:
        order_change(add=answer.passing())
        st.rerun()
    if done.act is Act.SIMILAR:
        _search_by(done.films, answer.request)
    if done.act is Act.JUDGE:
        st.session_state["judge-films"] = done.films
        words = ", ".join(parse(answer.request.query).positive)
        st.switch_page(layout.pages()["judge"], query_params={"judged": words} if words else None)
    st.session_state["dialog"] = uuid.uuid4().hex  # a dialog that is opened anew forgets what was typed in the last
    _DIALOGS[done.act](done.films, answer)


def _search_by(ids: Sequence[int], request: SearchRequest) -> None:
    """Rank the films that pass the filters by how much they are like the picked ones."""
    if len(ids) > MOST_EXAMPLES:
        undo.offer(f"A search takes {MOST_EXAMPLES} films as examples: the first of the {len(ids)} picked.")
    filters = to_text(dataclasses.replace(parse(request.query), concepts=()))
    st.session_state["order"] = SearchRequest(filters, like=tuple(ids[:MOST_EXAMPLES]), per_study=request.per_study)
    st.switch_page(layout.pages()["search"])


def _meant(picked: Sequence[int], answer: Answer) -> list[int]:
    """Return the films that an action is for, in words and as ids: the picked ones, or a choice."""
    if picked:
        known = film_facts.identities(answer.archive.catalog, picked)  # picks live in the browser, for days perhaps
        ids = [film_id for film_id in picked if film_id in known]
        st.markdown(f"For the **{films(len(ids))} picked**, and no others.")
        if len(ids) < len(picked):
            st.caption(f"{films(len(picked) - len(ids))} picked before: no longer in the archive.")
        return ids
    all_shown = f"The {films(len(answer.shown))} shown"
    if answer.total <= len(answer.shown):
        st.markdown(f"{all_shown}: none is picked.")
        return list(answer.shown)
    which = st.radio("None is picked. Which films?", (all_shown, answer.passing_words()), key=_key("which"))
    return list(answer.shown) if which == all_shown else answer.passing()


def _key(name: str) -> str:
    return f"{name}-{st.session_state.get('dialog', '')}"


@st.dialog("Collect")
def _collect(picked: Sequence[int], answer: Answer) -> None:
    export_panel.collect(answer.archive, _meant(picked, answer), key=_key("picks"))


@st.dialog("Tag")
def _tag(picked: Sequence[int], answer: Answer) -> None:
    ids = _meant(picked, answer)
    catalog = answer.archive.catalog
    counts = db_annotations.tag_counts(catalog, ids)
    # Above the box and beside it, not below it: its menu lies over what is below.
    off = _taken_off(counts)
    left, right = st.columns([3, 1], vertical_alignment="bottom")
    add = left.multiselect(
        "Put on",
        db_annotations.all_tags(catalog),
        key=_key("tag-add"),
        accept_new_options=True,
        placeholder="A tag, old or new",
    )
    if right.button("Tag", key=_key("tag-do"), type="primary", width="stretch", disabled=not (ids and (add or off))):
        put = db_annotations.add_tags(catalog, ids, add)
        removed = db_annotations.remove_tags(catalog, [(film_id, name) for film_id in ids for name in off])

        def back() -> None:
            db_annotations.remove_tags(catalog, put)
            db_annotations.put_tags(catalog, removed)

        changes = [f"{counted(len(put), 'tag')} put on"] * bool(add) + [f"{number(len(removed))} taken off"] * bool(off)
        undo.offer(f"{films(len(ids))}: {', '.join(changes)}.", back)
        st.rerun()


def _taken_off(counts: Mapping[str, int]) -> list[str]:
    """Show the tags that the films have, with their number; returns those that were chosen."""
    if not counts:
        return []
    with st.container(height=_TAGS_HEIGHT if len(counts) > _MANY_TAGS else "content", border=False):
        return st.pills(
            "Take off",
            list(counts),
            selection_mode="multi",
            key=_key("tag-off"),
            format_func=lambda name: plain(f"{name} ({counts.get(name, 0)})"),
        )


@st.dialog("Export")
def _export(picked: Sequence[int], answer: Answer) -> None:
    ids = _meant(picked, answer)
    model = answer.searcher.model if answer.searcher else "films"
    export_panel.downloads(answer.archive, ids, lambda: answer.hits(ids), name="films", key=_key("picks"), tag=model)


@st.dialog("Copy")
def _copy(picked: Sequence[int], answer: Answer) -> None:
    export_panel.copies(answer.archive, _meant(picked, answer), key=_key("picks"))


_DIALOGS = {Act.COLLECT: _collect, Act.TAG: _tag, Act.EXPORT: _export, Act.COPY: _copy}
