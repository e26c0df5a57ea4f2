"""Turn films that lie or are mirrored in their files, and map places between the file's pixels and the film's.

What was done to a film is kept as words (`Tags.orientation`), in this order: mirrored left to right, then turned.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from filmroom.db.records import UNCERTAIN_ORIENTATION, Tags
from numpy.typing import NDArray

Box = tuple[float, float, float, float]
"""(x0, y0, x1, y1) in shares of width and height, from the upper left."""

_TURNS = {"turned left": 1, "turned 180": 2, "turned right": 3}
_MIRRORED = "mirrored"


def words_for(*, mirrored: bool, turns: int) -> str | None:
    """Return what is kept of a film that is mirrored, then turned by so many quarters to the left; None where nothing
    is."""
    turned = next((words for words, count in _TURNS.items() if count == turns), None)
    return ", ".join(filter(None, (_MIRRORED if mirrored else None, turned))) or None


def is_set_right(orientation: str | None) -> bool:
    """Tell whether a film is shown otherwise than it lies in its file."""
    return orientation not in (None, UNCERTAIN_ORIENTATION)


def set_right(stored: NDArray[Any], orientation: str | None) -> NDArray[Any]:
    """Turn the pixels of a file (H, W) into those of the film."""
    mirrored, turns = _parts(orientation)
    return np.ascontiguousarray(np.rot90(stored[:, ::-1] if mirrored else stored, turns))


def lies(orientation: str | None) -> bool:
    """Tell whether the rows of the file are the columns of the film."""
    return _parts(orientation)[1] % 2 == 1


def size_in_file(tags: Tags) -> tuple[int, int]:
    """Return rows and columns of a film as its file has them."""
    return (tags.columns, tags.rows) if lies(tags.orientation) else (tags.rows, tags.columns)


def box_on_film(box: Box, orientation: str | None) -> Box:
    """Turn a box on the picture of the file into on the film."""
    mirrored, turns = _parts(orientation)
    x0, y0, x1, y1 = box
    if mirrored:
        x0, x1 = 1 - x1, 1 - x0
    for _ in range(turns):
        x0, y0, x1, y1 = y0, 1 - x1, y1, 1 - x0
    return x0, y0, x1, y1


def box_in_file(box: Box, orientation: str | None) -> Box:
    """Turn a box on the film into on the picture of its file."""
    mirrored, turns = _parts(orientation)
    x0, y0, x1, y1 = box
    for _ in range(turns):
        x0, y0, x1, y1 = 1 - y1, x0, 1 - y0, x1
    if mirrored:
        x0, x1 = 1 - x1, 1 - x0
    return x0, y0, x1, y1


def _parts(orientation: str | None) -> tuple[bool, int]:
    words = orientation.split(", ") if orientation and is_set_right(orientation) else []
    return _MIRRORED in words, next((_TURNS[word] for word in words if word in _TURNS), 0)
