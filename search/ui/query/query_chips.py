"""Split a search into parts (words as read, examples, filters, cut-off), and make the search without one of them."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping, Sequence

from filmroom.db.records import Filter
from filmroom.search.query.parser import Concept, Query, parse, to_text
from filmroom.search.query.reading import Reading
from filmroom.search.request import SearchRequest
from filmroom.search.ui.components.chips.chips import Chip, Kind, Offer
from filmroom.search.ui.query.search_state import film_address

_USUAL = Filter()

MOST_CHIPS = 6
"""Films for, or against, that have a chip each; those behind them share one."""


def chips_of(
    request: SearchRequest, parsed: Query, reading: Reading, thumbnails: Mapping[int, bytes] | None = None
) -> list[Chip]:
    """Return every part of the search, in the order: words, films, filters, cut-off. `Chip.part` names it to
    `without`."""
    chips = [_word_chip(at, concept, reading) for at, concept in enumerate(parsed.concepts)]
    chips += [Chip("", Kind.WARNING, f"{word} is not known here: write it out") for word in reading.unknown]
    chips += [Chip("", Kind.WARNING, f"{word}: neither the model nor a report knows it") for word in reading.unfamiliar]
    chips += [Chip("", Kind.WARNING, f"{part}: one film alone cannot show it") for part in reading.changes]
    chips += [Chip("", Kind.WARNING, f"{part}: ranks nothing") for part in reading.either]
    if reading.unclosed:
        chips.append(Chip("", Kind.WARNING, f'a quote is not closed: "{reading.unclosed}" ranks, and filters nothing'))
    chips += [Chip("", Kind.WARNING, sentence.rstrip(".")) for sentence in reading.slips]
    for upload in request.uploads:
        picture = upload.thumbnail or None
        chips.append(Chip(f"upload {upload.id}", Kind.FOR, "an uploaded film", says=upload.id, thumbnail=picture))
    for kind, side, ids in ((Kind.FOR, "like", request.like), (Kind.AGAINST, "unlike", request.unlike)):
        for film_id in ids[:MOST_CHIPS]:
            address = film_address(film_id, request)
            thumbnail = (thumbnails or {}).get(film_id)
            chips.append(Chip(f"{side} {film_id}", kind, f"film {film_id}", href=address, thumbnail=thumbnail))
        if len(ids) > MOST_CHIPS:
            chips.append(Chip(f"{side} others", kind, f"{len(ids) - MOST_CHIPS} more films"))
    chips += [Chip(part, Kind.FILTER, text) for part, text in _filters(parsed.filter)]
    if request.least_percentile is not None:
        chips.append(Chip("least_percentile", Kind.FILTER, f"at least {request.least_percentile:g} %"))
    if request.least_score is not None:
        chips.append(Chip("least_score", Kind.FILTER, f"score at least {request.least_score:g}"))
    return chips


def _word_chip(at: int, concept: Concept, reading: Reading) -> Chip:
    doubted = concept.text in reading.doubted and not concept.negated
    kind = Kind.AGAINST if concept.negated else Kind.DOUBTED if doubted else Kind.FOR
    spelled = [
        f"{short} is read as {long}"
        for short, long in reading.spelled_out
        if re.search(rf"\b{re.escape(short)}\b", concept.text)
    ]
    return Chip(f"word {at}", kind, concept.text, says="; ".join(spelled))


def _filters(filters: Filter) -> list[tuple[str, str]]:
    """Return (part, text) of each condition, written as in the query: values that are alternatives stand in one."""
    conditions = []
    for field in dataclasses.fields(Filter):
        value = getattr(filters, field.name)
        if value == getattr(_USUAL, field.name):
            continue
        apart = _apart(field.name)
        for at, condition in enumerate([(alternative,) for alternative in value] if apart else [value]):
            text = to_text(Query(filter=dataclasses.replace(_USUAL, **{field.name: condition})))
            conditions.append((f"filter {field.name} {at}", text))
    return conditions


def _apart(field: str) -> bool:
    """Tell whether each value of a list is a condition of its own."""
    return field.startswith("not_") or field in ("phrases", "scores")


def without(request: SearchRequest, part: str) -> SearchRequest:
    """Return the search without the part that a chip names; as it was where it has no such part."""
    kind, _, name = part.partition(" ")
    if kind == "upload":
        return dataclasses.replace(request, uploads=tuple(upload for upload in request.uploads if upload.id != name))
    if kind in ("like", "unlike") and name == "others":
        return dataclasses.replace(request, **{kind: getattr(request, kind)[:MOST_CHIPS]})
    if kind in ("like", "unlike"):
        left = tuple(film_id for film_id in getattr(request, kind) if str(film_id) != name)
        return dataclasses.replace(request, **{kind: left})  # type: ignore[arg-type]
    if kind in ("least_percentile", "least_score"):
        return dataclasses.replace(request, **{kind: None})  # type: ignore[arg-type]
    parsed = parse(request.query)
    if kind == "word":
        concepts = tuple(concept for at, concept in enumerate(parsed.concepts) if str(at) != name)
        return dataclasses.replace(request, query=to_text(dataclasses.replace(parsed, concepts=concepts)))
    field, _, place = name.partition(" ")
    if kind != "filter" or field not in Filter.__dataclass_fields__:
        return request
    value = getattr(parsed.filter, field)
    usual = getattr(_USUAL, field)
    rest: object = usual
    if _apart(field):
        rest = tuple(alternative for at, alternative in enumerate(value) if str(at) != place)
    filters: Filter = dataclasses.replace(parsed.filter, **{field: rest})  # type: ignore[arg-type]
    return dataclasses.replace(request, query=to_text(dataclasses.replace(parsed, filter=filters)))


def offers(parsed: Query, reading: Reading, labels: Sequence[str]) -> list[Offer]:
    """Return words that unfamiliar ones may be slips of, and filters that could stand in for words: of those against, a
    label that excludes; of the others, fields."""
    offers_made = [Offer(f"Did you mean {meant}?", _spelled(parsed, word, meant)) for word, meant in reading.suggested]
    for concept in parsed.concepts:
        label = _label_of(concept.text, labels) if concept.negated else None
        if label and label.lower() not in (name.lower() for name in parsed.filter.not_labels):
            filters = dataclasses.replace(parsed.filter, not_labels=(*parsed.filter.not_labels, label))
            left = tuple(other for other in parsed.concepts if other is not concept)
            query = to_text(dataclasses.replace(parsed, concepts=left, filter=filters))
            offers_made.append(Offer(f"Leave out films labelled {label}", query))
    if reading.as_filter:
        offers_made.append(Offer(f"Filter instead: {reading.as_filter}", reading.as_filter))
    return offers_made


def _spelled(parsed: Query, word: str, meant: str) -> str:
    pattern = re.compile(rf"(?<!\w){re.escape(word)}(?!\w)")
    concepts = tuple(dataclasses.replace(concept, text=pattern.sub(meant, concept.text)) for concept in parsed.concepts)
    return to_text(dataclasses.replace(parsed, concepts=concepts))


def _label_of(words: str, labels: Sequence[str]) -> str | None:
    """Return the label that says the same: all words of the one are words of the other. The nearest in length is
    taken."""
    query = set(re.findall(r"\w+", words.lower()))
    if not query:
        return None
    fits = [label for label in labels if _words(label) and (query <= _words(label) or _words(label) <= query)]
    return min(fits, key=lambda label: (abs(len(_words(label)) - len(query)), label), default=None)


def _words(label: str) -> set[str]:
    return set(re.findall(r"[^\W_]+", label.lower()))
