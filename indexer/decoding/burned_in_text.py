"""Tell words burned into the pixels from anatomy by how they look: many sharp edges up and down in a short line.

A simple detector that flags a film for a person to look at; docs/privacy.md has its rates. It does not read.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

# A window of 64 x 8 pixels must hold this many rising and as many falling edges a row. A single letter or an arrow
# has two or three, and so have wires and screws.
_EDGES = 4.2
_STEP = 0.13  # of the range from black to white, within two pixels: what anatomy and noise seldom do
_LARGEST, _SMALLEST = 1200, 250  # pixels of the longer side: at one of these sizes letters have strokes of a few
_ROWS, _COLUMNS = 4, 16  # of a block; windows are two blocks high and four wide, and overlap


def looks_written(pixels: NDArray[np.float32]) -> bool:
    """Tell whether (H, W) in [0, 1] shows a line of letters or digits."""
    pixels = _shrunk(pixels, -(-max(pixels.shape) // _LARGEST))
    while min(pixels.shape) >= 4 * _COLUMNS:
        if _edges(pixels) >= _EDGES:
            return True
        if max(pixels.shape) < 2 * _SMALLEST:
            break
        pixels = _shrunk(pixels, 2)
    return False


def _edges(pixels: NDArray[np.float32]) -> float:
    """Return the most edges a row of any window, rising or falling, whichever are fewer."""
    rise = pixels[:, 2:] - pixels[:, :-2]
    up, down = _windows(rise > _STEP), _windows(rise < -_STEP)
    return float(np.minimum(up, down).max(initial=0)) / (2 * _ROWS)


def _windows(steep: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Say how many edges begin in each window."""
    begins = steep[:, 1:] & ~steep[:, :-1]
    rows, columns = (size // block for size, block in zip(begins.shape, (_ROWS, _COLUMNS), strict=True))
    blocks = begins[: rows * _ROWS, : columns * _COLUMNS].reshape(rows, _ROWS, columns, _COLUMNS)
    counts = np.count_nonzero(blocks, axis=(1, 3))
    high = counts[:-1] + counts[1:]
    wide = columns - 3
    return np.asarray(sum(high[:, at : at + wide] for at in range(4)), np.int64)


def _shrunk(pixels: NDArray[np.float32], times: int) -> NDArray[np.float32]:
    """Shrink to one row of every `times`, in it the mean of every `times` pixels."""
    if times == 1:
        return pixels
    columns = pixels.shape[1] // times * times
    summed = sum(pixels[::times, at:columns:times] for at in range(times))
    return np.asarray(summed, np.float32) / np.float32(times)
