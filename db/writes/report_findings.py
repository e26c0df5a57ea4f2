"""Keep what reports say and deny beside their words, so that a filter can ask for it."""

from __future__ import annotations

from collections.abc import Sequence

from filmroom.db.catalog import Catalog
from filmroom.db.records import Assertion
from filmroom.db.schema import report, report_finding
from sqlalchemy import delete, insert, select, update


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
