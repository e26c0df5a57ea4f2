"""Grey values against dcmtk and highdicom, which read films by code of their own."""

from __future__ import annotations

import io
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from filmroom.indexer.decoding.decode import decode_bytes
from PIL import Image
from pydicom.uid import ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian

from tests.indexer.dicom_files import dicom, ramp, voi_lut

STORED = ramp()
CURVE = np.round(np.linspace(0, 1, 4096) ** 2 * 4095).astype(np.uint16)
PACKED = voi_lut(CURVE, bits=8)
PACKED.LUTData = (CURVE >> 4).astype(np.uint8).tobytes()
WINDOW = {"WindowCenter": "1280", "WindowWidth": "2560"}
# name -> elements, and how dcmtk is told to show them
FILMS: dict[str, tuple[dict[str, object], tuple[str, ...]]] = {
    "window": (WINDOW, ("+Wi", "1")),
    "narrow window": ({"WindowCenter": "2000", "WindowWidth": "200"}, ("+Wi", "1")),
    "window to the edge": ({"WindowCenter": "4000", "WindowWidth": "1000"}, ("+Wi", "1")),
    "first of two windows": ({"WindowCenter": ["900", "2048"], "WindowWidth": ["700", "4096"]}, ("+Wi", "1")),
    "sigmoid": (WINDOW | {"VOILUTFunction": "SIGMOID"}, ("+Wi", "1")),
    "rescale": (WINDOW | {"RescaleSlope": "2", "RescaleIntercept": "-100"}, ("+Wi", "1")),
    "negative slope": (
        {"RescaleSlope": "-1", "RescaleIntercept": "4095", "WindowCenter": "2048", "WindowWidth": "4096"},
        ("+Wi", "1"),
    ),
    "both rescale values empty": (WINDOW | {"RescaleSlope": "", "RescaleIntercept": ""}, ("+Wi", "1")),
    "no slope": (WINDOW | {"RescaleSlope": "", "RescaleIntercept": "0"}, ("+Wi", "1")),
    "no intercept": (WINDOW | {"RescaleSlope": "1", "RescaleIntercept": ""}, ("+Wi", "1")),
    "modality table of 12 bits": (
        WINDOW | {"ModalityLUTSequence": [voi_lut(CURVE, bits=12, keyword="ModalityLUTSequence")]},
        ("+Wi", "1"),
    ),
    "modality table of 16 bits": (
        WINDOW | {"ModalityLUTSequence": [voi_lut(CURVE, bits=16, keyword="ModalityLUTSequence")]},
        ("+Wi", "1"),
    ),
    "VOI table of 12 bits": ({"VOILUTSequence": [voi_lut(CURVE, bits=12)]}, ("+Wl", "1")),
    "VOI table of 8 bits, one entry in a word": ({"VOILUTSequence": [voi_lut(CURVE >> 4, bits=8)]}, ("+Wl", "1")),
    "VOI table of half its range": ({"VOILUTSequence": [voi_lut(CURVE >> 1, bits=12)]}, ("+Wl", "1")),
    "VOI table of the upper half": ({"VOILUTSequence": [voi_lut((CURVE >> 1) + 2048, bits=12)]}, ("+Wl", "1")),
    "VOI table of half of 16 bits": ({"VOILUTSequence": [voi_lut(CURVE * 8)]}, ("+Wl", "1")),
    "VOI table of half of 8 bits": ({"VOILUTSequence": [voi_lut(CURVE >> 5, bits=8)]}, ("+Wl", "1")),
    "VOI table of a quarter of 12 bits": ({"VOILUTSequence": [voi_lut(CURVE >> 2, bits=12)]}, ("+Wl", "1")),
    "logarithmic window": (WINDOW | {"VOILUTFunction": "LOG"}, ("+Wi", "1")),
    "high bit 11 of 8": ({"BitsStored": 8, "HighBit": 11, "WindowCenter": "128", "WindowWidth": "256"}, ("+Wi", "1")),
    "high bit 10 of 10": ({"BitsStored": 10, "HighBit": 10, "WindowCenter": "512", "WindowWidth": "900"}, ("+Wi", "1")),
    "VOI table, two entries in a word": ({"VOILUTSequence": [PACKED]}, ("+Wl", "1")),
}


# What highdicom refuses, or takes for noise as pydicom does beneath it: dcmtk alone is asked.
NOT_FOR_HIGHDICOM = {
    "modality table of 12 bits": "an invalid descriptor",
    "VOI table of 12 bits": "an invalid descriptor",
    "VOI table of 8 bits, one entry in a word": "a wrong length",
    "VOI table of half its range": "an invalid descriptor",
    "VOI table of the upper half": "an invalid descriptor",
    "VOI table of half of 16 bits": "stretched to what the entries reach",
    "VOI table of half of 8 bits": "a wrong length",
    "VOI table of a quarter of 12 bits": "an invalid descriptor",
    "logarithmic window": "no such function",
    "high bit 11 of 8": "read as if it were 7",
    "high bit 10 of 10": "read as if it were 9",
}
SYNTAXES = [ExplicitVRLittleEndian, ImplicitVRLittleEndian, ExplicitVRBigEndian]
needs_dcmtk = pytest.mark.skipif(shutil.which("dcm2pnm") is None, reason="dcmtk is not installed")


