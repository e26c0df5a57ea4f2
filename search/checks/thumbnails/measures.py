"""Measure the thumbnails of films, and keep the numbers beside the archive, so that a check that was interrupted, or is
run again, reads only films that are new.

The file is a cache: it is thrown away where it does not fit, when films are forgotten, and where the archive may only
be read it lasts as long as the check. A record counts only for the very thumbnail that it was measured on.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
from filmroom.db.archive import PICTURE_MEASURES, Archive
from filmroom.db.errors import ArchiveReadOnly
from filmroom.db.files import private_files
from filmroom.db.reads.film_table import picture_stamps
from filmroom.db.thumbnails.reading import thumbnails
from filmroom.indexer.decoding.workers import usable_cpus
from numpy.typing import NDArray

OnFilms = Callable[[int, int], None]
"""Is told how many films of how many are measured."""
_AT_ONCE = 256


@dataclass(frozen=True)
class Measure:
    """A measurement of a thumbnail: `take` gives `count` numbers of the type `kind` of a WebP. The name is to change
    with what is measured."""

    name: str
    kind: str
    count: int
    take: Callable[[bytes], NDArray[Any]]

    @property
    def record(self) -> np.dtype[Any]:
        return np.dtype([("film", "<i8"), ("stamp", "<i8"), ("values", self.kind, (self.count,))])


@dataclass(frozen=True)
class Measured:
    """The films that have a picture, ids (N,) ascending, and where their numbers stand."""

    ids: NDArray[np.int64]
    _records: NDArray[Any]
    _at: NDArray[np.int64]

    def values(self, places: NDArray[np.int64] | slice = slice(None), *, part: slice = slice(None)) -> NDArray[Any]:
        """Give the numbers (M, count) of the films at these places, or part of them."""
        numbers: NDArray[Any] = self._records["values"][self._at[places], part]
        return numbers


def measured(
    archive: Archive, ids: Sequence[int], measure: Measure, *, on_films: OnFilms = lambda done, total: None
) -> Measured:
    """Measure the films that are not measured yet, and give the numbers of all that have a picture."""
    stamps = picture_stamps(archive.catalog)
    films_asked = [film for film in ids if film in stamps]
    with _file(archive, measure) as file:
        known = _tidied(file, measure, stamps)
        left = [film for film in films_asked if film not in known]
        on_films(len(films_asked) - len(left), len(films_asked))
        for start in range(0, len(left), _AT_ONCE):
            _add(archive, file, measure, left[start : start + _AT_ONCE], stamps)
            on_films(len(films_asked) - len(left) + min(start + _AT_ONCE, len(left)), len(films_asked))
        records = _records(file, measure)
        known = _places(file, measure, stamps)
    films = np.array(sorted(film for film in films_asked if film in known), np.int64)
    return Measured(films, records, np.array([known[film] for film in films.tolist()], np.int64))


def left_to_measure(archive: Archive, ids: Sequence[int], measure: Measure) -> int:
    """Count the films whose pictures would be read."""
    stamps = picture_stamps(archive.catalog)
    try:
        with _path(archive, measure).open("rb") as file:
            known = _places(file, measure, stamps)
    except OSError:
        known = {}
    return sum(film in stamps and film not in known for film in ids)


def _add(archive: Archive, file: IO[bytes], measure: Measure, films: Sequence[int], stamps: dict[int, int]) -> None:
    stored = {film: webp for film, webp in thumbnails(archive.catalog, films).items() if webp}
    with ThreadPoolExecutor(usable_cpus()) as pool:
        results = list(pool.map(measure.take, stored.values()))
    still = thumbnails(archive.catalog, films).keys()  # a film that was forgotten meanwhile leaves nothing here
    present = [(film, values) for film, values in zip(stored, results, strict=True) if film in still]
    records = np.zeros(len(present), measure.record)
    for at, (film, values) in enumerate(present):
        records[at] = (film, stamps[film], values)
    file.write(records.tobytes())
    file.flush()


def _places(file: IO[bytes], measure: Measure, stamps: dict[int, int]) -> dict[int, int]:
    """Give the place of the record of each film whose thumbnail is still the one that was measured."""
    records = _records(file, measure)
    films, marks = records["film"].tolist(), records["stamp"].tolist()
    return {film: at for at, (film, mark) in enumerate(zip(films, marks, strict=True)) if stamps.get(film) == mark}


def _tidied(file: IO[bytes], measure: Measure, stamps: dict[int, int]) -> dict[int, int]:
    """Give the places, after the records of films and pictures that are no more were taken out where they are many."""
    known = _places(file, measure, stamps)
    records = _records(file, measure)
    if len(records) <= 2 * len(known) + _AT_ONCE:
        return known
    live = np.array(records[sorted(known.values())])
    del records
    file.truncate(0)
    file.seek(0)
    file.write(live.tobytes())
    file.flush()
    return _places(file, measure, stamps)


def _records(file: IO[bytes], measure: Measure) -> NDArray[Any]:
    count = os.fstat(file.fileno()).st_size // measure.record.itemsize
    if not count:
        return np.zeros(0, measure.record)
    return np.memmap(file, measure.record, "r", shape=(count,))


def _path(archive: Archive, measure: Measure) -> Path:
    return archive.folder / PICTURE_MEASURES / f"{measure.name}.bin"


@contextmanager
def _file(archive: Archive, measure: Measure) -> Iterator[IO[bytes]]:
    """Open the file to add to, which one check at a time may do; another, or one that may not write, has its own."""
    from filelock import Timeout

    with ExitStack() as stack:
        try:
            file = stack.enter_context(_own_file(archive, measure))
        except (OSError, Timeout, ArchiveReadOnly):
            file = stack.enter_context(tempfile.TemporaryFile())
        yield file


@contextmanager
def _own_file(archive: Archive, measure: Measure) -> Iterator[IO[bytes]]:
    from filelock import FileLock

    archive.catalog.check_writable()
    path = _path(archive, measure)
    private_files.make_folder(path.parent)
    with FileLock(path.with_suffix(".lock"), timeout=0, mode=private_files.MODE):
        try:
            file = private_files.create(path)
        except FileExistsError:
            file = path.open("r+b")
        with file:
            size = measure.record.itemsize
            file.truncate(os.fstat(file.fileno()).st_size // size * size)  # a killed check may have written a part
            file.seek(0, os.SEEK_END)
            yield file
