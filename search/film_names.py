"""Find which film is meant: the names by which judgements, labels and reports speak of films."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from urllib.parse import unquote

from filmroom.db.path_names import parts_of, without_suffix
from filmroom.db.records import Film
from filmroom.indexer.decoding.phi_filter import hashed_uid

_DICOM_UID = re.compile(r"[0-9]+(?:\.[0-9]+){3,}")
# The releases of CheXpert number the same patients, in folders that each release calls otherwise.
_CHEXPERT = re.compile(r"(?:^|/)chexpert[^/]*/(?:train|valid?|test)/(patient\d+/study\d+/[^/]+)$", re.IGNORECASE)
EXACT, _WHOLE, _FILE, _STEM = range(4)  # how far a name is from the film's: what it named, most exact first

Nearest = tuple[frozenset[int], int]
"""The films that a name may mean, and how far it is from theirs."""


@dataclass(frozen=True)
class Placed:
    """The film of each name that is certain, and the names that match no film or several; each once and in order."""

    films: dict[str, int]
    missing: tuple[str, ...]
    ambiguous: tuple[str, ...]


@dataclass(frozen=True)
class _Place:
    """Where a film lies: its folders below the indexed one, and the folders of that, nearest last."""

    film: int
    folders: tuple[str, ...]
    root: tuple[str, ...]


class _Places:
    """The films of one file name. Whole sets call thousands of films `view1_frontal.jpg`: they are found by the ends of
    their folders, not one by one."""

    def __init__(self) -> None:
        self._all: list[_Place] = []
        self._whole: dict[tuple[str, ...], list[_Place]] = {}
        self._ends: dict[tuple[str, ...], list[_Place]] = {}

    def add(self, place: _Place) -> None:
        self._all.append(place)

    def whole(self, folders: tuple[str, ...]) -> frozenset[int]:
        """Return the films that lie in just these folders."""
        self._index()
        return frozenset(place.film for place in self._whole.get(folders, ()))

    def agreeing(self, folders: tuple[str, ...]) -> frozenset[int]:
        """Return the films of which no folder differs that both have."""
        if not folders:
            return frozenset(place.film for place in self._all)
        self._index()
        above = [place for at in range(1, len(folders) + 1) for place in self._whole.get(folders[at:], ())]
        return frozenset(place.film for place in (*self._ends.get(folders, ()), *above) if _agree(folders, place))

    def _index(self) -> None:
        if not self._whole:
            for place in self._all:
                self._whole.setdefault(place.folders, []).append(place)
                for at in range(len(place.folders)):
                    self._ends.setdefault(place.folders[at:], []).append(place)


class FilmNames:
    """Finds films by instance UID, relative path, file name or stem, in this order of trust.

    A path must agree with the film's for as many parts as both have, the folders of another release of CheXpert apart.
    A picture's suffix that the archive does not know is ignored; `#` names a frame: `UID#2`. Names that are canonically
    equal in Unicode are the same.
    """

    def __init__(self, films: Iterable[Film]) -> None:
        self._uids: dict[str, set[int]] = {}
        self._files: dict[str, _Places] = {}
        self._stems: dict[str, _Places] = {}
        self._chexpert: set[int] = set()
        for film in films:
            frame = f"#{film.frame}"
            if film.tags.instance_uid:
                for name in (film.tags.instance_uid, film.tags.instance_uid + frame):
                    self._uids.setdefault(name, set()).add(film.id)
            *folders, file = parts_of(film.path)
            place = _Place(film.id, tuple(folders), tuple(parts_of(film.root)))
            if of_chexpert((*place.root, *folders)):
                self._chexpert.add(film.id)
            for kind, name in ((self._files, file), (self._stems, without_suffix(file))):
                kind.setdefault(name, _Places()).add(place)
                kind.setdefault(name + frame, _Places()).add(place)

    def find(self, called: str) -> frozenset[int]:
        """Return the ids of the films of this name: none, one, or several where it is ambiguous."""
        return self.nearest(called)[0]

    def place(self, names: Iterable[str], *, doubtful: Collection[str] = ()) -> Placed:
        """Give each name of one table its film, where that is certain on both sides.

        A film that names of several files claim goes to those that name it most exactly, and to none of them where
        they are equally exact. `doubtful` names mean several things in the table itself.
        """
        return settle({name: self.nearest(name) for name in dict.fromkeys(names)}, doubtful)

    def bare(self, names: Iterable[str]) -> set[str]:
        """Return those of the names that are a file's alone: neither a path nor an instance UID."""
        return {name for name in names if is_file_name(name) and name not in self._uids}

    def nearest(self, called: str) -> Nearest:
        """Return the films of this name, and how far it is from theirs."""
        for name in dict.fromkeys((called, decoded(called))):
            parts = parts_of(name)
            if not parts:
                continue
            *folders, file = parts
            for uid in (name, file, without_suffix(file)):
                if uid in self._uids:
                    return frozenset(self._uids[uid]), EXACT
            ways = (
                (self._files.get(file), _FILE),
                (self._stems.get(file), _FILE),
                (self._stems.get(without_suffix(file)), _STEM),
            )
            for places, distance in ways:
                if places and (all_of_place := places.whole(tuple(folders))):
                    return all_of_place, _WHOLE if distance == _FILE else distance
            for places, distance in ways:
                if places and (agreeing := places.agreeing(tuple(folders))):
                    return agreeing, distance
        if shared := chexpert_name(called):
            films, distance = self.nearest(shared)
            return films & self._chexpert, distance
        return frozenset(), _STEM


