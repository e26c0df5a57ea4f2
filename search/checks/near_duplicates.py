"""Find pairs of films that show one picture: candidates by their vectors and by sketches, decided by their pixels."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from filmroom.search.checks.neighbours import Vectors, centred_vectors, nearest
from filmroom.search.checks.pictures import Pictures
from filmroom.search.cli.counting import counted
from filmroom.search.searcher import Searcher
from numpy.typing import NDArray

OnPairs = Callable[[int, int], None]
"""Is told how many steps of how many are done: films sketched, then pairs compared."""

NEAREST = 5
"""Neighbours of a film that are looked at, by vector and by sketch."""
LEAST_COSINE = 0.6
"""Of centred vectors, and of sketches."""
LEAST_LIKENESS = 0.55
"""From which two pictures are shown as one; measured in docs/checks.md."""
SURE_LIKENESS = 0.7
"""From which no other exposure of the patient was found to be taken for a copy; below it a person has to look."""
_AT_ONCE = 256


@dataclass(frozen=True)
class NearPair:
    """Two films (`one` < `other` by id), the cosine of their centred vectors and the likeness of their pictures."""

    one: int
    other: int
    cosine: float
    likeness: float


def near_duplicates(
    searcher: Searcher, *, across: Mapping[int, str] | None = None, on_pairs: OnPairs = lambda done, total: None
) -> list[NearPair]:
    """Find the pairs of films that show one picture, most alike first; with `across` only those of films on different
    sides. Reads thumbnails, no files. `on_pairs` is told how many steps of how many are done."""
    vectors = centred_vectors(searcher)
    pictures = Pictures(searcher.catalog)
    pairs = {pair[:2]: pair for pair in candidates(vectors.ids, vectors.rows)}
    ids, sketches = _sketches(pictures, vectors.ids.tolist(), on_pairs)
    for rows in (sketches, -sketches):  # inverted films have the opposite sketch
        for pair in candidates(ids, sketches, against=rows):
            pairs.setdefault(pair[:2], (*pair[:2], _cosine(vectors, pair[0], pair[1])))
    wanted = [
        pair
        for pair in pairs.values()
        if across is None or (pair[0] in across and pair[1] in across and across[pair[0]] != across[pair[1]])
    ]
    return near_pairs(pictures, wanted, on_pairs=on_pairs)


def not_compared(searcher: Searcher, films: Sequence[int]) -> tuple[str, ...]:
    """Say how many of the films were not compared, since this model has no vector of them."""
    missing = int((~searcher.index.holds(np.array(films, np.int64))).sum())
    return (f"{counted(missing, 'film')} without a vector of this model: not compared by picture.",) if missing else ()


def candidates(
    ids: NDArray[np.int64], rows: NDArray[np.float32], *, against: NDArray[np.float32] | None = None
) -> list[tuple[int, int, float]]:
    """Pair every film with its nearest ones among the rows, or among those `against`: (film, film, cosine), each pair
    once, the nearest first."""
    cosines, places = nearest(rows, NEAREST, against=against)
    at, columns = np.nonzero((cosines >= LEAST_COSINE) & (places >= 0))
    others = places[at, columns]
    low, high = np.minimum(at, others), np.maximum(at, others)
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
    found = []
    for start in range(0, len(ordered), _AT_ONCE):
        some = ordered[start : start + _AT_ONCE]
        for (one, other, cosine), alike in zip(some, pictures.likenesses([p[:2] for p in some]), strict=True):
            if alike is not None and alike >= LEAST_LIKENESS:
                found.append(NearPair(one, other, cosine, alike))
        on_pairs(min(start + _AT_ONCE, len(ordered)), len(ordered))
    return sorted(found, key=lambda pair: (-pair.likeness, pair.one, pair.other))


def _sketches(
    pictures: Pictures, ids: Sequence[int], on_pairs: OnPairs
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    known: list[int] = []
    rows: list[NDArray[np.float32]] = []
    for start in range(0, len(ids), _AT_ONCE):
        films, some = pictures.sketches(ids[start : start + _AT_ONCE])
        known += films
        rows += list(some)
        on_pairs(min(start + _AT_ONCE, len(ids)), len(ids))
    return np.array(known, np.int64), np.array(rows, np.float32).reshape(len(known), -1)


def _cosine(vectors: Vectors, one: int, other: int) -> float:
    a, b = vectors.places(np.array([one, other], np.int64))
    return float(vectors.rows[a] @ vectors.rows[b])


def groups(pairs: Iterable[tuple[int, int]]) -> list[tuple[int, ...]]:
    """Join pairs that share a film: groups of film ids, each ascending, the largest first."""
    leader: dict[int, int] = {}

    def find(film: int) -> int:
        leader.setdefault(film, film)
        while leader[film] != film:
            leader[film] = film = leader[leader[film]]
        return film

    for one, other in pairs:
        leader[find(other)] = find(one)
    members: dict[int, list[int]] = {}
    for film in sorted(leader):
        members.setdefault(find(film), []).append(film)
    return sorted((tuple(some) for some in members.values()), key=lambda some: (-len(some), some))
