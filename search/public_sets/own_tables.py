"""Read tables that are of no public set: a film and its labels, or its report."""

from __future__ import annotations

import re
from pathlib import Path

from filmroom.db.errors import BadInput
from filmroom.indexer.radiology.report_labeler import Statement, read_report
from filmroom.indexer.radiology.vocabulary import finding_of
from filmroom.search.evaluation.grading import Document
from filmroom.search.exchange.tables import Row, read_table


def read_reports(path: Path) -> list[Document]:
    """Read any table or JSON lines with a film and its report (`report`, or `findings` and `impression`)."""
    table = read_table(path)
    name = table.need("film", "path", "image_id", "instance_uid", "study_uid", "report_id", "id")
    texts = [table.column(column) for column in ("report", "text", "findings", "impression")]
    if not any(texts):
        table.need("report", "text", "findings")
    return [
        Document(row.get(name), read_report(". ".join(row.get(text) for text in texts if row.get(text))), closed=False)
        for row in table
    ]


def read_labels(path: Path) -> list[Document]:
    """Read any table with a film and its `labels` joined with "|" or ";", or one `label` a row with a `value` of 0 to
    1."""
    table = read_table(path)
    name = table.need("film", "path", "image_id", "instance_uid", "id")
    several, single, value = table.column("labels"), table.column("label", "finding"), table.column("value")
    if several is None and single is None:
        table.need("labels", "label")
    by_film: dict[str, list[Statement]] = {}
    stated = False
    for row in table:
        statements = by_film.setdefault(row.get(name), [])
        if several is not None:
            statements += [Statement(finding_of(part)) for part in re.split(r"[|;]", row.get(several)) if part.strip()]
            continue
        if value and not row.get(value):
            continue
        number = _value(row, value)
        stated = stated or number < 0.5
        statements.append(Statement(finding_of(row.get(single)), present=number >= 0.5))
    return [Document(film, tuple(statements), closed=not stated) for film, statements in by_film.items()]


def _value(row: Row, column: str | None) -> float:
    number = row.number(column) if column else 1.0
    if not 0.0 <= number <= 1.0:
        raise BadInput(f"The value {row.get(column)} is not between 0 and 1", where=row.where)
    return number
