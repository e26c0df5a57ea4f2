"""Keep facts of films that tables give: beside the films, so that each can say where it is from."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from filmroom.db.batching import chunked
from filmroom.db.catalog import Catalog
from filmroom.db.records import Tags
from filmroom.db.schema import fact, film
from sqlalchemy import Connection, select, update
from sqlalchemy.dialects.sqlite import insert as upsert

COLUMNS = {
    "patient": "patient_key", "study": "study_uid", "view": "view", "sex": "sex", "age": "age", "year": "year",
}  # fmt: skip
"""The column of a film that holds a fact. A split has none."""

SPLIT = "split"

Facts = Mapping[str, str | int]
"""Fact -> value."""


@dataclass(frozen=True)
class Kept:
    """How many films got each fact, and how many keep one of their own header that differs."""

    given: dict[str, int]
    own: dict[str, int]


def put_facts(catalog: Catalog, facts: Mapping[int, Facts], *, source: str, overrides: bool = False) -> Kept:
    """Give films facts. What a film's own header says stays, unless it is overridden; what a table said before goes."""
    counts: Counter[str] = Counter()
    differing: Counter[str] = Counter()
    put = upsert(fact)
    put = put.on_conflict_do_update(
        index_elements=["film_id", "name"], set_={name: put.excluded[name] for name in ("value", "source", "overrides")}
    )
    with catalog.write() as connection:
        for chunk in chunked(sorted(facts)):
            known = _known(connection, chunk)
            rows: list[dict[str, Any]] = []
            for row in connection.execute(select(film).where(film.c.id.in_(chunk))).all():
                columns: dict[str, Any] = {}
                for name, value in facts[row.id].items():
                    header = getattr(row, COLUMNS[name]) if name in COLUMNS else None
                    if header is not None and (row.id, name) not in known and not overrides:
                        differing[name] += header != value
                        continue
                    rows.append({"film_id": row.id, "name": name, "value": str(value)})
                    counts[name] += 1
                    if name in COLUMNS:
                        columns[COLUMNS[name]] = value
                if columns:
                    connection.execute(update(film).where(film.c.id == row.id).values(columns))
            if rows:
                connection.execute(put, [row | {"source": source, "overrides": overrides} for row in rows])
    return Kept(dict(counts), {name: count for name, count in differing.items() if count})


def sources(catalog: Catalog, film_id: int) -> dict[str, tuple[str, str]]:
    """Return (value, source) of the facts that a table gave a film, by name."""
    with catalog.read() as connection:
        rows = connection.execute(select(fact).where(fact.c.film_id == film_id))
        return {row.name: (row.value, row.source) for row in rows}


def given_facts(connection: Connection, film_id: int, header: Tags) -> dict[str, Any]:
    """Return columns of a film that is indexed anew: what tables gave it where its header is silent or overridden."""
    columns: dict[str, Any] = {}
    for row in connection.execute(select(fact).where(fact.c.film_id == film_id)):
        column = COLUMNS.get(row.name)
        if column and (row.overrides or getattr(header, column) is None):
            columns[column] = _typed(row.name, row.value)
    return columns


def _known(connection: Connection, ids: Sequence[int]) -> set[tuple[int, str]]:
    rows = connection.execute(select(fact.c.film_id, fact.c.name).where(fact.c.film_id.in_(ids)))
    return {(row.film_id, row.name) for row in rows}


def _typed(name: str, value: str) -> str | int:
    return int(value) if name in {"age", "year"} else value
