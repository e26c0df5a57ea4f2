"""Read DICOM files: the header is checked first, then each frame becomes presentation pixels."""

from __future__ import annotations

import io
import logging
import zlib  # must stay before pydicom: gdcm brings a zlib whose names clash with a later import of this one
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, BinaryIO

import numpy as np
import pydicom
from filmroom.db.records import Tags
from filmroom.indexer.decoding.dicom.changes import pixels_since
from filmroom.indexer.decoding.dicom.greyscale import READ_FOR_GREYSCALE, present
from filmroom.indexer.decoding.dicom.headers import check_pixel_module, mend
from filmroom.indexer.decoding.dicom.jpeg2000 import smaller
from filmroom.indexer.decoding.dicom.patient_orientation import READ_FOR_ORIENTATION, orientation_of
from filmroom.indexer.decoding.dicom.stored_values import luminance, stored_values
from filmroom.indexer.decoding.dicom.stream import STARTS, Stream, frame_stream, is_compressed, read_stream
from filmroom.indexer.decoding.limits import Limits
from filmroom.indexer.decoding.orientation import lies, set_right
from filmroom.indexer.decoding.phi_filter import READ_FOR_TAGS, kept_tags
from filmroom.indexer.decoding.radiograph import Radiograph, Window
from filmroom.indexer.decoding.rejections import Refusal
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileMetaDataset
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
_READ = [*_READ_FOR_PIXELS, *READ_FOR_GREYSCALE, *READ_FOR_TAGS, *READ_FOR_ORIENTATION]

