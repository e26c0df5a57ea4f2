"""Split films into training, validation and test parts: by patient, with each label's share alike, the same every time.

Patients go one by one to the part that lacks most of their rarest label (Sechidis, Tsoumakas and Vlahavas, 2011, on
groups instead of single examples); those without a label to the part that lacks most films.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from filmroom.db.archive import Archive
from filmroom.db.batching import chunked
from filmroom.db.errors import BadInput
from filmroom.db.reads import films
from numpy.typing import NDArray

NAMES = {1: ("train",), 2: ("train", "test"), 3: ("train", "validation", "test")}
_BLOCK = 5_000


@dataclass(frozen=True)
class Split:
    """Shares of the films for training, validation and test (or training and test), and the seed of the shuffle."""

    shares: tuple[float, ...]
    seed: int = 0

    @property
    def names(self) -> tuple[str, ...]:
        return NAMES[len(self.shares)]


def read_shares(text: str, *, seed: int = 0) -> Split:
    """Read "80/10/10", "80/20", "0.8/0.2" or "7/2/1". Raises BadInput for shares that do not make a whole."""
    try:
        parts = [float(part) for part in text.split("/")]
    except ValueError:
        parts = []
    if len(parts) not in (2, 3) or not all(math.isfinite(part) and part > 0 for part in parts):
        raise BadInput("not a split", where=text, fix="Give shares of train/validation/test or train/test: 80/10/10.")
    if not any(math.isclose(sum(parts), total, rel_tol=0.001) for total in (100, 10, 1)):
        raise BadInput(f"the shares add up to {sum(parts):g}", where=text, fix="Let them add up to 100, 10 or 1.")
    return Split(tuple(part / sum(parts) for part in parts), seed)


@dataclass
class _Group:
    """The films of one patient: their places, and how many bear each label."""

    places: list[int]
    labels: Counter[str]


def assign(archive: Archive, ids: NDArray[np.int64], split: Split) -> NDArray[np.int8]:
    """Give each film (N,) the place of its part in `split.names`. Films of a patient, or where none is known of a
    study, stay together; so do films without either that share a file."""
    groups = _groups(archive, ids)
    order = list(groups)
    np.random.default_rng(split.seed).shuffle(order)
    totals: Counter[str] = Counter()
    for group in groups.values():
        totals.update(group.labels)
    lacking = {label: [share * count for share in split.shares] for label, count in totals.items()}
    room = [share * len(ids) for share in split.shares]

    def rarest(key: str) -> str | None:
        return min(groups[key].labels, key=lambda label: (totals[label], label), default=None)

    # What is rare is given out first, while every part still has room for it; large groups before small ones.
    order.sort(key=lambda key: (totals[rare] if (rare := rarest(key)) else math.inf, -len(groups[key].places)))
    parts = np.zeros(len(ids), np.int8)
    for key in order:
        group, rare = groups[key], rarest(key)
        need = lacking[rare] if rare else room
        part = _neediest(need, room)
        parts[group.places] = part
        room[part] -= len(group.places)
        for label, count in group.labels.items():
            lacking[label][part] -= count
    return parts


def _neediest(need: list[float], room: list[float]) -> int:
    """Return the part that lacks most, and where several do has most room; the first of equals."""
    return max(range(len(need)), key=lambda part: (round(need[part], 9), round(room[part], 9), -part))


def _groups(archive: Archive, ids: NDArray[np.int64]) -> dict[str, _Group]:
    groups: dict[str, _Group] = defaultdict(lambda: _Group([], Counter()))
    at = 0
    for block in chunked(ids.tolist(), _BLOCK):
        known = {film.id: film for film in films.films(archive.catalog, block)}
        for place, film_id in enumerate(block, at):
            film = known.get(film_id)
            if film is None:
                continue
            tags = film.tags
            key = tags.patient_key or tags.study_uid or f"{film.root}/{film.path}"
            groups[key].places.append(place)
            groups[key].labels.update(film.label_names)
        at += len(block)
    return dict(sorted(groups.items()))


def counts(names: Sequence[str], places: NDArray[np.int8]) -> dict[str, int]:
    """Count the films of each part."""
    return {name: int((places == at).sum()) for at, name in enumerate(names)}
