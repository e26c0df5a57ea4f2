"""The health of an archive on one page, for its owner: counts that add up, missing facts, faults of films and files."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from filmroom.db.archive import Archive, glance
from filmroom.db.reads.film_table import fact_values, film_columns
from filmroom.db.records import UNCERTAIN_ORIENTATION, DuplicateReason
from filmroom.db.writes.runs import duplicates
from filmroom.search.checks.result import Pick, Result, Value
from filmroom.search.checks.sides import SPLIT, on_several_sides
from filmroom.search.checks.thumbnails.contradictions import LINES, contradictions, evidence

FACTS = ("view", "sex", "age", "year", "patient_key", "study_uid", "modality")
LEAST_SIDE = 256
"""Pixels of the shorter side below which a film is odd."""
MOST_RATIO = 2.0
"""How many times as long as wide a film may be."""


def check_archive(archive: Archive, *, on_films: Callable[[int, int], None] = lambda done, total: None) -> Result:
    """Go through what the catalog knows, and look at the thumbnails that were not looked at before.

    A line is red where the archive contradicts itself or a person has to look; what is merely unknown (a film without
    a view) is counted and leaves the archive healthy. `on_films` is told how many films of how many are looked at.
    """
    columns = film_columns(archive.catalog, ["rows", "columns", "burned_in", "orientation", *FACTS])
    films: list[int] = columns["id"]
    counts = glance(archive.folder).files
    sides = fact_values(archive.catalog, SPLIT)
    picks = _contradicting_facts(archive, columns, sides)
    doubts, seen = contradictions(archive, on_films=on_films)
    picks += doubts
    tally = Counter(pick.why for pick in picks)
    frames = len(films)
    rows: list[dict[str, Value]] = [
        _row("films that can be searched", frames, True),
        _row("files indexed", counts.indexed, frames >= counts.indexed or counts.gone > 0),
        _row("files that are duplicates", counts.duplicate, True),
        _row("files rejected", counts.rejected, counts.rejected == 0),
        _row("files gone", counts.gone, True),
        *(_row(f"films without {_spoken(name)}", _missing(columns[name]), True) for name in FACTS),
        *(_row(line, tally[line], tally[line] == 0) for line in ("burned-in words", "odd size")),
        _row("may be mirrored or turned", tally["may be mirrored or turned"], not tally["may be mirrored or turned"]),
        _row("films with a split", len(sides), True),
        _row("films of patients on both sides", tally["patient on both sides"], not tally["patient on both sides"]),
        _row("same UID, other pixels", tally["same UID, other pixels"], not tally["same UID, other pixels"]),
        _row("pictures looked at", seen, True),
        *(_row(line, tally[line], tally[line] == 0) for line in LINES),
    ]
    red = [row for row in rows if row["state"] == "look"]
    return Result(
        check="archive",
        films=frames,
        ok=not red,
        figures={"lines that need a look": len(red)},
        rows=tuple(rows),
        picks=tuple(picks),
        notes=_notes(counts.rejected, tally),
    )


def _contradicting_facts(
    archive: Archive, columns: Mapping[str, Sequence[Any]], sides: Mapping[int, str]
) -> list[Pick]:
    """List the films that a person has to see by what the catalog knows of them."""
    films = columns["id"]
    picks = _picked("burned-in words", films, (bool(words) for words in columns["burned_in"]))
    picks += _picked("odd size", films, map(_is_odd, columns["rows"], columns["columns"]))
    uncertain = (orientation == UNCERTAIN_ORIENTATION for orientation in columns["orientation"])
    picks += _picked("may be mirrored or turned", films, uncertain)
    picks += _straddling(archive, sides)
    same_uid = duplicates(archive.catalog, why=DuplicateReason.SAME_UID.value)
    picks += [Pick(copy.film, "same UID, other pixels") for copy in same_uid]
    views = dict(zip(films, columns["view"], strict=True))
    return [replace(pick, evidence=evidence(views.get(pick.film))) for pick in picks]


def _row(line: str, count: int, healthy: bool) -> dict[str, Value]:
    return {"line": line, "count": count, "state": "fine" if healthy else "look"}


def _picked(reason: str, films: Sequence[int], hit: Iterable[bool]) -> list[Pick]:
    return [Pick(film, reason) for film, is_hit in zip(films, hit, strict=True) if is_hit]


def _is_odd(rows: int, columns: int) -> bool:
    short, long = sorted((rows, columns))
    return short < LEAST_SIDE or long > MOST_RATIO * short


def _missing(values: Sequence[Any]) -> int:
    return sum(value is None for value in values)


def _spoken(name: str) -> str:
    return {"patient_key": "patient", "study_uid": "study"}.get(name, name)


def _straddling(archive: Archive, sides: Mapping[int, str]) -> list[Pick]:
    return [
        Pick(film, "patient on both sides", number)
        for number, films in enumerate(on_several_sides(archive.catalog, sides), 1)
        for film in films
    ]


def _notes(rejected: int, tally: Counter[str]) -> tuple[str, ...]:
    notes = []
    if rejected:
        notes.append("Why each rejected file was rejected, and what to do: filmroom rejected, and the page Archive.")
    if tally["same UID, other pixels"]:
        notes.append("The files that bear the UID of another picture: filmroom duplicates, and the page Archive.")
    if any(tally[line] for line in LINES):
        notes.append("What a picture seems to be is a doubt, for a person to look at: some right films are among them.")
    if tally["patient on both sides"]:
        notes.append("The check of splits also looks for the same picture on both sides.")
    return tuple(notes)
