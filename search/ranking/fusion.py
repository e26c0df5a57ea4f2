"""Make one list out of several: reciprocal rank fusion (Cormack, Clarke and Buettcher, SIGIR 2009)."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import TypeVar

K = 60
Item = TypeVar("Item", bound=Hashable)

FUSED = 200
"""Films of each ranking that a hybrid search fuses, at least."""


def reciprocal_rank_fusion(
    lists: Sequence[Sequence[Item]], *, weights: Sequence[float] | None = None, k: int = K
) -> list[tuple[Item, float]]:
    """Fuse `lists` (each best first): items and their fused scores, best first: sum of weight / (k + rank).

    An item that a list lacks gets nothing from it. Equal scores stay in the order of first appearance. An item
    that is in one list twice counts once, at its better place.
    """
    fused: dict[Item, float] = {}
    for weight, items in zip(weights or [1.0] * len(lists), lists, strict=True):
        for rank, item in enumerate(dict.fromkeys(items), start=1):
            fused[item] = fused.get(item, 0.0) + weight / (k + rank)
    return sorted(fused.items(), key=lambda pair: -pair[1])


def first_of_each(ranked: Sequence[tuple[int, float]], studies: Mapping[int, str | None]) -> list[tuple[int, float]]:
    """Keep the first (film id, score) of each study; a film without one stands for itself."""
    first_films: dict[str, tuple[int, float]] = {}
    for film_id, score in ranked:
        first_films.setdefault(studies.get(film_id) or f"film {film_id}", (film_id, score))
    return list(first_films.values())
