"""Check whether a split leaks: the same patient, the same file, or the same picture on both sides."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import PurePosixPath

from filmroom.db.catalog import Catalog
from filmroom.db.errors import BadInput
from filmroom.db.reads.film_table import fact_values, film_columns
from filmroom.db.writes.annotations import collected
from filmroom.db.writes.runs import duplicates
from filmroom.search.checks.near_duplicates import near_duplicates, not_compared
from filmroom.search.checks.result import Pick, Result
from filmroom.search.checks.sides import SPLIT, on_several_sides
from filmroom.search.cli.counting import counted
from filmroom.search.searcher import Searcher


def check_splits(
    searcher: Searcher,
    *,
    column: str = SPLIT,
    collections: Sequence[str] = (),
    on_pairs: Callable[[int, int], None] = lambda done, total: None,
) -> Result:
    """Compare the sides of a split: those that the facts of tables name (`column`), or two or more collections.

    Raises as `split_sides` does.
    """
    sides, in_both = split_sides(searcher.catalog, column, collections)
    names = sorted(set(sides.values()))
    patients = _patients(searcher, sides)
    files = _files(searcher, sides, names)
    near = near_duplicates(searcher, across=sides, on_pairs=on_pairs)
    picks = [*(Pick(film, "in both", 0, _evidence(sides.get(film))) for film in in_both), *patients, *files]
    group = max((pick.group for pick in picks), default=0)
    for number, pair in enumerate(near, group + 1):
        for film, other in ((pair.first, pair.second), (pair.second, pair.first)):
            pair_evidence = _evidence(sides[film], other, pair.cosine, pair.likeness)
            picks.append(Pick(film, "near-duplicate", number, pair_evidence))
    sizes = Counter(sides.values())
    return Result(
        check="splits",
        model=searcher.model,
        films=len(sides),
        ok=not picks,
        figures={
            **{f"films in {name}": sizes[name] for name in names},
            "films in both": len(in_both),
            "patients on both sides": len({pick.group for pick in patients}),
            "files that are on the other side, too": len(files),
            "near-duplicate pairs": len(near),
        },
        picks=tuple(picks),
        notes=_notes(searcher, sides),
    )


def split_sides(catalog: Catalog, column: str, collections: Sequence[str]) -> tuple[dict[int, str], tuple[int, ...]]:
    """Return each film's side by id, and the films that are in several collections. Raises BadInput where there are not
    two sides, NotFound for a collection that is not there."""
    sides, in_both = _of_collections(catalog, collections) if collections else (_of_facts(catalog, column), ())
    names = sorted(set(sides.values()))
    if len(names) + len(in_both) < 2:
        raise BadInput(
            "there are no two sides to compare",
            where=", ".join(names) or None,
            fix="Import a table with a column split (filmroom facts FILE), or name two --collections.",
        )
    return sides, in_both


def _of_facts(catalog: Catalog, column: str) -> dict[int, str]:
    sides = fact_values(catalog, column.strip().lower())
    if not sides:
        raise BadInput(
            "no table gave the films this fact",
            where=column,
            fix="Import one with a column split: filmroom facts FILE, or name two --collections.",
        )
    return sides


def _of_collections(catalog: Catalog, names: Sequence[str]) -> tuple[dict[int, str], tuple[int, ...]]:
    """Give each film's collection, and the films that are in several of them."""
    present = set(film_columns(catalog, ())["id"])
    sides: dict[int, str] = {}
    in_both: list[int] = []
    for name in dict.fromkeys(names):
        for film in collected(catalog, name):
            if film in sides and sides[film] != name:
                in_both.append(film)
            elif film in present:
                sides[film] = name
    return sides, tuple(dict.fromkeys(in_both))


def _patients(searcher: Searcher, sides: Mapping[int, str]) -> list[Pick]:
    return [
        Pick(film, "same patient", number, _evidence(sides[film]))
        for number, films in enumerate(on_several_sides(searcher.catalog, sides), 1)
        for film in films
    ]


def _files(searcher: Searcher, sides: Mapping[int, str], names: Sequence[str]) -> list[Pick]:
    """Find films of which a copy that is not indexed lies in a folder that is named as another side."""
    known = {name.lower() for name in names}
    picks = []
    for copy in duplicates(searcher.catalog):
        folders = {part.lower() for part in PurePosixPath(copy.root, copy.path).parts[:-1]} & known
        if copy.film in sides and len(folders) == 1 and folders != {sides[copy.film].lower()}:
            picks.append(Pick(copy.film, f"its file is in {folders.pop()}, too", 0, _evidence(sides[copy.film])))
    return picks


def _evidence(
    side: str | None, other: int | None = None, cosine: float | None = None, likeness: float | None = None
) -> dict[str, str | int | float | None]:
    return {"side": side, "other": other, "cosine": cosine, "likeness": likeness}


def _notes(searcher: Searcher, sides: Mapping[int, str]) -> tuple[str, ...]:
    columns = film_columns(searcher.catalog, ["patient_key"])
    alone = sum(1 for film, key in zip(columns["id"], columns["patient_key"], strict=True) if film in sides and not key)
    note = f"{counted(alone, 'film')} without a patient key: their patients may be on both sides, unseen."
    return (*([note] if alone else []), *not_compared(searcher, sorted(sides)))
