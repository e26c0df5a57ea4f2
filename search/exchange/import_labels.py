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
from filmroom.search.exchange.fact_columns import FACTS, FILM, NO_FINDINGS
from filmroom.search.exchange.tables import Row, plain, read_table
from filmroom.search.film_names import FilmNames, Placed

_LABEL = ("label", "labels", "finding", "findings", "finding labels")
_REPORT = ("report", "text", "report_text")
_PARTS = ("indication", "findings", "impression")
_YES = {"1", "1.0", "yes", "y", "true", "positive", "present"}
_NO = {"0", "0.0", "no", "n", "false", "negative", "absent"}
_UNCERTAIN = {"-1", "-1.0", "uncertain"}


@dataclass(frozen=True)
class Imported:
    """What came of a table: rows read, films that got something, the names that match no film or several, and the rows
    that say nothing (`empty`)."""

    rows: int
    films: int
    added: int
    missing: tuple[str, ...]
    ambiguous: tuple[str, ...]
    empty: int = 0


def import_labels(catalog: Catalog, path: Path, *, source: str | None = None) -> Imported:
    """Reads labels: columns `film` and `label` (several joined with | or ;), and optionally `value` (0 to 1, yes, no).

    A table with `film` and one column a finding, holding 0 and 1, is read too; empty cells and -1 (uncertain) say
    nothing, and columns of facts (sex, age, view ...) are passed over. `source` names where the labels come from, the
    file's name by default. Raises BadInput with file and line, keeping nothing.
    """
    found, _, imported = read_labels(catalog, path, source=source)
    put_labels(catalog, found)
    return imported


def read_labels(
    catalog: Catalog, path: Path, *, source: str | None = None
) -> tuple[list[tuple[int, Label]], dict[int, str], Imported]:
    """The labels of a table by film, and the patients where a column names them, without keeping anything."""
    table = read_table(path)
    named = table.need(*FILM)
    patient = table.column(*FACTS["patient"])
    column = table.column(*_LABEL)
    value = table.column("value", "score", "probability")
    findings = [name for name in table.columns if name and plain(name) not in NO_FINDINGS] if column is None else []
    if column is None and not findings:
        raise BadInput("there is no column of labels", where=path, fix="Write: film,label or film,label,value.")
    study = table.column(*FACTS["study"])
    rows: list[tuple[str, str, list[tuple[str, float]]]] = []
    several = _Several()
    for row in table:
        labels = _wide(row, findings) if column is None else _long(row, column, value)
        of_whom = (row.get(patient), row.get(study))
        several.add(row.get(named), (of_whom, tuple(labels)) if column is None else of_whom)
        rows.append((row.get(named), row.get(patient), labels))
    if not rows:
        raise BadInput("there are no rows", where=path)
    names = FilmNames(films.everyone(catalog))
    placed = names.place((name for name, _, _ in rows), doubtful=several.bare(names))
    found: list[tuple[int, Label]] = []
    patients: dict[int, str] = {}
    for name, whose, labels in rows:
        film_id = placed.films.get(name)
        if film_id is not None:
            found += [(film_id, Label(finding, score, source or path.name)) for finding, score in labels]
            if whose:
                patients[film_id] = whose
    empty = sum(not labels for _, _, labels in rows)
    return found, patients, _imported(len(rows), {film_id for film_id, _ in found}, len(found), placed, empty=empty)


def import_reports(catalog: Catalog, path: Path, *, source: str | None = None) -> Imported:
    """Reads reports from CSV or JSON lines: `film` (or `study`, for all films of it) and `report`, or
    where that is empty the parts `indication`, `findings` and `impression`, which are joined.

    Raises BadInput with file and line.
    """
    table = read_table(path)
    named, study = table.column(*FILM), table.column(*FACTS["study"])
    if named is None and study is None:
        table.need(*FILM)
    whole = table.column(*_REPORT)
    parts = [column for name in _PARTS if (column := table.column(name))]
    if whole is None and not parts:
        table.need(*_REPORT)
    everyone = list(films.everyone(catalog))
    names, studies = FilmNames(everyone), _by_study(everyone)
    rows = [(row.get(named), row.get(study), _broken(row.get(whole) or _joined(row, parts))) for row in table]
    if not rows:
        raise BadInput("there are no rows", where=path)
    several = _Several()
    for name, uid, text in rows:
        several.add(name, (uid, text))
    placed = names.place((name for name, uid, _ in rows if name or not uid), doubtful=several.bare(names))
    found: list[Report] = []
    absent: dict[str, None] = {}
    for name, uid, text in rows:
        if name in placed.films and text:
            found.append(Report(text, film_id=placed.films[name]))
        elif not name and uid in studies and text:
            found.append(Report(text, study_uid=uid))
        elif not name and uid and uid not in studies:
            absent[uid] = None
    touched = {one.film_id for one in found if one.film_id} | {
        film_id for one in found if one.study_uid for film_id in studies[one.study_uid]
    }
    empty = sum(not text for _, _, text in rows)
    added = put_reports(catalog, found, source=source or path.name)
    return _imported(len(rows), touched, added, placed, absent, empty=empty)


class _Several:
    """Finds the names that stand for several things in one table: rows that differ in what one film has one of."""

    def __init__(self) -> None:
        self._meant: dict[str, set[object]] = {}

    def add(self, name: str, meant: object) -> None:
        self._meant.setdefault(name, set()).add(meant)

    def bare(self, names: FilmNames) -> set[str]:
        """Those of them that are a file's name alone, so that nothing else says which row is meant."""
        return {name for name, meant in self._meant.items() if len(meant) > 1 and names.is_bare(name)}


def _imported(
    rows: int, touched: set[int], added: int, placed: Placed, absent: Iterable[str] = (), *, empty: int = 0
) -> Imported:
    missing = tuple(name or "(empty)" for name in (*placed.missing, *absent))
    return Imported(rows, len(touched), added, missing, placed.ambiguous, empty)


def _by_study(everyone: Iterable[Film]) -> dict[str, list[int]]:
    found: dict[str, list[int]] = {}
    for film in everyone:
        if film.tags.study_uid:
            found.setdefault(film.tags.study_uid, []).append(film.id)
    return found


def _long(row: Row, column: str, value: str | None) -> list[tuple[str, float]]:
    if value and row.get(value).lower() in _UNCERTAIN | {""}:
        return []
    score = _score(row, value) if value else 1.0
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
    r"""The text with its lines: some tables write a line break as \n, which would join two sentences' words."""
    return text if "\n" in text else text.replace("\\r", "").replace("\\n", "\n")
