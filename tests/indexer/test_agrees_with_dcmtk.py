"""Grey values against dcmtk, which reads films by code of its own."""

from __future__ import annotations

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
    "logarithmic window": (WINDOW | {"VOILUTFunction": "LOG"}, ("+Wi", "1")),
    "high bit 11 of 8": ({"BitsStored": 8, "HighBit": 11, "WindowCenter": "128", "WindowWidth": "256"}, ("+Wi", "1")),
    "high bit 10 of 10": ({"BitsStored": 10, "HighBit": 10, "WindowCenter": "512", "WindowWidth": "900"}, ("+Wi", "1")),
    "VOI table, two entries in a word": ({"VOILUTSequence": [PACKED]}, ("+Wl", "1")),
}


@pytest.mark.skipif(shutil.which("dcm2pnm") is None, reason="dcmtk is not installed")
@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, ImplicitVRLittleEndian, ExplicitVRBigEndian])
@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
@pytest.mark.parametrize("name", FILMS)
def test_agrees_with_dcmtk(name: str, photometric: str, syntax: str, tmp_path: Path) -> None:
    elements, how = FILMS[name]
    data = dicom(STORED, syntax=syntax, PhotometricInterpretation=photometric, PatientID="", **elements)
    source, target = tmp_path / "film.dcm", tmp_path / "film.pgm"
    source.write_bytes(data)
    subprocess.run(["dcm2pnm", "-q", *how, "+opb", str(source), str(target)], check=True, capture_output=True)
    (film,) = decode_bytes(data)
    np.testing.assert_allclose(film.pixels, np.asarray(Image.open(target)) / 255, atol=1.5 / 255)
