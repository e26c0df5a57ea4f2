"""Are two pictures the same film? Compared by their local structure, so that window, size, a small crop, letters and
inversion do not matter, and another film of another patient does not pass.

The contrast of every place is normalised by its surroundings; the middle of one picture is then looked for in the other
at several sizes (normalised cross-correlation by FFT), first roughly. The likeness is the highest absolute correlation:
1 is the same picture. A `sketch` of the structure finds candidates that vectors miss, since a model takes letters,
boxes and inverted grey for another film; a `miniature` sorts out most of those that are not alike. Both are measured
once a film and kept (`PAIRING`).
"""

from __future__ import annotations

import io
from collections.abc import Sequence

import numpy as np
from filmroom.db.catalog import Catalog
from filmroom.db.thumbnails.reading import thumbnails
from filmroom.search.checks.thumbnails import miniatures
from filmroom.search.checks.thumbnails.measures import Measure, Measured
from numpy.typing import NDArray
from PIL import Image

F32 = NDArray[np.float32]
SIDE = 160
"""Pixels of the longer side at which pictures are compared."""

_MIDDLE = 0.7
_SIZES = tuple(float(size) for size in np.linspace(0.88, 1.14, 14))
_ROUGH_SIZES = (0.88, 0.94, 1.0, 1.06, 1.13)
_ROUGH = 0.35
"""Likeness at half the size below which pictures are not compared more closely."""
_CLIP = 1.5
"""Normalised contrast that counts at most, so that white letters weigh no more than ribs."""
_FINE = 2.0
"""Pixels of a Gaussian: what is coarser is taken away."""
_SKETCH_SIDE, _SKETCH_FINE, _SKETCH = 112, 4.0, 20
SKETCH = _SKETCH * _SKETCH
_MINIATURE = 127 / _CLIP
_FLAT = 2.0
"""Grey levels below which a place has no structure, so that the noise of an empty border counts for nothing."""


def structure(webp: bytes) -> F32:
    """Give a thumbnail as (H, W) normalised local contrast, the longer side SIDE."""
    return _structure(_grey(webp))


def pairing(webp: bytes) -> NDArray[np.int8]:
    """Measure what finds a thumbnail's pairs: its sketch (SKETCH,) and its miniature, one after the other."""
    from scipy.ndimage import gaussian_filter  # type: ignore[import-untyped]

    grey = _grey(webp)
    coarse = gaussian_filter(_structure(grey, side=_SKETCH_SIDE, fine=_SKETCH_FINE), 2.2)
    row = _small(coarse, _SKETCH)
    row = row - row.mean()
    row *= 127 / max(float(np.abs(row).max()), 1e-6)
    miniature = _small(_structure(grey), miniatures.SIDE) * _MINIATURE
    numbers: NDArray[np.int8] = np.rint(np.concatenate([row, miniature])).astype(np.int8)
    return numbers


def _grey(webp: bytes) -> Image.Image:
    with Image.open(io.BytesIO(webp)) as picture:
        return picture.convert("L")


def _structure(grey: Image.Image, *, side: int = SIDE, fine: float = _FINE) -> F32:
    from scipy.ndimage import gaussian_filter

    ratio = side / max(grey.size)
    grey = grey.resize(
        (max(16, round(grey.width * ratio)), max(16, round(grey.height * ratio))), Image.Resampling.LANCZOS
    )
    pixels = np.asarray(grey, np.float32)
    detail = pixels - gaussian_filter(pixels, fine)
    spread = np.sqrt(gaussian_filter(detail * detail, 1.5 * fine))
    normalised: F32 = np.clip(detail / (spread + _FLAT), -_CLIP, _CLIP).astype(np.float32)
    return normalised


def _small(picture: F32, side: int) -> F32:
    return np.asarray(Image.fromarray(picture).resize((side, side), Image.Resampling.BOX), np.float32).ravel()


