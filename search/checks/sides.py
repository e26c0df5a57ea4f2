"""Find the patients who are on several sides of a split."""

from __future__ import annotations

from collections.abc import Mapping

from filmroom.db.catalog import Catalog
from filmroom.db.reads.film_table import film_columns

SPLIT = "split"
"""The fact that names each film's side, where no other is named."""


def on_several_sides(catalog: Catalog, sides: Mapping[int, str]) -> list[list[int]]:
    """Give the films of each patient who has films on several sides, by side; `sides` name each film's."""
    columns = film_columns(catalog, ["patient_key"])
    by_patient: dict[str, list[int]] = {}
    for film, key in zip(columns["id"], columns["patient_key"], strict=True):
        if key and film in sides:
            by_patient.setdefault(key, []).append(film)
    return [
        sorted(films, key=lambda film: (sides[film], film))
        for films in by_patient.values()
        if len({sides[film] for film in films}) > 1
    ]
