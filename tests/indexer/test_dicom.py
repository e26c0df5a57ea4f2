"""DICOM to presentation pixels: reference files, every transfer syntax, every kind of window, every fault."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pydicom
import pytest
from filmroom.db.errors import Rejected, Stage
from filmroom.indexer.decoding.decode import decode, decode_bytes
from filmroom.indexer.decoding.limits import Limits
from pydicom.data import get_testdata_file
from pydicom.encaps import encapsulate, generate_frames
from pydicom.pixels.decoders.base import get_decoder

from tests.indexer.dicom_files import LOSSLESS, dicom, ramp, voi_lut, write

# name -> frames, (rows, columns), grey at some (row, column) of the first frame
REFERENCE = {
    "693_J2KI.dcm": (1, (512, 512), {(170, 256): 0.4747, (256, 128): 0.0, (341, 341): 0.697}),
    "CT_small.dcm": (1, (128, 128), {(42, 64): 0.6629, (64, 32): 0.6688, (85, 85): 0.5}),
    "ExplVR_BigEnd.dcm": (1, (60, 80), {(20, 40): 0.886, (30, 20): 0.886, (40, 53): 0.886}),
    "GDCMJ2K_TextGBR.dcm": (1, (400, 400), {(133, 200): 0.502, (200, 100): 0.502, (266, 266): 0.502}),
    "J2K_pixelrep_mismatch.dcm": (1, (512, 512), {(170, 256): 1.0, (256, 128): 0.5253, (341, 341): 0.4949}),
    "JPEG2000.dcm": (1, (1024, 256), {(341, 128): 0.2114, (512, 64): 0.1943, (682, 170): 0.1886}),
    "JPEGLSNearLossless_08.dcm": (1, (45, 10), {(15, 5): 0.1176, (22, 2): 0.0588, (30, 6): 0.0196}),
    "JPEGLSNearLossless_16.dcm": (1, (50, 10), {(16, 5): 0.0625, (25, 2): 0.0039, (33, 6): 0.001}),
    "MR_small.dcm": (1, (64, 64), {(21, 32): 0.277, (32, 16): 0.2883, (42, 42): 0.616}),
    "MR_small_RLE.dcm": (1, (64, 64), {(21, 32): 0.277, (32, 16): 0.2883, (42, 42): 0.616}),
    "MR_small_bigendian.dcm": (1, (64, 64), {(21, 32): 0.277, (32, 16): 0.2883, (42, 42): 0.616}),
    "MR_small_implicit.dcm": (1, (64, 64), {(21, 32): 0.277, (32, 16): 0.2883, (42, 42): 0.616}),
    "MR_small_jp2klossless.dcm": (1, (64, 64), {(21, 32): 0.277, (32, 16): 0.2883, (42, 42): 0.616}),
    "MR_small_jpeg_ls_lossless.dcm": (1, (64, 64), {(21, 32): 0.277, (32, 16): 0.2883, (42, 42): 0.616}),
    "MR_small_padded.dcm": (1, (64, 64), {(21, 32): 0.277, (32, 16): 0.2883, (42, 42): 0.616}),
    "SC_rgb_gdcm_KY.dcm": (1, (100, 100), {(33, 50): 0.7943, (50, 25): 0.5587, (66, 66): 0.0}),
    "SC_rgb_jpeg_dcmtk.dcm": (1, (100, 100), {(33, 50): 0.7959, (50, 25): 0.5598, (66, 66): 0.0}),
    "SC_rgb_jls_lossy_line.dcm": (1, (100, 100), {(33, 50): 0.7975, (50, 25): 0.5657, (66, 66): 0.0}),
    "SC_rgb_rle_16bit_2frame.dcm": (2, (100, 100), {(33, 50): 0.7943, (50, 25): 0.5587, (66, 66): 0.0}),
    "SC_rgb_rle_32bit.dcm": (1, (100, 100), {(33, 50): 0.7943, (50, 25): 0.5587, (66, 66): 0.0}),
    "SC_rgb_small_odd.dcm": (1, (3, 3), {(1, 1): 0.3528, (1, 0): 0.3528, (2, 2): 0.6196}),
    "SC_rgb_small_odd_big_endian.dcm": (1, (3, 3), {(1, 1): 0.3528, (1, 0): 0.3528, (2, 2): 0.6196}),
    "SC_ybr_full_422_uncompressed.dcm": (1, (100, 100), {(33, 50): 0.7959, (50, 25): 0.5598, (66, 66): 0.0}),
    "examples_overlay.dcm": (1, (300, 484), {(100, 242): 0.4956, (150, 121): 0.4613, (200, 322): 0.5349}),
    "examples_palette.dcm": (1, (350, 800), {(116, 400): 0.4414, (175, 200): 0.0, (233, 533): 0.0039}),
    "examples_ybr_color.dcm": (30, (240, 320), {(80, 160): 0.0824, (120, 80): 0.0039, (160, 213): 0.0118}),
    "image_dfl.dcm": (1, (512, 512), {(170, 256): 0.6431, (256, 128): 0.5412, (341, 341): 0.2549}),
    "liver_1frame.dcm": (1, (512, 512), {(170, 256): 1.0, (256, 128): 1.0, (341, 341): 0.0}),
    "liver_expb_1frame.dcm": (1, (512, 512), {(170, 256): 1.0, (256, 128): 1.0, (341, 341): 0.0}),
    "rtdose_rle.dcm": (15, (10, 10), {(3, 5): 0.6187, (5, 2): 0.4074, (6, 6): 0.3028}),
}
# The greyscale pipeline of another project, for those that have a window or a full 8-bit range and that it reads.
HIGHDICOM_READS = (
    "693_J2KI.dcm", "J2K_pixelrep_mismatch.dcm", "MR_small.dcm", "MR_small_RLE.dcm", "MR_small_implicit.dcm",
    "MR_small_jp2klossless.dcm", "MR_small_jpeg_ls_lossless.dcm", "examples_overlay.dcm", "liver_1frame.dcm",
)  # fmt: skip


def shipped(name: str) -> Path:
    """A file within the pydicom package; nothing is downloaded."""
    path = get_testdata_file(name, download=False)
    assert isinstance(path, str)
    return Path(path)


def reason(data: bytes, **how: object) -> str:
    with pytest.raises(Rejected) as caught:
        decode_bytes(data, **how)  # type: ignore[arg-type]
    return caught.value.reason


def shown(pixels: np.ndarray, **elements: object) -> np.ndarray:
    return decode_bytes(dicom(pixels, **elements))[0].pixels


def linear(values: np.ndarray, center: float, width: float) -> np.ndarray:
    """PS3.3 C.11.2.1.2.1, as it is written there."""
    out = ((values - (center - 0.5)) / (width - 1) + 0.5).astype(np.float64)
    out[values <= center - 0.5 - (width - 1) / 2] = 0
    out[values > center - 0.5 + (width - 1) / 2] = 1
    return out


STORED = ramp()
SQUARED = (np.linspace(0, 1, 4096) ** 2 * 60000 + 1000).astype(np.uint16)
VOI = {
    "window": ({"WindowCenter": 1000, "WindowWidth": 800}, linear(STORED, 1000, 800)),
    "list of windows": ({"WindowCenter": [1000, 9], "WindowWidth": [800, 9]}, linear(STORED, 1000, 800)),
    "first window unusable": ({"WindowCenter": [7, 1000], "WindowWidth": [0, 800]}, linear(STORED, 1000, 800)),
    "linear exact": (
        {"WindowCenter": 1000, "WindowWidth": 800, "VOILUTFunction": "LINEAR_EXACT"},
        np.clip((STORED - 1000.0) / 800 + 0.5, 0, 1),
    ),
    "sigmoid": (
        {"WindowCenter": 1000, "WindowWidth": 800, "VOILUTFunction": "SIGMOID"},
        1 / (1 + np.exp(-4 * (STORED - 1000.0) / 800)),
    ),
    "LUT": ({"VOILUTSequence": [voi_lut(SQUARED)]}, SQUARED[STORED] / 65535),
    "LUT before window": (
        {"VOILUTSequence": [voi_lut(SQUARED)], "WindowCenter": 1, "WindowWidth": 2},
        SQUARED[STORED] / 65535,
    ),
    "rescale": (
        {"RescaleSlope": 2, "RescaleIntercept": -100, "WindowCenter": 1900, "WindowWidth": 1600},
        linear(STORED * 2.0 - 100, 1900, 1600),
    ),
    "modality LUT": (
        {
            "ModalityLUTSequence": [voi_lut(SQUARED, keyword="ModalityLUTSequence")],
            "WindowCenter": 30000,
            "WindowWidth": 20000,
        },
        linear(SQUARED[STORED], 30000, 20000),
    ),
    "window beside the data": (
        {"WindowCenter": 60000, "WindowWidth": 10},
        np.clip((STORED - 4.0) / (4091 - 4), 0, 1),
    ),
    "none": ({}, np.clip((STORED - 4.0) / (4091 - 4), 0, 1)),
}


@pytest.mark.parametrize("syntax", LOSSLESS)
@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
@pytest.mark.parametrize("voi", VOI)
def test_greyscale_pipeline(syntax: str, photometric: str, voi: str, tmp_path: Path) -> None:
    elements, expected = VOI[voi]
    data = write(STORED, tmp_path, syntax=LOSSLESS[syntax], PhotometricInterpretation=photometric, **elements)
    (film,) = decode_bytes(data)
    assert film.pixels.dtype == np.float32
    assert film.tags.photometric == photometric
    wanted = 1 - expected if photometric == "MONOCHROME1" else expected
    np.testing.assert_allclose(
        film.pixels, wanted, atol=1.1 / 4087 if voi in ("none", "window beside the data") else 2e-5
    )


@pytest.mark.parametrize(
    ("photometric", "shape", "inverted"),
    [
        ("MONOCHROME1", "INVERSE", True),
        ("MONOCHROME1", "IDENTITY", True),
        ("MONOCHROME2", "INVERSE", True),
        ("MONOCHROME2", "IDENTITY", False),
    ],
)
def test_inverted_once(photometric: str, shape: str, inverted: bool) -> None:
    pixels = shown(STORED, PhotometricInterpretation=photometric, PresentationLUTShape=shape)
    assert pixels[0, 0] == (1 if inverted else 0)
    assert pixels[-1, -1] == (0 if inverted else 1)


@pytest.mark.parametrize("stored", [
    pytest.param(STORED.astype(np.int16) - 2000, id="signed"),
    pytest.param((STORED.astype(np.int32) * 16 - 32768).astype(np.int16), id="signed 16 bit"),
    pytest.param((STORED >> 4).astype(np.uint8), id="8 bit"),
    pytest.param(STORED.astype(np.uint16) * 16, id="16 bit"),
    pytest.param(STORED.astype(np.uint32) * 1000, id="32 bit"),
])  # fmt: skip
def test_depths_without_a_window_fill_the_range(stored: np.ndarray) -> None:
    pixels = shown(stored, BitsStored=stored.itemsize * 8)
    assert pixels[0, 0] == 0
    assert pixels[-1, -1] == 1
    assert (np.diff(pixels.ravel()) >= 0).all()


def test_dead_detector_elements_do_not_darken_the_film() -> None:
    stored = ramp(128, 128, top=1000)
    stored[5, 5], stored[9, 9] = 65535, 65535
    assert shown(stored, BitsStored=16)[-1, -1] > 0.99


def test_overlay_bits_above_the_stored_ones_are_not_pixels() -> None:
    dirty = STORED | np.uint16(0x8000)
    np.testing.assert_array_equal(shown(dirty), shown(STORED))


def test_blank_film_is_black() -> None:
    assert (shown(np.full((8, 8), 700, np.uint16)) == 0).all()


def test_frames_are_films() -> None:
    films = decode_bytes(dicom(np.stack([STORED, STORED[::-1], STORED]), Modality="XA"))
    assert [film.frame for film in films] == [0, 1, 2]
    np.testing.assert_array_equal(films[1].pixels, films[0].pixels[::-1])


def test_frame_functional_groups_have_their_own_window() -> None:
    def group(center: float) -> pydicom.Dataset:
        window, item = pydicom.Dataset(), pydicom.Dataset()
        window.WindowCenter, window.WindowWidth = center, 800
        item.FrameVOILUTSequence = [window]
        return item

    data = dicom(np.stack([STORED, STORED]), Modality="XA", PerFrameFunctionalGroupsSequence=[group(1000), group(3000)])
    first, second = decode_bytes(data)
    np.testing.assert_allclose(first.pixels, linear(STORED, 1000, 800), atol=2e-5)
    np.testing.assert_allclose(second.pixels, linear(STORED, 3000, 800), atol=2e-5)


def test_colour_becomes_luminance() -> None:
    colours = np.array([[[[255, 0, 0], [0, 255, 0], [0, 0, 255], [255, 255, 255]]]], np.uint8)
    data = dicom(colours, Modality="OT", BitsStored=8)
    assert reason(data) == "not a projection radiograph"
    (film,) = decode_bytes(data, any_modality=True)
    np.testing.assert_allclose(film.pixels, [[0.299, 0.587, 0.114, 1]], atol=1e-6)


def test_without_preamble_and_meta(tmp_path: Path) -> None:
    for syntax in ("implicit", "explicit"):
        whole = dicom(STORED, syntax=LOSSLESS[syntax])
        film = pydicom.dcmread(io.BytesIO(whole))
        bare = io.BytesIO()
        film.preamble = None
        del film.file_meta
        pydicom.dcmwrite(bare, film, implicit_vr=syntax == "implicit", little_endian=True)
        assert bare.getvalue()[:2] == b"\x08\x00"
        np.testing.assert_array_equal(decode_bytes(bare.getvalue())[0].pixels, decode_bytes(whole)[0].pixels)


@pytest.mark.parametrize("syntax", LOSSLESS)
@pytest.mark.parametrize("share", [0.2, 0.5, 0.98])
def test_cut_off_files_are_rejected(syntax: str, share: float, tmp_path: Path) -> None:
    noisy = STORED + np.random.default_rng(0).integers(0, 50, STORED.shape).astype(np.uint16)
    data = write(noisy, tmp_path, syntax=LOSSLESS[syntax])
    assert reason(data[: int(len(data) * share)]) in {
        "truncated or damaged pixels", "damaged or incomplete header", "a DICOM object without an image",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("syntax", "zeros"),
    [
        ("RLE", False),
        ("JPEG lossless", False),
        ("JPEG-LS", False),
        ("JPEG 2000", False),
        ("RLE", True),
        ("JPEG lossless", True),
        ("JPEG-LS", True),  # JPEG 2000 makes up for a zeroed tail, by design of the format
    ],
)
def test_cut_off_streams_are_rejected(syntax: str, zeros: bool, tmp_path: Path) -> None:
    noisy = STORED + np.random.default_rng(0).integers(0, 50, STORED.shape).astype(np.uint16)
    film = pydicom.dcmread(io.BytesIO(write(noisy, tmp_path, syntax=LOSSLESS[syntax])))
    stream = next(generate_frames(film.PixelData, number_of_frames=1))
    half = len(stream) // 2
    film.PixelData = encapsulate([stream[:half] + bytes(len(stream) - half if zeros else 0)])
    out = io.BytesIO()
    film.save_as(out)
    assert reason(out.getvalue()) == "truncated or damaged pixels"


@pytest.mark.parametrize(
    ("elements", "said"),
    [
        ({"Modality": "CT"}, "not a projection radiograph"),
        ({"Modality": "MR"}, "not a projection radiograph"),
        ({"SOPClassUID": "1.2.840.10008.5.1.4.1.1.13.1.3", "Modality": "MG"}, "not a projection radiograph"),
        ({"Rows": 0}, "damaged or incomplete header"),
        ({"Rows": None}, "damaged or incomplete header"),
        ({"Rows": 60000, "Columns": 60000}, "more pixels than the limit"),
        ({"NumberOfFrames": 65}, "more frames than the limit"),
        ({"NumberOfFrames": -1}, "damaged or incomplete header"),
        ({"Rows": 33}, "truncated or damaged pixels"),
        ({"BitsAllocated": None}, "damaged or incomplete header"),
        ({"RescaleSlope": "1e308", "RescaleIntercept": "1e308"}, "pixel values that cannot be shown"),
    ],
)
def test_rejected_with_a_reason(elements: dict[str, object], said: str) -> None:
    assert reason(dicom(STORED, **elements)) == said


def test_any_modality() -> None:
    assert decode_bytes(dicom(STORED, Modality="CT"), any_modality=True)[0].tags.modality == "CT"


@pytest.mark.parametrize("modality", ["CR", "DX", "DR", "RG", "MG", "PX", "IO", "RF", "XA", "OT", "", None])
def test_projection_modalities_are_taken(modality: str | None) -> None:
    assert len(decode_bytes(dicom(STORED, Modality=modality))) == 1


def test_deflated_bomb_is_known_by_its_size() -> None:
    bomb = dicom(np.zeros((4000, 4000), np.uint16), syntax=LOSSLESS["deflated"])
    assert len(bomb) < 100_000
    assert reason(bomb, limits=Limits(max_bytes=1_000_000)) == "file larger than the limit"


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("test-SR.dcm", "a DICOM object without an image"),
        ("reportsi.dcm", "a DICOM object without an image"),
        ("rtplan.dcm", "a DICOM object without an image"),
        ("waveform_ecg.dcm", "a DICOM object without an image"),
        ("DICOMDIR", "a DICOM directory file"),
        ("rtdose.dcm", "not a projection radiograph"),
        ("CT_small.dcm", "not a projection radiograph"),
        ("badVR.dcm", "not a projection radiograph"),
        ("MR_truncated.dcm", "not a projection radiograph"),
        ("no_meta.dcm", "not an image"),
    ],
)
def test_reference_files_that_are_no_films(name: str, said: str) -> None:
    with pytest.raises(Rejected) as caught:
        decode(shipped(name))
    assert caught.value.reason == said
    assert caught.value.stage is Stage.OPEN


@pytest.mark.parametrize("name", ["JPEG-lossy.dcm", "JPGExtended.dcm"])
def test_twelve_bit_jpeg_names_the_decoder(name: str) -> None:
    if "pylibjpeg" in get_decoder("1.2.840.10008.1.2.4.51").available_plugins:
        pytest.skip("pylibjpeg-libjpeg is installed")
    with pytest.raises(Rejected, match="pip install pylibjpeg-libjpeg"):
        decode(shipped(name), any_modality=True)


@pytest.mark.parametrize("name", REFERENCE)
def test_reference_files(name: str) -> None:
    frames, shape, greys = REFERENCE[name]
    films = decode(shipped(name), any_modality=True)
    assert [film.frame for film in films] == list(range(frames))
    assert films[0].pixels.shape == shape
    assert {place: float(films[0].pixels[place]) for place in greys} == pytest.approx(greys, abs=6e-5)


@pytest.mark.parametrize("name", HIGHDICOM_READS)
def test_agrees_with_highdicom(name: str) -> None:
    highdicom = pytest.importorskip("highdicom", reason="an independent greyscale pipeline to compare with")
    theirs = highdicom.imread(shipped(name)).get_frame(1, apply_voi_transform=None, dtype=np.float32)
    np.testing.assert_allclose(decode(shipped(name), any_modality=True)[0].pixels, theirs, atol=1e-6)


def test_padding_is_black_and_no_part_of_the_spread(tmp_path: Path) -> None:
    pixels = ramp(64, 64, top=900)
    pixels[:, :8] = 65535
    data = write(pixels, tmp_path, PixelPaddingValue=65535, BitsStored=16, HighBit=15)
    (film,) = decode_bytes(data)
    assert film.pixels[:, :8].max() == 0
    assert film.pixels[:, 8:].std() > 0.2


def large(syntax: str = "JPEG 2000", **elements: object) -> bytes:
    """A film of 1100 x 1400, smooth but for one bright block."""
    pixels = ramp(1100, 1400)
    pixels[300:500, 400:700] = 4000
    return dicom(pixels, syntax=LOSSLESS[syntax], **elements)


@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
def test_a_large_jpeg_2000_is_decoded_no_larger_than_needed(photometric: str) -> None:
    data = large(PhotometricInterpretation=photometric, WindowCenter=2048, WindowWidth=3000)
    (whole,), (less,) = decode_bytes(data), decode_bytes(data, side=512)
    assert less.pixels.shape == (550, 700)
    assert less.tags == whole.tags, "its tags tell its own size"
    means = whole.pixels.reshape(550, 2, 700, 2).mean(axis=(1, 3))
    assert np.abs(less.pixels - means).mean() < 0.002


@pytest.mark.parametrize(
    "how",
    [
        {"side": 600},
        {"side": 512, "PixelPaddingValue": 0},
        {"side": 512, "syntax": "JPEG-LS"},
    ],
)
def test_other_films_are_decoded_whole(how: dict[str, object]) -> None:
    side = how.pop("side")
    data = large(**how)  # type: ignore[arg-type]
    (whole,), (same,) = decode_bytes(data), decode_bytes(data, side=side)  # type: ignore[arg-type]
    np.testing.assert_array_equal(same.pixels, whole.pixels)


def test_an_unsigned_stream_under_a_signed_header_is_decoded_whole() -> None:
    film = pydicom.dcmread(io.BytesIO(large()))
    film.PixelRepresentation = 1
    out = io.BytesIO()
    film.save_as(out)
    (whole,), (same,) = decode_bytes(out.getvalue()), decode_bytes(out.getvalue(), side=512)
    np.testing.assert_array_equal(same.pixels, whole.pixels)


@pytest.mark.parametrize("share", [0.2, 0.6, 0.98])
def test_a_large_jpeg_2000_that_was_cut_off_is_rejected(share: float) -> None:
    film = pydicom.dcmread(io.BytesIO(large()))
    (stream,) = generate_frames(film.PixelData, number_of_frames=1)
    film.PixelData = encapsulate([stream[: int(share * len(stream))]])
    out = io.BytesIO()
    film.save_as(out)
    assert reason(out.getvalue()) == reason(out.getvalue(), side=512)