# (0002,0000) UL, which says how long the file meta group is (PS3.10 7.1).
_GROUP_LENGTH = b"\x02\0\0\0UL\x04\0"
_START = 1 << 16  # holds any file meta group
_DICOMDIR = "1.2.840.10008.1.3.10"
# Reconstructed slices that go by a projection modality: 3-D angiography, craniofacial, breast tomosynthesis.
_RECONSTRUCTED = "1.2.840.10008.5.1.4.1.1.13.1."
# Plain films of every kind, mammography, panoramic and intra-oral dental, and single shots of fluoroscopy and
# angiography. DR is no defined term, but is written.
_PROJECTION = frozenset({"CR", "DX", "DR", "RG", "MG", "PX", "IO", "RF", "XA"})
# Digitised and exported films often say no more than this: taken where they are one grey picture.
_UNSPECIFIC = frozenset({"OT", "SC", "HC", ""})

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
    """Return the frames of a DICOM file, of any transfer syntax that has a decoder. Raises Rejected.

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
    check_pixel_module(header)
    tags = _tags(header, rows, columns, key=key, hash_uids=hash_uids)
    since = pixels_since(header, frame_stream(header, 0), tags)
    return [
        Radiograph(set_right(_frame(header, frame, side=side, window=window), tags.orientation), tags, frame, since)
        for frame in range(frames)
    ]


def read_tags(
    file: BinaryIO, limits: Limits, *, since: int, key: bytes | None = None, hash_uids: bool = False
) -> tuple[Tags, ...] | None:
    """Return the tags, one a frame, of a file that the version `since` of decoding decoded; None where its pixels were
    others then. Reads no more than the header and the beginning of the pixels. Raises Rejected."""
    start = file.read(_START)
    if _is_deflated(start):
        data = start + file.read(limits.max_bytes)
        _check_deflated(data, limits)
        file = io.BytesIO(data)
    file.seek(0)
    header = _parse(file, until_pixels=True)
    _say_syntax(header)
    stream = _first_stream(header, file.read(_START))
    rows, columns = _number(header, "Rows"), _number(header, "Columns")
    frames = _number(header, "NumberOfFrames", missing=1) or 1
    limits.check_pixels(rows, columns, frames=frames)
    tags = _tags(header, rows, columns, key=key, hash_uids=hash_uids)
    return None if pixels_since(header, stream, tags) > since else (tags,) * frames


def _tags(header: Dataset, rows: int, columns: int, *, key: bytes | None, hash_uids: bool) -> Tags:
    """Return what is kept of the header of a picture that has so many rows and columns in its file."""
    tags = kept_tags(header, rows=rows, columns=columns, key=key, hash_uids=hash_uids)
    orientation = orientation_of(header, tags)
    high, wide = (columns, rows) if lies(orientation) else (rows, columns)
    return replace(tags, orientation=orientation, rows=high, columns=wide)


def _first_stream(header: Dataset, pixels: bytes) -> Stream | None:
    """Read as `frame_stream` does from the start of the pixels' element: an offset table comes before the first
    frame."""
    starts = [at for mark in STARTS if (at := pixels.find(mark)) >= 0]
    return read_stream(pixels[min(starts) :]) if starts and is_compressed(header) else None


@dataclass(frozen=True)
class StoredFrame:
    """A frame as its file holds it: stored values, (H, W) or (H, W, 3) in RGB, and their photometric interpretation;
    the header, and how many frames it is of."""

    header: Dataset
    frames: int
    pixels: NDArray[Any]
    photometric: str


def stored_frame(data: bytes, limits: Limits, frame: int, *, besides: Sequence[str] = ()) -> StoredFrame | None:
    """Read the header, with the attributes `besides`, and a frame; None where there are not so many. Raises
    Rejected."""
    header = _read_header(data, limits, besides=besides)
    _check_kind(header)
    rows, columns = _number(header, "Rows"), _number(header, "Columns")
    frames = _number(header, "NumberOfFrames", missing=1) or 1
    limits.check_pixels(rows, columns, frames=frames)
    if frame >= frames:
        return None
    stored, photometric = stored_values(header, frame)
    if photometric == "PALETTE COLOR":
        stored, photometric = apply_color_lut(stored, header), "RGB"
    return StoredFrame(header, frames, stored, photometric)


def _read_header(data: bytes, limits: Limits, *, besides: Sequence[str] = ()) -> Dataset:
    has_preamble = data[128:132] == b"DICM"
    try:
        _check_deflated(data, limits)
        header = _parse(io.BytesIO(data), besides=besides)
        if not any(keyword in header for keyword in _PIXELS) and "Rows" in _parse(io.BytesIO(data), until_pixels=True):
            raise Refusal.TRUNCATED.error()  # pydicom drops what a cut-off element belongs to
    except (MemoryError, zlib.error, EOFError, RecursionError) as error:
        refusal = Refusal.TOO_MUCH_MEMORY if isinstance(error, MemoryError) else Refusal.DAMAGED
        raise refusal.error() from None
    if not has_preamble and "SOPClassUID" not in header and "Rows" not in header:
        raise Refusal.UNKNOWN.error()
    _say_syntax(header)
    return header


def _say_syntax(header: Dataset) -> None:
    """Set the syntax of a file without a file meta group to what it looks like."""
    if not hasattr(header, "file_meta"):
        header.file_meta = FileMetaDataset()
    if "TransferSyntaxUID" not in header.file_meta:
        implicit, little = header.original_encoding
        header.file_meta.TransferSyntaxUID = (
            ImplicitVRLittleEndian if implicit else ExplicitVRLittleEndian if little else ExplicitVRBigEndian
        )


def _parse(file: BinaryIO, *, until_pixels: bool = False, besides: Sequence[str] = ()) -> Dataset:
    tags: list[Any] = [*_READ, *besides]
    return mend(pydicom.dcmread(file, force=True, specific_tags=tags, stop_before_pixels=until_pixels))


def _is_deflated(data: bytes) -> bool:
    """Tell whether the file meta group, which is never deflated, names that transfer syntax."""
    if data[132:140] != _GROUP_LENGTH:
        return False
    start = 144 + int.from_bytes(data[140:144], "little")
    return DeflatedExplicitVRLittleEndian.encode() in data[144:start]


def _check_deflated(data: bytes, limits: Limits) -> None:
    """Unpack without keeping, so that a bomb is known by its size before pydicom unpacks it all at once."""
    if not _is_deflated(data):
        return
    start = 144 + int.from_bytes(data[140:144], "little")
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
        known = [UID(uid) for uid in classes if UID(uid).is_valid and uid]
        without_an_image = any("Image Storage" not in uid.name for uid in known)
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
    """Return presentation pixels (H, W) in [0, 1] of one frame."""
    less = None if side is None else smaller(header, side=side)
    if less is not None:
        return present(less, header, window=window)
    stored, photometric = stored_values(header, frame)
    white = (1 << _number(header, "BitsStored", missing=8)) - 1
    if photometric == "PALETTE COLOR":
        stored = apply_color_lut(stored, header)
        white = 255 if stored.dtype == np.uint8 else 65535
    if stored.ndim == 2:
        return present(stored, header, frame=frame, window=window)
    grey = luminance(stored, white=white)
    return np.clip(grey, 0, 1, out=grey)
