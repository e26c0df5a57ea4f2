"""DICOM files: the header is checked first, then each frame becomes presentation pixels."""

from __future__ import annotations

import io
import logging
import zlib  # must stay before pydicom: gdcm brings a zlib whose names clash with a later import of this one
from typing import Any

import numpy as np
import pydicom
from filmroom.indexer.decoding.greyscale import READ_FOR_GREYSCALE, present
from filmroom.indexer.decoding.jpeg2000 import smaller
from filmroom.indexer.decoding.limits import Limits
from filmroom.indexer.decoding.phi_filter import READ_FOR_TAGS, kept_tags
from filmroom.indexer.decoding.radiograph import Radiograph, Window
from filmroom.indexer.decoding.rejections import Refusal
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import get_frame
from pydicom.pixels.decoders.base import get_decoder
from pydicom.pixels.processing import apply_color_lut
from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)

_PIXELS = ("PixelData", "FloatPixelData", "DoubleFloatPixelData")
_READ_FOR_PIXELS = (
    *_PIXELS, "Rows", "Columns", "NumberOfFrames", "SamplesPerPixel", "BitsAllocated", "BitsStored", "HighBit",
    "PixelRepresentation", "PlanarConfiguration", "ExtendedOffsetTable", "ExtendedOffsetTableLengths",
    "RedPaletteColorLookupTableDescriptor", "GreenPaletteColorLookupTableDescriptor",
    "BluePaletteColorLookupTableDescriptor", "RedPaletteColorLookupTableData",
    "GreenPaletteColorLookupTableData", "BluePaletteColorLookupTableData",
    "SegmentedRedPaletteColorLookupTableData", "SegmentedGreenPaletteColorLookupTableData",
    "SegmentedBluePaletteColorLookupTableData",
)  # fmt: skip
# Nothing else of a header is ever parsed: what is not read cannot leak.
_READ = [*_READ_FOR_PIXELS, *READ_FOR_GREYSCALE, *READ_FOR_TAGS]

# (0002,0000) UL, which says how long the file meta group is (PS3.10 7.1).
_GROUP_LENGTH = b"\x02\0\0\0UL\x04\0"
_DICOMDIR = "1.2.840.10008.1.3.10"
# Reconstructed slices that go by a projection modality: 3-D angiography, craniofacial, breast tomosynthesis.
_RECONSTRUCTED = "1.2.840.10008.5.1.4.1.1.13.1."
# Plain films of every kind, mammography, panoramic and intra-oral dental, and single shots of fluoroscopy and
# angiography. DR is no defined term, but is written.
_PROJECTION = frozenset({"CR", "DX", "DR", "RG", "MG", "PX", "IO", "RF", "XA"})
# Digitised and exported films often say no more than this: taken where they are one grey picture.
_UNSPECIFIC = frozenset({"OT", "SC", "HC", ""})
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
_JPEG = ("1.2.840.10008.1.2.4.50", "1.2.840.10008.1.2.4.51")
# JPEG Lossless and JPEG-LS: without the end marker gdcm makes up the rest of a film, or takes 15 s to fail.
_END_MARKED = tuple(f"1.2.840.10008.1.2.4.{kind}" for kind in (57, 70, 80, 81))
_LUMINANCE = (0.299, 0.587, 0.114)  # ITU-R BT.601

# pydicom's log quotes values of the header.
logging.getLogger("pydicom").setLevel(logging.CRITICAL + 1)


