"""DICOM films made for the tests: small, of any transfer syntax, with whatever header a test asks for."""

from __future__ import annotations

import io
import zlib  # noqa: F401  (gdcm brings a zlib whose names clash with a later import of this one)
from copy import deepcopy
from pathlib import Path
from typing import Any

import gdcm
import numpy as np
import pydicom
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    RLELossless,
)

DX = "1.2.840.10008.5.1.4.1.1.1.1"
LOSSLESS = {
    "implicit": ImplicitVRLittleEndian,
    "explicit": ExplicitVRLittleEndian,
    "big endian": ExplicitVRBigEndian,
    "deflated": DeflatedExplicitVRLittleEndian,
    "RLE": RLELossless,
    "JPEG lossless": JPEGLosslessSV1,
    "JPEG-LS": JPEGLSLossless,
    "JPEG 2000": JPEG2000Lossless,
}


def ramp(rows: int = 32, columns: int = 48, *, top: int = 4095) -> np.ndarray:
    """Every grey of a detector in reading order, uint16."""
    return np.linspace(0, top, rows * columns).round().astype(np.uint16).reshape(rows, columns)


def header(pixels: np.ndarray, **elements: Any) -> Dataset:
    """A DX film of `pixels` (H, W), (F, H, W) or (F, H, W, 3); `elements` are added, or left out where None."""
    film = Dataset()
    film.SOPClassUID, film.SOPInstanceUID = DX, "1.2.3.4.5"
    film.StudyInstanceUID, film.SeriesInstanceUID = "1.2.3.4", "1.2.3.4.1"
    film.Modality, film.ViewPosition, film.BodyPartExamined = "DX", "PA", "CHEST"
    film.SamplesPerPixel = 3 if pixels.ndim == 4 else 1
    film.PhotometricInterpretation = "RGB" if pixels.ndim == 4 else "MONOCHROME2"
    if pixels.ndim == 4:
        film.PlanarConfiguration = 0
    if pixels.ndim > 2:
        film.NumberOfFrames = len(pixels)
        film.Rows, film.Columns = pixels.shape[1:3]
    else:
        film.Rows, film.Columns = pixels.shape
    film.BitsAllocated = film.BitsStored = pixels.itemsize * 8
    if pixels.dtype.kind in "iu":
        film.PixelRepresentation = int(pixels.dtype.kind == "i")
    film.BitsStored = elements.pop("BitsStored", 12 if pixels.itemsize == 2 else film.BitsStored)
    film.HighBit = film.BitsStored - 1
    for keyword, value in elements.items():
        if value is None:
            delattr(film, keyword)
        else:
            setattr(film, keyword, value)
    return film


def dicom(pixels: np.ndarray, *, syntax: str = ExplicitVRLittleEndian, **elements: Any) -> bytes:
    """The bytes of a Part 10 file."""
    film = deepcopy(header(pixels, **elements))
    film.file_meta = FileMetaDataset()
    film.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    film.file_meta.MediaStorageSOPClassUID = film.SOPClassUID
    film.file_meta.MediaStorageSOPInstanceUID = "1.2.3.4.5"
    if syntax == ExplicitVRBigEndian:
        for keyword in ("VOILUTSequence", "ModalityLUTSequence"):
            for item in film.get(keyword, []):
                item.LUTData = np.frombuffer(item.LUTData, "<u2").byteswap().tobytes()
    swapped = pixels.astype(pixels.dtype.newbyteorder(">" if syntax == ExplicitVRBigEndian else "<"))
    film.PixelData = swapped.tobytes() + b"\0" * (pixels.nbytes % 2)
    film["PixelData"].VR = "OW" if pixels.itemsize > 1 else "OB"
    if syntax in (RLELossless, JPEGLSLossless, JPEG2000Lossless):
        film.compress(syntax, generate_instance_uid=False)
    else:
        film.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian if syntax == JPEGLosslessSV1 else syntax
    out = io.BytesIO()
    pydicom.dcmwrite(out, film, enforce_file_format=True)
    return out.getvalue()


def jpeg_lossless(data: bytes, folder: Path) -> bytes:
    """An explicit little endian file, recompressed as JPEG Lossless, Selection Value 1."""
    source, target = folder / "source.dcm", folder / "target.dcm"
    source.write_bytes(data)
    reader = gdcm.ImageReader()
    reader.SetFileName(str(source))
    assert reader.Read()
    change = gdcm.ImageChangeTransferSyntax()
    change.SetTransferSyntax(gdcm.TransferSyntax(gdcm.TransferSyntax.JPEGLosslessProcess14_1))
    change.SetInput(reader.GetImage())
    assert change.Change()
    writer = gdcm.ImageWriter()
    writer.SetFileName(str(target))
    writer.SetFile(reader.GetFile())
    writer.SetImage(change.GetOutput())
    assert writer.Write()
    return target.read_bytes()


def write(pixels: np.ndarray, folder: Path, *, syntax: str = ExplicitVRLittleEndian, **elements: Any) -> bytes:
    """As `dicom`, of any syntax in LOSSLESS."""
    data = dicom(pixels, syntax=syntax, **elements)
    return jpeg_lossless(data, folder) if syntax == JPEGLosslessSV1 else data


def voi_lut(table: np.ndarray, *, first: int = 0, bits: int = 16, keyword: str = "VOILUTSequence") -> Dataset:
    """A sequence item for VOILUTSequence or ModalityLUTSequence."""
    item = Dataset()
    item.LUTDescriptor = [len(table), first, bits]
    item.LUTData = table.astype("<u2").tobytes()
    item["LUTDescriptor"].VR, item["LUTData"].VR = "US", "OW"
    if keyword == "ModalityLUTSequence":
        item.ModalityLUTType = "US"
    return item
