"""Stored values where header and pixels disagree: high bits, components, and what one frame says of another."""

from __future__ import annotations

import io
from itertools import product

import numpy as np
import pydicom
import pytest
from filmroom.indexer.decoding.decode import decode_bytes
from PIL import Image
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate
from pydicom.uid import (
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGLSLossless,
    RLELossless,
)

from tests.indexer.dicom_files import dicom, ramp

STORED = ramp()
PLAIN = [ExplicitVRLittleEndian, ExplicitVRBigEndian, RLELossless]
GREY = np.repeat(np.repeat(np.arange(64, dtype=np.uint8).reshape(8, 8) * 4, 8, 0), 8, 1)  # flat blocks keep values


def shown(data: bytes, frame: int = 0) -> np.ndarray:
    return decode_bytes(data)[frame].pixels


def lifted(high: int, bits: int = 12, *, syntax: str = ExplicitVRLittleEndian, **elements: object) -> bytes:
    words = ((STORED >> (12 - bits)).astype(np.uint32) << (high + 1 - bits)).astype(np.uint16)
    return dicom(words, syntax=syntax, BitsStored=bits, HighBit=high, **elements)


@pytest.mark.parametrize(("bits", "high"), [(12, 15), (12, 13), (10, 15), (10, 11), (9, 15), (12, 11), (10, 9)])
@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
@pytest.mark.parametrize("syntax", PLAIN)
def test_high_bit_above_the_usual(syntax: str, photometric: str, bits: int, high: int) -> None:
    how = {"PhotometricInterpretation": photometric, "WindowCenter": 1 << bits - 1, "WindowWidth": 1 << bits}
    wanted = shown(lifted(bits - 1, bits, **how))
    np.testing.assert_array_equal(shown(lifted(high, bits, syntax=syntax, **how)), wanted)


@pytest.mark.parametrize("high", [13, 15])
def test_high_bit_of_signed_values(high: int) -> None:
    signed = STORED.astype(np.int16) - 2048
    usual = dicom(signed, WindowCenter="0", WindowWidth="4096", BitsStored=12)
    odd = dicom(signed << (high - 11), WindowCenter="0", WindowWidth="4096", BitsStored=12, HighBit=high)
    np.testing.assert_array_equal(shown(odd), shown(usual))


def test_overlays_below_the_values_are_no_part_of_them() -> None:
    words = (STORED << 4) | np.random.default_rng(0).integers(0, 16, STORED.shape).astype(np.uint16)
    how = {"WindowCenter": "2048", "WindowWidth": "4096"}
    np.testing.assert_array_equal(shown(dicom(words, HighBit=15, **how)), shown(dicom(STORED, **how)))


@pytest.mark.parametrize("high", [0, 3, 16, 40])
def test_a_high_bit_that_makes_no_sense_is_passed_over(high: int) -> None:
    np.testing.assert_array_equal(shown(dicom(STORED, HighBit=high)), shown(dicom(STORED)))


@pytest.mark.parametrize("syntax", [JPEG2000Lossless, JPEGLSLossless])
def test_a_stream_of_fewer_bits_cannot_hold_them_so_high(syntax: str) -> None:
    film = pydicom.dcmread(io.BytesIO(dicom(STORED, syntax=syntax, WindowCenter="2048", WindowWidth="4096")))
    usual = io.BytesIO()
    film.save_as(usual)
    film.HighBit = 15
    odd = io.BytesIO()
    film.save_as(odd)
    np.testing.assert_array_equal(shown(odd.getvalue()), shown(usual.getvalue()))


def streamed(pixels: np.ndarray, *, header: np.ndarray, adobe: bool = False, **elements: object) -> bytes:
    """A film of JPEG baseline whose header is that of other pixels."""
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "JPEG", quality=100, subsampling=0, **({"keep_rgb": True} if adobe else {}))
    film = pydicom.dcmread(io.BytesIO(dicom(header, **elements)))
    film.file_meta.TransferSyntaxUID = JPEGBaseline8Bit
    film.PixelData = encapsulate([stream.getvalue()])
    film["PixelData"].VR = "OB"
    out = io.BytesIO()
    film.save_as(out)
    return out.getvalue()


@pytest.mark.parametrize("adobe", [False, True])
@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
@pytest.mark.parametrize("kind", [np.uint8, np.uint16])
def test_three_components_under_a_grey_header(kind: type, photometric: str, adobe: bool) -> None:
    how = {"PhotometricInterpretation": photometric, "WindowCenter": "100", "WindowWidth": "120"}
    data = streamed(np.stack([GREY] * 3, -1), header=GREY.astype(kind), adobe=adobe, **how)
    np.testing.assert_allclose(shown(data), shown(dicom(GREY, **how)), atol=0.03)


def test_one_component_under_a_colour_header() -> None:
    colour = np.stack([GREY] * 3, -1)[None]
    film = pydicom.dcmread(io.BytesIO(streamed(GREY, header=colour)))
    film.NumberOfFrames = 1
    out = io.BytesIO()
    film.save_as(out)
    np.testing.assert_allclose(shown(out.getvalue()), GREY / 252, atol=0.02)


def framed(*centers: int | None) -> bytes:
    def group(center: int | None) -> Dataset:
        found = Dataset()
        if center is not None:
            window = Dataset()
            window.WindowCenter, window.WindowWidth = center, 500
            found.FrameVOILUTSequence = [window]
        return found

    frames = np.stack([STORED] * len(centers))
    groups = [group(center) for center in centers]
    return dicom(frames, Modality="XA", PerFrameFunctionalGroupsSequence=groups, WindowCenter=2048, WindowWidth=4096)


@pytest.mark.parametrize("centers", [*product([None, 1000, 3000], repeat=2)])
def test_a_frame_has_its_own_window_or_the_files(centers: tuple[int | None, ...]) -> None:
    for frame, center in enumerate(centers):
        how = (2048, 4096) if center is None else (center, 500)
        alone = shown(dicom(STORED, WindowCenter=how[0], WindowWidth=how[1]))
        np.testing.assert_array_equal(shown(framed(*centers), frame), alone)
