"""Import labels and reports from tables, matched to films by name."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from filmroom.db.catalog import Catalog
from filmroom.db.errors import BadInput
from filmroom.db.stretches import counts, upkeep
from filmroom.db.writes.annotations import Report, put_labels, put_reports
from filmroom.search.exchange.fact_columns import NO_FINDINGS
from filmroom.search.exchange.label_rows import FilmLabels, LabelRows
from filmroom.search.exchange.placing import NameColumns, Named, PlacedRows, Several, place_rows, reports_of_study
from filmroom.search.exchange.tables import Row, Table, plain, read_table, source_name
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
        contradicted=sum(part.contradicted for part in parts),
    )


def import_labels(catalog: Catalog, path: Path, *, source: str | None = None, key: bytes = b"") -> Imported:
    """Read labels: columns `film` and `label` (several joined with | or ;), and optionally `value` (0 to 1, yes, no).

    A table with `film` and one column a finding, holding 0 and 1, is read too; empty cells and -1 (uncertain) say
    nothing, and columns of facts (sex, age, view ...) are passed over. With `study` in place of `film` a row is for all
    films of the study; `key` is the archive's, by which studies that have no UID are known. `source` names where the
    labels come from, the file's name by default. Raises BadInput with file and line, keeping nothing.
    """
    labels, imported = _read(catalog, path, source=source, key=key)
    put_labels(catalog, labels)
    upkeep.bring_up_to_date(catalog, [counts.NAME])
    return imported


def read_labels(
    catalog: Catalog, path: Path, *, source: str | None = None, split: str | None = None, key: bytes = b""
) -> tuple[FilmLabels, dict[int, str], Imported]:
    """Return the labels of a table by film, and the patients where a column names them, without keeping anything.
    `split` is a column that is no finding."""
    patients: dict[int, str] = {}
    labels, imported = _read(catalog, path, source=source, split=split, key=key, patients=patients)
    return labels, patients, imported


def _read(
    catalog: Catalog,
    path: Path,
    *,
    source: str | None,
    key: bytes,
    split: str | None = None,
    patients: dict[int, str] | None = None,
) -> tuple[FilmLabels, Imported]:
    """Go through the table once for what its rows say, and again for the films that they mean: a large one is not held
    in words. `patients` gets the patient of each film where it is given."""
    table = read_table(path)
    columns = NameColumns.of(table)
    labels, several = LabelRows(), Several()
    of_row, long = _label_reader(table, path, split), table.column(*_LABEL) is not None
    for row in table:
        row_labels, meant = of_row(row), columns.read(row)
        labels.add(row_labels)
        of_whom = (meant.patient, meant.study)
        several.add(meant.film, of_whom if long else (of_whom, tuple(row_labels)))
    placed = place_rows(catalog, path, _NamedRows(table, columns), several, key)
    if patients is not None and columns.patient:
        for row, films in zip(table, placed, strict=True):
            if patient := columns.read(row).patient:
                patients |= dict.fromkeys(films, patient)
    film_labels, contradicted = labels.by_film(placed, source_name(source, path)).without_contradictions()
    touched, empty = film_labels.film_count, labels.empty
    done = _imported(len(labels), touched, len(film_labels), placed, empty, film_labels.counts())
    return film_labels, replace(done, contradicted=contradicted)


def _label_reader(table: Table, path: Path, split: str | None) -> Callable[[Row], list[tuple[str, float]]]:
    """Return what reads the labels of a row. Raises BadInput where no column holds any."""
    divided = table.need(split) if split else None
    column = table.column(*_LABEL)
    if column is not None:
        value = table.column("value", "score", "probability")
        return lambda row: _long(row, column, value)
    finding_columns = [name for name in table.columns if name and name != divided and plain(name) not in NO_FINDINGS]
    if not finding_columns:
        raise BadInput("there is no column of labels", where=path, fix="Write: film,label or film,label,value.")
    return lambda row: _wide(row, finding_columns)


@dataclass(frozen=True)
class _NamedRows:
    """What the rows of a table name, read anew each time."""

    table: Table
    columns: NameColumns

    def __iter__(self) -> Iterator[Named]:
        return map(self.columns.read, self.table)


def import_reports(catalog: Catalog, path: Path, *, source: str | None = None, key: bytes = b"") -> Imported:
    """Read reports from CSV or JSON lines: `film` (or `study`, for all films of it) and `report`, or
    where that is empty the parts `indication`, `findings` and `impression`, which are joined.

    Raises BadInput with file and line.
    """
    table = read_table(path)
    columns = NameColumns.of(table)
    report_column = table.column(*_REPORT)
    parts = [column for name in _PARTS if (column := table.column(name))]
    if report_column is None and not parts:
        table.need(*_REPORT)
    rows: list[tuple[Named, str]] = []
    several = Several()
    for row in table:
        text = _broken(row.get(report_column) or _joined(row, parts))
        meant = columns.read(row)
        several.add(meant.film, (meant.study, text))
        rows.append((meant, text))
    placed = place_rows(catalog, path, [meant for meant, _ in rows], several, key)
    reports: list[Report] = []
    touched: set[int] = set()
    for (meant, text), films in zip(rows, placed, strict=True):
        if text and meant.film:
            reports += [Report(text, film_id=film_id) for film_id in films]
        elif text:
            reports += reports_of_study(text, films, placed.studies)
        touched |= films if text else frozenset()
    empty = sum(not text for _, text in rows)
    added = put_reports(catalog, reports, source=source_name(source, path))
    read_reports(catalog)
    return _imported(len(rows), len(touched), added, placed, empty)


def _imported(
    rows: int, touched: int, added: int, placed: PlacedRows, empty: int, labels: dict[str, int] | None = None
) -> Imported:
    missing = tuple(name or "(empty)" for name in placed.missing)
    return Imported(rows, touched, added, missing, placed.ambiguous, empty, labels or {})


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
    cell = row.get(column).lower()
    return not cell or cell in _UNCERTAIN or row.number(column) == -1.0


def _score(row: Row, column: str) -> float:
    cell = row.get(column).lower()
    if cell in _YES:
        return 1.0
    if cell in _NO:
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
