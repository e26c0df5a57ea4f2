"""Grey values of films whose headers are written otherwise than they should be, against values worked out by hand."""

from __future__ import annotations

import io

import numpy as np
import pydicom
import pytest
from filmroom.db.errors import Rejected
from filmroom.indexer.decoding.decode import decode_bytes
from PIL import Image
from pydicom.encaps import encapsulate
from pydicom.uid import (
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
)

from tests.indexer.dicom_files import dicom, ramp, voi_lut

pytestmark = pytest.mark.filterwarnings("ignore:Invalid value for VR", "ignore:The value length", "ignore:Value")
STORED = ramp()
CURVE = np.round(np.linspace(0, 1, 4096) ** 2 * 4095).astype(np.uint16)
WINDOW = {"WindowCenter": "1280", "WindowWidth": "2560"}


def linear(values: np.ndarray, center: float, width: float) -> np.ndarray:
    """LINEAR as PS3.3 C.11.2.1.2.1 writes it."""
    return np.clip((values - (center - 0.5)) / (width - 1) + 0.5, 0, 1)


def shown(data: bytes) -> np.ndarray:
    (film,) = decode_bytes(data)
    return film.pixels


def with_text(data: bytes, **texts: str) -> bytes:
    """The file with decimal strings put in as they are, which pydicom would not write."""
    film = pydicom.dcmread(io.BytesIO(data))
    marks = {f"{70 + at}.{'0' * (len(text) + len(text) % 2 - 3)}": text for at, text in enumerate(texts.values())}
    for keyword, mark in zip(texts, marks, strict=True):
        setattr(film, keyword, mark)
    out = io.BytesIO()
    film.save_as(out)
    changed = out.getvalue()
    for mark, text in marks.items():
        assert changed.count(mark.encode()) == 1
        changed = changed.replace(mark.encode(), text.ljust(len(mark)).encode())
    return changed


@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, ImplicitVRLittleEndian])
@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
@pytest.mark.parametrize(
    ("slope", "intercept", "values"),
    [
        ("", "", STORED),
        ("", "0", STORED),
        ("1", "", STORED),
        ("2", "", STORED * 2.0),
        ("", "-24", STORED - 24.0),
        (None, "", STORED),
        ("", None, STORED),
    ],
)
def test_empty_rescale_values_change_nothing(
    slope: str | None, intercept: str | None, values: np.ndarray, photometric: str, syntax: str
) -> None:
    rescale = {"RescaleSlope": slope, "RescaleIntercept": intercept}
    stated = {keyword: value for keyword, value in rescale.items() if value is not None}
    data = dicom(
        STORED, syntax=syntax, PhotometricInterpretation=photometric, WindowCenter="1280", WindowWidth="2560", **stated
    )
    wanted = linear(values.astype(float), 1280, 2560)
    np.testing.assert_allclose(shown(data), 1 - wanted if photometric == "MONOCHROME1" else wanted, atol=2e-5)


@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
@pytest.mark.parametrize(
    ("texts", "window"),
    [
        ({"WindowCenter": "1000,5", "WindowWidth": "0800,0"}, (1000.5, 800)),
        ({"WindowCenter": "1000,5", "WindowWidth": "800.00"}, (1000.5, 800)),
        ({"WindowCenter": "1000.5", "WindowWidth": "0800,0"}, (1000.5, 800)),
        ({"WindowCenter": " 1000,5 ", "WindowWidth": "8e2   "}, (1000.5, 800)),
    ],
)
def test_decimal_commas(texts: dict[str, str], window: tuple[float, float], photometric: str) -> None:
    pixels = shown(with_text(dicom(STORED, PhotometricInterpretation=photometric), **texts))
    wanted = linear(STORED.astype(float), *window)
    np.testing.assert_allclose(pixels, 1 - wanted if photometric == "MONOCHROME1" else wanted, atol=2e-5)


@pytest.mark.parametrize("said", ["NaN", "nan", "inf", "-inf", "n/a", "auto", "1,2,3"])
@pytest.mark.parametrize("keyword", ["WindowCenter", "WindowWidth"])
def test_a_window_that_is_no_number_is_none(keyword: str, said: str) -> None:
    texts = {"WindowCenter": "2048.0", "WindowWidth": "4096.0"} | {keyword: said.ljust(6)}
    np.testing.assert_array_equal(shown(with_text(dicom(STORED), **texts)), shown(dicom(STORED)))


def test_the_window_after_one_that_is_no_number() -> None:
    pixels = shown(with_text(dicom(STORED), WindowCenter="NaN\\1280", WindowWidth="1000\\2560"))
    np.testing.assert_allclose(pixels, linear(STORED.astype(float), 1280, 2560), atol=2e-5)


@pytest.mark.parametrize("said", ["NaN   ", "1,2,3 ", "high  "])
def test_a_slope_that_is_no_number_is_refused(said: str) -> None:
    with pytest.raises(Rejected, match="cannot be shown"):
        decode_bytes(with_text(dicom(STORED, RescaleIntercept="0"), RescaleSlope=said))


