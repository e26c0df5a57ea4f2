"""Keep how well and how fast each model has been seen to work on this archive."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass

from filmroom.db.catalog import Catalog
from filmroom.db.schema import measured, run
from sqlalchemy import case, func, select
from sqlalchemy.dialects.sqlite import insert as upsert

_SHORTEST = 2
"""Seconds that a run must have taken to say anything: its times are whole seconds."""


@dataclass(frozen=True)
class Measured:
    """The mean of a measure over `count` queries of the query set `queries`."""

    queries: str
    measure: str
    value: float
    count: int
    measured_at: int


def keep(catalog: Catalog, space_id: int, *, queries: str, means: Mapping[str, float], count: int) -> None:
    """Keep the means of an evaluation; those of an earlier one with the same query set are replaced."""
    with catalog.write() as connection:
        for measure, value in means.items():
            facts = {"value": value, "count": count, "measured_at": int(time.time())}
            row = upsert(measured).values(space_id=space_id, queries=queries, measure=measure, **facts)
            connection.execute(row.on_conflict_do_update(index_elements=["space_id", "queries", "measure"], set_=facts))


def latest(catalog: Catalog, *, measure: str) -> dict[int, Measured]:
    """Return the newest value of a measure by space."""
    counted = (measured, measured.c["count"].label("queries_count"))
    statement = select(*counted).where(measured.c.measure == measure).order_by(measured.c.measured_at)
    with catalog.read() as connection:
        rows = connection.execute(statement).all()
    return {
        row.space_id: Measured(row.queries, row.measure, row.value, row.queries_count, row.measured_at) for row in rows
    }


def films_a_second(catalog: Catalog) -> dict[str, float]:
    """Return films indexed a second of wall-clock time, decoding and writing included, over all runs by model."""
    seconds = run.c.ended_at - run.c.started_at
    statement = (
        select(run.c.model, func.sum(run.c.indexed), func.sum(seconds))
        .where(run.c.indexed > 0, case((run.c.ended_at.is_(None), 0), else_=seconds) >= _SHORTEST)
        .group_by(run.c.model)
    )
    with catalog.read() as connection:
        return {model: indexed / took for model, indexed, took in connection.execute(statement)}
