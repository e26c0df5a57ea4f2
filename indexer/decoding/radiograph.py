"""Define the film as the rest of the program sees it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from filmroom.db.records import Tags
from numpy.typing import NDArray


@dataclass(frozen=True)
class Radiograph:
    """Presentation pixels, float32 (H, W) from 0 black to 1 white, and the tags that may be kept.

    `since` is the version of decoding that first made these pixels of this file.
    """

    pixels: NDArray[np.float32]
    tags: Tags
    frame: int = 0
    since: int = 1


@dataclass(frozen=True)
class Window:
    """A window to show a DICOM film by, in place of its own: centre and width in the units of its modality LUT
    (PS3.3 C.11.2.1.2), or where `width` is None from its least to its greatest value."""

    center: float = 0.0
    width: float | None = None
