"""Find the films of a side by its name: year:2019, split:test, collection:NAME, source:FOLDER, run:3 or maker:GE."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from filmroom.db.archive import Archive
from filmroom.db.errors import BadInput, NotFound
from filmroom.db.reads.film_table import film_columns
from filmroom.db.reads.films import select_ids
from filmroom.db.records import Filter, RunState
from filmroom.db.writes.annotations import collections
from filmroom.db.writes.runs import get, roots, runs
from filmroom.search.checks.subgroups.facts import short_names
from filmroom.search.cli.counting import some_of
from filmroom.search.query.parser import parse_whole
from numpy.typing import NDArray

_HOW = "Name a side as year:2019, split:test, collection:NAME, source:FOLDER, run:3, maker:GE, or by another field."
_OWN = re.compile(r'(source|run|maker):\s*"?(.+?)"?\s*', re.IGNORECASE)
_NAMED = re.compile(r"(year|view|sex|age|modality|source|maker):", re.IGNORECASE)


@dataclass(frozen=True)
class Side:
    """The films `ids` (N,), ascending, of a side; `facts` are those that it is named by, which differ by their name."""

    name: str
    ids: NDArray[np.int64]
    facts: frozenset[str]


def two_sides(archive: Archive, a: str, b: str) -> tuple[Side, Side]:
    """Return the sides that these names mean. Raises as `side_of` does, and BadInput where both are the same films."""
    sides = side_of(archive, a), side_of(archive, b)
    if np.array_equal(sides[0].ids, sides[1].ids):
        names = " and ".join(dict.fromkeys(side.name for side in sides))
        raise BadInput("both sides are the same films", where=names, fix="Name two sides that differ.")
    return sides


def side_of(archive: Archive, name: str) -> Side:
    """Return the present films of a side. Raises BadInput where the name cannot be read or no film is meant, NotFound
    for a source, run or collection that is not there."""
    name = name.strip()
    special = _OWN.fullmatch(name)
    if special:
        ids = _OF[special[1].lower()](archive, special[2])
    else:
        query = parse_whole(name)
        if query.concepts or not query.filter:
            raise BadInput("this does not name a side", where=name or None, fix=_HOW)
        _check_collections(archive, list(_collections_in(query.filter)))
        ids = select_ids(archive.catalog, query.filter)
    if not ids.size:
        raise BadInput("no film is on this side", where=name, fix=_HOW)
    return Side(name, ids, frozenset(fact.lower() for fact in _NAMED.findall(name)))


def _collections_in(where: Filter) -> Iterator[str]:
    yield from (*where.collections, *where.not_collections)
    for either in where.any_of:
        for part in either:
            yield from _collections_in(part)


def _check_collections(archive: Archive, names: Sequence[str]) -> None:
    known = [collection.name for collection in collections(archive.catalog)] if names else []
    missing = [name for name in names if name.lower() not in {collection.lower() for collection in known}]
    if missing:
        fix = f"Collections: {some_of(known) or 'none'}"
        raise NotFound("there is no collection of this name", where=", ".join(missing), fix=fix)


def _of_source(archive: Archive, name: str) -> NDArray[np.int64]:
    """Return the films of a root, by its whole name or the last part of it where no other has that."""
    known = roots(archive.catalog)
    short = short_names(known)
    meant = [root for root in known if name in (root, short[root])]
    if not meant:
        raise NotFound("there is no source of this name", where=name, fix=f"Sources: {', '.join(short.values())}")
    columns = film_columns(archive.catalog, ["root"])
    return np.array(
        [film for film, root in zip(columns["id"], columns["root"], strict=True) if root in meant], np.int64
    )


def _of_run(archive: Archive, name: str) -> NDArray[np.int64]:
    """Return the films that were added while a run of `index` went on."""
    if not name.isdecimal():
        raise BadInput("a run is named by its number", where=name, fix="filmroom status --json lists runs.")
    run = get(archive.catalog, int(name))
    columns = film_columns(archive.catalog, ["added_at"])
    last: float = np.inf if run.ended_at is None else run.ended_at
    if run.state is RunState.BROKEN:  # it was killed: what came later is of the run after it
        later = [other.started_at for other in runs(archive.catalog, limit=10_000) if other.id > run.id]
        last = min(later, default=np.inf) - 1
    return np.array(
        [film for film, at in zip(columns["id"], columns["added_at"], strict=True) if run.started_at <= at <= last],
        np.int64,
    )


def _of_maker(archive: Archive, name: str) -> NDArray[np.int64]:
    columns = film_columns(archive.catalog, ["maker"])
    rows = zip(columns["id"], columns["maker"], strict=True)
    return np.array([film for film, maker in rows if maker == name.upper()], np.int64)


_OF = {"source": _of_source, "run": _of_run, "maker": _of_maker}
