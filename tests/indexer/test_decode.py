"""Any file: by content, at full depth, upright, within limits, and never another error than Rejected."""

from __future__ import annotations

import io
import os
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from filmroom.db.errors import Rejected
from filmroom.indexer.decoding.decode import decode, decode_bytes
from filmroom.indexer.decoding.limits import Limits
from filmroom.indexer.decoding.radiograph import Radiograph
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from tests.indexer.dicom_files import LOSSLESS, dicom, ramp

GREY8 = (ramp(24, 32, top=255)).astype(np.uint8)
NOISE = np.random.default_rng(0).integers(0, 256, (64, 64)).astype(np.uint8)
GREY16 = ramp(24, 32, top=65535)
TAILS = 2e-3  # what percentiles may move a grey by


def saved(pixels: np.ndarray, form: str, mode: str | None = None, **how: object) -> bytes:
    picture = Image.fromarray(pixels)
    out = io.BytesIO()
    (picture.convert(mode) if mode else picture).save(out, form, **how)
    return out.getvalue()


def reason(data: bytes, **how: object) -> str:
    with pytest.raises(Rejected) as caught:
        decode_bytes(data, **how)  # type: ignore[arg-type]
    return caught.value.reason


@pytest.mark.parametrize(
    ("form", "how", "tolerance"),
    [
        ("PNG", {}, 0),
        ("BMP", {}, 0),
        ("TIFF", {}, 0),
        ("TIFF", {"compression": "tiff_lzw"}, 0),
        ("WEBP", {"lossless": True}, 0),
        ("JPEG", {"quality": 100}, 0.02),
    ],
)
def test_eight_bits_are_taken_as_they_are(form: str, how: dict[str, object], tolerance: float) -> None:
    dim = GREY8 // 2  # a dim picture stays dim
    (film,) = decode_bytes(saved(dim, form, **how))
    assert film.pixels.dtype == np.float32
    np.testing.assert_allclose(film.pixels, dim / 255, atol=tolerance + 1e-6)


@pytest.mark.parametrize("form", ["PNG", "TIFF"])
@pytest.mark.parametrize("top", [65535, 4095])
def test_sixteen_bits_are_not_clipped(form: str, top: int) -> None:
    stored = ramp(64, 80, top=top)
    (film,) = decode_bytes(saved(stored, form))
    np.testing.assert_allclose(film.pixels, stored / top, atol=TAILS)
    assert len(np.unique(film.pixels)) > 4000


@pytest.mark.parametrize("form", ["PNG", "TIFF"])
@pytest.mark.parametrize("kind", [np.uint16, np.int32, np.float32])
def test_a_marker_leaves_a_deep_film_its_greys(form: str, kind: type) -> None:
    if form == "PNG" and kind is not np.uint16:
        pytest.skip("PNG has no such samples")
    stored = ramp(64, 80, top=4000)
    stored[2, 3:6] = 65535
    (film,) = decode_bytes(saved(stored.astype(kind), form))
    (same,) = decode_bytes(dicom(stored, BitsStored=16))
    np.testing.assert_allclose(film.pixels, same.pixels, atol=1e-6)
    assert np.quantile(film.pixels, 0.5) > 0.45


def test_a_deep_film_of_two_greys_keeps_them() -> None:
    stored = np.full((64, 80), 300, np.uint16)
    stored[0, 0] = 9000
    (film,) = decode_bytes(saved(stored, "PNG"))
    assert (film.pixels[0, 0], film.pixels[1, 1]) == (1, 0)


@pytest.mark.parametrize("stored", [GREY16.astype(np.float32) - 7000, GREY16.astype(np.int32) - 7000])
def test_deep_tiff(stored: np.ndarray) -> None:
    (film,) = decode_bytes(saved(stored, "TIFF"))
    np.testing.assert_allclose(film.pixels, GREY16 / 65535, atol=TAILS)


