"""Show where in a film the query matches: the similarity of every patch. Model attention, not a diagnosis."""

from __future__ import annotations

import numpy as np
from filmroom.indexer.decoding.radiograph import Radiograph
from filmroom.indexer.models.base import Towers
from numpy.typing import NDArray
from PIL import Image

SIDE = 384
"""The longer side of the map: smooth on a screen, small on the way there."""


def heat_map(towers: Towers, film: Radiograph, query: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return (h, w) float32 in [0, 1] over the whole film, the longer side SIDE.

    `query` (D,) is a unit vector. 0 is the film's median patch and below, 1 its best: the map says where within this
    film, never how much. Raises ModelUnavailable where the tower has no patches in the joint space.
    """
    patches = towers.patch_vectors(film)
    return over_film(patches @ query, *film.pixels.shape)


def over_film(similarity: NDArray[np.float32], height: int, width: int) -> NDArray[np.float32]:
    """Return patch similarities (h, w) of the padded square, as a map over the (height, width) film inside it.

    What the tower makes of the padding sets no scale: only the film's own patches do.
    """
    long = max(height, width)
    rows, columns = (_inside(count, side / long) for count, side in zip(similarity.shape, (height, width), strict=True))
    inside = similarity[rows, columns]
    low, high = float(np.median(inside)), float(inside.max())
    scaled = np.clip((similarity - low) / max(high - low, 1e-6), 0, 1).astype(np.float32)
    square = Image.fromarray(scaled).resize((SIDE, SIDE), Image.Resampling.BICUBIC)
    tall, wide = (max(1, round(SIDE * side / long)) for side in (height, width))
    top, left = (SIDE - tall) // 2, (SIDE - wide) // 2
    heat = square.crop((left, top, left + wide, top + tall))
    return np.clip(np.asarray(heat, np.float32), 0, 1)


def _inside(patches: int, share: float) -> slice:
    """Return the patches of one axis whose middle lies on the film, which takes the middle `share` of the square."""
    margin = (1 - share) / 2
    first = int(np.ceil(patches * margin - 0.5))
    return slice(first, max(first + 1, patches - first))
