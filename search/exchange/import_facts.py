"""Import facts of films from tables: what a header would say of pictures that have none."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from filmroom.db.archive import Archive
from filmroom.db.catalog import get_meta
from filmroom.db.reads import films
from filmroom.db.stretches import upkeep
from filmroom.db.writes.facts import SPLIT, put_facts
from filmroom.indexer.decoding.phi_filter import age_of, hashed_uid, kept_age, patient_key
from filmroom.indexer.radiology.views_and_body_parts import view_in_table
from filmroom.search.exchange.fact_rows import BORN, FactRow, rows_of_table
from filmroom.search.exchange.placing import Several, place_rows
from filmroom.search.exchange.tables import source_name
from filmroom.search.film_names import study_uid
from filmroom.search.public_sets.fact_tables import rows_of_set
from filmroom.search.public_sets.folders import FOLDERS, read_folders

_MONTH = r"(?:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]*\.?"
_YEAR = re.compile(
    r"([0-9]{4})(?:[0-9]{4}.*|[-/.][0-9]{1,2}(?:[-/.][0-9]{1,2}(?:[ T].*)?)?)?|"
    rf"(?:[0-9]{{1,2}}[-/. ])?(?:[0-9]{{1,2}}|{_MONTH})[-/., ]+([0-9]{{4}})(?: .*)?",
    re.IGNORECASE,
)
_AGE = re.compile(
    r">?=?\s*([0-9]{1,3})(?:[.,][0-9]+)?\s*\+?\s*"
    r"(?:y|yrs?\.?|years?(?:[ -]old)?|y/?o|(months?|mos?|weeks?|wks?|days?))?",
    re.IGNORECASE,
)
_SEXES = {"f": "F", "female": "F", "woman": "F", "m": "M", "male": "M", "man": "M", "o": "O", "other": "O"}
_FIRST_YEAR, _LAST_YEAR = 1895, 2200
_WORD = re.compile(r"[^\W_][\w .-]{0,31}")

Facts = dict[str, str | int]


@dataclass(frozen=True)
class ImportedFacts:
    """What came of tables: rows read, films that a row means, how many films got each fact (`given`), how many keep one
    of their own header that differs (`own`), the values that could not be read by fact, and names without a film."""

    rows: int
    films: int
    given: dict[str, int]
    own: dict[str, int]
    unread: dict[str, int]
    missing: tuple[str, ...]
    ambiguous: tuple[str, ...]


def import_facts(
    archive: Archive, files: Sequence[Path], *, public_set: str | None = None, source: str | None = None,
    overwrite: bool = False,
) -> ImportedFacts:  # fmt: skip
    """Give films view, sex, age, year, patient, study and split from tables, or from the files of a public set.

    What a film's own header says stays, unless it is to be overwritten. A patient is kept as the archive's keyed hash;
    a study as its UID, or as a keyed hash. Values that are not certain, or that two rows give differently, are left out
    and counted. Raises BadInput with file and line, keeping nothing.
    """
    reader = _Reader(archive.patient_key(), hash_uids=get_meta(archive.catalog, "hash_uids") == "yes")
    statements = _Statements()
    if public_set == FOLDERS:
        for folder in read_folders(files, films.everyone(archive.catalog)):
            statements.add(folder.film.id, {SPLIT: folder.split} if folder.split else {})
    else:
        for path in files:
            _read(
                archive, path, rows_of_set(public_set, path) if public_set else rows_of_table(path), reader, statements
            )
    facts = statements.clear(reader.unread)
    source_label = source or public_set or ", ".join(source_name(None, path) for path in files)
    stored = put_facts(archive.catalog, facts, source=source_label, overrides=overwrite)
    upkeep.bring_up_to_date(archive.catalog)
    touched = sum(map(bool, facts.values()))
    missing, ambiguous = tuple(name or "(empty)" for name in statements.missing), tuple(statements.ambiguous)
    return ImportedFacts(statements.rows, touched, stored.given, stored.own, dict(reader.unread), missing, ambiguous)


class _Statements:
    """What tables say of each film, and what became of their rows."""

    def __init__(self) -> None:
        self.rows = 0
        self.missing: dict[str, None] = {}
        self.ambiguous: dict[str, None] = {}
        self._values: dict[int, dict[str, set[str | int]]] = {}

    def add(self, film_id: int, facts: Facts) -> None:
        self.rows += 1
        self.say(film_id, facts)

    def say(self, film_id: int, facts: Facts) -> None:
        of_film = self._values.setdefault(film_id, {})
        for name, value in facts.items():
            of_film.setdefault(name, set()).add(value)

    def clear(self, unread: Counter[str]) -> dict[int, Facts]:
        """Return the facts by film; those that two rows give differently are none, and counted."""
        for facts in self._values.values():
            unread.update(name for name, values in facts.items() if len(values) > 1)
        return {
            film_id: {name: next(iter(values)) for name, values in facts.items() if len(values) == 1}
            for film_id, facts in self._values.items()
        }


def _read(archive: Archive, path: Path, rows: Sequence[FactRow], reader: _Reader, statements: _Statements) -> None:
    several = Several()
    for row in rows:
        several.add(row.name.film, (row.name.patient, row.name.study))
    placed = place_rows(archive.catalog, path, [row.name for row in rows], several, reader.key)
    for row, film_ids in zip(rows, placed, strict=True):
        facts = reader.facts(row)
        for film_id in film_ids:
            statements.say(film_id, facts)
    statements.rows += len(rows)
    statements.missing |= dict.fromkeys(placed.missing)
    statements.ambiguous |= dict.fromkeys(placed.ambiguous)


class _Reader:
    """Brings values to what the catalog keeps, and counts those that it cannot read by fact."""

    def __init__(self, key: bytes, *, hash_uids: bool) -> None:
        self.key = key
        self.unread: Counter[str] = Counter()
        self._hash_uids = hash_uids

    def facts(self, row: FactRow) -> Facts:
        """Return the facts of a row that can be read for certain."""
        facts: Facts = {}
        for name, words in row.values.items():
            values = [value for word in words if (value := self._read(name, word, row)) is not None]
            if values:
                facts[name] = values[0]
            else:
                self.unread[name] += 1
        born = facts.pop(BORN, None)
        year = facts.get("year")
        if "age" not in facts and isinstance(born, int) and isinstance(year, int):
            age = kept_age(year - born)
            facts |= {} if age is None else {"age": age}
        return facts

    def _read(self, name: str, word: str, row: FactRow) -> str | int | None:
        if name == "patient":
            return patient_key(word, key=self.key)
        if name == "study":
            uid = study_uid(word, patient=row.name.patient, key=self.key)
            return hashed_uid(uid, key=self.key) if self._hash_uids and uid == word else uid
        return _READ[name](word)


def _year(word: str) -> int | None:
    read = _YEAR.fullmatch(word.removesuffix(".0"))
    year = int(read[1] or read[2]) if read else 0
    return year if _FIRST_YEAR <= year <= _LAST_YEAR else None


def _age(word: str) -> int | None:
    plain = _AGE.fullmatch(word)
    if plain and plain[2]:
        return age_of(f"{int(plain[1]):03d}{plain[2][0].upper()}")
    return kept_age(int(plain[1])) if plain else age_of(word)


def _sex(word: str) -> str | None:
    return _SEXES.get(word.lower())


def _split(word: str) -> str | None:
    return word.lower() if _WORD.fullmatch(word) else None


_READ: Mapping[str, Callable[[str], str | int | None]] = {
    "view": view_in_table, "sex": _sex, "age": _age, "year": _year, BORN: _year, SPLIT: _split,
}  # fmt: skip