def table(entries: np.ndarray, *, bits: int, first: int = 0, packed: bool = False, keyword: str) -> dict[str, object]:
    item = voi_lut(entries, first=first, bits=bits, keyword=keyword)
    if packed:
        item.LUTData = entries.astype(np.uint8).tobytes() + b"\0" * (len(entries) % 2)
    return {keyword: [item]}


@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, ImplicitVRLittleEndian, ExplicitVRBigEndian])
@pytest.mark.parametrize("bits", [8, 10, 12, 14, 16])
def test_modality_table_of_any_depth(bits: int, syntax: str) -> None:
    entries = CURVE >> max(0, 12 - bits)
    how = table(entries, bits=bits, keyword="ModalityLUTSequence")
    top = 1 << min(bits, 12)
    data = dicom(STORED, syntax=syntax, WindowCenter=top / 2, WindowWidth=top, **how)
    np.testing.assert_allclose(shown(data), linear(entries[STORED].astype(float), top / 2, top), atol=2e-5)


@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, ImplicitVRLittleEndian, ExplicitVRBigEndian])
@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
@pytest.mark.parametrize("bits", [6, 8, 9, 10, 12, 16, 0])
def test_voi_table_of_any_depth_in_words(bits: int, photometric: str, syntax: str) -> None:
    entries = CURVE >> max(0, 12 - (bits or 16))
    how = table(entries, bits=bits, keyword="VOILUTSequence")
    pixels = shown(dicom(STORED, syntax=syntax, PhotometricInterpretation=photometric, **how))
    wanted = entries[STORED] / entries.max()
    np.testing.assert_allclose(pixels, 1 - wanted if photometric == "MONOCHROME1" else wanted, atol=2e-5)


@pytest.mark.parametrize("said", ["LOG", "log", "GAMMA", "LINEAR EXACT "])
def test_a_window_of_an_unknown_function_is_linear(said: str) -> None:
    how = {"WindowCenter": "1280", "WindowWidth": "2560"}
    np.testing.assert_array_equal(shown(dicom(STORED, VOILUTFunction=said, **how)), shown(dicom(STORED, **how)))


@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
@pytest.mark.parametrize(("first", "count"), [(0, 4096), (0, 4095), (100, 3000), (1, 256)])
def test_voi_table_of_two_entries_in_a_word(first: int, count: int, photometric: str) -> None:
    entries = np.round(np.linspace(0, 1, count) ** 2 * 255).astype(np.uint8)
    how = table(entries, bits=8, first=first, packed=True, keyword="VOILUTSequence")
    pixels = shown(dicom(STORED, PhotometricInterpretation=photometric, **how))
    wanted = entries[np.clip(STORED.astype(int) - first, 0, count - 1)] / 255
    np.testing.assert_allclose(pixels, 1 - wanted if photometric == "MONOCHROME1" else wanted, atol=2e-5)


def test_modality_table_of_two_entries_in_a_word() -> None:
    entries = (CURVE >> 4).astype(np.uint8)
    how = table(entries, bits=8, packed=True, keyword="ModalityLUTSequence")
    pixels = shown(dicom(STORED, WindowCenter=128, WindowWidth=256, **how))
    np.testing.assert_allclose(pixels, linear(entries[STORED].astype(float), 128, 256), atol=2e-5)


def test_a_voi_table_that_was_cut_off_gives_way_to_the_window() -> None:
    how = table(CURVE, bits=12, keyword="VOILUTSequence")
    item = how["VOILUTSequence"][0]  # type: ignore[index]
    item.LUTData = item.LUTData[:1000]
    pixels = shown(dicom(STORED, WindowCenter=1280, WindowWidth=2560, **how))
    np.testing.assert_allclose(pixels, linear(STORED.astype(float), 1280, 2560), atol=2e-5)


def jpeg_film(stored: np.ndarray, *, syntax: str, **elements: object) -> bytes:
    """A film whose stream is a JPEG of 8 bits, whatever its header says of it."""
    stream = io.BytesIO()
    Image.fromarray(stored).save(stream, "JPEG", quality=100)
    film = pydicom.dcmread(io.BytesIO(dicom(stored.astype(np.uint16), **elements)))
    film.file_meta.TransferSyntaxUID = syntax
    film.PixelData = encapsulate([stream.getvalue()])
    film["PixelData"].VR = "OB"
    out = io.BytesIO()
    film.save_as(out)
    return out.getvalue()


@pytest.mark.parametrize("syntax", [JPEGBaseline8Bit, JPEGExtended12Bit])
@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
@pytest.mark.parametrize("signed", [0, 1])
@pytest.mark.parametrize("bits", [8, 12, 16])
def test_jpeg_of_8_bits_under_a_header_of_16(bits: int, signed: int, photometric: str, syntax: str) -> None:
    grey = np.repeat(np.repeat(np.arange(64, dtype=np.uint8).reshape(8, 8) * 4, 8, 0), 8, 1)  # flat blocks keep values
    how = {"BitsStored": bits, "PixelRepresentation": signed, "PhotometricInterpretation": photometric}
    pixels = shown(jpeg_film(grey, syntax=syntax, **how))
    wanted = grey / 252
    np.testing.assert_allclose(pixels, 1 - wanted if photometric == "MONOCHROME1" else wanted, atol=0.02)


