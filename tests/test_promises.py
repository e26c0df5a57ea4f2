"""What the README promises, tried from the outside: odd files, names that must not get out, the real films."""

from __future__ import annotations

import json
import os
import shutil
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.indexer import dicom_files
from tests.terminal import Terminal

Films = Callable[..., Path]
CANARY = "Zyxwvuts"


def png_header(width: int, height: int) -> bytes:
    """A PNG that promises a picture and holds none."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", zlib.compress(b"\0" * 100)) + chunk(b"IEND", b"")


def test_one_good_film_among_odd_ones(terminal: Terminal, films: Films, tiny: Path) -> None:
    folder = films(1)
    film = dicom_files.dicom(dicom_files.ramp(256, 256))
    (folder / "truncated.dcm").write_bytes(film[: len(film) // 2])
    (folder / "text.dcm").write_text("this is no film\n" * 100)
    (folder / "zero.dcm").touch()
    (folder / "huge.png").write_bytes(png_header(50_000, 50_000))
    counts = terminal.json("index", folder, "--model", tiny)
    assert isinstance(counts, dict)
    assert (counts["listed"], counts["indexed"], counts["rejected"]) == (5, 1, 4)
    rejected = terminal.json("rejected")
    assert isinstance(rejected, list)
    reasons = {one["path"]: one["reason"] for one in rejected}
    assert reasons == {
        "truncated.dcm": "truncated or damaged pixels",
        "text.dcm": "not an image",
        "zero.dcm": "empty file",
        "huge.png": "more pixels than the limit",
    }
    assert all(one["remedy"] for one in rejected)


def test_no_name_gets_out(terminal: Terminal, tiny: Path, tmp_path: Path) -> None:
    folder = tmp_path / "films"
    folder.mkdir()
    planted = {
        "PatientName": f"{CANARY}^Anna",
        "PatientID": f"ID-{CANARY}",
        "InstitutionName": f"{CANARY} Hospital",
        "ImageComments": f"seen by Dr {CANARY}",
        "PatientComments": CANARY,
        "StudyDescription": f"chest of {CANARY}",
        "SeriesDescription": CANARY,
        "AccessionNumber": CANARY[:8],
        "PatientBirthDate": "19310704",
        "StudyDate": "20190317",
        "ReferringPhysicianName": CANARY,
    }
    film = dicom_files.dicom(dicom_files.ramp(), **planted)
    (folder / "good.dcm").write_bytes(film)
    (folder / "broken.dcm").write_bytes(film[:-2000])
    said = ""
    for command in (
        ("index", folder, "--model", tiny),
        ("search", "effusion", "--json"),
        ("search", "--like", folder / "good.dcm"),
        ("search", "--like", folder / "broken.dcm"),
        ("status", "--json"),
        ("rejected", "--json"),
        ("doctor",),
    ):
        said += terminal(*command) + terminal.err
    assert "good.dcm" in said
    kept = b"".join(path.read_bytes() for path in terminal.archive.rglob("*") if path.is_file()) + said.encode()
    for secret in (CANARY, CANARY.upper(), "19310704", "20190317", "2019-03-17", "1931-07-04"):
        assert secret.encode() not in kept
        assert secret.encode("utf-16-le") not in kept
    found = terminal.json("search", "effusion year:2019")
    assert isinstance(found, dict)
    assert found["total"] == 1, "the year of the study is kept"


def test_names_of_files_may_be_anything(terminal: Terminal, films: Films, tiny: Path) -> None:
    folder = films(1)
    one = folder / "film-000.png"
    names = ["line\nbreak.png", "'quoted\".png", "[red]markup[bold].png", "emoji \U0001fa7b.png", "a" * 251 + ".png"]
    raw = [os.fsencode(name) for name in names] + [b"not utf-8 \xff\xfe.png"]
    for name in raw:
        shutil.copy(one, os.path.join(os.fsencode(folder), name))
    counts = terminal.json("index", folder, "--model", tiny)
    assert isinstance(counts, dict)
    assert (counts["listed"], counts["indexed"], counts["duplicate"]) == (7, 1, 6)
    again = terminal.json("index", folder, "--model", tiny)
    assert isinstance(again, dict)
    assert (again["unchanged"], again["duplicate"]) == (1, 6)
    assert terminal("search", "effusion").count("\n") >= 3
    assert terminal.code == 0


@pytest.fixture(scope="module")
def dev(real_data: Path) -> Path:
    return real_data / "cxr-real"


@pytest.mark.slow
def test_the_bundled_model_finds_real_findings(terminal: Terminal, dev: Path, tmp_path: Path) -> None:
    counts = terminal.json("index", dev / "images" / "dev")
    assert isinstance(counts, dict)
    assert (counts["listed"], counts["indexed"]) == (241, 241)

    again = terminal.json("index", dev / "images" / "dev")
    assert isinstance(again, dict)
    assert again["unchanged"] == 241

    files = ("--queries", dev / "eval" / "queries.tsv", "--qrels", dev / "eval" / "qrels.txt")
    measured = terminal.json("evaluate", *files)
    assert isinstance(measured, dict)
    assert len(measured["queries"]) == 63
    assert measured["missing"] == []
    assert measured["mean"]["nDCG@5"] >= 0.30
    assert measured["mean"]["nDCG@5"] > measured["baselines"]["random"]["nDCG@5"] + 0.1

    renamed = tmp_path / "renamed"
    renamed.mkdir()
    for number, path in enumerate(sorted((dev / "images" / "dev").iterdir())[:60]):
        shutil.copy(path, renamed / f"{number}.jpg")
    copied = terminal.json("index", renamed)
    assert isinstance(copied, dict)
    assert (copied["indexed"], copied["duplicate"]) == (0, 60)
    status = json.loads(terminal("status", "--json"))
    assert status["films"] == 241
