"""Read some columns of all present films at once: what a check of the whole archive compares."""

from __future__ import annotations

import os
import zlib
from collections.abc import Sequence
from typing import Any

from filmroom.db.catalog import Catalog

COLUMNS = {
    **{
        name: f"film.{name}"
        for name in (
            "id", "identity", "frame", "modality", "view", "body_part", "laterality", "sex", "age", "year", "rows",
            "columns", "photometric", "study_uid", "instance_uid", "patient_key", "burned_in", "orientation",
            "added_at", "maker",
        )
    },
    "least_side": "min(film.rows, film.columns)",
    "path": "file.path",
    "size": "file.size",
    "sha256": "file.sha256",
    "root": "root.path",
}  # fmt: skip
"""What can be asked for, and where it stands."""


def film_columns(catalog: Catalog, names: Sequence[str]) -> dict[str, list[Any]]:
    """Give these columns of the present films, each in the order of the films' ids; `id` always comes with them."""
    columns = list(dict.fromkeys(["id", *names]))
    selected = ", ".join(f"{COLUMNS[name]} AS {name}" for name in columns)
    statement = (
        f"SELECT {selected} FROM film JOIN file ON file.id = film.file_id JOIN root ON root.id = file.root_id "
        "WHERE film.state = 'present' ORDER BY film.id"
    )
    with catalog.look() as connection:
        rows = connection.execute(statement).fetchall()
    values: dict[str, list[Any]] = {name: [row[at] for row in rows] for at, name in enumerate(columns)}
    for name in {"path", "root"} & values.keys():
        values[name] = [os.fsdecode(place) for place in values[name]]
    return values


def fact_values(catalog: Catalog, name: str) -> dict[int, str]:
    """Give what tables say of this fact, by the id of each present film of which they say something."""
    statement = (
        "SELECT film_id, value FROM fact JOIN film ON film.id = film_id WHERE name = ? AND state = 'present' "
        "ORDER BY film_id"
    )
    with catalog.look() as connection:
        return {int(row[0]): str(row[1]) for row in connection.execute(statement, (name,))}


def picture_stamps(catalog: Catalog) -> dict[int, int]:
    """Give a number for each present film with a thumbnail that changes when its thumbnail does; no picture is
    read."""
    statement = (
        "SELECT film.id, file.sha256, film.frame, length(webp), checksum FROM film JOIN file ON file.id = film.file_id "
        "JOIN thumbnail ON thumbnail.film_id = film.id WHERE film.state = 'present'"
    )
    with catalog.look() as connection:
        rows = connection.execute(statement).fetchall()
    return {int(row[0]): zlib.crc32(f"{row[1]} {row[2]} {row[3] or row[4]}".encode()) for row in rows}