@needs_dcmtk
@pytest.mark.parametrize("syntax", SYNTAXES)
@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
@pytest.mark.parametrize("name", FILMS)
def test_agrees_with_dcmtk(name: str, photometric: str, syntax: str, tmp_path: Path) -> None:
    elements, how = FILMS[name]
    data = dicom(STORED, syntax=syntax, PhotometricInterpretation=photometric, PatientID="", **elements)
    (film,) = decode_bytes(data)
    np.testing.assert_allclose(film.pixels, by_dcmtk(data, tmp_path, *how), atol=1.5 / 255)


@pytest.mark.parametrize("syntax", SYNTAXES[:2])
@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
@pytest.mark.parametrize("name", [name for name in FILMS if name not in NOT_FOR_HIGHDICOM])
def test_agrees_with_highdicom(name: str, photometric: str, syntax: str) -> None:
    highdicom = pytest.importorskip("highdicom", reason="an independent greyscale pipeline to compare with")
    elements, _ = FILMS[name]
    data = dicom(STORED, syntax=syntax, PhotometricInterpretation=photometric, PatientID="", **elements)
    theirs = highdicom.imread(io.BytesIO(data)).get_frame(1, apply_voi_transform=None, dtype=np.float32)
    (film,) = decode_bytes(data)
    # Where there are a slope and a window it takes the half steps of the window in stored values, not in rescaled ones.
    np.testing.assert_allclose(film.pixels, theirs, atol=5e-4 if "RescaleSlope" in elements else 1e-6)


@needs_dcmtk
@pytest.mark.parametrize("how", [["dcmcjpeg", "+e1"], ["dcmcjpeg", "+el", "+sv", "6"], ["dcmcjpls", "+el"]])
@pytest.mark.parametrize(("bits", "signed"), [(8, 0), (12, 0), (16, 0), (12, 1), (16, 1)])
def test_what_dcmtk_compressed_is_what_it_was(bits: int, signed: int, how: list[str], tmp_path: Path) -> None:
    stored = ramp(64, 64, top=(1 << bits) - 1)
    if signed:
        stored = (stored.astype(np.int32) - (1 << bits - 1)).astype(np.int16)
    elif bits == 8:
        stored = stored.astype(np.uint8)
    plain, packed = tmp_path / "plain.dcm", tmp_path / "packed.dcm"
    plain.write_bytes(dicom(stored, BitsStored=bits, PatientID=""))
    subprocess.run([how[0], "-q", *how[1:], str(plain), str(packed)], check=True, capture_output=True)
    (film,), (same,) = decode_bytes(packed.read_bytes()), decode_bytes(plain.read_bytes())
    np.testing.assert_array_equal(film.pixels, same.pixels)


@needs_dcmtk
@pytest.mark.parametrize("bits", [8, 10, 12, 14])
def test_a_table_of_fewer_bits_than_its_words_is_no_black_film(bits: int, tmp_path: Path) -> None:
    """A claim of 16 bits is that of the words; dcmtk believes it, and is told the truth here."""
    entries = CURVE >> 12 - bits if bits < 12 else CURVE << bits - 12
    claimed, true = (dicom(STORED, PatientID="", VOILUTSequence=[voi_lut(entries, bits=n)]) for n in (16, bits))
    (film,) = decode_bytes(claimed)
    np.testing.assert_allclose(film.pixels, by_dcmtk(true, tmp_path, "+Wl", "1"), atol=1.5 / 255)


@needs_dcmtk
@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
@pytest.mark.parametrize("shape", ["IDENTITY", "INVERSE"])
def test_white_is_where_the_photometric_interpretation_says(photometric: str, shape: str, tmp_path: Path) -> None:
    """dcmtk believes an IDENTITY that contradicts MONOCHROME1, which no image may have (PS3.3 C.8.11.3.1.2)."""
    data = dicom(STORED, PhotometricInterpretation=photometric, PresentationLUTShape=shape, PatientID="", **WINDOW)
    (film,) = decode_bytes(data)
    theirs = by_dcmtk(data, tmp_path, "+Wi", "1")
    contradicts = (photometric, shape) == ("MONOCHROME1", "IDENTITY")
    np.testing.assert_allclose(film.pixels, 1 - theirs if contradicts else theirs, atol=1.5 / 255)


def by_dcmtk(data: bytes, folder: Path, *how: str) -> np.ndarray:
    source, target = folder / "film.dcm", folder / "film.pgm"
    source.write_bytes(data)
    subprocess.run(["dcm2pnm", "-q", *how, "+opb", str(source), str(target)], check=True, capture_output=True)
    return np.asarray(Image.open(target)) / 255
