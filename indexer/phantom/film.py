"""Turn the water that each ray has crossed into a film: beam, scatter, quanta, processing, tone, collimation,
marker."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from filmroom.indexer.phantom.rendering.camera import F32, f32
from filmroom.indexer.phantom.rendering.splat import catmull_rom
from filmroom.indexer.phantom.spec import Phantom, Side, View
from PIL import Image, ImageDraw, ImageFont

_MU = 0.0178  # per mm of water: about 120 kVp, hardened by the patient


def expose(water: F32, phantom: Phantom, pixel: float, rng: np.random.Generator) -> F32:
    """Return (H, W) float32 in [0, 1], 1 is white, from (H, W) mm of water. `pixel` is in mm."""
    technique = phantom.technique
    shape = water.shape
    lead = _marker(phantom, shape)
    arrived = np.exp(-np.float32(_MU) * water)
    # The thicker the body around, the more of what arrives has been scattered; a grid removes most of it.
    around = np.maximum(lowpass(arrived, 38 / pixel), 0)
    arrived += np.float32(0.10 + 0.30 * technique.scatter) * around
    if phantom.view in (View.AP, View.AP_SUPINE):
        arrived += np.float32(0.004 + 0.010 * technique.scatter)
    quanta = 3.5e5 * (pixel / 1.0) ** 2 / technique.noise**2
    grain = rng.standard_normal(shape, dtype=np.float32)
    grain *= np.sqrt(arrived / np.float32(quanta))
    arrived += grain
    seen = _process(-np.log(np.maximum(arrived, 3e-4, out=arrived)), technique.sharpness, pixel)
    grey = _tone(seen, phantom)
    shutter = _shutter(phantom, shape)
    grey = grey * shutter
    return f32(np.clip(np.maximum(grey, lead * 0.97), 0, 1))


def lowpass(image: F32, sigma: float) -> F32:
    """Return a cheap wide blur of about `sigma` pixels: shrink, then enlarge smoothly."""
    # Of less than a pixel there is nothing to blur.
    down, across = (min(many, max(2, round(many / sigma))) for many in image.shape)
    return enlarge(_shrinking(image.shape[0], down) @ image @ _shrinking(image.shape[1], across).T, image.shape)


def enlarge(image: F32, shape: tuple[int, int]) -> F32:
    """Return (H, W) by cubic interpolation; the same image when it has that shape."""
    if image.shape == shape:
        return image
    if 2 * image.shape[0] > shape[0]:
        return np.asarray(Image.fromarray(image).resize(shape[::-1], Image.Resampling.BICUBIC), np.float32)
    # Where few make many, products with small matrices are several times quicker.
    across, down = _enlarging(image.shape[1], shape[1]), _enlarging(image.shape[0], shape[0])
    return np.asarray(down @ (image @ across.T), np.float32)


@lru_cache(maxsize=32)
def _enlarging(few: int, many: int) -> F32:
    """Return (many, few) weights of cubic interpolation; at the edges only what is there counts."""
    at = (np.arange(many) + 0.5) * (few / many) - 0.5
    low = np.floor(at).astype(int)
    out = np.zeros((many, few + 4))
    for order, share in enumerate(catmull_rom(at - low)):
        out[np.arange(many), low + 1 + order] = share
    inside = out[:, 2:-2]
    return f32(inside / inside.sum(axis=1, keepdims=True))


@lru_cache(maxsize=32)
def _shrinking(many: int, few: int) -> F32:
    """Return (few, many) weights of the mean over boxes."""
    box = np.ceil((np.arange(many) + 0.5) * (few / many)) - 1
    inside = f32(box == np.arange(few)[:, None])
    return f32(inside / inside.sum(axis=1, keepdims=True))


def _process(seen: F32, sharpness: float, pixel: float) -> F32:
    """Return what every vendor does: less of the slow brightness, more of the detail."""
    slow = lowpass(seen, 45 / pixel)
    fine = lowpass(seen, 5 / pixel)
    return (
        slow * np.float32(1 - 0.28 * sharpness)
        + (fine - slow) * np.float32(1 + 0.5 * sharpness)
        + (seen - fine) * np.float32(1.3 + 1.1 * sharpness)
    )


def _tone(seen: F32, phantom: Phantom) -> F32:
    """Return an S-curve between the lungs and the abdomen, as automatic windowing sets it."""
    technique = phantom.technique
    rows, columns = seen.shape
    middle = seen[rows // 6 : rows * 5 // 6 : 3, columns // 6 : columns * 5 // 6 : 3]
    body = middle[middle > 0.35 * np.median(middle)]
    low, high = np.percentile(body, [5, 94])
    t = (seen - np.float32(low)) / np.float32(max(float(high - low), 0.5))
    t = (t - np.float32(0.5)) * np.float32(technique.contrast) + np.float32(0.5 - 0.15 * technique.exposure)
    # The straight part runs from the lungs to the abdomen; what the lungs' level leaves below it is the toe, which ends
    # in black where nothing but air was in the beam.
    curve = 0.03 + 0.94 / (1 + np.exp(-3.2 * (t - 0.40)))
    toe = np.clip((seen - 0.25) / np.float32(max(0.75 * low - 0.25, 0.2)), 0, 1)
    return np.asarray(curve * toe * (2 - toe), np.float32)


def _shutter(phantom: Phantom, shape: tuple[int, int]) -> F32:
    """Return 1 inside the collimated field, falling to black over a few pixels."""
    left, top, right, bottom = phantom.technique.collimation
    rows, columns = shape
    soft = max(1.0, max(shape) / 250)
    y = np.arange(rows, dtype=np.float32)
    x = np.arange(columns, dtype=np.float32)
    down = _edge(y, top * rows, soft, top > 0) * _edge(rows - 1 - y, bottom * rows, soft, bottom > 0)
    over = _edge(x, left * columns, soft, left > 0) * _edge(columns - 1 - x, right * columns, soft, right > 0)
    return 0.015 + 0.985 * down[:, None] * over[None, :]


def _edge(distance: F32, at: float, soft: float, present: bool) -> F32:
    return np.clip((distance - at) / soft + 0.5, 0, 1) if present else np.ones_like(distance)


def _marker(phantom: Phantom, shape: tuple[int, int]) -> F32:
    """Return the lead letter of the side, and on bedside films the words beside it."""
    technique = phantom.technique
    rows, columns = shape
    letter = "L" if technique.marker is Side.LEFT else "R"
    words = {View.AP_SUPINE: "AP\nSUPINE", View.AP: "AP"}.get(phantom.view, "") if phantom.seed % 3 == 0 else ""
    sheet = Image.new("L", (columns, rows), 0)
    draw = ImageDraw.Draw(sheet)
    x, y = technique.marker_at[0] * columns, technique.marker_at[1] * rows
    draw.text((x, y), letter, fill=235, font=_font(round(max(shape) * 0.045)), anchor="mm")
    if words:
        draw.multiline_text(
            (x, y + max(shape) * 0.045),
            words,
            fill=215,
            font=_font(round(max(shape) * 0.02)),
            anchor="ma",
            align="center",
        )
    return np.asarray(sheet, np.float32) / 255


@lru_cache(maxsize=8)
def _font(size: int) -> ImageFont.ImageFont | ImageFont.FreeTypeFont:
    return ImageFont.load_default(max(size, 6))
