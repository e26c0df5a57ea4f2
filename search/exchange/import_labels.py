"""Labels and reports from tables, matched to films by name."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from filmroom.db.catalog import Catalog
from filmroom.db.errors import BadInput
from filmroom.db.reads import films
from filmroom.db.records import Film, Label
from filmroom.db.writes.annotations import Report, put_labels, put_reports
from filmroom.search.exchange.tables import Row, read_table
from filmroom.search.film_names import FilmNames

_FILM = (
    "film",
    "image",
    "image_id",
    "image index",
    "file",
    "filename",
    "path",
    "instance_uid",
    "sopinstanceuid",
    "uid",
)
_STUDY = ("study", "study_uid", "studyinstanceuid")
_LABEL = ("label", "labels", "finding", "findings", "finding labels")
_REPORT = ("report", "text", "report_text")
_PARTS = ("indication", "findings", "impression")
_YES = {"1", "1.0", "yes", "y", "true", "positive", "present"}
_NO = {"0", "0.0", "no", "n", "false", "negative", "absent"}
_UNCERTAIN = {"-1", "-1.0", "uncertain"}


@dataclass(frozen=True)
class Imported:
    """What came of a table: rows read, films that got something, and the names that match no film or several."""

    rows: int
    films: int
    added: int
    missing: tuple[str, ...]
    ambiguous: tuple[str, ...]


def import_labels(catalog: Catalog, path: Path, *, source: str | None = None) -> Imported:
    """Reads labels: columns `film` and `label` (several joined with | or ;), and optionally `value` (0 to 1, yes, no).

    A table with `film` and one column a finding, holding 0 and 1, is read too; empty cells and -1 (uncertain) say
    nothing. `source` names where the labels come from, the file's name by default. Raises BadInput with file and
    line, keeping nothing.
    """
    found, _, imported = read_labels(catalog, path, source=source)
    put_labels(catalog, found)
    return imported


def read_labels(
    catalog: Catalog, path: Path, *, source: str | None = None
) -> tuple[list[tuple[int, Label]], dict[int, str], Imported]:
    """The labels of a table by film, and the patients where a column names them, without keeping anything."""
    table = read_table(path)
    named = table.need(*_FILM)
    patient = table.column("patient", "patient_id", "subject_id")
    column = table.column(*_LABEL)
    value = table.column("value", "score", "probability")
    findings = [name for name in table.columns if name and name not in {named, patient}] if column is None else []
    if column is None and not findings:
        raise BadInput("there is no column of labels", where=path, fix="Write: film,label or film,label,value.")
    names = FilmNames(films.everyone(catalog))
    found: list[tuple[int, Label]] = []
    patients: dict[int, str] = {}
    tally = _Tally()
    for row in table:
        for film_id in tally.find(names, row.get(named)):
            said = _wide(row, findings) if column is None else _long(row, column, value)
            found += [(film_id, Label(name, score, source or path.name)) for name, score in said]
            if row.get(patient):
                patients[film_id] = row.get(patient)
    if not tally.rows:
        raise BadInput("there are no rows", where=path)
    return found, patients, tally.imported({film_id for film_id, _ in found}, len(found))


def import_reports(catalog: Catalog, path: Path, *, source: str | None = None) -> Imported:
    """Reads reports from CSV or JSON lines: `film` (or `study`, for all films of it) and `report`, or
    where that is empty the parts `indication`, `findings` and `impression`, which are joined.

    Raises BadInput with file and line.
    """
    table = read_table(path)
    named, study = table.column(*_FILM), table.column(*_STUDY)
    if named is None and study is None:
        table.need(*_FILM)
    whole = table.column(*_REPORT)
    parts = [column for name in _PARTS if (column := table.column(name))]
    if whole is None and not parts:
        table.need(*_REPORT)
    everyone = list(films.everyone(catalog))
    names, studies = FilmNames(everyone), _by_study(everyone)
    found: list[Report] = []
    tally = _Tally()
    for row in table:
        text = row.get(whole) or _joined(row, parts)
        if named is not None and row.get(named):
            ids = tally.find(names, row.get(named))
            found += [Report(text, film_id=film_id) for film_id in ids if text]
        elif tally.find_study(studies, row.get(study)) and text:
            found.append(Report(text, study_uid=row.get(study)))
    if not tally.rows:
        raise BadInput("there are no rows", where=path)
    touched = {one.film_id for one in found if one.film_id} | {
        film_id for one in found if one.study_uid for film_id in studies[one.study_uid]
    }
    return tally.imported(touched, put_reports(catalog, found, source=source or path.name))


class _Tally:
    """Counts rows, and keeps the names that could not be placed, each once and in order."""

    def __init__(self) -> None:
        self.rows = 0
        self._missing: dict[str, None] = {}
        self._ambiguous: dict[str, None] = {}

    def find(self, names: FilmNames, called: str) -> frozenset[int]:
        self.rows += 1
        ids = names.find(called) if called else frozenset()
        if len(ids) > 1:
            self._ambiguous[called] = None
            return frozenset()
        if not ids:
            self._missing[called or "(empty)"] = None
        return ids

    def find_study(self, studies: dict[str, list[int]], uid: str) -> bool:
        self.rows += 1
        if uid not in studies:
            self._missing[uid or "(empty)"] = None
        return uid in studies

    def imported(self, touched: set[int], added: int) -> Imported:
        return Imported(self.rows, len(touched), added, tuple(self._missing), tuple(self._ambiguous))


def _by_study(everyone: Iterable[Film]) -> dict[str, list[int]]:
    found: dict[str, list[int]] = {}
    for film in everyone:
        if film.tags.study_uid:
            found.setdefault(film.tags.study_uid, []).append(film.id)
    return found


def _long(row: Row, column: str, value: str | None) -> list[tuple[str, float]]:
    if value and row.get(value).lower() in _UNCERTAIN:
        return []
    score = _score(row, value) if value and row.get(value) else 1.0
    names = row.get(column).replace(";", "|").split("|")
    return [(name.strip(), score) for name in names if name.strip()]


def _wide(row: Row, findings: list[str]) -> list[tuple[str, float]]:
    return [(name, _score(row, name)) for name in findings if row.get(name).lower() not in _UNCERTAIN | {""}]


def _score(row: Row, column: str) -> float:
    said = row.get(column).lower()
    if said in _YES:
        return 1.0
    if said in _NO:
        return 0.0
    try:
        score = float(said.replace(",", "."))
    except ValueError:
        score = float("nan")
    if not 0.0 <= score <= 1.0:
        raise BadInput(
            f"{column} is neither 0, 1, yes, no nor a number between 0 and 1",
            where=row.where,
            fix="Use the columns film,label,value, or film and one column of 0 and 1 a finding.",
        )
    return score


def _joined(row: Row, parts: list[str]) -> str:
    return "\n\n".join(f"{part.strip().upper()}: {row.get(part)}" for part in parts if row.get(part))
