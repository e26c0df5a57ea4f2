"""Count how many of some films have each value there is to filter by: in memory, at once for 10,000 films."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from filmroom.db.batching import ids_of
from filmroom.db.catalog import Catalog
from filmroom.db.records import Facet
from numpy.typing import NDArray

AGE_BAND = 10
"""Years of age in one band: 20 stands for 20 to 29."""

_COLUMNS = {
    "view": "view",
    "sex": "sex",
    "modality": "modality",
    "body_part": "body_part",
    "age": f"age / {AGE_BAND} * {AGE_BAND}",
    "year": "year",
    "patient": "patient_key",
    "burned_in": "CASE WHEN burned_in THEN 'yes' END",
}
_NAMED = {
    "label": "SELECT DISTINCT film_id, name FROM label WHERE value >= 0.5 AND source != 'probe'",
    "tag": "SELECT film_id, name FROM tag",
    "collection": "SELECT film_id, name FROM collection_film JOIN collection ON collection.id = collection_id",
    "split": "SELECT film_id, value FROM fact WHERE name = 'split'",
    "report": "SELECT film_id, 'yes' FROM report WHERE film_id IS NOT NULL UNION "
    "SELECT film.id, 'yes' FROM report JOIN film ON film.study_uid = report.study_uid WHERE report.film_id IS NULL",
}
FACETS = (*_COLUMNS, *_NAMED)
_NUMBERS = ("age", "year")


@dataclass(frozen=True)
class _Pairs:
    """Which films have which values: place in `ids` and in `values`, pair by pair."""

    films: NDArray[np.int64]
    codes: NDArray[np.int64]
    values: tuple[str, ...]


@dataclass(frozen=True)
class FacetTable:
    """The values of all films that are present, by facet, as they are at one state of the catalog."""

    ids: NDArray[np.int64]
    pairs: dict[str, _Pairs]

    def count(self, ids: NDArray[np.int64] | None, names: Iterable[str] = FACETS) -> dict[str, list[Facet]]:
        """Count the values of these films, or of all, by facet: ages by the first year of their band, `report` and
        `burned_in` as `yes`. Numbers ascend, other values come most frequent first."""
        among = np.ones(self.ids.size, np.bool_) if ids is None else np.isin(self.ids, ids, assume_unique=True)
        return {name: _counted(self.pairs[name], among, numbers=name in _NUMBERS) for name in names}

    def values(self, name: str, ids: NDArray[np.int64]) -> list[str | None]:
        """Return the value of a facet that each of these films has, the first where it has several, None where it has
        none."""
        pairs = self.pairs[name]
        first = np.full(self.ids.size + 1, -1, np.int64)  # the last place is for films that are not present
        first[pairs.films[::-1]] = pairs.codes[::-1]
        places = np.searchsorted(self.ids, ids)
        present = np.isin(ids, self.ids)
        return [pairs.values[code] if code >= 0 else None for code in first[np.where(present, places, -1)].tolist()]


def _counted(pairs: _Pairs, among: NDArray[np.bool_], *, numbers: bool) -> list[Facet]:
    counts = np.bincount(pairs.codes[among[pairs.films]], minlength=len(pairs.values))
    facets = [Facet(value, int(count)) for value, count in zip(pairs.values, counts, strict=True) if count]
    if numbers:
        return sorted(facets, key=lambda facet: int(facet.value))
    return sorted(facets, key=lambda facet: (-facet.count, facet.value))


def load_facets(catalog: Catalog) -> FacetTable:
    """Read the values of all present films."""
    with catalog.look() as connection:
        ids = ids_of(connection, "SELECT id FROM film WHERE state = 'present'")
        columns = ", ".join(_COLUMNS.values())
        rows = connection.execute(f"SELECT id, {columns} FROM film WHERE state = 'present' ORDER BY id").fetchall()
        every = [tuple(row) for row in rows]
        pairs = {
            name: _paired(ids, [(row[0], row[at]) for row in every if row[at] is not None])
            for at, name in enumerate(_COLUMNS, 1)
        }
        pairs |= {name: _paired(ids, _rows(connection, statement)) for name, statement in _NAMED.items()}
    return FacetTable(ids, pairs)


def _rows(connection: sqlite3.Connection, statement: str) -> list[tuple[int, str]]:
    return [(film_id, value) for film_id, value in connection.execute(statement)]


def _paired(ids: NDArray[np.int64], rows: list[tuple[int, object]] | list[tuple[int, str]]) -> _Pairs:
    """Turn (film id, value) into places; films that are not present are left out."""
    values = {str(value): at for at, value in enumerate(dict.fromkeys(value for _, value in rows))}
    films = np.fromiter((film_id for film_id, _ in rows), np.int64, len(rows))
    codes = np.fromiter((values[str(value)] for _, value in rows), np.int64, len(rows))
    places = np.searchsorted(ids, films)
    present = places < ids.size
    present[present] = ids[places[present]] == films[present]
    return _Pairs(places[present], codes[present], tuple(values))


def tags_of_films(catalog: Catalog, ids: Iterable[int]) -> dict[int, list[str]]:
    """Return the tags of these films, by film, in alphabetical order."""
    tags: dict[int, list[str]] = {}
    listed = f"[{','.join(map(str, ids))}]"
    statement = "SELECT film_id, name FROM tag WHERE film_id IN (SELECT value FROM json_each(?)) ORDER BY name"
    with catalog.look() as connection:
        for film_id, name in connection.execute(statement, (listed,)):
            tags.setdefault(film_id, []).append(name)
    return tags
