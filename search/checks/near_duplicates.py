"""Find pairs of films that show one picture: candidates by their vectors and by sketches, decided by their pixels."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from filmroom.search.checks.neighbours import Vectors, centred_vectors, nearest
from filmroom.search.checks.pictures import PAIRING, Pictures, miniatures_of, sketches
from filmroom.search.checks.thumbnails import miniatures
from filmroom.search.checks.thumbnails.measures import Measured, measured
from filmroom.search.cli.counting import counted
from filmroom.search.searcher import Searcher
from numpy.typing import NDArray

OnPairs = Callable[[int, int], None]
"""Is told how many steps of how many are done: films measured, then pairs compared, first roughly."""

NEAREST = 5
"""Neighbours of a film that are looked at, by vector and by sketch."""
LEAST_COSINE = 0.6
"""Of centred vectors, and of sketches."""
LEAST_LIKENESS = 0.55
"""From which two pictures are shown as one; measured in docs/checks.md."""
SURE_LIKENESS = 0.7
"""From which no other exposure of the patient was found to be taken for a copy; below it a person has to look."""
LEAST_SKETCH = 0.4
"""Cosine of sketches from which a pair's pictures are compared."""
_AT_ONCE = 256
_ROWS_AT_ONCE = 65_536


@dataclass(frozen=True)
class NearPair:
    """Two films (`first` < `second` by id), the cosine of their centred vectors and the likeness of their pictures."""

    first: int
    second: int
    cosine: float
    likeness: float


def near_duplicates(
    searcher: Searcher, *, across: Mapping[int, str] | None = None, on_pairs: OnPairs = lambda done, total: None
) -> list[NearPair]:
    """Find the pairs of films that show one picture, most alike first; with `across` only those of films on different
    sides. Reads thumbnails, no files. `on_pairs` is told how many steps of how many are done."""
    vectors = centred_vectors(searcher)
    measured_films = measured(searcher.archive, vectors.ids.tolist(), PAIRING, on_films=on_pairs)
    rows = sketches(measured_films)
    pairs = {pair[:2]: pair[2] for pair in candidates(vectors.ids, vectors.rows)}
    for pair in candidates(measured_films.ids, rows, opposite=True):  # inverted films have the opposite sketch
        pairs.setdefault(pair[:2], _cosine(vectors, pair[0], pair[1]))
    compared = [
        (*pair, cosine)
        for pair, cosine in sorted(pairs.items())
        if across is None or (pair[0] in across and pair[1] in across and across[pair[0]] != across[pair[1]])
    ]
    return near_pairs(
        Pictures(searcher.catalog), _worth_a_look(measured_films, rows, compared, on_pairs), on_pairs=on_pairs
    )


def _worth_a_look(
    measured_films: Measured, rows: NDArray[np.float32], pairs: Sequence[tuple[int, int, float]], on_pairs: OnPairs
) -> list[tuple[int, int, float]]:
    """Leave out the pairs whose sketches or miniatures say that they are not alike."""
    if not pairs or not len(measured_films.ids):
        return []
    films = np.array([pair[:2] for pair in pairs], np.int64)
    places = np.minimum(np.searchsorted(measured_films.ids, films), len(measured_films.ids) - 1)
    have_pictures = (measured_films.ids[places] == films).all(axis=1)
    cosines = np.concatenate(
        [np.einsum("nd,nd->n", rows[a], rows[b]) for a, b in (block.T for block in _blocks(places))]
    )
    near = np.flatnonzero(have_pictures & (np.abs(cosines) >= LEAST_SKETCH))
    alike = miniatures.alike(
        [(int(a), int(b)) for a, b in places[near]],
        lambda block: miniatures_of(measured_films, block),
        on_pairs=on_pairs,
    )
    return [pairs[at] for at in near[alike]]


def _blocks(rows: NDArray[np.int64]) -> list[NDArray[np.int64]]:
    return [rows[start : start + _ROWS_AT_ONCE] for start in range(0, len(rows), _ROWS_AT_ONCE)]


def not_compared(searcher: Searcher, films: Sequence[int]) -> tuple[str, ...]:
    """Say how many of the films were not compared: this model has no vector of them, or they have no picture."""
    with_vector = [
        film for film, holds in zip(films, searcher.index.holds(np.array(films, np.int64)), strict=True) if holds
    ]
    no_vector = len(films) - len(with_vector)
    no_picture = len(with_vector) - len(measured(searcher.archive, with_vector, PAIRING).ids)
    notes = []
    if no_vector:
        notes.append(f"{counted(no_vector, 'film')} without a vector of this model: not compared by picture.")
    if no_picture:
        notes.append(f"{counted(no_picture, 'film')} without a picture: not compared. Try: filmroom doctor")
    return tuple(notes)


def candidates(
    ids: NDArray[np.int64], rows: NDArray[np.float32], *, opposite: bool = False
) -> list[tuple[int, int, float]]:
    """Pair every film with its nearest ones, and with those nearest to its `opposite`: (film, film, cosine), each pair
    once, the nearest first."""
    cosines, places = nearest(rows, NEAREST, opposite=opposite)
    at, columns = np.nonzero((cosines >= LEAST_COSINE) & (places >= 0))
    neighbours = places[at, columns]
    low, high = np.minimum(at, neighbours), np.maximum(at, neighbours)
    keys, first = np.unique(low * len(ids) + high, return_index=True)
    values = cosines[at[first], columns[first]]
    order = np.argsort(-values, kind="stable")
    return [
        (int(ids[key // len(ids)]), int(ids[key % len(ids)]), float(value))
        for key, value in zip(keys[order], values[order], strict=True)
    ]


def near_pairs(
    pictures: Pictures, pairs: Sequence[tuple[int, int, float]], *, on_pairs: OnPairs = lambda done, total: None
) -> list[NearPair]:
    """Keep the candidates whose pictures are one, most alike first."""
    ordered = sorted(pairs)  # films that stand together are read once
    alike_pairs = []
    for start in range(0, len(ordered), _AT_ONCE):
        block = ordered[start : start + _AT_ONCE]
        for (first, second, cosine), alike in zip(block, pictures.likenesses([p[:2] for p in block]), strict=True):
            if alike is not None and alike >= LEAST_LIKENESS:
                alike_pairs.append(NearPair(first, second, cosine, alike))
        on_pairs(min(start + _AT_ONCE, len(ordered)), len(ordered))
    return sorted(alike_pairs, key=lambda pair: (-pair.likeness, pair.first, pair.second))


def _cosine(vectors: Vectors, first: int, second: int) -> float:
    a, b = vectors.places(np.array([first, second], np.int64))
    return float(vectors.rows[a] @ vectors.rows[b])


def groups(pairs: Iterable[tuple[int, int]]) -> list[tuple[int, ...]]:
    """Join pairs that share a film: groups of film ids, each ascending, the largest first."""
    leader: dict[int, int] = {}

    def find(film: int) -> int:
        leader.setdefault(film, film)
        while leader[film] != film:
            leader[film] = film = leader[leader[film]]
        return film

    for first, second in pairs:
        leader[find(second)] = find(first)
    members: dict[int, list[int]] = {}
    for film in sorted(leader):
        members.setdefault(find(film), []).append(film)
    return sorted((tuple(films) for films in members.values()), key=lambda films: (-len(films), films))