@pytest.mark.parametrize("said", ["monochrome1", " MONOCHROME1", "MONOCHROME 1", "MONOCHROME1\0"])
@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, ImplicitVRLittleEndian])
def test_grey_films_by_any_spelling(said: str, syntax: str) -> None:
    data = dicom(STORED, syntax=syntax, **WINDOW)
    expected = 1 - shown(data)
    named = with_text(data, PhotometricInterpretation=said)
    np.testing.assert_allclose(shown(named), expected, atol=1e-6)
    np.testing.assert_allclose(shown(named[132:]), expected, atol=1e-6)


@pytest.mark.parametrize("elements", [{"SamplesPerPixel": None}, {"SamplesPerPixel": ""}])
def test_samples_that_are_not_counted_are_one(elements: dict[str, object]) -> None:
    np.testing.assert_array_equal(shown(dicom(STORED, **WINDOW, **elements)), shown(dicom(STORED, **WINDOW)))


@pytest.mark.parametrize("said", ["", "0", "1\\1", "1.0", " 1 ", "one"])
def test_frames_that_are_not_counted_are_one(said: str) -> None:
    data = with_text(dicom(STORED, NumberOfFrames="1", **WINDOW), NumberOfFrames=said)
    np.testing.assert_array_equal(shown(data), shown(dicom(STORED, **WINDOW)))


@pytest.mark.parametrize(("slope", "intercept"), [("2\\2", "-24"), ("2", "-24\\-24"), ("2\\2", "-24\\0")])
def test_the_first_of_several_rescale_values(slope: str, intercept: str) -> None:
    plain = dicom(STORED, RescaleSlope="2", RescaleIntercept="-24", **WINDOW)
    several = with_text(plain, RescaleSlope=slope, RescaleIntercept=intercept)
    np.testing.assert_array_equal(shown(several), shown(plain))


@pytest.mark.parametrize(
    "elements",
    [
        {"PhotometricInterpretation": ""},
        {"PhotometricInterpretation": "GREY"},
        {"PhotometricInterpretation": None},
        {"PixelRepresentation": None},
        {"BitsAllocated": None},
    ],
)
def test_a_header_that_does_not_say_how_its_pixels_are_written_is_no_damage_of_theirs(
    elements: dict[str, object],
) -> None:
    assert refused(dicom(STORED, **elements)).reason == "damaged or incomplete header"


def test_no_frames_in_a_file_that_has_pixels_is_one() -> None:
    np.testing.assert_array_equal(shown(dicom(STORED, NumberOfFrames=0)), shown(dicom(STORED)))


def refused(data: bytes) -> Rejected:
    with pytest.raises(Rejected) as caught:
        decode_bytes(data)
    return caught.value


def without_pixels(sop_class: str) -> bytes:
    film = pydicom.dcmread(io.BytesIO(dicom(STORED)))
    film.SOPClassUID = film.file_meta.MediaStorageSOPClassUID = sop_class
    for keyword in ("PixelData", "Rows", "Columns"):
        delattr(film, keyword)
    out = io.BytesIO()
    film.save_as(out)
    return out.getvalue()


@pytest.mark.parametrize(
    ("sop_class", "reason"),
    [
        ("1.2.840.10008.5.1.4.1.1.1.1", "damaged or incomplete header"),
        ("1.2.840.10008.5.1.4.1.1.1", "damaged or incomplete header"),
        ("1.2.840.10008.5.1.4.1.1.7", "damaged or incomplete header"),
        ("1.2.840.10008.5.1.4.1.1.88.11", "a DICOM object without an image"),
        ("1.2.840.10008.5.1.4.1.1.481.5", "a DICOM object without an image"),
        ("1.3.12.2.1107.5.9.1", "a DICOM object without an image"),
    ],
)
def test_an_image_that_lost_its_pixels_is_no_report(sop_class: str, reason: str) -> None:
    assert refused(without_pixels(sop_class)).reason == reason


@pytest.mark.parametrize(
    ("syntax", "reason"),
    [
        ("1.2.840.10008.1.2.4.100", "video"),
        ("1.2.840.10008.1.2.4.102", "video"),
        ("1.2.840.10008.1.2.4.107", "video"),
        ("1.2.840.10008.1.2.4.110", "no decoder for its compression"),
        ("1.2.840.10008.1.2.4.112", "no decoder for its compression"),
    ],
)
def test_other_compressions_are_not_called_12_bit_jpeg(syntax: str, reason: str) -> None:
    data = jpeg_film((STORED >> 4).astype(np.uint8), syntax="1.2.840.10008.1.2.4.102")
    error = refused(data.replace(b"1.2.840.10008.1.2.4.102", syntax.encode()))
    assert error.reason == reason
    assert "12-bit" not in str(error)
