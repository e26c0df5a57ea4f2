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
    sentences = []
    for field, facet, attribute in _FACETS:
        values = [value.name if isinstance(value, ScoreFilter) else value for value in getattr(where, attribute)]
        known = [count.value for count in facets(catalog, facet)] if values else []
        lower = {value.lower(): value for value in known}
        for value in values:
            if any(name.lower() in lower for name in LATERALS.get(value.upper(), (value,))):
                continue
            near = get_close_matches(value.lower(), lower, n=3, cutoff=0.7)
            if near:
                advice_text = f"Did you mean {' or '.join(term(field, lower[name]) for name in near)}?"
            elif known:
                choices = ", ".join(term(field, name) for name in known[:_SHOWN])
                advice_text = f"There are: {choices}{', ...' if len(known) > _SHOWN else '.'}"
            else:
                advice_text = ""
            sentences.append(f"No film has {term(field, value)}. {advice_text}".rstrip())
    return tuple(sentences)