def read_dicom(
    data: bytes,
    limits: Limits,
    *,
    key: bytes | None = None,
    any_modality: bool = False,
    hash_uids: bool = False,
    side: int | None = None,
    window: Window | None = None,
) -> list[Radiograph]:
    """The frames of a DICOM file, of any transfer syntax that has a decoder. Raises Rejected.

    Without a preamble or a file meta group it is read as what it looks like. A JPEG 2000 film of more than twice
    `side` both ways is decoded smaller; its tags still tell its own size.
    """
    header = _read_header(data, limits)
    _check_kind(header)
    rows, columns = _number(header, "Rows"), _number(header, "Columns")
    frames = _number(header, "NumberOfFrames", missing=1) or 1  # none, of a file that has pixels, is one
    if not any_modality and not _is_radiograph(header, frames):
        raise Refusal.NOT_RADIOGRAPH.error()
    limits.check_pixels(rows, columns, frames=frames)
    tags = kept_tags(header, rows=rows, columns=columns, key=key, hash_uids=hash_uids)
    return [Radiograph(_frame(header, frame, side=side, window=window), tags, frame) for frame in range(frames)]


def _read_header(data: bytes, limits: Limits) -> Dataset:
    has_preamble = data[128:132] == b"DICM"
    try:
        _check_deflated(data, limits)
        header = _parse(data)
        if not any(keyword in header for keyword in _PIXELS) and "Rows" in _parse(data, until_pixels=True):
            raise Refusal.TRUNCATED.error()  # pydicom drops what a cut-off element belongs to
    except (MemoryError, zlib.error, EOFError, RecursionError) as error:
        refusal = Refusal.TOO_MUCH_MEMORY if isinstance(error, MemoryError) else Refusal.DAMAGED
        raise refusal.error() from None
    if not has_preamble and "SOPClassUID" not in header and "Rows" not in header:
        raise Refusal.UNKNOWN.error()
    if not hasattr(header, "file_meta"):
        header.file_meta = FileMetaDataset()
    if "TransferSyntaxUID" not in header.file_meta:
        implicit, little = header.original_encoding
        header.file_meta.TransferSyntaxUID = (
            ImplicitVRLittleEndian if implicit else ExplicitVRLittleEndian if little else ExplicitVRBigEndian
        )
    return header


def _parse(data: bytes, *, until_pixels: bool = False) -> Dataset:
    return pydicom.dcmread(io.BytesIO(data), force=True, specific_tags=list(_READ), stop_before_pixels=until_pixels)


def _check_deflated(data: bytes, limits: Limits) -> None:
    """Unpack without keeping, so that a bomb is known by its size before pydicom unpacks it all at once."""
    if data[132:140] != _GROUP_LENGTH:
        return
    start = 144 + int.from_bytes(data[140:144], "little")
    if DeflatedExplicitVRLittleEndian.encode() not in data[144:start]:
        return
    unpacker = zlib.decompressobj(-zlib.MAX_WBITS)
    piece, total = data[start:], 0
    while piece and not unpacker.eof:
        total += len(unpacker.decompress(piece, 1 << 20))
        if total > limits.max_bytes:
            raise Refusal.TOO_LARGE.error()
        piece = unpacker.unconsumed_tail


def _check_kind(header: Dataset) -> None:
    classes = {str(header.file_meta.get("MediaStorageSOPClassUID", "")), str(header.get("SOPClassUID", ""))}
    if _DICOMDIR in classes:
        raise Refusal.DICOMDIR.error()
    if not any(keyword in header for keyword in _PIXELS):
        known = [UID(one) for one in classes if UID(one).is_valid and one]
        without_an_image = any("Image Storage" not in one.name for one in known)
        # What says that it is an image, or nothing of itself, has lost its pixels and is no report.
        raise (Refusal.NO_PIXELS if without_an_image else Refusal.DAMAGED).error()


def _is_radiograph(header: Dataset, frames: int) -> bool:
    modality = str(header.get("Modality") or "").strip().upper()
    if str(header.get("SOPClassUID", "")).startswith(_RECONSTRUCTED):
        return False
    if modality in _UNSPECIFIC:
        photometric = str(header.get("PhotometricInterpretation", ""))
        return frames == 1 and photometric.startswith("MONOCHROME")
    return modality in _PROJECTION


def _number(header: Dataset, keyword: str, *, missing: int = 0) -> int:
    try:
        value = header.get(keyword)
        return missing if value is None or value == "" else int(value)
    except (TypeError, ValueError, OverflowError):
        raise Refusal.DAMAGED.error() from None


