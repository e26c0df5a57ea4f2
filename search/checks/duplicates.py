"""Find the films of one picture over the whole archive: exact, near, and one UID with different pictures."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from filmroom.db.reads.film_table import film_columns
from filmroom.db.records import DuplicateReason
from filmroom.db.writes.runs import duplicates
from filmroom.search.checks.archive_health import FACTS
from filmroom.search.checks.near_duplicates import SURE_LIKENESS, groups, near_duplicates, not_compared
from filmroom.search.checks.result import Pick, Result
from filmroom.search.searcher import Searcher

RULE = "a DICOM before a picture, then more pixels, then more facts, then the larger file, then the lower id"
"""How the best film of a group is chosen."""
_LOOK = f"Likeness under {SURE_LIKENESS:g}: mostly another exposure of the same patient; look before one is dropped."


def check_duplicates(searcher: Searcher, *, on_pairs: Callable[[int, int], None] = lambda done, total: None) -> Result:
    """Group the films that show one picture, and name the best of each group by RULE.

    Exact copies and second pictures under one UID are known since they were indexed; near ones are candidates by
    vector that the pixels confirm.
    """
    columns = film_columns(searcher.catalog, ["identity", "rows", "columns", "size", *FACTS])
    facts = {film: {name: values[at] for name, values in columns.items()} for at, film in enumerate(columns["id"])}
    pairs = near_duplicates(searcher, on_pairs=on_pairs)
    likeness: dict[int, float] = {}
    for pair in pairs:
        for film in (pair.first, pair.second):
            likeness[film] = max(pair.likeness, likeness.get(film, 0.0))
    near_groups = groups((pair.first, pair.second) for pair in pairs)
    picks = [pick for number, group in enumerate(near_groups, 1) for pick in _group(group, number, facts, likeness)]
    copies, other_pictures = _files(searcher)
    number = len(near_groups)
    for reason, films in (("same UID, other pixels", other_pictures), ("exact copy", copies)):
        for film, count in films.items():
            number += 1
            picks.append(Pick(film, reason, number, _evidence("keep", None, facts.get(film, {}), count)))
    return Result(
        check="duplicates",
        model=searcher.model,
        films=len(facts),
        ok=not picks,
        figures={
            "groups of near-duplicates": len(near_groups),
            "films in them": sum(len(group) for group in near_groups),
            "films with exact copies": len(copies),
            "films whose UID another picture bears": len(other_pictures),
        },
        picks=tuple(picks),
        notes=(
            *([f"The best of a group: {RULE}."] if near_groups else []),
            *([_LOOK] if any(pick.evidence["advice"] == "look" for pick in picks) else []),
            *not_compared(searcher, sorted(facts)),
        ),
    )


def best_of(films: Sequence[int], facts: Mapping[int, Mapping[str, Any]]) -> int:
    """Choose the film of a group to keep, by RULE."""

    def worth(film: int) -> tuple[bool, int, int, int, int]:
        of = facts[film]
        known = sum(of[name] is not None for name in FACTS)
        return (str(of["identity"]).startswith("uid:"), of["rows"] * of["columns"], known, of["size"], -film)

    return max(films, key=worth)


def _group(
    films: Sequence[int], number: int, facts: Mapping[int, Mapping[str, Any]], likeness: Mapping[int, float]
) -> list[Pick]:
    best = best_of(films, facts)

    def advice(film: int) -> str:
        if film == best:
            return "keep"
        return "drop" if likeness.get(film, 0.0) >= SURE_LIKENESS else "look"

    ordered = sorted(films, key=lambda film: (film != best, film))
    return [
        Pick(
            film,
            "near-duplicate",
            number,
            _evidence(advice(film), likeness.get(film), facts[film], None),
        )
        for film in ordered
    ]


def _files(searcher: Searcher) -> tuple[dict[int, int], dict[int, int]]:
    """Count the files of each film that are exact copies, and those that bear its UID over another picture."""
    copies: dict[int, int] = {}
    other_pictures: dict[int, int] = {}
    for copy in duplicates(searcher.catalog):
        counts = other_pictures if copy.code == DuplicateReason.SAME_UID.value else copies
        counts[copy.film] = counts.get(copy.film, 0) + 1
    return copies, other_pictures


def _evidence(
    advice: str, likeness: float | None, facts: Mapping[str, Any], files: int | None
) -> dict[str, str | int | float | None]:
    return {
        "advice": advice,
        "likeness": likeness,
        "rows": facts.get("rows"),
        "columns": facts.get("columns"),
        "size": facts.get("size"),
        "other files": files,
    }
