"""Read and write query sets, judgements and runs in the TREC formats, and find the films they speak of."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from filmroom.db.errors import BadInput
from filmroom.db.path_names import without_suffix
from filmroom.db.records import Film
from filmroom.search.catalog_names import CatalogNames
from filmroom.search.exchange.tables import plain, read_lines, read_table, write_aside
from filmroom.search.film_names import FilmNames

MAX_GRADE = 10
_QID, _TEXT = ("qid", "query-id", "id"), ("query", "text")
_DOCUMENT, _GRADE = ("document", "docid", "doc_id", "docno", "corpus-id"), ("grade", "score", "relevance")
Qrels = dict[str, dict[str, int]]
"""Query id -> document id -> grade."""
Run = dict[str, dict[str, float]]
"""Query id -> document id -> score."""


@dataclass(frozen=True)
class Topic:
    """One query of a set. `group` is its kind: finding, side, severity, negation ..."""

    qid: str
    text: str
    group: str = ""


@dataclass(frozen=True)
class Resolution:
    """Judgements as film ids, and what could not be placed: no film of that name, or several."""

    grades: dict[str, dict[int, int]]
    names: dict[int, str]
    missing: tuple[str, ...] = ()
    ambiguous: tuple[str, ...] = ()


def read_queries(path: Path) -> list[Topic]:
    """Return `qid TAB query [TAB group]` a line, JSON lines, or a table with such a header.

    Raises BadInput for a line without a query, a query id that is there twice, or an empty file.
    """
    questions: dict[str, Topic] = {}
    for where, qid, text, group in _query_rows(path):
        if not qid or not text:
            raise BadInput("There is no query on the line", where=where, fix="Write: qid TAB query [TAB group]")
        if any(char.isspace() for char in qid):
            raise BadInput("A query id cannot contain spaces", where=where)
        if qid in questions:
            raise BadInput(f"The query id {qid} is there twice", where=where, fix="Give each query its own id")
        questions[qid] = Topic(qid, text, group)
    if not questions:
        raise BadInput("There are no queries", where=path)
    return list(questions.values())


def read_qrels(path: Path) -> Qrels:
    """Return `qid 0 document grade` a line, or a table with columns qid, document and grade (query-id, corpus-id and
    score, as BEIR calls them).

    Grades are whole numbers from 0 to 10. Raises BadInput for any other, for two grades of one document, and for
    an empty file.
    """
    qrels: Qrels = {}
    for where, qid, document, grade in _qrels_rows(path):
        grade = re.sub(r"\.0+$", "", grade)
        if not grade.isdecimal() or int(grade) > MAX_GRADE:
            raise BadInput(f"Unknown grade {grade}", where=where, fix=f"Grades are whole numbers from 0 to {MAX_GRADE}")
        grades = qrels.setdefault(qid, {})
        if grades.setdefault(document, int(grade)) != int(grade):
            raise BadInput(f"{document} has two grades for query {qid}", where=where, fix="Keep one of them")
    if not qrels:
        raise BadInput("There are no judgements", where=path, fix="Write lines of: qid 0 document grade")
    return qrels


def read_run(path: Path) -> Run:
    """Return `qid Q0 document rank score tag` a line; ranks are ignored, scores decide.

    Raises BadInput for a score that is no finite number, a document that is there twice, and an empty file.
    """
    run: Run = {}
    for where, line in read_lines(path):
        cells = line.split(None, 2)
        rest = cells[2].rsplit(None, 3) if len(cells) == 3 else []
        if len(rest) != 4:
            raise BadInput("Not a line of a run", where=where, fix="Write: qid Q0 document rank score tag")
        document, _, number, _ = rest
        try:
            score = float(number)
        except ValueError:
            score = math.nan
        if not math.isfinite(score):
            raise BadInput(f"The score {number} is not a finite number", where=where)
        documents = run.setdefault(cells[0], {})
        if document in documents:
            raise BadInput(f"{document} is there twice for query {cells[0]}", where=where)
        documents[document] = score
    if not run:
        raise BadInput("The run is empty", where=path)
    return run


def write_run(path: Path, ranked: Mapping[str, Sequence[tuple[str, float]]], *, tag: str) -> None:
    """Write a TREC run of lists that are best first. Spaces within a document id are written as %20."""
    lines = [
        f"{qid} Q0 {_spaceless(document)} {rank} {score:.9g} {_spaceless(tag)}\n"
        for qid, documents in ranked.items()
        for rank, (document, score) in enumerate(documents, start=1)
    ]
    write_aside(path, "".join(lines))


def write_qrels(path: Path, qrels: Qrels) -> None:
    """Write judgements in the TREC format, sorted."""
    lines = [
        f"{qid} 0 {_spaceless(document)} {grade}\n"
        for qid, grades in qrels.items()
        for document, grade in sorted(grades.items())
    ]
    write_aside(path, "".join(lines))


def write_queries(path: Path, questions: Iterable[Topic]) -> None:
    """Write `qid TAB query TAB group` a line."""
    lines = ("\t".join(" ".join(cell.split()) for cell in (item.qid, item.text, item.group)) for item in questions)
    write_aside(path, "".join(line.rstrip("\t") + "\n" for line in lines))


def resolve(qrels: Qrels, films: Iterable[Film] | CatalogNames) -> Resolution:
    """Place judgements on films, or on those of a catalog, by the names of `filmroom.search.film_names`. Where one film
    is judged under two names the higher grade counts."""
    known = films if isinstance(films, CatalogNames) else FilmNames(films)
    placed = known.place(document for documents in qrels.values() for document in documents)
    grades: dict[str, dict[int, int]] = {qid: {} for qid in qrels}
    names: dict[int, str] = {}
    for qid, documents in qrels.items():
        for document, grade in documents.items():
            film = placed.films.get(document)
            if film is not None:
                names.setdefault(film, document)
                grades[qid][film] = max(grade, grades[qid].get(film, 0))
    return Resolution(grades, names, placed.missing, placed.ambiguous)


def document_name(film: Film) -> str:
    """Return what a run calls a film that no judgement named: its relative path without suffix, and its frame."""
    return without_suffix(film.path) + (f"#{film.frame}" if film.frame else "")


def document_names(films: Iterable[Film]) -> dict[int, str]:
    """Return what judgements call each film. Those that would share a name bear their UID and frame, or the whole
    path."""
    listed = list(films)
    names = {film.id: document_name(film) for film in listed}
    shared = {name for name, count in Counter(names.values()).items() if count > 1}
    for film in listed:
        if names[film.id] in shared:
            names[film.id] = apart(film)
    return names


def apart(film: Film) -> str:
    """Return what tells a film from others of its name."""
    return f"{film.tags.instance_uid or film.path}#{film.frame}"


def _query_rows(path: Path) -> Iterable[tuple[str, str, str, str]]:
    lines = list(read_lines(path))
    if _has_header(lines, _QID, _TEXT):
        table = read_table(path)
        qid, text, group = table.need(*_QID), table.need(*_TEXT), table.column("group", "kind")
        return [(row.where, row.get(qid), row.get(text), row.get(group)) for row in table]
    rows = []
    for where, line in lines:
        cells = [" ".join(cell.split()) for cell in line.split("\t")]
        if len(cells) > 3:
            raise BadInput(f"The line has {len(cells)} columns", where=where, fix="Write: qid TAB query [TAB group]")
        rows.append((where, *[*cells, "", ""][:3]))
    return [(where, qid, text, group) for where, qid, text, group in rows]


def _qrels_rows(path: Path) -> Iterable[tuple[str, str, str, str]]:
    lines = list(read_lines(path))
    if _has_header(lines, _QID, _GRADE):
        table = read_table(path)
        qid, document, grade = table.need(*_QID), table.need(*_DOCUMENT), table.need(*_GRADE)
        return [(row.where, row.get(qid), row.get(document), row.get(grade)) for row in table]
    rows = []
    for where, line in lines:
        cells = line.split(None, 2)
        rest = cells[2].rsplit(None, 1) if len(cells) == 3 else []
        if len(rest) != 2:
            raise BadInput(
                "Not a judgement", where=where, fix="Write: qid 0 document grade, or a table with qid,document,grade"
            )
        rows.append((where, cells[0], rest[0], rest[1]))
    return rows


def _has_header(lines: Sequence[tuple[str, str]], *needed: Sequence[str]) -> bool:
    """Tell whether the file is a table: JSON lines, or a first line (behind `sep=`) that names each of the columns."""
    for _, line in lines[:2]:
        if line.lstrip().startswith("{"):
            return True
        columns = {plain(cell) for cell in re.split(r"[\t;,|]", line)}
        if all(columns & {plain(name) for name in names} for names in needed):
            return True
        if not line.strip(' "').lower().startswith("sep="):
            return False
    return False


def _spaceless(name: str) -> str:
    """Return a document id without spaces of any kind: they are written as in a URL."""
    return re.sub(r"\s", lambda space: quote(space[0]), name)
