"""Write a phantom as a DICOM file that says in every free text that it is synthetic."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from filmroom.db.errors import FilmroomError
from filmroom.indexer.phantom.rendering.camera import F32
from filmroom.indexer.phantom.rendering.render import render
from filmroom.indexer.phantom.spec import Phantom, View
from filmroom.indexer.phantom.words import SYNTHETIC, describe
from numpy.typing import NDArray
from pydicom import dcmread
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.uid import (
    ComputedRadiographyImageStorage,
    DeflatedExplicitVRLittleEndian,
    DigitalXRayImageStorageForPresentation,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    RLELossless,
    generate_uid,
)


class Syntax(Enum):
    """The transfer syntaxes that can be written. The values are their UIDs."""

    EXPLICIT = ExplicitVRLittleEndian
    IMPLICIT = ImplicitVRLittleEndian
    DEFLATED = DeflatedExplicitVRLittleEndian
    RLE = RLELossless
    JPEG_LS = JPEGLSLossless
    JPEG_2000 = JPEG2000Lossless
    JPEG_LOSSLESS = JPEGLosslessSV1


class Voi(Enum):
    """How the file says which stored values to show (PS3.3 C.11.2): not at all, one window, several (the first is
    meant), or a table."""

    NONE = "none"
    WINDOW = "window"
    WINDOWS = "windows"
    LUT = "lut"


@dataclass(frozen=True)
class Identity:
    """Who and when, all of it made up. `patient` and `study` are numbers; `date` is YYYYMMDD."""

    patient: int = 1
    study: int = 1
    instance: int = 1
    date: str = "20200101"
    age: int | None = None


def write_dicom(
    phantom: Phantom, path: Path, *, transfer_syntax: Syntax = Syntax.EXPLICIT, monochrome1: bool = False,
    voi: Voi = Voi.WINDOW, bits: int = 12, size: int = 384, digital: bool = True, identity: Identity | None = None,
) -> NDArray[np.uint16]:  # fmt: skip
    """Write a film and return its stored values, uint16 (H, W).

    `bits` is 12 to 16. `digital`: a DX image, else CR. Shown as the file says, the film is `render(phantom, size)` to
    within a stored step (without a VOI the viewer chooses).
    """
    stored, low, high = _stored(render(phantom, size), bits, voi)
    if monochrome1:
        top = (1 << bits) - 1
        stored, low, high = (top - stored).astype(np.uint16), top - high, top - low
    who = identity or Identity(patient=phantom.body.seed % 1000, study=phantom.seed, instance=phantom.seed)
    data = _header(phantom, path, who, digital=digital)
    data.Rows, data.Columns = stored.shape
    data.SamplesPerPixel = 1
    data.PhotometricInterpretation = "MONOCHROME1" if monochrome1 else "MONOCHROME2"
    data.BitsAllocated, data.BitsStored, data.HighBit, data.PixelRepresentation = 16, bits, bits - 1, 0
    if digital:
        data.PresentationLUTShape = "INVERSE" if monochrome1 else "IDENTITY"
    _say_voi(data, voi, low, high, bits)
    data.file_meta.TransferSyntaxUID = transfer_syntax.value
    data.PixelData = stored.tobytes()
    data["PixelData"].VR = "OW"
    _compress(data, transfer_syntax)
    path.parent.mkdir(parents=True, exist_ok=True)
    data.save_as(path, enforce_file_format=True)
    return stored


def _stored(pixels: F32, bits: int, voi: Voi) -> tuple[NDArray[np.uint16], int, int]:
    """Return stored values and the lowest and highest of them that are to be shown (black, white)."""
    top = (1 << bits) - 1
    low, high = (0, top) if voi is Voi.NONE else (round(0.06 * top), round(0.81 * top))
    values = pixels if voi is not Voi.LUT else pixels**2
    return (low + np.rint(values * (high - low))).astype(np.uint16), low, high


def _say_voi(data: Dataset, voi: Voi, low: int, high: int, bits: int) -> None:
    # PS3.3 C.11.2.1.2: x from c - 0.5 - (w - 1)/2 to c - 0.5 + (w - 1)/2 is shown from black to white.
    centre, width = (low + high + 1) / 2, high - low + 1
    if voi is Voi.WINDOW:
        data.WindowCenter, data.WindowWidth = centre, width
    elif voi is Voi.WINDOWS:
        data.WindowCenter, data.WindowWidth = [centre, centre * 1.2, centre * 0.7], [width, width * 0.5, width * 0.6]
        data.WindowCenterWidthExplanation = ["NORMAL", "HARDER", "LUNG"]
    elif voi is Voi.LUT:
        ramp = np.linspace(0, 1, high - low + 1)
        inverse = data.PhotometricInterpretation == "MONOCHROME1"
        table = 1 - np.sqrt(1 - ramp) if inverse else np.sqrt(ramp)
        item = Dataset()
        item.LUTDescriptor = [len(table), low, 16]
        item.LUTExplanation = "SYNTHETIC PHANTOM, square root"
        item.add_new("LUTData", "OW", np.rint(table * 65535).astype("<u2").tobytes())
        data.VOILUTSequence = [item]


def _header(phantom: Phantom, path: Path, who: Identity, *, digital: bool) -> FileDataset:
    seed = f"filmroom-phantom-{who.patient}-{who.study}"
    study = generate_uid(entropy_srcs=[seed])
    instance = generate_uid(entropy_srcs=[seed, f"{phantom.seed}", f"{who.instance}", phantom.view.value])
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = (
        DigitalXRayImageStorageForPresentation if digital else ComputedRadiographyImageStorage
    )
    meta.MediaStorageSOPInstanceUID = instance
    data = FileDataset(str(path), {}, file_meta=meta, preamble=b"\0" * 128)
    data.SpecificCharacterSet = "ISO_IR 100"
    data.ImageType = ["DERIVED", "PRIMARY", ""]
    data.SOPClassUID, data.SOPInstanceUID = meta.MediaStorageSOPClassUID, instance
    data.StudyInstanceUID = study
    data.SeriesInstanceUID = generate_uid(entropy_srcs=[seed, phantom.view.value, f"{who.instance}"])
    data.StudyDate = data.SeriesDate = data.ContentDate = who.date
    data.StudyTime = data.ContentTime = "120000"
    data.Modality = "DX" if digital else "CR"
    data.Manufacturer = "Filmroom phantom maker"
    data.InstitutionName = "SYNTHETIC"
    data.StudyDescription = "SYNTHETIC PHANTOM CHEST"
    data.SeriesDescription = f"{SYNTHETIC}: {phantom.view.value}"
    data.ImageComments = f"{SYNTHETIC}. " + ("; ".join(d.phrase for d in describe(phantom)) or "No findings.")
    data.PatientComments = SYNTHETIC
    data.PatientName = f"SYNTHETIC^PHANTOM {who.patient:03d}"
    data.PatientID = f"PHANTOM-{who.patient:03d}"
    data.PatientSex = phantom.body.sex.value
    data.PatientAge = f"{phantom.body.age if who.age is None else who.age:03d}Y"
    data.PatientBirthDate = ""
    data.ReferringPhysicianName = ""
    data.AccessionNumber = ""
    data.StudyID, data.SeriesNumber, data.InstanceNumber = str(who.study), 1, who.instance
    data.BodyPartExamined = "CHEST"
    data.ViewPosition = {View.LATERAL: "LL", View.AP_SUPINE: "AP"}.get(phantom.view, phantom.view.value)
    if phantom.view is View.AP_SUPINE:
        data.PatientPosition = "HFS"
        data.AcquisitionDeviceProcessingDescription = "SUPINE"
    front = {View.LATERAL: ["P", "F"] if not phantom.technique.facing_left else ["A", "F"]}.get(
        phantom.view, ["L", "F"]
    )
    data.PatientOrientation = front
    data.BurnedInAnnotation = "NO"
    data.LossyImageCompression = "00"
    data.PatientIdentityRemoved = "YES"
    data.DeidentificationMethod = "Never was a patient: computed phantom"
    return data


def _compress(data: FileDataset, syntax: Syntax) -> None:
    if syntax in (Syntax.RLE, Syntax.JPEG_LS, Syntax.JPEG_2000):
        plugin = {Syntax.RLE: "gdcm", Syntax.JPEG_LS: "pyjpegls", Syntax.JPEG_2000: "pylibjpeg"}[syntax]
        data.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        data.compress(syntax.value, encoding_plugin=plugin, generate_instance_uid=False)
    elif syntax is Syntax.JPEG_LOSSLESS:
        data.PixelData = _jpeg_lossless(data)
        data["PixelData"].is_undefined_length = True
        data["PixelData"].VR = "OB"


def _jpeg_lossless(data: FileDataset) -> bytes:
    """Return the frame as encapsulated JPEG Lossless, selection value 1, which pydicom cannot write and gdcm can."""
    import gdcm

    with TemporaryDirectory() as folder:
        plain, packed = Path(folder) / "plain.dcm", Path(folder) / "packed.dcm"
        data.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        data.save_as(plain, enforce_file_format=True)
        data.file_meta.TransferSyntaxUID = JPEGLosslessSV1
        reader, change, writer = gdcm.ImageReader(), gdcm.ImageChangeTransferSyntax(), gdcm.ImageWriter()
        reader.SetFileName(str(plain))
        done = reader.Read()
        change.SetTransferSyntax(gdcm.TransferSyntax(gdcm.TransferSyntax.JPEGLosslessProcess14_1))
        change.SetInput(reader.GetImage())
        done = done and change.Change()
        writer.SetFileName(str(packed))
        writer.SetFile(reader.GetFile())
        writer.SetImage(change.GetOutput())
        if not (done and writer.Write()):
            raise FilmroomError("gdcm could not write JPEG Lossless", fix="Choose another transfer syntax")
        return bytes(dcmread(packed).PixelData)
