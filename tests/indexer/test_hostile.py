"""Every hostile file ends in its right place, within 5 seconds and 2 GB, and takes nobody with it."""

from __future__ import annotations

import time
from fnmatch import fnmatch
from pathlib import Path

import pydicom
import pytest
from filmroom.db.errors import Rejected
from filmroom.indexer.decoding.decode import decode
from filmroom.indexer.decoding.rejections import Failure
from filmroom.indexer.decoding.workers import process
from filmroom.indexer.sources.folder import list_folder

from tests.indexer.deeds import halve
from tests.indexer.dicom_files import dicom, ramp
from tests.indexer.hostile_files import BOMBS, DICOM, INDEXED, PICTURES, Hostile, make, make_odd
from tests.memory import watched


def ended(folder: Path, *, any_modality: bool = False) -> dict[str, str]:
    """Where each file of a folder ended."""
    found = list(list_folder(folder))
    told = {one.path: one.rejected.reason for one in found if one.rejected}
    items = [one for one in found if not one.rejected]
    for one in process(items, prepare=halve, workers=2, any_modality=any_modality):
        assert one.listed.path not in told
        told[one.listed.path] = one.error.reason if isinstance(one, Failure) else INDEXED
    assert len(told) == len(found)
    return told


def misplaced(folder: Path, files: dict[str, Hostile], **how: object) -> dict[str, str]:
    make(folder, files)
    (folder / "good film").write_bytes(dicom(ramp()))
    told = ended(folder, **how)  # type: ignore[arg-type]
    assert told.pop("good film") == INDEXED
    return {name: place for name, place in told.items() if place not in files[name][1]}


@pytest.mark.slow
def test_bombs(tmp_path: Path) -> None:
    began = time.monotonic()
    with watched() as peak:
        assert misplaced(tmp_path / "bombs", BOMBS) == {}
    assert time.monotonic() - began < 5.0 * len(BOMBS)
    assert 0.2 * 2**30 < peak[0] < 2.5 * 2**30, "two gigabytes of heap, and the libraries"


def test_dicom_files_of_every_kind(tmp_path: Path) -> None:
    assert misplaced(tmp_path / "dicom", DICOM) == {}


def test_colour_and_slices_are_taken_when_asked(tmp_path: Path) -> None:
    wanted = {name: DICOM[name] for name in ("CT slice", "MR slice", "YBR", "RGB", "RT image", "RT dose")}
    make(tmp_path / "slices", wanted)
    assert ended(tmp_path / "slices", any_modality=True) == dict.fromkeys(wanted, INDEXED)


def test_every_picture_that_pillow_writes(tmp_path: Path) -> None:
    assert misplaced(tmp_path / "pictures", PICTURES) == {}


def test_names_pipes_and_loops(tmp_path: Path) -> None:
    count = make_odd(tmp_path / "odd", dicom(ramp()))
    told = ended(tmp_path / "odd")
    assert sum(place == INDEXED for place in told.values()) == 10
    assert {name: place for name, place in told.items() if place != INDEXED} == {
        "pipe": "not a regular file",
        "loop": "a link that leads nowhere",
        "up": "a link that leads out of the folder",
        "broken": "a link that leads nowhere",
    }
    assert len(told) == count


# Every file that pydicom ships, by the first pattern that fits: where it ends, and where with --any-modality.
NO_PIXELS, SLICE, FILM = "a DICOM object without an image", "not a projection radiograph", "1 films"
TRUNCATED, DAMAGED = "truncated or damaged pixels", "damaged or incomplete header"
PYDICOM = [
    ("*/DICOMDIR*", "a DICOM directory file", "a DICOM directory file"),
    ("charset_files/chrSQEncoding*", DAMAGED, DAMAGED),
    ("charset_files/chr[JK]*Multi*", TRUNCATED, TRUNCATED),  # these were cut off before their pixels
    ("charset_files/*", FILM, FILM),
    ("palettes/*", NO_PIXELS, NO_PIXELS),
    *((f"test_files/{name}", DAMAGED, DAMAGED) for name in (  # images by their class, or of no class at all
        "UN_sequence.dcm", "empty_charset_LEI.dcm", "no_meta_group_length.dcm", "priv_SQ.dcm")),
    *((f"test_files/{name}", NO_PIXELS, NO_PIXELS) for name in (
        "ExplVR_*NoMeta.dcm", "reportsi*", "rtplan*", "rtstruct.dcm", "test-SR.dcm", "waveform_ecg.dcm")),
    ("test_files/JPEGLSNearLossless_*", FILM, FILM),
    ("test_files/image_dfl.dcm", FILM, FILM),
    ("test_files/no_meta.dcm", "not an image", "not an image"),
    ("test_files/badVR.dcm", SLICE, FILM),  # a number of frames of "1A"
    ("test_files/JPEG-lossy.dcm", SLICE, "no decoder for its 12-bit JPEG"),
    ("test_files/JPGExtended.dcm", SLICE, "no decoder for its 12-bit JPEG"),
    ("test_files/JPEG2000-embedded-sequence-delimiter.dcm", SLICE, TRUNCATED),
    ("test_files/MR_truncated.dcm", SLICE, TRUNCATED),
    ("test_files/meta_missing_tsyntax.dcm", SLICE, DAMAGED),
    ("test_files/nested_priv_SQ.dcm", SLICE, DAMAGED),
    ("test_files/*2frame.dcm", SLICE, "2 films"),
    ("test_files/examples_ybr_color.dcm", SLICE, "30 films"),
    ("test_files/rtdose*1frame.dcm", SLICE, FILM),
    ("test_files/rtdose*", SLICE, "15 films"),
    ("test_files/*", SLICE, FILM),
]  # fmt: skip
WITHOUT_SUFFIX = [
    ("*/TINY_ALPHA/PT*", DAMAGED, DAMAGED),
    ("*/77654033/CR*", FILM, FILM),
    ("*/dicomdirtests/[79]*", SLICE, FILM),
    ("*", "not an image", "not an image"),
]


def place_of(path: Path, *, any_modality: bool) -> str:
    try:
        return f"{len(decode(path, any_modality=any_modality))} films"
    except Rejected as error:
        return error.reason


def test_every_file_that_pydicom_ships() -> None:
    home = Path(pydicom.__file__).parent / "data"
    shipped = [
        path for path in sorted(home.rglob("*")) if path.is_file() and path.suffix not in (".py", ".pyc", ".json")
    ]
    assert len(shipped) > 190
    wrong = {}
    for path in shipped:
        name = path.relative_to(home).as_posix()
        patterns = PYDICOM if path.suffix == ".dcm" or path.name.startswith("DICOMDIR") else WITHOUT_SUFFIX
        _, *wanted = next(one for one in patterns if fnmatch(name, one[0]))
        found = [place_of(path, any_modality=taken) for taken in (False, True)]
        if found != wanted:
            wrong[name] = found
    assert wrong == {}
