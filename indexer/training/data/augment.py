"""Change a film without changing what it shows. Never a left-right flip: side matters.

Geometry (turn, zoom, shift, stretch), collimation and borders, tone (gamma, contrast, a bent curve), noise, blur, and
burned-in marks: what differs between machines and collections, so that none of it is worth learning.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

F32 = NDArray[np.float32]
_MARKS = ("L", "R", "AP", "PA", "PORTABLE", "SUPINE", "ERECT", "12", "kV 85", "<-", "A", "x")


def augment(
    picture: NDArray[np.uint8], size: int, rng: np.random.Generator, *, strength: float = 1.0
) -> NDArray[np.uint16]:
    """Turn (H, W) uint8 film, not padded into (size, size) uint16 padded square, changed at random.

    `strength` 0 leaves all but the padding and the size alone; 1 is meant for training.
    """
    image = Image.fromarray(picture)
    image = _collimate(image, rng, strength)
    image = _marks(image, rng, strength)
    image = _place(image, size, rng, strength)
    if strength and rng.random() < 0.15 * strength:
        image = image.filter(ImageFilter.GaussianBlur(rng.uniform(0.3, 1.2)))
    value: F32 = np.asarray(image, np.float32) / np.float32(255)
    value = _tone(value, rng, strength)
    if strength and rng.random() < 0.3 * strength:
        value = value + rng.normal(0, rng.uniform(0.005, 0.03), value.shape).astype(np.float32)
    grey: NDArray[np.uint16] = np.rint(np.clip(value, 0, 1) * 65535).astype(np.uint16)
    return grey


def _collimate(image: Image.Image, rng: np.random.Generator, strength: float) -> Image.Image:
    """Cut a margin off (at most a tenth a side), or put a black, grey or white border around."""
    width, height = image.size
    if rng.random() < 0.5 * strength:
        left, right = rng.uniform(0, 0.1, 2) * width
        top, bottom = rng.uniform(0, 0.08, 2) * height
        image = image.crop((int(left), int(top), int(width - right), int(height - bottom)))
    if rng.random() < 0.25 * strength:
        edges = rng.uniform(0, 0.08, 4) * max(image.size)
        shade = int(rng.choice((0, 0, 0, 255, int(rng.integers(0, 256)))))
        grown = Image.new("L", (int(image.width + edges[0] + edges[1]), int(image.height + edges[2] + edges[3])), shade)
        grown.paste(image, (int(edges[0]), int(edges[2])))
        image = grown
    return image


def _marks(image: Image.Image, rng: np.random.Generator, strength: float) -> Image.Image:
    """Burn in letters and arrows near the edges, and dark or bright labels."""
    if rng.random() >= 0.4 * strength:
        return image
    image = image.copy()
    draw = ImageDraw.Draw(image)
    for _ in range(rng.integers(1, 4)):
        x = int((rng.uniform(0.0, 0.2) if rng.random() < 0.5 else rng.uniform(0.75, 0.95)) * image.width)
        y = int((rng.uniform(0.0, 0.2) if rng.random() < 0.7 else rng.uniform(0.8, 0.95)) * image.height)
        font = max(8, int(rng.uniform(0.02, 0.07) * image.height))
        shade = int(rng.choice([255, 230, 200, 0]))
        if rng.random() < 0.2:
            draw.rectangle((x, y, x + 3 * font, y + font), fill=int(rng.choice([0, 255])))
        draw.text((x, y), str(rng.choice(_MARKS)), fill=shade, font_size=font)
    return image


def _place(image: Image.Image, size: int, rng: np.random.Generator, strength: float) -> Image.Image:
    """Pad to a square of `size`, turned up to 8 degrees, zoomed, stretched and shifted."""
    angle = math.radians(rng.uniform(-8, 8)) * strength
    zoom = math.exp(rng.uniform(-0.16, 0.16) * strength)
    stretch = math.exp(rng.uniform(-0.08, 0.08) * strength)
    shift = rng.uniform(-0.05, 0.05, 2) * strength
    side = max(image.size)
    scale = size / side * zoom
    if scale < 0.8:  # the affine sampling below does not average: shrink first
        image = image.resize(
            (max(1, round(image.width * scale)), max(1, round(image.height * scale))), Image.Resampling.BICUBIC
        )
        scale = 1.0
    cos, sin = math.cos(angle) / scale, math.sin(angle) / scale
    a, b, d, e = cos / stretch, sin / stretch, -sin * stretch, cos * stretch
    cx, cy = image.width / 2, image.height / 2
    half_x, half_y = size * (0.5 + shift[0]), size * (0.5 + shift[1])
    return image.transform(
        (size, size),
        Image.Transform.AFFINE,
        (a, b, cx - a * half_x - b * half_y, d, e, cy - d * half_x - e * half_y),
        Image.Resampling.BICUBIC,
        fillcolor=0,
    )


def _tone(value: F32, rng: np.random.Generator, strength: float) -> F32:
    """Change gamma, contrast and brightness, and at times a bent tone curve."""
    value = value ** np.float32(math.exp(rng.uniform(-0.45, 0.45) * strength))
    if rng.random() < 0.3 * strength:
        value = value + np.float32(rng.uniform(-0.12, 0.12)) * np.sin(np.float32(math.pi) * 2 * value)
    contrast, light = math.exp(rng.uniform(-0.35, 0.25) * strength), rng.uniform(-0.1, 0.1) * strength
    return (value - 0.5) * np.float32(contrast) + np.float32(0.5 + light)
