"""Decode PNG, JPEG, TIFF, BMP and WebP films, at their full depth."""

from __future__ import annotations

import io
from typing import Any, BinaryIO

import numpy as np
from filmroom.db.records import Tags
from filmroom.indexer.decoding.limits import Limits
from filmroom.indexer.decoding.radiograph import Radiograph
from filmroom.indexer.decoding.rejections import Refusal
from filmroom.indexer.decoding.spread import spread
from numpy.typing import NDArray
from PIL import ExifTags, Image, ImageOps

_FORMATS = ("PNG", "JPEG", "TIFF", "BMP", "WEBP")
_STARTS = (b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"II*\0", b"MM\0*", b"II+\0", b"MM\0+", b"BM")
_TIFF_PHOTOMETRIC, _TIFF_WHITE_IS_ZERO = 262, 0
_TIFF_SUBFILE, _TIFF_REDUCED = 254, 1
# Pillow's modes of more than 8 bits, and the version of decoding that first stretched these between percentiles.
_DEEP, _DEEP_SINCE = ("I", "F"), 2


def is_picture(data: bytes) -> bool:
    """Tell whether the first bytes are those of a picture format that is read."""
    return data.startswith(_STARTS) or (data[:4] == b"RIFF" and data[8:12] == b"WEBP")


def read_picture(data: bytes, limits: Limits, *, side: int | None = None) -> list[Radiograph]:
    """Return the films of a picture file: one, or one a page of a TIFF. Raises Rejected.

    Pictures of 8 bits are taken as they are (0 black, 255 white); deeper ones say nothing of how they are to be
    shown, and are stretched between percentiles, whatever part of the range they use.
    Orientation by EXIF is applied; colour becomes luminance; transparency lies upon black. Pictures carry no tags.
    A JPEG that is more than twice `side` both ways is decoded smaller; its tags still tell its own size.
    """
    try:
        picture = Image.open(io.BytesIO(data), formats=_FORMATS)
    except Image.DecompressionBombError:
        raise Refusal.TOO_MANY_PIXELS.error() from None
    except MemoryError:
        raise
    except Exception:
        raise Refusal.DAMAGED.error() from None
    with picture:
        pages = getattr(picture, "n_frames", 1) if picture.format == "TIFF" else 1
        films: list[Radiograph] = []
        total = 0
        limits.check_pixels(picture.height, picture.width, frames=1)
        if pages > limits.max_frames:
            raise Refusal.TOO_MANY_FRAMES.error()
        for page in range(pages):
            if pages > 1:
                picture.seek(page)
                if int(picture.tag_v2.get(_TIFF_SUBFILE, 0)) & _TIFF_REDUCED:  # type: ignore[attr-defined]
                    continue
            total += picture.height * picture.width
            limits.check_pixels(picture.height, picture.width)
            if total > limits.max_pixels:
                raise Refusal.TOO_MANY_PIXELS.error()
            width, height = picture.size
            if side is not None:
                picture.draft("L", (side, side))  # of JPEG alone: fewer coefficients of each block are transformed
            try:
                pixels = _grey(picture)
            except MemoryError:
                raise
            except Exception:
                raise Refusal.TRUNCATED.error() from None
            rows, columns = (width, height) if _lies(picture) else (height, width)
            since = _DEEP_SINCE if picture.mode.startswith(_DEEP) else 1
            films.append(Radiograph(pixels, Tags(rows=rows, columns=columns), page, since))
    if not films:
        raise Refusal.DAMAGED.error()
    return films


def picture_changed(file: BinaryIO, *, since: int) -> bool:
    """Tell whether a picture file has other pixels now than by the version `since` of decoding. Reads its header."""
    with Image.open(file, formats=_FORMATS) as picture:
        return since < _DEEP_SINCE and picture.mode.startswith(_DEEP)


def _grey(picture: Image.Image) -> NDArray[np.float32]:
    """Return (H, W) in [0, 1], upright."""
    picture.load()
    upright = _upright(picture)
    if upright.mode == "1":
        return np.asarray(upright).astype(np.float32)
    if upright.mode.startswith(_DEEP):
        values = np.asarray(upright)
        if not np.isfinite(values).all():
            raise Refusal.NO_GREY_SCALE.error()
        pixels = stretch(values)
        # Pillow inverts white-is-zero for 8 bits and fewer, and leaves it to us above that.
        tags = getattr(picture, "tag_v2", {})
        return 1 - pixels if tags.get(_TIFF_PHOTOMETRIC) == _TIFF_WHITE_IS_ZERO else pixels
    if upright.has_transparency_data:
        upright = upright.convert("RGBA")
        ground = Image.new("RGBA", upright.size, (0, 0, 0, 255))
        upright = Image.alpha_composite(ground, upright)
    return np.asarray(upright.convert("L")).astype(np.float32) / np.float32(255)


def _upright(picture: Image.Image) -> Image.Image:
    return ImageOps.exif_transpose(picture) if _orientation(picture) != 1 else picture


def _lies(picture: Image.Image) -> bool:
    """Tell whether its rows become columns when it is set upright."""
    return _orientation(picture) in (5, 6, 7, 8)


def _orientation(picture: Image.Image) -> int:
    try:
        return int(picture.getexif().get(ExifTags.Base.Orientation, 1))
    except Exception:  # damaged EXIF data says nothing of the pixels
        return 1


def stretch(values: NDArray[Any]) -> NDArray[np.float32]:
    """Turn any real (H, W) into float32 from 0 to 1, between the percentiles that DICOM films without a window are
    shown between, so that one bright marker leaves the film its greys; all 0 where all values are the same."""
    low, high = (float(value) for value in spread(values.ravel()))
    if high <= low:
        return np.zeros(values.shape, np.float32)
    pixels = values.astype(np.float32)
    pixels -= np.float32(low)
    pixels /= np.float32(high - low)
    return np.clip(pixels, 0, 1, out=pixels)
