"""Read what a compressed frame says of itself, which holds where the file's header says otherwise (PS3.5 8.2)."""

from __future__ import annotations

from dataclasses import dataclass

from filmroom.indexer.decoding.dicom.headers import altered
from pydicom.dataset import Dataset
from pydicom.encaps import get_frame
from pydicom.uid import UID, JPEGBaseline8Bit, JPEGExtended12Bit

_JPEG = (JPEGBaseline8Bit, JPEGExtended12Bit)
# Start of a JPEG 2000 stream and of its SIZ segment (ISO/IEC 15444-1 A.5.1): components, then depth of the first.
_J2K_START, _J2K_COMPONENTS, _J2K_DEPTH = b"\xff\x4f\xff\x51", slice(40, 42), 42
_JPEG_START = b"\xff\xd8\xff"
STARTS = (_J2K_START, _JPEG_START)
_APP14, _ADOBE_TRANSFORM = 0xEE, 15  # bytes from the marker; 0: components as they are, RGB


@dataclass(frozen=True)
class Stream:
    """The picture that a stream holds: bits a sample, components, and whether three of them are RGB."""

    precision: int
    components: int
    rgb: bool = False


def frame_stream(header: Dataset, frame: int) -> Stream | None:
    """Return the stream of a frame; None where it is not compressed, or says nothing that is understood."""
    if not is_compressed(header):
        return None
    try:
        frames = int(header.get("NumberOfFrames") or 1)
        return read_stream(get_frame(header.PixelData, frame, number_of_frames=frames))
    except Exception:  # what is wrong with it, decoding tells
        return None


def is_compressed(header: Dataset) -> bool:
    """Tell whether frames are streams of their own; False for a transfer syntax that is not known."""
    syntax = UID(header.file_meta.TransferSyntaxUID)
    return bool(syntax.is_transfer_syntax and not syntax.is_private and syntax.is_encapsulated)


def read_stream(data: bytes) -> Stream | None:
    """Read the header of a stream, or of its beginning. None where that is no JPEG, JPEG-LS or JPEG 2000."""
    if data.startswith(_J2K_START) and len(data) > _J2K_DEPTH:
        return Stream((data[_J2K_DEPTH] & 0x7F) + 1, int.from_bytes(data[_J2K_COMPONENTS]), rgb=True)
    if not data.startswith(_JPEG_START):
        return None
    at, rgb = 2, False
    while at + 10 <= len(data) and data[at] == 0xFF:
        marker, length = data[at + 1], int.from_bytes(data[at + 2 : at + 4])
        if marker == 0xFF:  # fill
            at += 1
            continue
        if marker == _APP14 and data[at + 4 : at + 9] == b"Adobe":
            rgb = data[at + _ADOBE_TRANSFORM] == 0
        # A frame header (ITU-T T.81 B.2.2), or that of JPEG-LS (T.87 C.2.2).
        if (0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC)) or marker == 0xF7:
            return Stream(data[at + 4], data[at + 9], rgb=rgb or marker in (0xC3, 0xF7))
        at += 2 + length
    return None


def as_streamed(header: Dataset, stream: Stream | None) -> Dataset:
    """Return the header, set right where the stream has other components, or 8 bits under a header of more. The same
    one where nothing is to be set right."""
    jpeg = header.file_meta.TransferSyntaxUID in _JPEG
    narrow = jpeg and stream is not None and stream.precision == 8 and header.get("BitsAllocated") != 8
    other = has_other_components(header, stream)
    if stream is None or not (narrow or other):
        return header
    values: dict[str, int | str] = {
        "BitsAllocated": 8 if stream.precision <= 8 else 16,
        "BitsStored": stream.precision,
        "HighBit": stream.precision - 1,
        "PixelRepresentation": 0,
    }
    if other:
        colour = "YBR_FULL_422" if jpeg and not stream.rgb else "RGB"
        values |= {
            "SamplesPerPixel": stream.components,
            "PlanarConfiguration": 0,
            "PhotometricInterpretation": "MONOCHROME2" if stream.components == 1 else colour,
        }
    return altered(header, **values)


def has_other_components(header: Dataset, stream: Stream | None) -> bool:
    """Tell whether a stream of one or three components lies under a header that says the other."""
    declared = header.get("SamplesPerPixel")
    grey = str(header.get("PhotometricInterpretation", "")).startswith(("MONOCHROME", "PALETTE"))
    return stream is not None and stream.components in (1, 3) and (declared, grey) != (
        stream.components, stream.components == 1,
    )  # fmt: skip
