"""Read the archive's reports: which findings each says, denies or leaves open."""

from __future__ import annotations

from filmroom.db.catalog import Catalog
from filmroom.db.reads.fulltext import unread
from filmroom.db.records import Assertion
from filmroom.indexer.radiology.report_labeler import READER, read_report, with_parents

_BATCH = 500


def read_reports(catalog: Catalog) -> int:
    """Read what this version of the reader has not read yet, a batch a transaction; give the number of reports."""
    done = 0
    while batch := unread(catalog, READER, _BATCH):
        from filmroom.db.writes.report_findings import put_assertions  # brings SQLAlchemy with it

        put_assertions(catalog, [(report_id, assertions(text)) for report_id, text in batch], READER)
        done += len(batch)
    return done


def assertions(text: str) -> tuple[Assertion, ...]:
    """Give what a report says of findings, and what follows from them: a viral pneumonia is a pneumonia."""
    return tuple(
        dict.fromkeys(
            Assertion(
                implied.idea,
                "absent" if not implied.present else "present" if implied.certain else "uncertain",
                implied.side,
                implied.severity,
                tuple(sorted(implied.places)),
            )
            for statement in read_report(text)
            for implied in with_parents(statement)
        )
    )
