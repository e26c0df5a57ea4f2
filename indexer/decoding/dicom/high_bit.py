"""Shift stored values that do not begin at the lowest bit of their words (PS3.5 8.1.1; legal until 2006)."""

from __future__ import annotations

from typing import Any

from filmroom.indexer.decoding.dicom.headers import altered
from filmroom.indexer.decoding.dicom.stream import Stream
from numpy.typing import NDArray
from pydicom.dataset import Dataset


def shift(header: Dataset, stream: Stream | None) -> int:
    """Say by how many bits the stored values of a grey film lie higher than they should; 0 for what makes no sense.

    A stream that holds fewer bits than the header says cannot have them so high.
    """
    try:
        allocated, stored, high = (int(header.get(name)) for name in ("BitsAllocated", "BitsStored", "HighBit"))
        grey = int(header.get("SamplesPerPixel") or 1) == 1
    except (TypeError, ValueError):
        return 0
    precision = allocated if stream is None else stream.precision
    higher = grey and 0 < stored <= high < min(allocated, precision) and allocated in (8, 16, 32)
    return high + 1 - stored if higher else 0


def as_words(header: Dataset) -> Dataset:
    """Return the header of the same film, that takes all bits of a word for its value."""
    bits = int(header.BitsAllocated)
    return altered(header, BitsStored=bits, HighBit=bits - 1, PixelRepresentation=0)


def values(words: NDArray[Any], header: Dataset) -> NDArray[Any]:
    """Return the stored values in words, unsigned or signed as the header says, without what lies beside them
    (overlays)."""
    bits = 8 * words.itemsize
    signed = "i" if header.get("PixelRepresentation") == 1 else "u"
    top = words << (bits - 1 - int(header.HighBit))  # in the byte order of the machine, whatever the file's was
    stored: NDArray[Any] = top.view(f"{signed}{words.itemsize}") >> (bits - int(header.BitsStored))
    return stored
