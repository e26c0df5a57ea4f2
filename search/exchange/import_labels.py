"""Import labels and reports from tables, matched to films by name."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from filmroom.db.catalog import Catalog
from filmroom.db.errors import BadInput
from filmroom.db.records import Label
from filmroom.db.writes.annotations import Report, put_labels, put_reports
from filmroom.indexer.radiology.vocabulary import NORMAL, denied_by_normal, finding_of
from filmroom.search.exchange.fact_columns import NO_FINDINGS
from filmroom.search.exchange.placing import NameColumns, Named, PlacedRows, Several, place_rows, reports_of_study
from filmroom.search.exchange.tables import Row, plain, read_table, source_name
from filmroom.search.findings.read_reports import read_reports

_LABEL = ("label", "labels", "finding", "findings", "finding labels")
_REPORT = ("report", "text", "report_text")
_PARTS = ("indication", "findings", "impression")
_YES = {"1", "1.0", "yes", "y", "true", "positive", "present"}
_NO = {"0", "0.0", "no", "n", "false", "negative", "absent"}
_UNCERTAIN = {"uncertain", "u", "?"}


@dataclass(frozen=True)
class Imported:
    """What came of a table: rows read, films that got something, the names that match no film or several, and the rows
    that say nothing (`empty`). `labels` counts the films by label, `contradicted` the labels that rows of one source
    both give and deny to a film, which gets none of them."""

    rows: int
    films: int
    added: int
    missing: tuple[str, ...]
    ambiguous: tuple[str, ...]
    empty: int = 0
    labels: dict[str, int] = field(default_factory=dict)
    contradicted: int = 0


def merged(parts: Sequence[Imported]) -> Imported:
    """Return what came of several tables."""
    counts: Counter[str] = Counter()
    for part in parts:
        counts.update(part.labels)
    return Imported(
        rows=sum(part.rows for part in parts),
        films=sum(part.films for part in parts),
        added=sum(part.added for part in parts),
        missing=tuple(dict.fromkeys(name for part in parts for name in part.missing)),
        ambiguous=tuple(dict.fromkeys(name for part in parts for name in part.ambiguous)),
        empty=sum(part.empty for part in parts),
        labels=dict(counts),
        contradicted=sum(one.contradicted for one in parts),
    )


def import_labels(catalog: Catalog, path: Path, *, source: str | None = None, key: bytes = b"") -> Imported:
    """Read labels: columns `film` and `label` (several joined with | or ;), and optionally `value` (0 to 1, yes, no).

    A table with `film` and one column a finding, holding 0 and 1, is read too; empty cells and -1 (uncertain) say
    nothing, and columns of facts (sex, age, view ...) are passed over. With `study` in place of `film` a row is for all
    films of the study; `key` is the archive's, by which studies that have no UID are known. `source` names where the
    labels come from, the file's name by default. Raises BadInput with file and line, keeping nothing.
    """
    found, _, imported = read_labels(catalog, path, source=source, key=key)
    put_labels(catalog, found)
    return imported


def read_labels(
    catalog: Catalog, path: Path, *, source: str | None = None, split: str | None = None, key: bytes = b""
) -> tuple[list[tuple[int, Label]], dict[int, str], Imported]:
    """Return the labels of a table by film, and the patients where a column names them, without keeping anything.
    `split` is a column that is no finding."""
    table = read_table(path)
    columns = NameColumns.of(table)
    divided = table.need(split) if split else None
    column = table.column(*_LABEL)
    value = table.column("value", "score", "probability")
    others = [name for name in table.columns if name and name != divided and plain(name) not in NO_FINDINGS]
    findings = others if column is None else []
    if column is None and not findings:
        raise BadInput("there is no column of labels", where=path, fix="Write: film,label or film,label,value.")
    rows: list[tuple[Named, list[tuple[str, float]]]] = []
    several = Several()
    for row in table:
        labels = _wide(row, findings) if column is None else _long(row, column, value)
        meant = columns.read(row)
        of_whom = (meant.patient, meant.study)
        several.add(meant.film, (of_whom, tuple(labels)) if column is None else of_whom)
        rows.append((meant, labels))
    placed = place_rows(catalog, path, [meant for meant, _ in rows], several, key)
    named = source_name(source, path)
    found: list[tuple[int, Label]] = []
    patients: dict[int, str] = {}
    for meant, labels in rows:
        for film_id in sorted(placed.films[meant]):
            # A header's cell may be broken into lines, as spreadsheets do to narrow a column.
            found += [(film_id, Label(" ".join(finding.split()), score, named)) for finding, score in labels]
            if meant.patient:
                patients[film_id] = meant.patient
    empty = sum(not labels for _, labels in rows)
    found, contradicted = without_contradictions(found)
    touched = {film_id for film_id, _ in found}
    done = _imported(len(rows), touched, len(found), placed, empty, count_labels(found))
    return found, patients, replace(done, contradicted=contradicted)


def import_reports(catalog: Catalog, path: Path, *, source: str | None = None, key: bytes = b"") -> Imported:
    """Read reports from CSV or JSON lines: `film` (or `study`, for all films of it) and `report`, or
    where that is empty the parts `indication`, `findings` and `impression`, which are joined.

    Raises BadInput with file and line.
    """
    table = read_table(path)
    columns = NameColumns.of(table)
    whole = table.column(*_REPORT)
    parts = [column for name in _PARTS if (column := table.column(name))]
    if whole is None and not parts:
        table.need(*_REPORT)
    rows: list[tuple[Named, str]] = []
    several = Several()
    for row in table:
        text = _broken(row.get(whole) or _joined(row, parts))
        meant = columns.read(row)
        several.add(meant.film, (meant.study, text))
        rows.append((meant, text))
    placed = place_rows(catalog, path, [meant for meant, _ in rows], several, key)
    found: list[Report] = []
    for meant, text in rows:
        if text and meant.film:
            found += [Report(text, film_id=film_id) for film_id in placed.films[meant]]
        elif text:
            found += reports_of_study(text, placed.films[meant], placed.studies)
    touched = {film_id for meant, text in rows if text for film_id in placed.films[meant]}
    empty = sum(not text for _, text in rows)
    added = put_reports(catalog, found, source=source_name(source, path))
    read_reports(catalog)
    return _imported(len(rows), touched, added, placed, empty)


def _imported(
    rows: int, touched: set[int], added: int, placed: PlacedRows, empty: int, labels: dict[str, int] | None = None
) -> Imported:
    missing = tuple(name or "(empty)" for name in placed.missing)
    return Imported(rows, len(touched), added, missing, placed.ambiguous, empty, labels or {})


def without_contradictions(found: Sequence[tuple[int, Label]]) -> tuple[list[tuple[int, Label]], int]:
    """Leave out the labels that a film both has and has not, by one source, and "no finding" with the findings that it
    is given beside; return the rest, and how many went."""
    sides: dict[tuple[int, str], set[bool]] = {}
    having: dict[int, set[str]] = {}
    for film_id, one in found:
        sides.setdefault((film_id, one.name.strip().lower()), set()).add(one.value >= 0.5)
        if one.value == 1.0:
            having.setdefault(film_id, set()).add(one.name.strip().lower())
    both = {key for key, said in sides.items() if len(said) > 1}
    for film_id, names in having.items():
        findings = {name for name in names if denied_by_normal(finding_of(name))}
        normal = {name for name in names if finding_of(name) == NORMAL}
        both |= {(film_id, name) for name in findings | normal if findings and normal}
    return [(film_id, one) for film_id, one in found if (film_id, one.name.strip().lower()) not in both], len(both)


def count_labels(found: Iterable[tuple[int, Label]]) -> dict[str, int]:
    """Say how many films have each label, the most frequent first."""
    having = {(film_id, one.name.lower()) for film_id, one in found if one.value >= 0.5}
    counts = Counter(name for _, name in having)
    return dict(sorted(counts.items(), key=lambda one: (-one[1], one[0])))


def _long(row: Row, column: str, value: str | None) -> list[tuple[str, float]]:
    if value and _says_nothing(row, value):
        return []
    score = _score(row, value) if value else 1.0
    names = row.get(column).replace(";", "|").split("|")
    return [(name.strip(), score) for name in names if name.strip()]


def _wide(row: Row, findings: list[str]) -> list[tuple[str, float]]:
    return [(name, _score(row, name)) for name in findings if not _says_nothing(row, name)]


def _says_nothing(row: Row, column: str) -> bool:
    """Tell an empty cell, or one that is uncertain: U, ?, -1 in any spelling of the number."""
    said = row.get(column).lower()
    return not said or said in _UNCERTAIN or row.number(column) == -1.0


def _score(row: Row, column: str) -> float:
    said = row.get(column).lower()
    if said in _YES:
        return 1.0
    if said in _NO:
        return 0.0
    score = row.number(column)
    if not 0.0 <= score <= 1.0:
        raise BadInput(
            f"{column} is neither 0, 1, yes, no nor a number between 0 and 1",
            where=row.where,
            fix="Use the columns film,label,value, or film and one column of 0 and 1 a finding.",
        )
    return score


def _joined(row: Row, parts: list[str]) -> str:
    return "\n\n".join(f"{part.strip().upper()}: {row.get(part)}" for part in parts if row.get(part))


def _broken(text: str) -> str:
    r"""Return the text with its lines: some tables write a line break as \n, which would join two sentences' words."""
    return text if "\n" in text else text.replace("\\r", "").replace("\\n", "\n")
