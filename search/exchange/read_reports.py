"""Read the archive's reports: which findings each says, denies or leaves open."""

from __future__ import annotations

from filmroom.db.catalog import Catalog
from filmroom.db.writes.report_findings import Assertion, put_assertions, unread
from filmroom.indexer.radiology.report_labeler import READER, read_report, with_parents

_BATCH = 500


def read_reports(catalog: Catalog) -> int:
    """Read what this version of the reader has not read yet, a batch a transaction; give the number of reports."""
    done = 0
    while batch := unread(catalog, READER, _BATCH):
        put_assertions(catalog, [(report_id, assertions(text)) for report_id, text in batch], READER)
        done += len(batch)
    return done


def assertions(text: str) -> tuple[Assertion, ...]:
    """Give what a report says of findings, and what follows from them: a viral pneumonia is a pneumonia."""
    return tuple(
        dict.fromkeys(
            Assertion(
                each.idea,
                "absent" if not each.present else "present" if each.certain else "uncertain",
                each.side,
                each.severity,
                tuple(sorted(each.places)),
            )
            for statement in read_report(text)
            for each in with_parents(statement)
        )
    )
