"""Read what films are called and marked with, for many films at a time: identities, tags, collections, label names."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from filmroom.db.batching import chunked, ids_in_two, ids_of, marks
from filmroom.db.catalog import Catalog
from filmroom.db.reads.fact_cache import FactCache
from numpy.typing import NDArray


@dataclass(frozen=True)
class LabelName:
    """A name that films of the archive are labelled with, by people and programs or by a probe."""

    name: str
    by_probe: bool


def label_names(catalog: Catalog) -> list[LabelName]:
    """List every label of the archive by name, those of probes last."""
    statement = "SELECT DISTINCT source = 'probe' AS by_probe, name FROM label ORDER BY by_probe, name"
    with catalog.look() as connection:
        return [LabelName(row["name"], bool(row["by_probe"])) for row in connection.execute(statement)]


def identities(catalog: Catalog, ids: Sequence[int]) -> dict[int, str]:
    """Give each film's identity, by id: `uid:UID#FRAME` of DICOM, `sha256:HASH#FRAME` of other pictures."""
    return {
        film_id: str(identity)
        for film_id, (identity,) in _by_film(catalog, "SELECT id, identity FROM film WHERE id IN ({})", ids).items()
    }


def patient_keys(catalog: Catalog, ids: Sequence[int]) -> dict[int, str]:
    """Give the key of each film's patient, by id, where it is known."""
    statement = "SELECT id, patient_key FROM film WHERE patient_key != '' AND id IN ({})"
    return {film_id: str(key) for film_id, (key,) in _by_film(catalog, statement, ids).items()}


def ids_of_identities(catalog: Catalog, keys: Sequence[str]) -> dict[str, int]:
    """Find films by identity; identities of no film are left out."""
    ids: dict[str, int] = {}
    with catalog.look() as connection:
        for chunk in chunked(keys):
            statement = f"SELECT identity, id FROM film WHERE identity IN ({marks(chunk)})"
            ids.update(map(tuple, connection.execute(statement, chunk)))
    return ids


def tags_of_films(catalog: Catalog, ids: Sequence[int]) -> dict[int, list[str]]:
    """Give the tags of each film that has some, by id."""
    return _by_film(catalog, "SELECT film_id, name FROM tag WHERE film_id IN ({}) ORDER BY name", ids)


def collections_of_films(catalog: Catalog, ids: Sequence[int]) -> dict[int, list[str]]:
    """Give the names of the collections of each film that is in some, by id."""
    statement = (
        "SELECT film_id, name FROM collection_film JOIN collection ON collection.id = collection_id "
        "WHERE film_id IN ({}) ORDER BY name"
    )
    return _by_film(catalog, statement, ids)


def file_hashes(catalog: Catalog, ids: Sequence[int]) -> dict[int, str]:
    """Give the SHA-256 (hex) of each film's file as it was indexed, where it is known, by film id."""
    statement = (
        "SELECT film.id, file.sha256 FROM film JOIN file ON file.id = film.file_id "
        "WHERE film.id IN ({}) AND file.sha256 IS NOT NULL"
    )
    return {film_id: str(digest) for film_id, (digest,) in _by_film(catalog, statement, ids).items()}


def _by_film(catalog: Catalog, statement: str, ids: Sequence[int]) -> dict[int, list[str]]:
    values: dict[int, list[str]] = {}
    with catalog.look() as connection:
        for chunk in chunked(ids):
            for film_id, value in connection.execute(statement.format(marks(chunk)), chunk):
                text = os.fsdecode(value) if isinstance(value, bytes) else value
                values.setdefault(int(film_id), []).append(text)
    return values


def stated_names(catalog: Catalog) -> list[str]:
    """List the names of the labels that people and programs gave, in order. Of each name one row is looked at, and
    more only where probes gave the first ones."""
    statement = """
WITH RECURSIVE known(name) AS (
    SELECT min(name) FROM label
    UNION ALL
    SELECT (SELECT min(name) FROM label WHERE label.name > known.name) FROM known WHERE known.name IS NOT NULL
)
SELECT name FROM known
WHERE EXISTS (SELECT 1 FROM label WHERE label.name = known.name AND source != 'probe') ORDER BY name
"""
    with catalog.look() as connection:
        cache = FactCache(connection, catalog.path) if catalog.is_file else None
        if cache is not None and (answer := cache.get("stated names")) is not None:
            return [str(name) for name in json.loads(answer)]
        names = [str(row[0]) for row in connection.execute(statement)]
        if cache is not None:
            cache.put("stated names", json.dumps(names).encode())
    return names


def labelled_with(catalog: Catalog, names: Sequence[str]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the films, ascending, that some source gives one of these labels a value of 0.5 or more, and those whose
    every value is lower."""
    if not names:
        return np.empty(0, np.int64), np.empty(0, np.int64)
    rows = f"SELECT film_id AS id, value FROM label WHERE name IN ({marks(names)}) AND source != 'probe'"
    with catalog.look() as connection:
        cache = FactCache(connection, catalog.path) if catalog.is_file else None
        question = f"labelled {sorted(names)}"
        if cache is not None and (bits := cache.get(question)) is not None:
            present, absent = np.unpackbits(np.frombuffer(bits, np.uint8).reshape(2, -1), axis=1)
            return np.flatnonzero(present), np.flatnonzero(absent)
        high, low = map(_once, ids_in_two(connection, rows, "value >= 0.5", tuple(names)))
        low = np.setdiff1d(low, high, assume_unique=True)
        if cache is not None:
            flags = np.zeros((2, 1 + int(max(high.max(initial=0), low.max(initial=0)))), np.bool_)
            flags[0, high], flags[1, low] = True, True
            cache.put(question, np.packbits(flags, axis=1).tobytes())
    return high, low


def _once(ascending: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return each id once: they need not be sorted again."""
    return ascending[np.diff(ascending, prepend=-1) > 0]


def labelled_films(catalog: Catalog) -> NDArray[np.int64]:
    """Return the films, ascending, that have a label of any name."""
    with catalog.look() as connection:
        return ids_of(connection, "SELECT DISTINCT film_id AS id FROM label WHERE source != 'probe'")
