from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
from filmroom.indexer.decoding.dicom.greyscale import present
from filmroom.indexer.decoding.radiograph import Window
from PIL import Image

from tests.indexer import dicom_files
from tests.measure_helpers import as_json, said
from tests.search.export.conftest import House
from tests.terminal import Terminal


def pixels(folder: Path, house: House, name: str) -> np.ndarray:
    return np.asarray(Image.open(folder / f"{house.films[name].id:07d}.png"))


@pytest.mark.parametrize("bits", [8, 16])
def test_pictures_are_the_presentation_pixels(bits: int, shell: Terminal, house: House, tmp_path: Path) -> None:
    done = as_json(shell, "export", "png", "--all", "--bits", bits, "--to", tmp_path / "out")
    assert (done["films"], done["failed"]) == (24, 0)
    for name in ("p3-0.dcm", "=picture,1.png"):
        whole = house.door.film(house.films[name].id).pixels()
        written = pixels(tmp_path / "out", house, name)
        assert written.dtype == (np.uint8 if bits == 8 else np.uint16)
        assert np.abs(written / np.iinfo(written.dtype).max - whole / 65535).max() <= 1 / (2 * (2**bits - 1)) + 1e-5
    with (tmp_path / "out" / "films.csv").open(newline="") as table:
        files = [row["file"] for row in csv.DictReader(table)]
    assert {path.name for path in (tmp_path / "out").glob("*.png")} == set(files)


def test_a_smaller_picture_is_the_mean_of_what_it_shows(shell: Terminal, house: House, tmp_path: Path) -> None:
    as_json(shell, "export", "png", "path:p2", "--size", 32, "--to", tmp_path / "small")
    for name in ("p2-0.dcm", "p2-1.dcm"):  # 64 x 50
        whole = house.door.film(house.films[name].id).pixels() / 65535
        small = pixels(tmp_path / "small", house, name) / 65535
        assert small.shape == (25, 32)
        assert np.abs(small - whole.reshape(25, 2, 32, 2).mean((1, 3))).max() < 1e-4
    as_json(shell, "export", "png", "path:p2", "--size", 4096, "--to", tmp_path / "as they are")
    assert pixels(tmp_path / "as they are", house, "p2-0.dcm").shape == (50, 64)
    for size in (0, -5, 15, 70_000):
        assert "no size of a picture" in said(
            shell, "export", "png", "--all", "--size", size, "--to", tmp_path / "none"
        )


def test_a_window_takes_the_place_of_the_films_own(shell: Terminal, house: House, tmp_path: Path) -> None:
    as_json(shell, "export", "png", "path:p3-0", "--window", "1000/500", "--to", tmp_path / "narrow")
    as_json(shell, "export", "png", "path:p3-0", "--window", "full", "--to", tmp_path / "full")
    own = house.door.film(house.films["p3-0.dcm"].id).pixels() / 65535
    stored = own * 4095  # the film's own window is 2048/4096, so that its greys are the stored values
    narrow, full = (pixels(tmp_path / way, house, "p3-0.dcm") / 65535 for way in ("narrow", "full"))
    assert np.abs(narrow - np.clip((stored - 750) / 500, 0, 1)).max() < 0.01
    assert (full.min(), full.max()) == (0, 1)
    assert np.corrcoef(full.ravel(), stored.ravel())[0, 1] > 0.9999


@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
def test_windows_hold_for_both_photometric_interpretations(photometric: str) -> None:
    grey = dicom_files.ramp()
    header = dicom_files.header(grey, PhotometricInterpretation=photometric, WindowCenter=100, WindowWidth=10)
    seen = present(grey, header, window=Window(2048, 1024))
    wanted = np.clip((grey.astype(float) - 1536) / 1024, 0, 1)
    assert np.allclose(seen, 1 - wanted if photometric == "MONOCHROME1" else wanted, atol=1e-6)
    whole = present(grey, header, window=Window())
    assert np.allclose(whole, 1 - grey / 4095 if photometric == "MONOCHROME1" else grey / 4095, atol=1e-6)
    beside = present(grey, header, window=Window(-5000, 10))
    assert np.all(beside == (photometric == "MONOCHROME2")), "a chosen window holds even where it shows nothing"


def test_padding_is_no_part_of_the_full_window() -> None:
    grey = dicom_files.ramp()
    grey[0] = 65535
    header = dicom_files.header(grey, BitsStored=16, PixelPaddingValue=65535)
    seen = present(grey, header, window=Window())
    assert not seen[0].any()
    assert seen.max() == 1


def test_copies_are_the_files_or_name_nobody(shell: Terminal, house: House, tmp_path: Path) -> None:
    as_json(shell, "export", "copies", "--collection", "chosen", "--to", tmp_path / "as-they-are")
    film = house.films["p2-0.dcm"]
    copy = tmp_path / "as-they-are" / f"{film.id:07d}-p2-0.dcm"
    assert copy.read_bytes() == (Path(film.root) / film.path).read_bytes()
    pytest.importorskip("dicomanonymizer")
    done = as_json(shell, "export", "copies", "--collection", "chosen", "--deidentify", "--to", tmp_path / "nameless")
    assert done["films"] == 3
    for path in (tmp_path / "nameless").iterdir():
        assert b"MUSTERFRAU" not in path.read_bytes()
