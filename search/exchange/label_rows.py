"""Hold the labels of a table by film in arrays: a million of them in some twenty megabytes."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from filmroom.db.records import Label
from filmroom.search.exchange.placing import LAST_GROUP, PlacedRows
from numpy.typing import NDArray

PRESENT = 0.5
"""The value from which a film has a label."""


@dataclass(frozen=True)
class FilmLabels:
    """Labels of one source in the order of their rows: film ids, places of their names in `vocabulary`, and values."""

    films: NDArray[np.int64]
    names: NDArray[np.int32]
    values: NDArray[np.float64]
    vocabulary: tuple[str, ...]
    source: str

    @classmethod
    def of(cls, labels: Iterable[tuple[int, str, float]], source: str) -> FilmLabels:
        """Take (film id, name, value)."""
        films, names, values, known = array("q"), array("i"), array("d"), dict[str, int]()
        for film_id, name, value in labels:
            films.append(film_id)
            names.append(known.setdefault(name, len(known)))
            values.append(value)
        return cls(
            np.frombuffer(films, np.int64), np.frombuffer(names, np.int32), np.frombuffer(values, np.float64),
            tuple(known), source,
        )  # fmt: skip

    def __len__(self) -> int:
        return len(self.films)

    def __iter__(self) -> Iterator[tuple[int, Label]]:
        for film_id, name, value in zip(self.films, self.names, self.values, strict=True):
            yield int(film_id), Label(self.vocabulary[name], float(value), self.source)

    @property
    def film_count(self) -> int:
        """The films that have a label here."""
        return int(np.unique(self.films).size)

    def without_contradictions(self) -> tuple[FilmLabels, int]:
        """Leave out the labels that a film both has and has not; give the rest, and how many went."""
        keys, present = self._keys()[0], self.values >= PRESENT
        contradicted = np.intersect1d(keys[present], keys[~present])
        stay = ~np.isin(keys, contradicted)
        settled = replace(self, films=self.films[stay], names=self.names[stay], values=self.values[stay])
        return (settled, int(contradicted.size)) if contradicted.size else (self, 0)

    def counts(self) -> dict[str, int]:
        """Say how many films have each label, the most frequent first."""
        keys, names = self._keys()
        having = np.unique(keys[self.values >= PRESENT])
        counts = np.bincount(having % max(1, len(names)), minlength=len(names)).tolist()
        films_of_labels = [(name, count) for name, count in zip(names, counts, strict=True) if count]
        return dict(sorted(films_of_labels, key=lambda entry: (-entry[1], entry[0])))

    def _keys(self) -> tuple[NDArray[np.int64], list[str]]:
        """Return one number for film and name, whatever its case, and the names: the remainder of their count is the
        name's place."""
        plain = [name.strip().lower() for name in self.vocabulary]
        places = {name: at for at, name in enumerate(dict.fromkeys(plain))}
        of_name = np.array([places[name] for name in plain], np.int64)
        return self.films * len(places) + of_name[self.names], list(places)


class LabelRows:
    """The labels of a table by row, until it is known which films the rows mean."""

    def __init__(self) -> None:
        self._counts, self._names, self._values = array("i"), array("i"), array("d")
        self._vocabulary: dict[str, int] = {}

    def add(self, labels: Sequence[tuple[str, float]]) -> None:
        """Take the labels (name, value) of the next row."""
        self._counts.append(len(labels))
        for name, value in labels:
            self._names.append(self._vocabulary.setdefault(name, len(self._vocabulary)))
            self._values.append(value)

    def __len__(self) -> int:
        return len(self._counts)

    @property
    def empty(self) -> int:
        """The rows that say nothing."""
        return sum(not count for count in self._counts)

    def by_film(self, placed: PlacedRows, source: str) -> FilmLabels:
        """Give each film of a row all labels of the row."""
        rows, films = _pairs(placed)
        counts = np.frombuffer(self._counts, np.int32).astype(np.int64)
        first = np.cumsum(counts) - counts
        of_pair = counts[rows]
        within = np.arange(of_pair.sum()) - np.repeat(np.cumsum(of_pair) - of_pair, of_pair)
        at = np.repeat(first[rows], of_pair) + within
        names, values = np.frombuffer(self._names, np.int32), np.frombuffer(self._values, np.float64)
        # A header's cell may be broken into lines, as spreadsheets do to narrow a column.
        words = tuple(" ".join(name.split()) for name in self._vocabulary)
        return FilmLabels(np.repeat(films, of_pair), names[at], values[at], words, source)


def _pairs(placed: PlacedRows) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return row and film id of each pair of them, by row and then by film."""
    rows = np.flatnonzero(placed.rows >= 0)
    films = placed.rows[rows]
    of_studies = np.flatnonzero(placed.rows <= LAST_GROUP)
    groups = [sorted(placed.films(int(code))) for code in placed.rows[of_studies]]
    more_rows = np.repeat(of_studies, [len(group) for group in groups])
    more_films = np.array([film_id for group in groups for film_id in group], np.int64)
    rows, films = np.concatenate([rows, more_rows]), np.concatenate([films, more_films])
    order = np.argsort(rows, kind="stable")
    return rows[order], films[order]