def test_sixteen_bits_white_is_zero() -> None:
    (film,) = decode_bytes(saved(GREY16, "TIFF", tiffinfo={262: 0}))
    np.testing.assert_allclose(film.pixels, 1 - GREY16 / 65535, atol=TAILS)


def test_one_bit() -> None:
    (film,) = decode_bytes(saved(GREY8 > 99, "PNG"))
    np.testing.assert_array_equal(film.pixels, GREY8 > 99)


@pytest.mark.parametrize("mode", ["RGB", "P", "RGBA", "LA", "CMYK"])
def test_colour_becomes_luminance(mode: str) -> None:
    form = "TIFF" if mode == "CMYK" else "PNG"
    (film,) = decode_bytes(saved(GREY8, form, mode))
    np.testing.assert_allclose(film.pixels, GREY8 / 255, atol=2 / 255)


def test_transparency_lies_upon_black() -> None:
    clear = np.zeros((4, 4, 4), np.uint8) + np.array([255, 255, 255, 0], np.uint8)
    assert (decode_bytes(saved(clear, "PNG"))[0].pixels == 0).all()


@pytest.mark.parametrize(
    ("orientation", "turned"), [(3, np.rot90(GREY8, 2)), (6, np.rot90(GREY8, -1)), (8, np.rot90(GREY8))]
)
def test_orientation(orientation: int, turned: np.ndarray) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    (film,) = decode_bytes(saved(GREY8, "PNG", exif=exif.tobytes()))
    np.testing.assert_allclose(film.pixels, turned / 255, atol=1e-6)
    assert (film.tags.rows, film.tags.columns) == turned.shape


