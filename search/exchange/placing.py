"""Find which films the rows of a table mean: a film by its name, or all films of a study."""

from __future__ import annotations

from array import array
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from filmroom.db.batching import chunked
from filmroom.db.catalog import Catalog
from filmroom.db.errors import BadInput
from filmroom.db.writes.annotations import Report
from filmroom.search.catalog_names import CatalogNames, CatalogStudies
from filmroom.search.exchange.fact_columns import FACTS, FILM
from filmroom.search.exchange.tables import Row, Table
from filmroom.search.film_names import EXACT, Nearest, settle
from numpy.typing import NDArray

NONE, AMBIGUOUS, LAST_GROUP = -1, -2, -3
"""What stands for a row without a film, for one that may mean several, and for one of the first study."""

_TOGETHER = 1000


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
        # Of each row two hashes: a large table is not to be held in words.
        self._names, self._meant = array("q"), array("q")

    def add(self, name: str, meant: object) -> None:
        self._names.append(hash(name))
        self._meant.append(hash(repr(meant)))

    def among(self, names: Iterable[str]) -> list[str]:
        """Return those of the names that stand for several things."""
        return [name for name in names if hash(name) in self._doubtful]

    @cached_property
    def _doubtful(self) -> frozenset[int]:
        names, meant = (np.frombuffer(codes, np.int64) for codes in (self._names, self._meant))
        order = np.lexsort((meant, names))
        names, meant = names[order], meant[order]
        return frozenset(names[1:][(names[1:] == names[:-1]) & (meant[1:] != meant[:-1])].tolist())


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
    """`rows`: the id of each row's film, NONE where it has none, else the place of its study in `groups`, below zero
    from LAST_GROUP on. `studies` are the UIDs of the groups that are all films of a study; `missing` and `ambiguous`
    the names that match none or several."""

    rows: NDArray[np.int64]
    groups: tuple[frozenset[int], ...]
    studies: dict[frozenset[int], str]
    missing: tuple[str, ...]
    ambiguous: tuple[str, ...]

    def __iter__(self) -> Iterator[frozenset[int]]:
        """Yield the films of each row."""
        for code in self.rows:
            yield self.films(int(code))

    def films(self, code: int) -> frozenset[int]:
        """Return the films of a row by what stands for it in `rows`."""
        return frozenset((code,)) if code >= 0 else frozenset() if code >= AMBIGUOUS else self.groups[LAST_GROUP - code]


def place_rows(catalog: Catalog, path: Path, rows: Iterable[Named], several: Several, key: bytes) -> PlacedRows:
    """Give each row of a table its film, or all films of its study. `rows` are gone through, some hundreds at a time,
    and once more where rows claim one film by several names. `key` is the archive's, by which studies without a UID are
    known. Raises BadInput where there are no rows."""
    claims = _Claims(CatalogNames(catalog), several)
    studies: dict[tuple[str, str], int] = {}
    for block in chunked(rows, _TOGETHER):
        claims.add([row.film if row.film or not row.study else None for row in block])
        for at, row in enumerate(block, len(claims) - len(block)):
            if not row.film and row.study:
                claims.films[at] = LAST_GROUP - studies.setdefault((row.patient, row.study), len(studies))
    if not len(claims):
        raise BadInput("there are no rows", where=path)
    claims.settle(row.film for row in rows)
    missing, ambiguous = claims.unplaced(NONE), claims.unplaced(AMBIGUOUS)
    groups: list[frozenset[int]] = []
    known = CatalogStudies(catalog, key, studies)
    for patient, study in studies:
        groups_meant = known.find(patient, study)
        groups.append(groups_meant[0] if len(groups_meant) == 1 else frozenset())
        if len(groups_meant) != 1:
            (ambiguous if groups_meant else missing)[study] = None
    placed = np.frombuffer(claims.films, np.int64)
    return PlacedRows(placed, tuple(groups), known.whole(groups), tuple(missing), tuple(ambiguous))


class _Claims:
    """Which film each row of a table claims by its name, in numbers: words are held of those alone that get none."""

    def __init__(self, names: CatalogNames, several: Several) -> None:
        self.films = array("q")
        self._distances, self._hashes = array("b"), array("q")
        self._unplaced: dict[str, tuple[int, int]] = {}
        self._names = names
        self._several = several

    def __len__(self) -> int:
        return len(self.films)

    def add(self, names: Sequence[str | None]) -> None:
        """Look up the names of the next rows; None is no name."""
        names_to_find = dict.fromkeys(name for name in names if name is not None)
        nearest = dict(self._names.nearest(names_to_find))
        doubtful = self._names.bare(self._several.among(names_to_find))
        for name in names:
            ids, distance = nearest[name] if name is not None else (frozenset(), EXACT)
            code = next(iter(ids)) if len(ids) == 1 else AMBIGUOUS if ids else NONE
            if code >= 0 and distance > EXACT and name in doubtful:
                code = AMBIGUOUS
            if code < 0 and name is not None:
                self._unplaced.setdefault(name, (len(self.films), code))
            self.films.append(code)
            self._distances.append(distance)
            self._hashes.append(hash(name))

    def settle(self, names: Iterable[str]) -> None:
        """Let each film go to the names that name it most exactly. `names` are those of all rows once more."""
        rows = self._contested()
        if not rows.any():
            return
        nearest: dict[str, Nearest] = {}
        where: dict[str, list[int]] = {}
        for at, name in enumerate(names):
            if rows[at]:
                nearest[name] = frozenset((self.films[at],)), self._distances[at]
                where.setdefault(name, []).append(at)
        placed = settle(nearest)
        for code, losers in ((NONE, placed.missing), (AMBIGUOUS, placed.ambiguous)):
            for name in losers:
                self._unplaced[name] = where[name][0], code
                for at in where[name]:
                    self.films[at] = code

    def unplaced(self, code: int) -> dict[str, None]:
        """Return the names that got no film for this reason, in the order of their first rows."""
        unplaced = sorted((at, name) for name, (at, reason) in self._unplaced.items() if reason == code)
        return dict.fromkeys(name for _, name in unplaced)

    def _contested(self) -> NDArray[np.bool_]:
        """Tell of each row whether its film is claimed by other names as well, instance UIDs apart."""
        films, hashes = np.frombuffer(self.films, np.int64), np.frombuffer(self._hashes, np.int64)
        claiming = (films >= 0) & (np.frombuffer(self._distances, np.int8) > EXACT)
        rows = np.flatnonzero(claiming)
        rows = rows[np.lexsort((hashes[rows], films[rows]))]
        differ = (films[rows][1:] == films[rows][:-1]) & (hashes[rows][1:] != hashes[rows][:-1])
        return claiming & np.isin(films, films[rows][1:][differ])