def settle(candidates: Mapping[str, Nearest], doubtful: Collection[str] = ()) -> Placed:
    """Place the names of one table by what each may mean."""
    claims: dict[int, dict[str, int]] = {}
    for name, (ids, distance) in candidates.items():
        if len(ids) == 1 and distance > EXACT and name not in doubtful:
            claims.setdefault(next(iter(ids)), {})[name] = distance
    films = {
        name: next(iter(ids)) for name, (ids, distance) in candidates.items() if len(ids) == 1 and distance == EXACT
    }
    missing = {name for name, (ids, _) in candidates.items() if not ids}
    for film, rivals in claims.items():
        nearest = min(rivals.values())
        near = [name for name, distance in rivals.items() if distance == nearest]
        if nearest == _WHOLE or _one_file(near):
            films |= {name: film for name in rivals if name in near or _one_file([*near, name])}
            missing |= {name for name in rivals if name not in films}
    ambiguous = candidates.keys() - films.keys() - missing
    return Placed(films, tuple(n for n in candidates if n in missing), tuple(n for n in candidates if n in ambiguous))


def is_file_name(called: str) -> bool:
    """Tell whether a name has no folder."""
    return len(parts_of(decoded(called))) == 1


def chexpert_name(called: str) -> str | None:
    """Return patient, study and file of a name in CheXpert's folders, which every release of it shares; None of
    another."""
    match = _CHEXPERT.search(decoded(called))
    return match[1] if match else None


def of_chexpert(folders: Iterable[str]) -> bool:
    """Tell whether a film lies in a folder of CheXpert."""
    return any(part.lower().startswith("chexpert") for part in folders)


class StudyNames:
    """Finds the films of a study: by its UID, by the key that `filmroom facts` gave it, or by the folders of patient
    and study that the films lie in (p10000032/s50414267, patient00001/study1)."""

    def __init__(self, films: Iterable[Film], key: bytes) -> None:
        self._key = key
        self._uids: dict[str, set[int]] = {}
        self._folders: dict[str, dict[str, set[int]]] = {}
        self._places: dict[int, _Place] = {}
        for film in films:
            self._places[film.id] = _Place(film.id, tuple(parts_of(film.path)[:-1]), tuple(parts_of(film.root)))
            if film.tags.study_uid:
                self._uids.setdefault(film.tags.study_uid, set()).add(film.id)
            folders = [*parts_of(film.root)[-2:], *parts_of(film.path)[:-1]]
            for above, folder in zip(("", *folders), folders, strict=False):
                self._folders.setdefault(folder, {}).setdefault(above, set()).add(film.id)

    def find(self, patient: str, study: str) -> list[frozenset[int]]:
        """Return the films of each study that may be meant: none, one, or several where the name is ambiguous. A path,
        which CheXpert's test set writes (test/patient64741/study1), must agree with the films' folders."""
        uids = (study, hashed_uid(study, key=self._key), study_uid(study, patient=patient, key=self._key))
        known = {frozenset(self._uids[uid]) for uid in uids if uid in self._uids}
        if known or not study:
            return list(known)
        if len(path := parts_of(decoded(study))) > 1:
            films = self._folders.get(path[-1], {}).get(path[-2], set())
            agreeing = frozenset(film for film in films if _agree(tuple(path), self._places[film]))
            return [agreeing] if agreeing else []
        whose = (patient, f"p{patient}", f"patient{patient}")
        studies = []
        for name in study_folders(study):
            patients = self._folders.get(name, {})
            studies += [patients[who] for who in (whose if patient else patients) if who in patients]
        return list(map(frozenset, studies))


def study_folders(study: str) -> tuple[str, ...]:
    """Return what the folder of a study may be called."""
    path = parts_of(decoded(study))
    return (path[-1],) if len(path) > 1 else (study, f"s{study}", f"study{study}")


def study_uid(study: str, *, patient: str, key: bytes) -> str:
    """Return what the catalog calls the study of a table: its UID, or else a keyed hash of patient and study, as a
    number may be an accession number and `study1` is every patient's."""
    if _DICOM_UID.fullmatch(study):
        return study
    return hashed_uid(f"{patient}\x1f{study}" if patient else study, key=key)


def _agree(folders: tuple[str, ...], place: _Place) -> bool:
    """Tell whether a path may be that of a film: no part that both have differs."""
    below = len(place.folders)
    if not folders:
        return True
    if len(folders) <= below:
        return folders == place.folders[below - len(folders) :]
    if below and folders[-below:] != place.folders:
        return False
    above = list(zip(reversed(folders[: len(folders) - below]), reversed(place.root), strict=False))
    if not below:
        return all(part == part_of_film for part, part_of_film in above)
    # The set may lie in a folder of another name here; of a name that differs by its number it is another patient's.
    return not any(part != part_of_film and _shape(part) == _shape(part_of_film) for part, part_of_film in above)


def _shape(part: str) -> str:
    return re.sub(r"\d+", "0", part)


def decoded(name: str) -> str:
    """Return a name as a path: of a URL or of Windows."""
    return unquote(name).replace("\\", "/")


def _one_file(names: list[str]) -> bool:
    """Tell whether all names may be one file's: the parts of each are the end of the longest's."""
    paths = [parts_of(without_suffix(decoded(name))) for name in names]
    longest = max(paths, key=len)
    return all(path == longest[len(longest) - len(path) :] for path in paths)
