"""Count how many of some films have each value there is to filter by: in memory, at once for a million films."""

from __future__ import annotations

import io
import json
import threading
from collections.abc import Collection, Iterable
from dataclasses import dataclass

import numpy as np
from filmroom.db.batching import ids_by_value, ids_of
from filmroom.db.catalog import Catalog
from filmroom.db.reads.fact_cache import FactCache
from filmroom.db.reads.films import ANNOTATED
from filmroom.db.records import Facet
from numpy.typing import NDArray

AGE_BAND = 10
"""Years of age in one band: 20 stands for 20 to 29."""

MOST_VALUES = 1_000
"""The most frequent values of a facet that are counted; of a million films no list shows two hundred thousand
patients."""


def _named(column: str, rows: str) -> str:
    return f"SELECT value, {{ids}} FROM (SELECT {column} AS value, film_id AS id FROM {rows}) AS listed GROUP BY value"


# Grouped as the column's index is, so that no film's row is read.
_STATEMENTS = {
    "view": "SELECT view, {ids} FROM film WHERE view IS NOT NULL GROUP BY view",
    "sex": "SELECT min(sex), {ids} FROM film WHERE sex IS NOT NULL GROUP BY sex COLLATE NOCASE",
    "modality": "SELECT min(modality), {ids} FROM film WHERE modality IS NOT NULL GROUP BY modality COLLATE NOCASE",
    "body_part": "SELECT min(body_part), {ids} FROM film WHERE body_part IS NOT NULL GROUP BY body_part COLLATE NOCASE",
    "age": "SELECT age, {ids} FROM film WHERE age IS NOT NULL GROUP BY age",
    "year": "SELECT year, {ids} FROM film WHERE year IS NOT NULL GROUP BY year",
    "patient": "SELECT patient_key, {ids} FROM film WHERE patient_key IS NOT NULL GROUP BY patient_key",
    "burned_in": "SELECT 'yes', {ids} FROM film WHERE burned_in GROUP BY 1",
    "label": _named("name", "label WHERE value >= 0.5 AND source != 'probe'"),
    "tag": _named("name", "tag"),
    "collection": _named("name", "collection_film JOIN collection ON collection.id = collection_id"),
    "split": _named("value", "fact WHERE name = 'split'"),
    "report": "SELECT 'yes', {ids} FROM (SELECT film_id AS id FROM report WHERE film_id IS NOT NULL UNION "
    "SELECT film.id AS id FROM report JOIN film ON film.study_uid = report.study_uid WHERE report.film_id IS NULL) "
    "AS listed GROUP BY 1",
}
FACETS = tuple(_STATEMENTS)
_NUMBERS = ("age", "year")
SEVERAL = ("label", "tag", "collection")
"""Of these a film may have several values, and a label from several sources."""


@dataclass(frozen=True)
class _Pairs:
    """Which films have which values: place in `FacetTable.ids` and in `values`, pair by pair."""

    films: NDArray[np.int64]
    codes: NDArray[np.int64]
    values: tuple[str, ...]


