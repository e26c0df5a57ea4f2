"""Compare miniatures of many pictures quickly: which pairs of films are worth a closer look?

A miniature is a picture's structure in SIDE x SIDE. The middle of one is looked for in the other at five sizes and a
few places around the middle; those of a film are laid out once and compared with all its candidates.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import groupby

import numpy as np
from filmroom.indexer.decoding.workers import usable_cpus
from numpy.typing import NDArray
from PIL import Image
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

F32 = NDArray[np.float32]
SIDE = 40
LEAST = 0.52
"""Likeness of miniatures below which no pair that shows one picture was found; see docs/checks.md."""
_PART = 28
_SHIFT = 3
_SIZES = (0.88, 0.94, 1.0, 1.06, 1.13)
_FILMS_AT_ONCE = 256


def alike(
    pairs: Sequence[tuple[int, int]],
    miniatures: Callable[[NDArray[np.int64]], F32],
    *,
    on_pairs: Callable[[int, int], None] = lambda done, total: None,
) -> NDArray[np.bool_]:
    """Say which pairs (place, place), ascending, are alike enough to be looked at more closely. `miniatures` gives
    those (N, SIDE, SIDE) of places."""
    by_first = [(first, [other for _, other in group]) for first, group in groupby(pairs, key=lambda pair: pair[0])]
    verdicts: list[NDArray[np.bool_]] = []
    done = 0
    with threadpool_limits(1, "blas"), ThreadPoolExecutor(usable_cpus()) as pool:
        for start in range(0, len(by_first), _FILMS_AT_ONCE):
            group = by_first[start : start + _FILMS_AT_ONCE]
            needed = np.unique([place for first, partners in group for place in (first, *partners)])
            pictures = dict(zip(needed.tolist(), miniatures(needed), strict=True))
            films = [(pictures[first], np.stack([pictures[other] for other in partners])) for first, partners in group]
            verdicts += [first >= LEAST for first in pool.map(lambda film: likenesses(*film), films)]
            done += sum(len(partners) for _, partners in group)
            on_pairs(done, len(pairs))
    return np.concatenate(verdicts) if verdicts else np.zeros(0, bool)


def likenesses(film: F32, candidates: F32) -> F32:
    """Give the highest absolute correlations (N,) of the middle of each of the others (N, SIDE, SIDE) with `one`."""
    best = np.zeros(len(candidates), np.float32)
    for size in _SIZES:  # always the larger of two pictures is made smaller: enlarged ones have less detail
        picture = _resized(film, 1 / max(size, 1.0))
        part, wide = round(_PART * min(size, 1.0)), round(_PART * min(size, 1.0)) + 2 * _SHIFT
        looked_in = _middle(picture, min(wide, len(picture)))
        windows = np.lib.stride_tricks.sliding_window_view(looked_in, (part, part)).reshape(-1, part * part)
        parts = np.stack([_middle(_resized(other, min(size, 1.0)), part).ravel() for other in candidates])
        best = np.maximum(best, np.abs(_unit(windows) @ _unit(parts).T).max(axis=0))
    return best


def _resized(picture: F32, size: float) -> F32:
    if size == 1.0:
        return picture
    side = round(SIDE * size)
    return np.asarray(Image.fromarray(picture).resize((side, side), Image.Resampling.BILINEAR))


def _middle(picture: F32, side: int) -> F32:
    at = (len(picture) - side) // 2
    return picture[at : at + side, at : at + side]


def _unit(rows: F32) -> F32:
    rows = rows - rows.mean(axis=1, keepdims=True)
    unit: F32 = rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-3)
    return unit
