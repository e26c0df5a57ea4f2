"""Decode one frame of a DICOM file, with the plug-in that is right and fast for its transfer syntax."""

from __future__ import annotations

from typing import Any

import numpy as np
from filmroom.indexer.decoding.dicom import high_bit
from filmroom.indexer.decoding.dicom.stream import as_streamed, frame_stream
from filmroom.indexer.decoding.rejections import Refusal
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.pixels.decoders.base import Decoder, get_decoder
from pydicom.uid import UID, JPEGExtended12Bit

# The fastest right decoder of each transfer syntax (docs/decisions.md); pydicom would try gdcm first.
_PLUG_INS = {
    "1.2.840.10008.1.2.4.50": "pillow",
    "1.2.840.10008.1.2.4.57": "gdcm",
    "1.2.840.10008.1.2.4.70": "gdcm",
    "1.2.840.10008.1.2.4.80": "pyjpegls",
    "1.2.840.10008.1.2.4.81": "pyjpegls",
    "1.2.840.10008.1.2.4.90": "pylibjpeg",
    "1.2.840.10008.1.2.4.91": "pylibjpeg",
    "1.2.840.10008.1.2.5": "pylibjpeg",
}
# MPEG-2, MPEG-4 and HEVC: 1.2.840.10008.1.2.4.100 to .108.
_VIDEO = "1.2.840.10008.1.2.4.10"
# JPEG Lossless and JPEG-LS: without the end marker gdcm makes up the rest of a film, or takes 15 s to fail.
_END_MARKED = tuple(f"1.2.840.10008.1.2.4.{kind}" for kind in (57, 70, 80, 81))
_LUMINANCE = (0.299, 0.587, 0.114)  # ITU-R BT.601


def stored_values(header: Dataset, frame: int) -> tuple[NDArray[Any], str]:
    """Decode one frame: (H, W) or (H, W, 3) in RGB, and the photometric interpretation of it. Raises Rejected."""
    syntax = UID(header.file_meta.TransferSyntaxUID)
    try:
        decoder = get_decoder(syntax)
    except NotImplementedError:
        raise (Refusal.VIDEO if syntax.startswith(_VIDEO) else Refusal.NO_DECODER).error() from None
    if not decoder.is_available:
        raise Refusal.NO_DECODER.error()
    if syntax in _END_MARKED and bytes(header.PixelData[-16:]).rstrip(b"\0")[-2:] != b"\xff\xd9":
        raise Refusal.TRUNCATED.error()
    stream = frame_stream(header, frame)
    readable = as_streamed(header, stream)
    shifted = high_bit.shift(header, stream) > 0
    if shifted:
        readable = high_bit.as_words(header)
    stored, photometric = _decoded(decoder, readable, frame, plug_in=_PLUG_INS.get(syntax, ""))
    if shifted:
        stored = high_bit.values(stored, header)
    declared = str(header.get("PhotometricInterpretation", ""))
    if readable is not header and stored.ndim == 3 and declared.startswith("MONOCHROME"):
        # What the header says of greys (window, inversion) then holds of the luminance.
        return luminance(stored).round().astype(stored.dtype), declared
    return stored, photometric


def luminance(colours: NDArray[Any], *, white: float = 1) -> NDArray[np.float32]:
    """Turn (H, W, 3) into (H, W), in units of `white`."""
    grey = np.zeros(colours.shape[:2], np.float32)
    for channel, weight in enumerate(_LUMINANCE):
        grey += colours[..., channel] * np.float32(weight / white)
    return grey


def _decoded(decoder: Decoder, header: Dataset, frame: int, *, plug_in: str) -> tuple[NDArray[Any], str]:
    """Decode as `stored_values` does, by a header that fits its stream."""
    syntax = UID(header.file_meta.TransferSyntaxUID)
    last: BaseException = NotImplementedError()
    for name in (plug_in, "") if plug_in in decoder.available_plugins else ("",):
        try:
            stored, facts = decoder.as_array(header, index=frame, decoding_plugin=name)
            return stored, str(facts["photometric_interpretation"])
        except (MemoryError, KeyboardInterrupt, SystemExit):
            raise
        except BaseException as error:  # a decoder in Rust panics with what is no Exception
            last = error
    # A sound stream that no plug-in knows is told from a damaged one by what the standard allows it to be.
    if syntax == JPEGExtended12Bit and header.BitsStored > 8:
        raise Refusal.TWELVE_BIT_JPEG.error() from None
    raise (Refusal.NO_DECODER if isinstance(last, NotImplementedError) else Refusal.TRUNCATED).error() from None
