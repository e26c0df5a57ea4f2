"""Copy a header with some elements set otherwise, or as a careful reader understands what was written badly."""

from __future__ import annotations

from typing import Any

from filmroom.indexer.decoding.rejections import Refusal
from pydicom.dataset import Dataset
from pydicom.multival import MultiValue

_COLOURS = frozenset({
    "RGB", "PALETTE COLOR", "YBR_FULL", "YBR_FULL_422", "YBR_PARTIAL_422", "YBR_PARTIAL_420", "YBR_ICT", "YBR_RCT",
    "HSV", "ARGB", "CMYK",
})  # fmt: skip


def altered(header: Dataset, **elements: Any) -> Dataset:
    """Copy a header and set elements in the copy alone: pydicom's own copies share their elements."""
    copied = header[:]
    if hasattr(header, "file_meta"):
        copied.file_meta = header.file_meta
    for keyword, value in elements.items():
        if keyword in copied:
            delattr(copied, keyword)  # else the element that both have would get the value
        setattr(copied, keyword, value)
    return copied


def mend(header: Dataset) -> Dataset:
    """Set what can be read in one way only as it should have been written, and give the header: a photometric
    interpretation in small letters or with blanks, a number of frames that is empty or none, samples of a grey film
    that are not counted."""
    declared = " ".join(str(_value(header, "PhotometricInterpretation") or "").replace("\0", "").upper().split())
    photometric = declared.replace("MONOCHROME ", "MONOCHROME")
    if photometric and photometric != header.get("PhotometricInterpretation"):
        header.PhotometricInterpretation = photometric
    if photometric.startswith("MONOCHROME") and _value(header, "SamplesPerPixel") in (None, ""):
        header.SamplesPerPixel = 1
    if "NumberOfFrames" in header and not isinstance(frames := _value(header, "NumberOfFrames"), int):
        header.NumberOfFrames = _frames(frames)
    return header


def check_pixel_module(header: Dataset) -> None:
    """Raise Rejected where the header does not say how the pixels are written, which is no damage of the pixels."""
    photometric = str(header.get("PhotometricInterpretation") or "")
    if photometric not in _COLOURS | {"MONOCHROME1", "MONOCHROME2"}:
        raise Refusal.DAMAGED.error()
    needed = ("BitsAllocated", "BitsStored", "PixelRepresentation") if "PixelData" in header else ("BitsAllocated",)
    if any(not isinstance(header.get(keyword), int) for keyword in needed):
        raise Refusal.DAMAGED.error()
    if "PixelData" in header and not 0 < header.BitsStored <= header.BitsAllocated:
        raise Refusal.DAMAGED.error()


def _frames(value: object) -> int:
    """Return the first number of what stands for the frames; what is none is one frame."""
    first = value[0] if isinstance(value, MultiValue) and value else value
    try:
        return max(1, int(str(first)))
    except ValueError:
        return 1


def _value(header: Dataset, keyword: str) -> object:
    try:
        return header.get(keyword)
    except Exception:  # pydicom converts on access, and a damaged value can raise anything
        return None
