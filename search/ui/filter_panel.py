"""Filters as controls that write into the query and read from it."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st
from filmroom.db.catalog import Catalog
from filmroom.db.reads import films
from filmroom.db.records import Filter, Range
from filmroom.search.query.parser import parse, with_filter
from filmroom.search.ui.text import number, plain

_UNKNOWN_SPAN = 2


@st.cache_data(show_spinner=False, max_entries=64)
def facet(_catalog: Catalog, place: str, name: str, changes: int) -> list[tuple[str, int]]:
    """(value, films) of a facet; `changes` makes a new answer when the catalog has changed."""
    return [(one.value, one.count) for one in films.facets(_catalog, name)]


def labels(catalog: Catalog) -> list[tuple[str, int]]:
    """The labels of the archive with their films, the most frequent first."""
    return facet(catalog, str(catalog.path), "label", catalog.changes())


def narrow(catalog: Catalog, *, key: str = "q") -> None:
    """The filter controls of the query in `st.session_state[key]`, which must be readable."""
    wanted = parse(st.session_state.get(key) or "").filter
    changes = catalog.changes()

    def offered(name: str) -> list[tuple[str, int]]:
        return facet(catalog, str(catalog.path), name, changes)

    _choice(key, "View", "views", wanted.views, offered("view"))
    _choice(key, "Sex", "sexes", wanted.sexes, offered("sex"))
    _choice(key, "Modality", "modalities", wanted.modalities, offered("modality"))
    _span(key, "Age", "age", wanted.age, offered("age"))
    _span(key, "Year", "year", wanted.year, offered("year"))
    _labels(key, "Labels, any of", "labels", wanted.labels, offered("label"))
    _labels(key, "Without the labels", "not_labels", wanted.not_labels, offered("label"))
    if wanted:
        st.button("Clear all filters", on_click=_write, args=(key, _everything(wanted)), type="tertiary")


def _everything(wanted: Filter) -> dict[str, object]:
    usual = Filter()
    return {name: getattr(usual, name) for name in vars(wanted)}


def _write(key: str, changes: dict[str, object]) -> None:
    st.session_state[key] = with_filter(st.session_state.get(key) or "", **changes)


def _choice(key: str, title: str, attribute: str, chosen: Sequence[str], offered: list[tuple[str, int]]) -> None:
    """A few values as pills."""
    if len(offered) < 2 and not chosen:
        return
    counts = dict(offered)
    options = list(dict.fromkeys([*counts, *chosen]))[:16]
    widget = f"narrow-{attribute}"
    st.session_state[widget] = [value for value in chosen if value in options]
    st.pills(
        title,
        options,
        selection_mode="multi",
        key=widget,
        format_func=lambda value: f"{plain(str(value))} {number(counts.get(value, 0))}",
        on_change=lambda: _write(key, {attribute: tuple(st.session_state[widget])}),
    )


def _labels(key: str, title: str, attribute: str, chosen: Sequence[str], offered: list[tuple[str, int]]) -> None:
    """Many values as a list to type into."""
    if not offered and not chosen:
        return
    counts = dict(offered)
    known = {value.lower(): value for value in counts}
    have = [known.get(value.lower(), value) for value in chosen]
    widget = f"narrow-{attribute}"
    st.session_state[widget] = have
    st.multiselect(
        title,
        list(dict.fromkeys([*counts, *have])),
        key=widget,
        format_func=lambda value: f"{value} ({number(counts.get(value, 0))})",
        on_change=lambda: _write(key, {attribute: tuple(st.session_state[widget])}),
    )


def _span(key: str, title: str, attribute: str, chosen: Range, offered: list[tuple[str, int]]) -> None:
    """A range between what there is."""
    values = [int(value) for value, _ in offered]
    values += [end for end in (chosen.low, chosen.high) if end is not None]
    if len(set(values)) < _UNKNOWN_SPAN:
        return
    low, high = min(values), max(values)
    widget = f"narrow-{attribute}"
    st.session_state[widget] = (
        low if chosen.low is None else chosen.low,
        high if chosen.high is None else chosen.high,
    )

    def write() -> None:
        a, b = st.session_state[widget]
        _write(key, {attribute: Range(None if a == low else a, None if b == high else b)})

    st.slider(title, low, high, key=widget, on_change=write)