def likeness(a: F32, b: F32) -> float:
    """Give the highest absolute correlation of the middle of `b` with `a`, over places and sizes, in [0, 1]."""
    rough = _correlation(_scaled(a, 0.5), _scaled(b, 0.5), _ROUGH_SIZES)
    return rough if rough < _ROUGH else _correlation(a, b, _SIZES)


def _correlation(a: F32, b: F32, sizes: Sequence[float]) -> float:
    from scipy.fft import irfft2, next_fast_len, rfft2  # type: ignore[import-untyped]

    grown = max(a.shape) // 10
    field = np.pad(a, grown)
    shape = [next_fast_len(side, real=True) for side in field.shape]
    spectrum, energy = rfft2(field, shape), rfft2(field * field, shape)
    best = 0.0
    for size in sizes:
        part = _middle(_scaled(b, size))
        if any(inner > outer for inner, outer in zip(part.shape, field.shape, strict=True)):
            continue
        part = part - part.mean()
        box = np.ones_like(part)
        rows, columns = (outer - inner + 1 for inner, outer in zip(part.shape, field.shape, strict=True))
        product = irfft2(spectrum * np.conj(rfft2(part, shape)), shape)[:rows, :columns]
        power = irfft2(energy * np.conj(rfft2(box, shape)), shape)[:rows, :columns]
        norm = np.sqrt(np.maximum(power, 1e-3 * part.size) * max(float((part * part).sum()), 1e-6))
        best = max(best, float(np.abs(product / norm).max()))
    return min(best, 1.0)


PAIRING = Measure("pairing-1", "<i1", SKETCH + miniatures.SIDE**2, pairing)
"""What is measured of every film once; its name is to change with `pairing`."""


def sketches(measured_films: Measured) -> F32:
    """Give the sketches (N, SKETCH) as unit vectors: of two pictures of one film the absolute cosine is near 1."""
    rows: F32 = measured_films.values(part=slice(SKETCH)).astype(np.float32)
    rows /= np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-6)
    return rows


def miniatures_of(measured_films: Measured, places: NDArray[np.int64]) -> F32:
    """Give the miniatures (N, side, side) of the films at these places."""
    rows: F32 = measured_films.values(places, part=slice(SKETCH, None)).astype(np.float32) / _MINIATURE
    return rows.reshape(-1, miniatures.SIDE, miniatures.SIDE)


class Pictures:
    """The structures of films, read as they are needed; the last few thousand are kept."""

    def __init__(self, catalog: Catalog, *, most: int = 4_000) -> None:
        self._catalog, self._most = catalog, most
        self._held: dict[int, F32 | None] = {}

    def likenesses(self, pairs: Sequence[tuple[int, int]]) -> list[float | None]:
        """Give the likeness of each pair of films; None where one has no picture."""
        self._load([film for pair in pairs for film in pair])
        likenesses = []
        for first, second in pairs:
            a, b = self._held.get(first), self._held.get(second)
            likenesses.append(None if a is None or b is None else likeness(a, b))
        return likenesses

    def _load(self, ids: Sequence[int]) -> None:
        missing = [film for film in dict.fromkeys(ids) if film not in self._held]
        if len(self._held) + len(missing) > self._most:
            self._held = {film: self._held[film] for film in dict.fromkeys(ids) if film in self._held}
        stored = thumbnails(self._catalog, missing)
        self._held.update({film: structure(stored[film]) if stored.get(film) else None for film in missing})


def _scaled(picture: F32, size: float) -> F32:
    height, width = picture.shape
    small = Image.fromarray(picture).resize(
        (max(8, round(width * size)), max(8, round(height * size))), Image.Resampling.BILINEAR
    )
    return np.asarray(small, np.float32)


def _middle(picture: F32) -> F32:
    height, width = picture.shape
    tall, wide = int(height * _MIDDLE), int(width * _MIDDLE)
    top, left = (height - tall) // 2, (width - wide) // 2
    return picture[top : top + tall, left : left + wide]
