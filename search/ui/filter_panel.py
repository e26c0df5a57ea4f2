"""Show facets: what the films of an answer can be filtered by, written into the query and read from it."""

from __future__ import annotations

import dataclasses

import streamlit as st
from filmroom.db.catalog import Catalog
from filmroom.db.reads import films
from filmroom.db.reads.facets import AGE_BAND, FACETS, FacetTable, load_facets
from filmroom.db.records import Facet, Filter, Range
from filmroom.search.query.parser import parse, with_filter
from filmroom.search.request import SearchRequest
from filmroom.search.searcher import Searcher
from filmroom.search.ui.components.facets.facets import Chosen, Section, Value, facets

_TITLES = {
    "label": "Labels", "view": "View", "sex": "Sex", "age": "Age", "year": "Year", "modality": "Modality",
    "body_part": "Body part", "tag": "Tags", "collection": "Collections", "report": "Report",
    "burned_in": "Burned-in text", "split": "Split", "patient": "Patients with most films",
}  # fmt: skip
_LISTS = {
    "label": "labels", "view": "views", "sex": "sexes", "modality": "modalities", "body_part": "body_parts",
    "tag": "tags", "collection": "collections", "split": "splits", "patient": "patients",
}  # fmt: skip
"""The field of a Filter that holds the values of a facet."""
_EXCLUDES = {"label": "not_labels", "view": "not_views"}
_YES_NO = {"report": "has_report", "burned_in": "burned_in"}


_MOST_PATIENTS = 20
_RANGES = ("age", "year")
_USUAL = Filter()


@st.cache_resource(show_spinner=False, max_entries=2)
def _table(_catalog: Catalog, place: str, changes: int) -> FacetTable:
    """Return the facts of all films; `changes` makes another one when the catalog has changed."""
    return load_facets(_catalog)


def facts(catalog: Catalog) -> FacetTable:
    """Return the values of all films that are present, by facet, as they are now."""
    return _table(catalog, str(catalog.path), catalog.changes())


@st.cache_data(show_spinner=False, max_entries=8)
def _labels(_catalog: Catalog, place: str, changes: int) -> list[tuple[str, int]]:
    return [(facet.value, facet.count) for facet in films.facets(_catalog, "label")]


def labels(catalog: Catalog) -> list[tuple[str, int]]:
    """Return the labels of the archive with their films, the most frequent first."""
    return _labels(catalog, str(catalog.path), catalog.changes())


def narrow(searcher: Searcher, request: SearchRequest, *, key: str = "q") -> None:
    """Show the facets of the answer to `request`, whose query stands in `st.session_state[key]` and must be
    readable."""
    wanted = parse(request.query).filter
    sections = sections_of(counts(searcher, request), wanted)
    done = facets(sections, key="facets")
    if done:
        st.session_state["facet-query"] = with_filter(request.query, **toggled(wanted, *done))
        st.rerun()
    if wanted:
        st.button("Clear all filters", on_click=_clear, args=(key,), type="tertiary")


def take_choice(key: str = "q") -> None:
    """Put the query that a facet has changed into the box, before the box is made."""
    if (query := st.session_state.pop("facet-query", None)) is not None:
        st.session_state[key] = query


def _clear(key: str) -> None:
    changes = {name: getattr(_USUAL, name) for name in vars(_USUAL)}
    st.session_state[key] = with_filter(st.session_state.get(key) or "", **changes)


def counts(searcher: Searcher, request: SearchRequest) -> dict[str, list[Facet]]:
    """Count every facet over the answer; a facet that filters is counted as if it did not, to show the alternatives."""
    catalog = searcher.catalog
    table = facts(catalog)
    wanted = parse(request.query).filter
    filtering = [name for name in FACETS if _without_facet(wanted, name) != wanted]
    found = table.count(searcher.within(request), [name for name in FACETS if name not in filtering])
    for name in filtering:
        left = _without_facet(wanted, name)
        query = with_filter(request.query, **{one: getattr(left, one) for one in vars(left)})
        found |= table.count(searcher.within(dataclasses.replace(request, query=query)), [name])
    return found


def _without_facet(wanted: Filter, name: str) -> Filter:
    named = (_LISTS.get(name), _EXCLUDES.get(name), _YES_NO.get(name), name if name in _RANGES else None)
    usual = {field: getattr(_USUAL, field) for field in named if field}
    left: Filter = dataclasses.replace(wanted, **usual)
    return left


def sections_of(counted: dict[str, list[Facet]], wanted: Filter) -> list[Section]:
    """Return the facets that tell films apart or that filter, with what the filter says of each value."""
    found = []
    for name, title in _TITLES.items():
        values = [
            Value(one.value, _text(name, one.value), one.count, _chosen(wanted, name, one.value))
            for one in (counted[name] if name != "patient" else _patients(counted[name], wanted))
        ]
        known = {value.value.lower() for value in values}
        values += [
            Value(value, value, 0, _chosen(wanted, name, value))
            for field in (_LISTS.get(name, ""), _EXCLUDES.get(name, ""))
            for value in (getattr(wanted, field) if field else ())
            if value.lower() not in known
        ]
        if (
            len(values) > 1
            or any(value.chosen for value in values)
            or (values and name not in ("modality", "view", "sex"))
        ):
            found.append(Section(name, title, tuple(values), name in _EXCLUDES or name in _YES_NO))
    return found


def _patients(counted: list[Facet], wanted: Filter) -> list[Facet]:
    """Those with several films, the first of them, and who is filtered by."""
    first = [one for one in counted if one.count > 1][:_MOST_PATIENTS]
    return first + [one for one in counted if one not in first and one.value in wanted.patients]


def _text(name: str, value: str) -> str:
    if name == "patient":
        return f"{value[:10]}…"
    return f"{value} to {int(value) + AGE_BAND - 1}" if name == "age" else value


def _chosen(wanted: Filter, name: str, value: str) -> Chosen:
    if name in _YES_NO:
        said = getattr(wanted, _YES_NO[name])
        return Chosen.NOTHING if said is None else Chosen.ONLY if said else Chosen.NOT
    if name in _RANGES:
        return Chosen.ONLY if getattr(wanted, name) == _span(name, value) else Chosen.NOTHING
    if value.lower() in (one.lower() for one in getattr(wanted, _LISTS[name])):
        return Chosen.ONLY
    excluded = getattr(wanted, _EXCLUDES[name]) if name in _EXCLUDES else ()
    return Chosen.NOT if value.lower() in (one.lower() for one in excluded) else Chosen.NOTHING


def _span(name: str, value: str) -> Range:
    low = int(value)
    return Range(low, low + AGE_BAND - 1) if name == "age" else Range(low, low)


def toggled(wanted: Filter, name: str, value: str, how: Chosen) -> dict[str, object]:
    """Return the fields of the Filter that change when a value is clicked: chosen, or free again where it was chosen
    so."""
    now = Chosen.NOTHING if _chosen(wanted, name, value) is how else how
    if name in _YES_NO:
        return {_YES_NO[name]: {Chosen.NOTHING: None, Chosen.ONLY: True, Chosen.NOT: False}[now]}
    if name in _RANGES:
        return {name: Range() if now is Chosen.NOTHING else _span(name, value)}
    changes: dict[str, object] = {}
    for field, sign in ((_LISTS[name], Chosen.ONLY), (_EXCLUDES.get(name), Chosen.NOT)):
        if field is not None:
            others = tuple(one for one in getattr(wanted, field) if one.lower() != value.lower())
            changes[field] = (*others, value) if now is sign else others
    return changes
