"""Show a film in the viewer: 16-bit pixels on a canvas, with window, zoom, attention map and marked regions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import streamlit as st
from filmroom.indexer.decoding.dicom.spacing import Spacing
from filmroom.search.findings.measurements import Kind, Measurement, Point
from filmroom.search.ui import media
from numpy.typing import NDArray

HERE = Path(__file__).parent

MAX_PIXELS = 16_000_000
"""About 4000 x 4000: 32 MB to the browser. Larger films are shown reduced, and the page says so."""


MOST_MEASURED = 100


def _read(*names: str) -> str:
    return "\n".join((HERE / name).read_text("utf-8") for name in names)


_component = st.components.v2.component(
    "filmroom.viewer",
    html=_read("viewer.html"),
    css=_read("viewer.css"),
    js=_read("pixels.js", "viewer.js", "measuring.js", "tools.js"),
)


@dataclass(frozen=True)
class Region:
    """A sentence, and the rectangles (x0, y0, x1, y1), each in [0, 1] of the film, that it is about."""

    text: str
    boxes: tuple[tuple[float, float, float, float], ...]


@dataclass(frozen=True)
class Attention:
    """Whether the map is asked for, why it cannot be had, and the map itself: (h, w) in [0, 1], over the film."""

    on: bool = False
    heat: NDArray[np.float32] | None = None
    why_not: str | None = None


def viewer(
    *,
    key: str,
    film: str,
    alt: str,
    pixels: NDArray[np.uint16] | None = None,
    preview: bytes | None = None,
    note: str = "",
    attention: Attention | None = None,
    regions: tuple[Region, ...] = (),
    focus: bool = False,
    linked: bool = False,
    spacing: Spacing | None = None,
    measured: Sequence[Measurement] = (),
) -> list[tuple[Kind, tuple[Point, ...]]]:
    """Show a film; returns what the reader measured and wants kept. Whether the attention map is asked for stands in
    the session's state under `key`.

    `film` is the film's identity: another one resets the view. `pixels` is uint16 (H, W), 0 black to 65535 white;
    where it is None the WebP `preview` stands in and `note` says why. With `focus` each new film takes the keyboard.
    Viewers that are `linked` share their window, zoom and place. Lengths are in mm where `spacing` is known; `measured`
    is what is kept already.
    """
    attention = attention or Attention(why_not="The attention map needs a query.")
    data: dict[str, Any] = {
        "film": film,
        "alt": alt,
        "note": note,
        "focus": focus,
        "linked": linked,
        "waiting": pixels is None and not note,
        "preview": media.url(preview, "image/webp", slot=f"{key}-preview") if preview else None,
        "attention": attention.on,
        "can_attend": attention.why_not is None,
        "why_not": attention.why_not,
        "regions": [asdict(region) for region in regions],
        "spacing": asdict(spacing) if spacing else None,
        "measured": [_drawn(measurement) for measurement in measured],
        "can_keep": pixels is not None,
        "step": 1,
    }
    if pixels is not None:
        grey = reduced(pixels)
        data |= {"height": grey.shape[0], "width": grey.shape[1], "step": pixels.shape[0] // grey.shape[0]}
        data["pixels"] = media.url(grey.astype("<u2").tobytes(), "application/octet-stream", slot=f"{key}-pixels")
    if attention.on and attention.heat is not None:
        heat = np.clip(attention.heat, 0, 1)
        raw = np.rint(heat * 255).astype(np.uint8).tobytes()
        address = media.url(raw, "application/octet-stream", slot=f"{key}-heat")
        data["heat"] = {"url": address, "height": heat.shape[0], "width": heat.shape[1]}
    result = _component(
        key=key,
        data=data,
        default={"attention": attention.on},
        on_attention_change=lambda: None,
        on_keep_change=lambda: None,
    )
    return _measured(result.keep)


def _drawn(measurement: Measurement) -> dict[str, Any]:
    text = f"{measurement.value:.1f}{'' if measurement.unit == '°' else ' '}{measurement.unit}"
    return {"kind": measurement.kind, "points": measurement.points, "text": text}


def _measured(message: object) -> list[tuple[Kind, tuple[Point, ...]]]:
    """Read what the browser measured; anything else is left out."""
    measured = []
    for entry in message[:MOST_MEASURED] if isinstance(message, list) else ():
        points = entry.get("points") if isinstance(entry, dict) else None
        if not isinstance(points, list) or entry.get("kind") not in list(Kind):
            continue
        pairs = [tuple(point) for point in points if isinstance(point, list) and len(point) == 2]
        if len(pairs) == len(points) and all(isinstance(part, int | float) for pair in pairs for part in pair):
            measured.append((Kind(entry["kind"]), tuple((float(x), float(y)) for x, y in pairs)))
    return measured


def reduced(pixels: NDArray[np.uint16]) -> NDArray[np.uint16]:
    """Return the film at no more than MAX_PIXELS, by whole-number means (no interpolation invents an edge)."""
    step = int(np.ceil(np.sqrt(pixels.size / MAX_PIXELS)))
    if step <= 1:
        return pixels
    high, wide = (side // step * step for side in pixels.shape)
    blocks = pixels[:high, :wide].reshape(high // step, step, wide // step, step)
    return np.asarray(np.rint(blocks.mean(axis=(1, 3))), dtype=np.uint16)
