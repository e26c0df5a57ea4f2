"""Find which film of an archive is meant, by the indexes of its catalog: of the archive no more is held than the films
that a few names may mean, however large it is. The rules are those of `filmroom.search.film_names`."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Sequence

from filmroom.db.batching import chunked
from filmroom.db.catalog import Catalog
from filmroom.db.path_names import parts_of, tail, without_suffix
from filmroom.db.reads import named_films
from filmroom.db.records import Film
from filmroom.indexer.decoding.phi_filter import hashed_uid
from filmroom.search.film_names import (
    FilmNames,
    Nearest,
    Placed,
    StudyNames,
    chexpert_name,
    decoded,
    is_file_name,
    of_chexpert,
    settle,
    study_folders,
    study_uid,
)

_TOGETHER = 1000
"""Names that are looked up at once."""

_FRAME = re.compile(r"#[0-9]+$")

Range = tuple[bytes, bytes]


class CatalogNames:
    """Finds films as `FilmNames` over all of an archive does."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog

    def nearest(self, names: Iterable[str]) -> Iterator[tuple[str, Nearest]]:
        """Yield each name with the films that it may mean, and how far it is from theirs. Of many films that share a
        name two are given: which they are tells nobody what is meant."""
        for chunk in chunked(names, _TOGETHER):
            known = FilmNames(_candidates(self._catalog, chunk))
            for name in chunk:
                yield name, known.nearest(name)

    def place(self, names: Iterable[str], *, doubtful: Collection[str] = ()) -> Placed:
        """Give each name of one table its film, as `FilmNames.place` does."""
        return settle(dict(self.nearest(dict.fromkeys(names))), doubtful)

    def bare(self, names: Iterable[str]) -> set[str]:
        """Return those of the names that are a file's alone: neither a path nor an instance UID."""
        alone = [name for name in names if is_file_name(name)]
        uids = dict.fromkeys(uid for name in alone for uid in (name, _unframed(name)))
        return FilmNames(named_films.by_uid(self._catalog, uids)).bare(alone)


class CatalogStudies:
    """Finds the films of studies as `StudyNames` over all of an archive does."""

    def __init__(self, catalog: Catalog, key: bytes, studies: Iterable[tuple[str, str]]) -> None:
        """Look up all (patient, study) that will be asked for."""
        pairs = dict.fromkeys(studies)
        uids = {
            uid
            for patient, study in pairs
            for uid in (study, hashed_uid(study, key=key), study_uid(study, patient=patient, key=key))
        }
        films = {film.id: film for film in named_films.by_uid(catalog, uids, of="study")}
        known = StudyNames(films.values(), key)
        if folders := {
            name
            for patient, study in pairs
            if study and not known.find(patient, study)
            for name in study_folders(study)
        }:
            # Which films lie anywhere below a folder no index tells: once for a table all paths are gone through.
            films |= {film.id: film for film in named_films.everyone(catalog) if not folders.isdisjoint(_above(film))}
        self._catalog = catalog
        self._uids = {film.id: film.tags.study_uid for film in films.values()}
        self._names = StudyNames(films.values(), key)

    def find(self, patient: str, study: str) -> list[frozenset[int]]:
        """Return the films of each study that may be meant, as `StudyNames.find` does."""
        return self._names.find(patient, study)

    def whole(self, groups: Iterable[frozenset[int]]) -> dict[frozenset[int], str]:
        """Return the UID of each of these groups that is all films of a study."""
        distinct = set(groups)
        uids = dict.fromkeys(uid for group in distinct for film_id in group if (uid := self._uids.get(film_id)))
        films: dict[str, set[int]] = {}
        for film in named_films.by_uid(self._catalog, uids, of="study"):
            films.setdefault(str(film.tags.study_uid), set()).add(film.id)
        return {group: uid for uid, ids in films.items() if (group := frozenset(ids)) in distinct}


def _candidates(catalog: Catalog, names: Sequence[str]) -> list[Film]:
    """Return films of which each name means the same ones as of all, but for the number of those that are many."""
    uids: dict[str, None] = {}
    ranges: dict[Range, None] = {}
    for name in names:
        for called in dict.fromkeys((name, decoded(name), chexpert_name(name) or name)):
            if parts := parts_of(called):
                ranges |= dict.fromkeys(_ranges(parts))
                for spelling in (called, parts[-1], without_suffix(parts[-1])):
                    uids[spelling] = uids[_unframed(spelling)] = None
    films = {film.id: film for film in named_films.by_uid(catalog, uids)}
    counts: dict[object, int] = {}
    for low, high, film in named_films.by_tail(catalog, ranges):
        *folders, file = parts_of(film.path)
        root = parts_of(film.root)
        of_release = of_chexpert((*root, *folders))
        alike = (low, high, film.frame, file, tail(folders, without_suffix(file)) == low, of_release)
        counts[alike] = counts.get(alike, 0) + 1
        # An exact tail is a film's that lies less deep than the name says: there the root is looked at, too.
        if counts[alike] <= 2 or _is_exact((low, high)):
            films[film.id] = film
    return list(films.values())


def _ranges(parts: Sequence[str]) -> Iterator[Range]:
    """Yield where the tails begin of the films whose path ends as a name does, or that a name's end says whole."""
    *folders, file = parts
    bare = _unframed(file)
    plain, bare_plain = without_suffix(file), without_suffix(bare)
    for stem in dict.fromkeys((file, bare, plain, bare_plain, _unframed(plain), _unframed(bare_plain))):
        end = tail(folders, stem)
        yield end, end[:-1] + b"0"  # the character behind the slash
        for at in range(1, len(folders) + 1):
            shorter = tail(folders[at:], stem)
            yield shorter, shorter + b"\0"


def _unframed(name: str) -> str:
    return _FRAME.sub("", name) if "#" in name else name


def _is_exact(span: Range) -> bool:
    return span[1].endswith(b"\0")


def _above(film: Film) -> list[str]:
    """Return the folders of a film that may be its study's."""
    return [*parts_of(film.root)[-2:], *parts_of(film.path)[:-1]]
