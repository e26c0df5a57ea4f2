"""Suggest what to ask instead, where a filter names what no film of the archive has."""

from __future__ import annotations

from difflib import get_close_matches

from filmroom.db.catalog import Catalog
from filmroom.db.reads.films import facets
from filmroom.db.reads.filters import LATERALS
from filmroom.db.records import Filter, ScoreFilter
from filmroom.search.query.parser import term

_FACETS = (
    ("view", "view", "views"),
    ("modality", "modality", "modalities"),
    ("body", "body_part", "body_parts"),
    ("sex", "sex", "sexes"),
    ("label", "label", "labels"),
    ("tag", "tag", "tags"),
    ("collection", "collection", "collections"),
    ("probe", "probe", "scores"),
)
_SHOWN = 12


def advice(catalog: Catalog, where: Filter) -> tuple[str, ...]:
    """Return a sentence for each value of the filter that no film has, with those that are nearest to it, else those
    that there are, as they are to be typed. A few counts over the archive: for answers without a film."""
    said = []
    for field, facet, attribute in _FACETS:
        wanted = [one.name if isinstance(one, ScoreFilter) else one for one in getattr(where, attribute)]
        known = [one.value for one in facets(catalog, facet)] if wanted else []
        lower = {value.lower(): value for value in known}
        for value in wanted:
            if any(one.lower() in lower for one in LATERALS.get(value.upper(), (value,))):
                continue
            near = get_close_matches(value.lower(), lower, n=3, cutoff=0.7)
            if near:
                more = f"Did you mean {' or '.join(term(field, lower[one]) for one in near)}?"
            elif known:
                there = ", ".join(term(field, one) for one in known[:_SHOWN])
                more = f"There are: {there}{', ...' if len(known) > _SHOWN else '.'}"
            else:
                more = ""
            said.append(f"No film has {term(field, value)}. {more}".rstrip())
    return tuple(said)
