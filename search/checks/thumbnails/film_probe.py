"""Ask a small network how a film lies, and whether it is a frontal chest film, by its thumbnail.

The network scores a picture; it is asked about the eight turns of a film, and the turn that it likes best sets the film
right. Where it comes from is in assets/film-probe/CARD.md, what it finds in docs/checks.md.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from filmroom.assets import ASSETS
from filmroom.search.checks.thumbnails.measures import Measure, Measured
from numpy.typing import NDArray
from PIL import Image

SIDE = 48
TURNS = 8
F32 = NDArray[np.float32]

LIES = (
    "as it should",
    "on its side",
    "upside down",
    "on its side",
    "mirrored",
    "mirrored and on its side",
    "mirrored and upside down",
    "mirrored and on its side",
)
"""How a film lies that each turn sets right: quarters to the left, then the same of the mirrored film."""


@dataclass(frozen=True)
class Looks:
    """What the probe says of films: the turn (N,) that sets each right, how much more likely it is than that the film
    lies right, as the logarithm of a ratio (N,), and the logit (N,) that it is a frontal chest film, so turned."""

    turn: NDArray[np.int64]
    odds: F32
    frontal: F32


def look(webp: bytes) -> NDArray[np.float16]:
    """Score the eight turns of a thumbnail: (16,), first how each lies, then whether it is a frontal chest film."""
    with Image.open(io.BytesIO(webp)) as picture:
        small = picture.convert("L").resize((SIDE, SIDE), Image.Resampling.BILINEAR)
    pixels = np.asarray(small, np.float32)
    pixels = np.clip((pixels - pixels.mean()) / (pixels.std() + 4), -3, 3)
    mirrored = pixels[:, ::-1]
    turns = np.stack([np.rot90(view, quarters) for view in (pixels, mirrored) for quarters in range(4)])
    (scores,) = _session().run(None, {"pictures": turns[:, None]})
    by_turn: NDArray[np.float16] = np.asarray(scores, np.float32).T.ravel().astype(np.float16)
    return by_turn


FILM_PROBE = Measure("film-probe-1", "<f2", 2 * TURNS, look)


def looks(scored: Measured) -> Looks:
    """Read the scores of films."""
    scores = scored.values().astype(np.float32).reshape(-1, 2, TURNS)
    turn = scores[:, 0].argmax(axis=1)
    rows = np.arange(len(turn))
    return Looks(turn, scores[rows, 0, turn] - scores[:, 0, 0], scores[rows, 1, turn])


@cache
def _session() -> Any:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1  # several films are looked at at once
    options.log_severity_level = 3
    path = ASSETS / "film-probe" / "film-probe.onnx"
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
