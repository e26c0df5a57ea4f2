"""Keep what reports say and deny beside their words, so that a filter can ask for it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from filmroom.db.catalog import Catalog
from filmroom.db.schema import report, report_finding
from sqlalchemy import ColumnElement, delete, func, insert, or_, select, update


@dataclass(frozen=True)
class Assertion:
    """One finding of a report. `side`, `severity` and `places` are empty where the report does not tell them."""

    finding: str
    assertion: Literal["present", "absent", "uncertain"]
    side: str = ""
    severity: str = ""
    places: tuple[str, ...] = ()


def count_unread(catalog: Catalog, reader: int) -> int:
    """Count the reports that this version of the reader has not read."""
    with catalog.read() as connection:
        return connection.scalar(select(func.count()).select_from(report).where(_unread(reader))) or 0


def unread(catalog: Catalog, reader: int, limit: int) -> list[tuple[int, str]]:
    """Return (id, text) of reports that this version of the reader has not read."""
    with catalog.read() as connection:
        rows = connection.execute(select(report.c.id, report.c.text).where(_unread(reader)).limit(limit))
        return [(row.id, row.text) for row in rows]


def put_assertions(catalog: Catalog, read: Sequence[tuple[int, Sequence[Assertion]]], reader: int) -> None:
    """Keep what each report (id, its findings) was read to say, in one transaction; what it had is replaced.

    A report that was deleted meanwhile is passed over.
    """
    ids = [report_id for report_id, _ in read]
    with catalog.write() as connection:
        known = set(connection.scalars(select(report.c.id).where(report.c.id.in_(ids))))
        connection.execute(delete(report_finding).where(report_finding.c.report_id.in_(ids)))
        connection.execute(update(report).where(report.c.id.in_(ids)).values(read_by=reader))
        rows = [
            {
                "report_id": report_id,
                "finding": assertion.finding,
                "assertion": assertion.assertion,
                "side": assertion.side,
                "severity": assertion.severity,
                "places": f" {' '.join(assertion.places)} " if assertion.places else "",
            }
            for report_id, assertions in read
            if report_id in known
            for assertion in dict.fromkeys(assertions)
        ]
        if rows:
            connection.execute(insert(report_finding), rows)


def _unread(reader: int) -> ColumnElement[bool]:
    return or_(report.c.read_by.is_(None), report.c.read_by != reader)