class FacetTable:
    """The values of all films that are present, by facet, each read when it is first asked for, and tags and
    collections anew when something was written. Good while `Catalog.fact_state` stays; shared by threads."""

    def __init__(self, catalog: Catalog) -> None:
        """Read which films there are."""
        self._catalog = catalog
        self._pairs: dict[str, _Pairs] = {}
        self._changes = -1
        self._reading = threading.Lock()
        with catalog.look() as connection:
            self.ids = ids_of(connection, "SELECT id FROM film WHERE state = 'present'")
        self._places = np.full(int(self.ids.max(initial=-1)) + 1, -1, np.int64)
        self._places[self.ids] = np.arange(self.ids.size)

    def count(
        self,
        ids: NDArray[np.int64] | None,
        names: Iterable[str] = FACETS,
        *,
        most: int = MOST_VALUES,
        also: Collection[str] = (),
    ) -> dict[str, list[Facet]]:
        """Count the values of these films, or of all, by facet: ages by the first year of their band, `report` and
        `burned_in` as `yes`. Numbers ascend, other values come most frequent first: the `most` first, and those of
        `also`."""
        among = np.ones(self.ids.size, np.bool_)
        if ids is not None:
            places = self._places_of(ids)
            among = np.zeros(self.ids.size, np.bool_)
            among[places[places >= 0]] = True
        return {
            name: _counted(self._facet(name), among, numbers=name in _NUMBERS, most=most, also=also) for name in names
        }

    def values(self, name: str, ids: NDArray[np.int64], *, rather: Collection[str] = ()) -> list[str | None]:
        """Return the value of a facet that each of these films has, None where it has none. Of several it is the first
        by name, of those that are in `rather` where the film has one."""
        pairs = self._facet(name)
        first = np.full(self.ids.size + 1, -1, np.int64)  # the last place is for films that are not present
        first[pairs.films[::-1]] = pairs.codes[::-1]
        preferred = np.isin(pairs.codes, [code for code, value in enumerate(pairs.values) if value in rather])
        first[pairs.films[preferred][::-1]] = pairs.codes[preferred][::-1]
        return [pairs.values[code] if code >= 0 else None for code in first[self._places_of(ids)].tolist()]

    def _places_of(self, ids: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return where in `ids` these films are; -1 for those that are not present."""
        known = (ids >= 0) & (ids < self._places.size)
        places = np.full(ids.size, -1, np.int64)
        places[known] = self._places[ids[known]]
        return places

    def _facet(self, name: str) -> _Pairs:
        with self._reading:
            if name in ANNOTATED and self._changes != (changes := self._catalog.changes()):
                for annotation in ANNOTATED:
                    self._pairs.pop(annotation, None)
                self._changes = changes
            if name not in self._pairs:
                self._pairs[name] = self._read(name)
            return self._pairs[name]

    def _read(self, name: str) -> _Pairs:
        """Read a facet as it is kept beside the catalog, where no fact was written since; else by the catalog."""
        question = f"films by {name}"
        with self._catalog.look() as connection:
            of_facts = self._catalog.is_file and name not in ANNOTATED
            cache = FactCache(connection, self._catalog.path) if of_facts else None
            if cache is not None and (answer := cache.get(question)) is not None:
                return self._paired(name, *_unpacked(answer))
            values, ids, counts = ids_by_value(connection, _STATEMENTS[name])
            if cache is not None:
                cache.put(question, _packed(values, ids, counts))
        return self._paired(name, values, ids, counts)

    def _paired(self, name: str, values: list[str], ids: NDArray[np.int64], counts: list[int]) -> _Pairs:
        """Turn values with their films into places, in the order of the values; a film counts once a value."""
        if name == "age":
            values = [str(int(value) // AGE_BAND * AGE_BAND) for value in values]
        known = {value: code for code, value in enumerate(sorted(set(values)))}
        codes = np.repeat(np.array([known[value] for value in values], np.int64), counts)
        places = self._places_of(ids)
        codes, places = codes[places >= 0], places[places >= 0]
        if name in SEVERAL:
            order = np.lexsort((places, codes))
            codes, places = codes[order], places[order]
            new = np.ones(codes.size, np.bool_)
            new[1:] = (codes[1:] != codes[:-1]) | (places[1:] != places[:-1])
            codes, places = codes[new], places[new]
        return _Pairs(places, codes, tuple(known))


def _packed(values: list[str], ids: NDArray[np.int64], counts: list[int]) -> bytes:
    """Turn what `ids_by_value` gives into bytes: four of a film."""
    data = io.BytesIO()
    small = ids.astype(np.int32) if ids.max(initial=0) < 2**31 else ids
    names = np.frombuffer(json.dumps(values).encode(), np.uint8)
    np.savez(data, names=names, ids=small, counts=np.array(counts, np.int64))
    return data.getvalue()


def _unpacked(answer: bytes) -> tuple[list[str], NDArray[np.int64], list[int]]:
    with np.load(io.BytesIO(answer), allow_pickle=False) as arrays:
        names = json.loads(arrays["names"].tobytes())
        return names, arrays["ids"].astype(np.int64), arrays["counts"].tolist()


def _counted(
    pairs: _Pairs, among: NDArray[np.bool_], *, numbers: bool, most: int, also: Collection[str]
) -> list[Facet]:
    counts = np.bincount(pairs.codes[among[pairs.films]], minlength=len(pairs.values))
    codes = np.flatnonzero(counts)
    if codes.size > most:
        frequent = np.argsort(-counts[codes], kind="stable")[:most]  # by name among equals: values are in that order
        extra = [code for code, value in enumerate(pairs.values) if value in also and counts[code]] if also else []
        codes = np.array(sorted({*codes[frequent].tolist(), *extra}), np.int64)
    facets = [Facet(pairs.values[code], int(counts[code])) for code in codes.tolist()]
    if numbers:
        return sorted(facets, key=lambda facet: int(facet.value))
    return sorted(facets, key=lambda facet: (-facet.count, facet.value))


def tags_of_films(catalog: Catalog, ids: Iterable[int]) -> dict[int, list[str]]:
    """Return the tags of these films, by film, in alphabetical order."""
    tags: dict[int, list[str]] = {}
    listed = f"[{','.join(map(str, ids))}]"
    statement = "SELECT film_id, name FROM tag WHERE film_id IN (SELECT value FROM json_each(?)) ORDER BY name"
    with catalog.look() as connection:
        for film_id, name in connection.execute(statement, (listed,)):
            tags.setdefault(film_id, []).append(name)
    return tags
