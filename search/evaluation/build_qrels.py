"""Build judgements of what is known already: a public set's tables, or an archive's labels and reports."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from filmroom.db.archive import Archive
from filmroom.db.batching import chunked
from filmroom.db.errors import BadInput
from filmroom.db.reads import films
from filmroom.db.records import Film
from filmroom.db.writes.annotations import label_values
from filmroom.indexer.radiology.report_labeler import Statement, read_report
from filmroom.indexer.radiology.vocabulary import finding_of
from filmroom.search.evaluation.document_names import DocumentNames
from filmroom.search.evaluation.grading import Document, build_qrels, make_questions
from filmroom.search.evaluation.trec import Topic, read_queries, write_qrels, write_queries
from filmroom.search.public_sets.readers import documents_of
from filmroom.search.public_sets.views import view_statements

ARCHIVE = "archive"


@dataclass(frozen=True)
class MadeQrels:
    """What was written. `grades` counts the judgements by grade; `unread` are queries that name no finding, and
    `unjudged` queries that no film could be judged for."""

    documents: int
    queries: int
    groups: dict[str, int]
    judgements: int
    grades: dict[int, int]
    unread: tuple[str, ...]
    unjudged: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def documents_of_table(
    reader: str,
    table: Path,
    *,
    boxes: Path | None = None,
    adjudicated: Path | None = None,
    projections: Path | None = None,
) -> list[Document]:
    """Return the films of a public set by the name of its reader. Raises BadInput for a file that the reader does not
    take."""
    if reader == "mimic":
        fix = "Give the archive its labels (filmroom label --from mimic FILE), and name no table here."
        raise BadInput("its rows are of studies, not of films", where=table, fix=fix)
    files = {"boxes": boxes, "adjudicated": adjudicated, "projections": projections}
    return documents_of(reader, table, {name: path for name, path in files.items() if path is not None})


def documents_of_archive(archive: Archive) -> list[Document]:
    """Return the archive's films that have labels or a report. What labels leave unsaid is absent, unless they
    state absences."""
    values = label_values(archive.catalog)
    stated: dict[int, list[Statement]] = {}
    for name, column in values.items():
        for film_id, value in column.items():
            stated.setdefault(film_id, []).append(Statement(finding_of(name), present=value >= 0.5))
    closed = not any(value < 0.5 for column in values.values() for value in column.values())
    names, documents = DocumentNames(archive.catalog), list[Document]()
    for block in chunked(film for film in films.everyone(archive.catalog) if film.id in stated or film.has_report):
        called = names.of(block)
        documents += [
            Document(
                called[film.id],
                (*stated.get(film.id, ()), *_report_statements(archive, film)),
                closed and film.id in stated,
            )
            for film in block
        ]
    if not documents:
        raise BadInput(
            "no film of the archive has labels or a report",
            where=archive.folder,
            fix="Add them with filmroom label or filmroom report, or name a table.",
        )
    return documents


def _report_statements(archive: Archive, film: Film) -> Iterable[Statement]:
    yield from view_statements(film.tags.view or "")
    if film.has_report:
        for text in films.reports(archive.catalog, film):
            yield from read_report(text)


def write_made(
    documents: Sequence[Document],
    out: Path,
    *,
    queries: Path | None = None,
    new_queries: Path | None = None,
    at_least: int,
) -> MadeQrels:
    """Judge the films for the queries of a file, or for queries made of what the films show (written to
    `new_queries`), and write the qrels. Raises BadInput where nothing can be judged."""
    if (queries is None) == (new_queries is None):
        raise BadInput("queries are read or made", fix="Give either --queries FILE or --make-queries FILE.")
    questions = make_questions(documents, at_least=at_least) if queries is None else read_queries(queries)
    judged = build_qrels(questions, documents)
    qrels = {qid: grades for qid, grades in judged.qrels.items() if any(grades.values())}
    if not qrels:
        raise BadInput(
            "no query has a film that shows what it asks",
            where=queries,
            fix="Ask for findings that the labels or reports name, or lower --at-least.",
        )
    judged_questions = [question for question in questions if question.qid in qrels]
    if new_queries is not None:
        write_queries(new_queries, judged_questions)
    write_qrels(out, qrels)
    counts = Counter(grade for grades in qrels.values() for grade in grades.values())
    return MadeQrels(
        documents=len(documents),
        queries=len(judged_questions),
        groups=dict(Counter(question.group or "all" for question in judged_questions)),
        judgements=counts.total(),
        grades=dict(sorted(counts.items())),
        unread=judged.unread,
        unjudged=tuple(question.qid for question in _left(questions, qrels, judged.unread)),
    )


def _left(questions: Sequence[Topic], qrels: dict[str, dict[str, int]], unread: Sequence[str]) -> list[Topic]:
    return [question for question in questions if question.qid not in qrels and question.qid not in unread]