def _frame(header: Dataset, frame: int, *, side: int | None, window: Window | None) -> NDArray[np.float32]:
    """Presentation pixels (H, W) in [0, 1] of one frame."""
    less = None if side is None else smaller(header, side=side)
    if less is not None:
        return present(less, header, window=window)
    stored, photometric = _stored(header, frame)
    white = (1 << _number(header, "BitsStored", missing=8)) - 1
    if photometric == "PALETTE COLOR":
        stored = apply_color_lut(stored, header)
        white = 255 if stored.dtype == np.uint8 else 65535
    if stored.ndim == 2:
        return present(stored, header, frame=frame, window=window)
    grey = np.zeros(stored.shape[:2], np.float32)
    for channel, weight in enumerate(_LUMINANCE):
        grey += stored[..., channel] * np.float32(weight / white)
    return np.clip(grey, 0, 1, out=grey)


def _stored(header: Dataset, frame: int) -> tuple[NDArray[Any], str]:
    """Stored values, (H, W) or (H, W, 3) in RGB, and what they mean."""
    syntax = UID(header.file_meta.TransferSyntaxUID)
    try:
        decoder = get_decoder(syntax)
    except NotImplementedError:
        raise (Refusal.VIDEO if syntax.startswith(_VIDEO) else Refusal.NO_DECODER).error() from None
    if not decoder.is_available:
        raise Refusal.NO_DECODER.error()
    if syntax in _END_MARKED and bytes(header.PixelData[-16:]).rstrip(b"\0")[-2:] != b"\xff\xd9":
        raise Refusal.TRUNCATED.error()
    preferred = _PLUG_INS.get(syntax, "")
    if preferred not in decoder.available_plugins:
        preferred = ""
    attempts = [(header, preferred), (header, "")] if preferred else [(header, "")]
    if (narrow := _of_eight_bits(header, frame)) is not None:
        attempts.append((narrow, preferred))
    for said, plug_in in attempts:
        try:
            stored, facts = decoder.as_array(said, index=frame, decoding_plugin=plug_in)
            return stored, str(facts["photometric_interpretation"])
        except (MemoryError, KeyboardInterrupt, SystemExit):
            raise
        except BaseException as error:  # a decoder in Rust panics with what is no Exception
            last = error
    # A sound stream that no plug-in knows is told from a damaged one by what the standard allows it to be.
    if syntax == _JPEG[1] and _number(header, "BitsStored") > 8:
        raise Refusal.TWELVE_BIT_JPEG.error() from None
    raise (Refusal.NO_DECODER if isinstance(last, NotImplementedError) else Refusal.TRUNCATED).error() from None


def _of_eight_bits(header: Dataset, frame: int) -> Dataset | None:
    """The header set right for a grey JPEG stream of 8 bits that it says more of. None where it is anything else."""
    if header.file_meta.TransferSyntaxUID not in _JPEG or header.get("BitsAllocated") == 8:
        return None
    try:
        stream = get_frame(header.PixelData, frame, number_of_frames=_number(header, "NumberOfFrames", missing=1) or 1)
        if _precision(stream) != 8 or header.get("SamplesPerPixel") != 1:
            return None
    except Exception:  # what is wrong with it, decoding has told
        return None
    narrow = header.copy()
    narrow.BitsAllocated, narrow.BitsStored, narrow.HighBit, narrow.PixelRepresentation = 8, 8, 7, 0
    return narrow


def _precision(stream: bytes) -> int | None:
    """Bits a sample by the frame header of a JPEG stream (ITU-T T.81 B.2.2)."""
    at = 2
    while at + 5 <= len(stream) and stream[at] == 0xFF:
        marker, length = stream[at + 1], int.from_bytes(stream[at + 2 : at + 4])
        if marker == 0xFF:  # fill
            at += 1
        elif 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            return stream[at + 4]
        else:
            at += 2 + length
    return None
