"""Keep films once as small grey squares, and draw batches of them changed at random together with their boxes."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from filmroom.indexer.models.preprocess import Preprocess
from filmroom.indexer.training.data.films import TrainingFilm
from filmroom.indexer.training.data.open_collections import Boxes
from numpy.typing import NDArray
from torch.nn import functional

ROOM = 1.1
"""The kept squares are this much larger than the tower's input, so that zooming in finds something there."""


def keep_squares(
    films: Sequence[TrainingFilm], preprocess: Preprocess, path: Path, progress: Callable[[int, int], None]
) -> NDArray[np.uint8]:
    """Return (N, S, S) uint8, decoded, standardised and padded once and kept at `path`."""
    side = round(preprocess.size * ROOM)
    if path.is_file() and (earlier := np.load(path)).shape == (len(films), side, side):
        squares: NDArray[np.uint8] = earlier
        return squares
    larger = Preprocess(side, (0.5,), (0.5,), preprocess.resize, preprocess.percentiles)
    squares = np.empty((len(films), side, side), np.uint8)
    for n, film in enumerate(films):
        pixels = film.read().astype(np.float32) / np.float32(255)
        squares[n] = (larger.shrink(pixels).astype(np.float32) / np.float32(257) + 0.5).astype(np.uint8)
        if n % 50 == 49:
            progress(n + 1, len(films))
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".part.npy")
    np.save(part, squares)
    part.replace(path)
    return squares


def plain_batch(squares: NDArray[np.uint8], preprocess: Preprocess) -> torch.Tensor:
    """Return (N, C, size, size), a tower's input of squares that are not changed."""
    pixels = torch.from_numpy(np.asarray(squares, np.float32))[:, None] / 255
    side = preprocess.size
    small = functional.interpolate(pixels, (side, side), mode="bicubic", antialias=True).clamp(0, 1)
    return _channels(small, preprocess)


def changed_batch(
    squares: NDArray[np.uint8], boxes: Sequence[Boxes], preprocess: Preprocess, cells: int, rng: np.random.Generator
) -> tuple[torch.Tensor, list[tuple[int, str, torch.Tensor]]]:
    """Turn, zoom, stretch and shift, bend the greys; never a left-right flip.

    Returns (N, C, size, size), and for each box its film, its finding and the (cells * cells,) places of the feature
    map that lie in it.
    """
    count, size = len(squares), preprocess.size
    turn, zoom, stretch = (_uniform(rng, reach, count) for reach in (math.radians(8), 0.1, 0.05))
    zoom, stretch = zoom.exp(), stretch.exp()
    place = torch.zeros(count, 2, 3)
    place[:, 0, 0], place[:, 0, 1] = turn.cos() / zoom / stretch, -turn.sin() / zoom
    place[:, 1, 0], place[:, 1, 1] = turn.sin() / zoom, turn.cos() / zoom * stretch
    place[:, 0, 2], place[:, 1, 2] = _uniform(rng, 0.16, count), _uniform(rng, 0.16, count)
    pixels = torch.from_numpy(np.asarray(squares, np.float32))[:, None] / 255
    grid = functional.affine_grid(place, [count, 1, size, size], align_corners=False)
    pixels = functional.grid_sample(pixels, grid, "bicubic", "zeros", align_corners=False).clamp(0, 1)
    gamma = _uniform(rng, 0.35, count).exp()[:, None, None, None]
    gain = 1 + _uniform(rng, 0.2, count)[:, None, None, None]
    offset = 0.5 + _uniform(rng, 0.1, count)[:, None, None, None]
    pixels = ((pixels**gamma - 0.5) * gain + offset).clamp(0, 1)
    looked = (functional.affine_grid(place, [count, 1, cells, cells], align_corners=False) + 1) / 2
    places = []
    for n, film_boxes in enumerate(boxes):
        x, y = looked[n, :, :, 0], looked[n, :, :, 1]
        for finding, left, top, right, bottom in film_boxes:
            margin = 0.03  # a nodule is smaller than a place of the map
            inside = (x > left - margin) & (x < right + margin) & (y > top - margin) & (y < bottom + margin)
            if inside.any():
                places.append((n, finding, inside.flatten()))
    return _channels(pixels, preprocess), places


def _uniform(rng: np.random.Generator, reach: float, count: int) -> torch.Tensor:
    return torch.from_numpy(rng.uniform(-reach, reach, count).astype(np.float32))


def _channels(pixels: torch.Tensor, preprocess: Preprocess) -> torch.Tensor:
    mean, std = (torch.tensor(values)[:, None, None] for values in (preprocess.mean, preprocess.std))
    return ((pixels - mean) / std).contiguous(memory_format=torch.channels_last)
