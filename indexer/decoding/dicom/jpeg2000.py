"""Decode JPEG 2000 at a half or a quarter of its size, which its wavelets hold as a picture of its own."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pydicom.dataset import Dataset
from pydicom.encaps import get_frame

_SYNTAXES = ("1.2.840.10008.1.2.4.90", "1.2.840.10008.1.2.4.91")
# Start of the stream and of its SIZ segment (ISO/IEC 15444-1 A.5.1): components, then depth and sign of the first.
_START, _COMPONENTS, _DEPTH = b"\xff\x4f\xff\x51", slice(40, 42), 42
_MOST = 2  # halvings: of more the vectors were not compared


def smaller(header: Dataset, *, side: int) -> NDArray[Any] | None:
    """Return stored values (H, W) of a film of one unsigned grey frame, at least `side` both ways. None where it is not
    more than twice as large, or is anything else than that: then the whole of it is to be decoded, which also finds
    faults."""
    rows, columns = int(header.Rows), int(header.Columns)
    halvings = min(_MOST, (min(rows, columns) // side).bit_length() - 1)
    simple = (
        header.file_meta.TransferSyntaxUID in _SYNTAXES
        and header.get("PhotometricInterpretation") in ("MONOCHROME1", "MONOCHROME2")
        and int(header.get("NumberOfFrames") or 1) == 1
        and header.get("PixelRepresentation") == 0  # which may contradict the stream
        and "PixelPaddingValue" not in header  # a mean of a picture and of none is neither
    )
    if halvings < 1 or not simple:
        return None
    stream = get_frame(header.PixelData, 0, number_of_frames=1)
    complete = stream.startswith(_START) and stream[-16:].rstrip(b"\0").endswith(b"\xff\xd9")
    if (
        not complete or stream[_COMPONENTS] != b"\0\1" or stream[_DEPTH] + 1 != header.BitsStored
    ):  # with a sign: 128 more
        return None
    try:
        with Image.open(io.BytesIO(stream), formats=("JPEG2000",)) as picture:
            if picture.size != (columns, rows):
                return None
            picture.reduce = halvings  # type: ignore[assignment, method-assign]
            picture.load()
            values = np.asarray(picture)
    except MemoryError:
        raise
    except Exception:  # whatever it is, decoding the whole tells
        return None
    # Pillow fills 8 or 16 bits from above.
    return values >> (8 * values.itemsize - int(header.BitsStored))
