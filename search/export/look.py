"""Say how films are written as pictures, and compress them so: what each worker process of an export imports anew, and
therefore nothing heavy."""

from __future__ import annotations

import io
from dataclasses import dataclass

import numpy as np
from filmroom.db.errors import BadInput
from filmroom.indexer.decoding.radiograph import Window
from numpy.typing import NDArray
from PIL import Image


@dataclass(frozen=True)
class Look:
    """How pixels are written: `bits` 8 or 16, a window in place of the film's own, and `size`, the most pixels of the
    longer side; a smaller film stays as it is."""

    bits: int = 16
    window: Window | None = None
    size: int | None = None

    def shape(self, columns: int, rows: int) -> tuple[int, int]:
        """Give width and height of the picture of a film of these."""
        share = 1.0 if self.size is None else min(1.0, self.size / max(columns, rows))
        return max(1, round(columns * share)), max(1, round(rows * share))


def read_window(text: str) -> Window | None:
    """Read `film` (its own), `full` (least to greatest value) or CENTER/WIDTH. Raises BadInput."""
    if text == "film":
        return None
    if text == "full":
        return Window()
    try:
        center, width = (float(part) for part in text.split("/"))
    except ValueError:
        center, width = 0.0, 0.0
    if not (np.isfinite(center) and np.isfinite(width) and width > 0):
        raise BadInput("not a window", where=text, fix="Use film, full, or CENTER/WIDTH such as 2048/4096.")
    return Window(center, width)


def encoded(pixels: NDArray[np.float32], *, look: Look) -> NDArray[np.uint8]:
    """Compress (H, W) in [0, 1] as a grey PNG; its bytes as an array."""
    shape = look.shape(pixels.shape[1], pixels.shape[0])
    if shape != (pixels.shape[1], pixels.shape[0]):
        # Each pixel is the mean of those that it stands for (area), so that fine lines do not turn into steps.
        small = Image.fromarray(np.ascontiguousarray(pixels, np.float32)).resize(shape, Image.Resampling.BOX)
        pixels = np.asarray(small, np.float32)
    white = np.float32(65535 if look.bits == 16 else 255)
    grey = np.rint(np.clip(pixels, 0, 1) * white).astype(np.uint16 if look.bits == 16 else np.uint8)
    out = io.BytesIO()
    Image.fromarray(grey).save(out, "PNG", compress_level=1)
    return np.frombuffer(out.getvalue(), np.uint8)
