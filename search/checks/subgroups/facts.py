"""Sort films into groups by what is known of them: sex, age band, view, year, modality, source, maker."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

import numpy as np
from filmroom.db.catalog import Catalog
from filmroom.db.reads.film_table import film_columns
from numpy.typing import NDArray

FACTS = ("sex", "age", "view", "year", "modality", "source", "maker")
MORE_FACTS = (*FACTS, "body_part", "photometric", "pixels")
"""With those that a slice is not made of; `pixels` are those of the shorter side of the picture."""
_BANDS = {"age": (0, 18, 40, 60, 80), "pixels": (0, 512, 1024, 2048)}
"""Where each band of a number begins."""
_COLUMNS = {"source": "root", "pixels": "least_side"}


@dataclass(frozen=True)
class Groups:
    """The groups that one fact makes of films: `names` of the groups, and each film's place among them, (N,); -1 for a
    film of which the fact is not known."""

    fact: str
    names: tuple[str, ...]
    codes: NDArray[np.int64]


@dataclass(frozen=True)
class KnownFilms:
    """Films `ids` (N,), ascending, each one's patient as a number (N,), and the groups that each fact makes of them.
    `alone` counts the films without a patient key, each of which counts as a patient."""

    ids: NDArray[np.int64]
    patients: NDArray[np.int64]
    groups: tuple[Groups, ...]
    alone: int


def known_films(catalog: Catalog, ids: NDArray[np.int64], facts: Sequence[str] = FACTS) -> KnownFilms:
    """Read the patients and the facts of present films `ids` (N,), ascending."""
    columns = film_columns(catalog, ["patient_key", *(_COLUMNS.get(fact, fact) for fact in facts)])
    at = np.searchsorted(np.array(columns["id"], np.int64), ids).tolist()
    keys = [columns["patient_key"][row] for row in at]
    names = np.array([key or f"film {film}" for key, film in zip(keys, ids.tolist(), strict=True)], dtype=str)
    patients = np.unique(names, return_inverse=True)[1].astype(np.int64)
    groups = tuple(_groups(fact, columns, at) for fact in facts)
    return KnownFilms(ids, patients, groups, sum(not key for key in keys))


def band_of(fact: str, value: int) -> str:
    """Name the band of an age in years, or of a side in pixels: "18 to 39"."""
    begins = _BANDS[fact]
    at = max(place for place, first in enumerate(begins) if value >= first)
    return f"{begins[at]} and over" if at + 1 == len(begins) else f"{begins[at]} to {begins[at + 1] - 1}"


def short_names(roots: Sequence[str]) -> dict[str, str]:
    """Name each root by its last part; those that would share a name bear the whole of it."""
    last = {root: PurePosixPath(root.rstrip("/")).name or root for root in roots}
    shared = Counter(last.values())
    return {root: name if shared[name] == 1 else root for root, name in last.items()}


def _groups(fact: str, columns: Mapping[str, Sequence[Any]], at: Sequence[int]) -> Groups:
    every = columns[_COLUMNS.get(fact, fact)]
    values = [every[row] for row in at]
    if fact in _BANDS:
        labels = [None if value is None else band_of(fact, value) for value in values]
        order = [band_of(fact, first) for first in _BANDS[fact]]
        names = tuple(name for name in order if name in set(labels))
    else:
        short = short_names(sorted(set(every))) if fact == "source" else {}
        labels = [None if value is None else short.get(value, str(value)) for value in values]
        names = tuple(sorted({value for value in labels if value is not None}))
    places = {name: place for place, name in enumerate(names)}
    return Groups(fact, names, np.array([-1 if value is None else places[value] for value in labels], np.int64))