@pytest.mark.parametrize(("orientation", "shape"), [(1, (1600, 1200)), (6, (1200, 1600))])
def test_a_large_jpeg_is_decoded_no_larger_than_needed(orientation: int, shape: tuple[int, int]) -> None:
    large = np.asarray(Image.fromarray(GREY8).resize((1200, 1600), Image.Resampling.BICUBIC))
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = saved(large, "JPEG", quality=95, exif=exif.tobytes())
    (whole,), (less,) = decode_bytes(data), decode_bytes(data, side=512)
    assert whole.pixels.shape == shape
    assert less.pixels.shape == tuple(side // 2 for side in shape)
    assert less.tags == whole.tags, "its tags tell its own size"
    means = whole.pixels.reshape(shape[0] // 2, 2, shape[1] // 2, 2).mean(axis=(1, 3))
    assert np.abs(less.pixels - means).mean() < 0.01


def test_pages_of_a_tiff_are_films() -> None:
    first, second = Image.fromarray(GREY8), Image.fromarray(GREY8[::-1, :16])
    out = io.BytesIO()
    first.save(out, "TIFF", save_all=True, append_images=[second])
    films = decode_bytes(out.getvalue())
    assert [(film.frame, film.pixels.shape) for film in films] == [(0, (24, 32)), (1, (24, 16))]
    assert reason(out.getvalue(), limits=Limits(max_frames=1)) == "more frames than the limit"
    assert reason(out.getvalue(), limits=Limits(max_pixels=1000)) == "more pixels than the limit"


def png_header(width: int, height: int) -> bytes:
    """A PNG that promises much and holds nothing."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    ihdr = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", ihdr) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")


@pytest.mark.parametrize(
    ("data", "said"),
    [
        pytest.param(b"", "empty file", id="zero bytes"),
        pytest.param(b"Impression: no acute disease.\n", "not an image", id="text"),
        pytest.param(b"\x89PNG\r\n\x1a\n", "damaged or incomplete header", id="signature alone"),
        pytest.param(png_header(50_000, 50_000), "more pixels than the limit", id="50,000 x 50,000 PNG"),
        pytest.param(png_header(13_000, 13_000), "more pixels than the limit", id="13,000 x 13,000 PNG"),
        pytest.param(png_header(30, 30), "truncated or damaged pixels", id="PNG without pixels"),
        pytest.param(saved(NOISE, "PNG")[:2000], "truncated or damaged pixels", id="cut PNG"),
        pytest.param(saved(NOISE, "JPEG")[:-500], "truncated or damaged pixels", id="cut JPEG"),
        pytest.param(saved(GREY8, "GIF"), "not an image", id="GIF"),
        pytest.param(b"PK\x03\x04" + bytes(200), "not an image", id="zip"),
        pytest.param(bytes(128) + b"DICM", "damaged or incomplete header", id="DICM and no more"),
        pytest.param(b"\x08\x00" + bytes(300), "not an image", id="begins as bare DICOM"),
    ],
)
def test_rejected_with_a_reason(data: bytes, said: str) -> None:
    assert reason(data) == said


def test_files_are_opened_with_care(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with open(tmp_path / "sparse", "wb") as file:
        file.truncate(1 << 40)
    cases = {
        "pipe": "not a regular file",
        "sparse": "file larger than the limit",
        "gone": "cannot be read",
        ".": "cannot be read",
    }
    for name, said in cases.items():
        with pytest.raises(Rejected) as caught:
            decode(tmp_path / name)
        assert caught.value.reason == said


def test_content_decides_and_not_the_name(tmp_path: Path) -> None:
    (tmp_path / "film.txt").write_bytes(dicom(ramp()))
    (tmp_path / "film.dcm").write_bytes(saved(GREY8, "JPEG"))
    assert decode(tmp_path / "film.txt")[0].tags.modality == "DX"
    assert decode(tmp_path / "film.dcm")[0].tags.modality is None


def check(data: bytes) -> None:
    """What holds for any bytes at all."""
    try:
        films = decode_bytes(data, Limits(max_pixels=1_000_000, max_bytes=1_000_000), any_modality=True)
    except Rejected:
        return
    assert films
    for film in films:
        assert isinstance(film, Radiograph)
        assert film.pixels.dtype == np.float32
        assert film.pixels.ndim == 2
        assert np.isfinite(film.pixels).all()
        assert film.pixels.min() >= 0
        assert film.pixels.max() <= 1


@given(st.binary(max_size=600))
def test_any_bytes(data: bytes) -> None:
    check(data)
    check(bytes(128) + b"DICM" + data)


def seeds() -> Iterator[bytes]:
    """Sound files to damage: those whose decoders are not written in C and could end the test with them."""
    yield from (
        dicom(ramp(8, 8), syntax=LOSSLESS[name], WindowCenter=9, WindowWidth=9) for name in ("implicit", "explicit")
    )
    yield dicom(ramp(8, 8), syntax=LOSSLESS["big endian"])
    yield dicom(ramp(8, 8), syntax=LOSSLESS["deflated"])
    yield saved(GREY8, "PNG")
    yield saved(GREY16, "TIFF")
    yield saved(GREY8, "BMP")
    yield saved(GREY8, "JPEG")


SEEDS = list(seeds())


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.sampled_from(SEEDS), st.lists(st.tuples(st.floats(0, 1), st.integers(0, 255)), max_size=6), st.floats(0.5, 1))
def test_damaged_files(seed: bytes, changes: list[tuple[float, int]], kept: float) -> None:
    data = bytearray(seed)
    for place, value in changes:
        data[int(place * (len(data) - 1))] = value
    check(bytes(data[: int(len(data) * kept)]))


def test_real_films_decode(real_data: Path) -> None:
    folder = sorted((real_data / "cxr-real" / "images" / "dev").glob("*.jpg"))[:20]
    assert folder
    for path in folder:
        (film,) = decode(path)
        assert film.pixels.std() > 0.05


def test_want_of_memory_is_no_damage(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise MemoryError

    data = io.BytesIO()
    Image.fromarray(np.zeros((4, 4), np.uint8)).save(data, "PNG")
    monkeypatch.setattr(Image, "open", full)
    with pytest.raises(Rejected, match="more memory"):
        decode_bytes(data.getvalue())
