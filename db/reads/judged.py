"""Read which films were judged: grades by query, and labels by name. Plain SQL: a search asks it."""

from __future__ import annotations

import statistics
from collections.abc import Sequence

from filmroom.db.batching import chunked, marks
from filmroom.db.catalog import Catalog

YES = 0.5
"""A label's value from which a film has it."""


def judged_queries(catalog: Catalog) -> list[str]:
    """Return every query that a film was judged for, as it was typed."""
    with catalog.look() as connection:
        return [row[0] for row in connection.execute("SELECT DISTINCT query FROM judgement ORDER BY query")]


def grades(catalog: Catalog, queries: Sequence[str]) -> dict[int, int]:
    """Return the grade of each film that was judged for one of the queries; of several the lower median."""
    by_film: dict[int, list[int]] = {}
    with catalog.look() as connection:
        for chunk in chunked(queries):
            statement = f"SELECT film_id, grade FROM judgement WHERE query IN ({marks(chunk)})"
            for film_id, grade in connection.execute(statement, tuple(chunk)):
                by_film.setdefault(film_id, []).append(grade)
    return {film_id: statistics.median_low(grades) for film_id, grades in by_film.items()}


def labelled(catalog: Catalog, names: Sequence[str]) -> dict[int, bool]:
    """Return films by whether they have one of these labels; what a probe says is no label.

    A film that has other labels alone lacks it, unless some film states the absence (value 0): then only what is stated
    counts.
    """
    values = (
        f"SELECT film_id, max(value) FROM label WHERE source <> 'probe' AND name IN ({marks(names)}) GROUP BY film_id"
    )
    with catalog.look() as connection:
        has_label = {row[0]: row[1] >= YES for row in connection.execute(values, tuple(names))}
        if has_label and all(has_label.values()):
            films = connection.execute("SELECT DISTINCT film_id FROM label WHERE source <> 'probe'")
            has_label |= {row[0]: False for row in films if row[0] not in has_label}
    return has_label
