"""Show facets: what the films of an answer can be filtered by, written into the query and read from it."""

from __future__ import annotations

import dataclasses

import streamlit as st
from filmroom.db.catalog import Catalog
from filmroom.db.reads import films as db_films
from filmroom.db.reads.facets import AGE_BAND, FACETS, FacetTable
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
def _table(_catalog: Catalog, place: str, fact_state: str) -> FacetTable:
    """Return the facts of all films; `fact_state` makes another one when these have changed."""
    return FacetTable(_catalog)


def facts(catalog: Catalog) -> FacetTable:
    """Return the values of all films that are present, by facet, as they are now."""
    return _table(catalog, str(catalog.path), catalog.fact_state())


def labels(catalog: Catalog) -> list[tuple[str, int]]:
    """Return the labels of the archive with their films, the most frequent first."""
    return [(facet.value, facet.count) for facet in db_films.facets(catalog, "label")]


@st.fragment
def narrow(searcher: Searcher, request: SearchRequest) -> None:
    """Show the facets of the answer to `request`, whose query must be readable. They are counted when they are looked
    at."""
    with st.popover("Filters", icon=":material/tune:", key="filters", on_change="rerun") as panel:
        if not panel.open:
            return
        filters = parse(request.query).filter
        changes: dict[str, object] = {}
        with st.spinner("Counting what the films can be filtered by"):
            sections = sections_of(counts(searcher, request), filters)
        if done := facets(sections, key="facets"):
            changes = toggled(filters, *done)
        if filters and st.button("Clear all filters", type="tertiary"):
            changes = {name: getattr(_USUAL, name) for name in vars(_USUAL)}
        if changes:
            st.session_state["facet-query"] = with_filter(request.query, **changes)
            st.rerun()


def take_choice(key: str = "q") -> None:
    """Put the query that a facet has changed into the box, before the box is made."""
    if (query := st.session_state.pop("facet-query", None)) is not None:
        st.session_state[key] = query


def counts(searcher: Searcher, request: SearchRequest) -> dict[str, list[Facet]]:
    """Count every facet over the answer; a facet that filters is counted as if it did not, to show the alternatives."""
    catalog = searcher.catalog
    table = facts(catalog)
    filters = parse(request.query).filter
    filtering = [name for name in FACETS if _without_facet(filters, name) != filters]
    facets = table.count(searcher.within(request), [name for name in FACETS if name not in filtering])
    for name in filtering:
        left = _without_facet(filters, name)
        query = with_filter(request.query, **{field: getattr(left, field) for field in vars(left)})
        within = searcher.within(dataclasses.replace(request, query=query))
        facets |= table.count(within, [name], also=getattr(filters, _LISTS.get(name, ""), ()))
    return facets


def _without_facet(filters: Filter, name: str) -> Filter:
    fields = (_LISTS.get(name), _EXCLUDES.get(name), _YES_NO.get(name), name if name in _RANGES else None)
    usual = {field: getattr(_USUAL, field) for field in fields if field}
    left: Filter = dataclasses.replace(filters, **usual)
    return left


def sections_of(counted: dict[str, list[Facet]], filters: Filter) -> list[Section]:
    """Return the facets that tell films apart or that filter, with what the filter says of each value."""
    sections = []
    for name, title in _TITLES.items():
        values = [
            Value(facet.value, _text(name, facet.value), facet.count, _chosen(filters, name, facet.value))
            for facet in (counted[name] if name != "patient" else _patients(counted[name], filters))
        ]
        known = {value.value.lower() for value in values}
        values += [
            Value(value, value, 0, _chosen(filters, name, value))
            for field in (_LISTS.get(name, ""), _EXCLUDES.get(name, ""))
            for value in (getattr(filters, field) if field else ())
            if value.lower() not in known
        ]
        if (
            len(values) > 1
            or any(value.chosen for value in values)
            or (values and name not in ("modality", "view", "sex"))
        ):
            sections.append(Section(name, title, tuple(values), name in _EXCLUDES or name in _YES_NO))
    return sections


def _patients(counted: list[Facet], filters: Filter) -> list[Facet]:
    """Return the patients with several films, the first of them, and those that are filtered by."""
    first = [facet for facet in counted if facet.count > 1][:_MOST_PATIENTS]
    return first + [facet for facet in counted if facet not in first and facet.value in filters.patients]


def _text(name: str, value: str) -> str:
    if name == "patient":
        return f"{value[:10]}…"
    return f"{value} to {int(value) + AGE_BAND - 1}" if name == "age" else value


def _chosen(filters: Filter, name: str, value: str) -> Chosen:
    if name in _YES_NO:
        answer = getattr(filters, _YES_NO[name])
        return Chosen.NOTHING if answer is None else Chosen.ONLY if answer else Chosen.NOT
    if name in _RANGES:
        return Chosen.ONLY if getattr(filters, name) == _span(name, value) else Chosen.NOTHING
    if value.lower() in (listed.lower() for listed in getattr(filters, _LISTS[name])):
        return Chosen.ONLY
    excluded = getattr(filters, _EXCLUDES[name]) if name in _EXCLUDES else ()
    return Chosen.NOT if value.lower() in (listed.lower() for listed in excluded) else Chosen.NOTHING


def _span(name: str, value: str) -> Range:
    low = int(value)
    return Range(low, low + AGE_BAND - 1) if name == "age" else Range(low, low)


def toggled(filters: Filter, name: str, value: str, how: Chosen) -> dict[str, object]:
    """Return the fields of the Filter that change when a value is clicked: chosen, or free again where it was chosen
    so."""
    now = Chosen.NOTHING if _chosen(filters, name, value) is how else how
    if name in _YES_NO:
        return {_YES_NO[name]: {Chosen.NOTHING: None, Chosen.ONLY: True, Chosen.NOT: False}[now]}
    if name in _RANGES:
        return {name: Range() if now is Chosen.NOTHING else _span(name, value)}
    changes: dict[str, object] = {}
    for field, sign in ((_LISTS[name], Chosen.ONLY), (_EXCLUDES.get(name), Chosen.NOT)):
        if field is not None:
            remaining = tuple(listed for listed in getattr(filters, field) if listed.lower() != value.lower())
            changes[field] = (*remaining, value) if now is sign else remaining
    return changes
