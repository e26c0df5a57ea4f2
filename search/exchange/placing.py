"""Find which films the rows of a table mean: a film by its name, or all films of a study."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from filmroom.db.catalog import Catalog
from filmroom.db.errors import BadInput
from filmroom.db.reads import films
from filmroom.db.records import Film
from filmroom.db.writes.annotations import Report
from filmroom.search.exchange.fact_columns import FACTS, FILM
from filmroom.search.exchange.tables import Row, Table
from filmroom.search.film_names import FilmNames, StudyNames


@dataclass(frozen=True)
class NameColumns:
    """The columns of a table that name films, studies and patients."""

    film: str | None
    patient: str | None
    study: str | None

    @classmethod
    def of(cls, table: Table) -> NameColumns:
        """Raise BadInput where the table names neither films nor studies."""
        film, patient, study = (table.column(*names) for names in (FILM, FACTS["patient"], FACTS["study"]))
        if film is None and study is None:
            table.need(*FILM)
        return cls(film, patient, study)

    def read(self, row: Row) -> Named:
        return Named(row.get(self.film), row.id(self.patient), row.id(self.study))


class Several:
    """Finds the names that stand for several things in one table: rows that differ in what one film has one of."""

    def __init__(self) -> None:
        self._meant: dict[str, set[object]] = {}

    def add(self, name: str, meant: object) -> None:
        self._meant.setdefault(name, set()).add(meant)

    def bare(self, names: FilmNames) -> set[str]:
        """Return those of them that are a file's name alone, so that nothing else says which row is meant."""
        return {name for name, meant in self._meant.items() if len(meant) > 1 and names.is_bare(name)}


def reports_of_study(text: str, film_ids: Collection[int], studies: Mapping[frozenset[int], str]) -> list[Report]:
    """Keep one report of the study where its UID is known, else one for each of its films."""
    uid = studies.get(frozenset(film_ids))
    if uid is not None:
        return [Report(text, study_uid=uid)]
    return [Report(text, film_id=film_id) for film_id in sorted(film_ids)]


@dataclass(frozen=True)
class Named:
    """What a row names: a film, or else a study."""

    film: str
    patient: str
    study: str


@dataclass(frozen=True)
class PlacedRows:
    """The films of each row's name, and of each study; the names that match none or several."""

    films: dict[Named, frozenset[int]]
    studies: dict[frozenset[int], str]
    missing: tuple[str, ...]
    ambiguous: tuple[str, ...]


def place_rows(catalog: Catalog, path: Path, rows: Sequence[Named], several: Several, key: bytes) -> PlacedRows:
    """Give each row of a table its film, or all films of its study. `key` is the archive's, by which studies without a
    UID are known. Raises BadInput where there are no rows."""
    if not rows:
        raise BadInput("there are no rows", where=path)
    everyone = list(films.everyone(catalog))
    names, studies = FilmNames(everyone), StudyNames(everyone, key)
    placed = names.place((row.film for row in rows if row.film or not row.study), doubtful=several.bare(names))
    film_ids: dict[Named, frozenset[int]] = {}
    missing, ambiguous = dict.fromkeys(placed.missing), dict.fromkeys(placed.ambiguous)
    for named in dict.fromkeys(rows):
        if named.film or not named.study:
            film_ids[named] = frozenset({placed.films[named.film]} if named.film in placed.films else ())
            continue
        groups = studies.find(named.patient, named.study)
        film_ids[named] = groups[0] if len(groups) == 1 else frozenset()
        if len(groups) != 1:
            (ambiguous if groups else missing)[named.study] = None
    return PlacedRows(film_ids, whole_studies(everyone), tuple(missing), tuple(ambiguous))


def whole_studies(everyone: Iterable[Film]) -> dict[frozenset[int], str]:
    """Return the UID of each study by all its films."""
    by_uid: dict[str, set[int]] = {}
    for film in everyone:
        if film.tags.study_uid:
            by_uid.setdefault(film.tags.study_uid, set()).add(film.id)
    return {frozenset(ids): uid for uid, ids in by_uid.items()}
