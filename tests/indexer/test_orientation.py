"""Films that lie or are mirrored in their files: set right where the header is certain, flagged where it is not."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pydicom
import pytest
from filmroom.db.archive import Archive
from filmroom.db.reads import films as catalog_films
from filmroom.db.records import Tags
from filmroom.db.writes import findings
from filmroom.db.writes.findings import Finding
from filmroom.indexer.decoding.decode import decode_bytes
from filmroom.indexer.decoding.orientation import box_in_file, box_on_film, set_right, size_in_file, words_for
from filmroom.indexer.decoding.radiograph import Radiograph
from filmroom.indexer.models.registry import load_towers
from filmroom.indexer.pipeline import Options, index
from filmroom.search.evaluation.grounding import Box
from filmroom.search.exchange.original_pixels import original
from filmroom.search.findings.dicom_sr import write_reports
from filmroom.search.findings.search import everything
from hypothesis import given
from hypothesis import strategies as st
from pydicom.uid import ExplicitVRLittleEndian, JPEG2000Lossless

from tests.indexer.dicom_files import dicom, ramp
from tests.terminal import Terminal

UPRIGHT = ramp(80, 60, top=4000)
WAYS = [words_for(mirrored=mirrored, turns=turns) for mirrored in (False, True) for turns in range(4)]
# How an upright film (rows to the patient's left, columns to the feet) lies, and what sets it right.
LYING: dict[tuple[str, str], tuple[Callable[[np.ndarray], np.ndarray], str | None]] = {
    ("L", "F"): (lambda film: film, None),
    ("R", "F"): (lambda film: film[:, ::-1], "mirrored"),
    ("R", "H"): (lambda film: film[::-1, ::-1], "turned 180"),
    ("L", "H"): (lambda film: film[::-1], "mirrored, turned 180"),
    ("F", "R"): (np.rot90, "turned right"),
    ("H", "L"): (lambda film: np.rot90(film, -1), "turned left"),
    ("F", "L"): (np.transpose, "mirrored, turned left"),
    ("H", "R"): (lambda film: film[::-1, ::-1].T, "mirrored, turned right"),
}


def film(pixels: np.ndarray, *directions: str, syntax: str = ExplicitVRLittleEndian, **elements: object) -> Radiograph:
    said = {"PatientOrientation": list(directions)} if directions else {}
    how = {"WindowCenter": 1800, "WindowWidth": 3600, **said, **elements}
    (found,) = decode_bytes(dicom(np.ascontiguousarray(pixels), syntax=syntax, **how))
    return found


@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, JPEG2000Lossless])
@pytest.mark.parametrize("directions", LYING)
def test_frontal_films_are_set_right(directions: tuple[str, str], syntax: str) -> None:
    lay, done = LYING[directions]
    lying = lay(UPRIGHT)
    found = film(lying, *directions, syntax=syntax)
    np.testing.assert_array_equal(found.pixels, film(UPRIGHT).pixels)
    assert (found.tags.rows, found.tags.columns, found.tags.orientation) == (80, 60, done)
    assert size_in_file(found.tags) == lying.shape
    assert (found.since > 1) == (done is not None)


@pytest.mark.parametrize(
    ("lying", "directions", "done"),
    [
        (UPRIGHT, ("P", "F"), None),
        (UPRIGHT, ("A", "F"), None),
        (UPRIGHT[::-1, ::-1], ("P", "H"), "turned 180"),
        (np.rot90(UPRIGHT), ("F", "P"), "turned right"),
        (np.rot90(UPRIGHT, -1), ("H", "P"), "turned left"),
        (np.rot90(UPRIGHT), ("F", "A"), "turned right"),
    ],
)
def test_lateral_films_are_turned_and_never_mirrored(
    lying: np.ndarray, directions: tuple[str, str], done: str | None
) -> None:
    found = film(lying, *directions, ViewPosition="LL")
    np.testing.assert_array_equal(found.pixels, film(UPRIGHT).pixels)
    assert found.tags.orientation == done


@pytest.mark.parametrize(
    ("directions", "elements"),
    [
        ((), {}),
        (("LA", "F"), {"ViewPosition": "LAO"}),
        (("L", "FP"), {}),
        (("R", "H"), {"BodyPartExamined": "HAND"}),
        (("R", "F"), {"BodyPartExamined": "KNEE"}),
        (("R", "FA"), {"Modality": "MG", "BodyPartExamined": "BREAST"}),
        (("R", "F"), {"Modality": "XA"}),
        (("F", "R"), {"ViewPosition": "LLD"}),
        (("L", "A"), {"BodyPartExamined": "SKULL", "ViewPosition": None}),
        ((), {"FieldOfViewHorizontalFlip": "NO", "FieldOfViewRotation": "0"}),
        (("L", "F"), {"FieldOfViewHorizontalFlip": "YES", "FieldOfViewRotation": "180"}),
    ],
)
def test_what_needs_nothing_is_left_alone(directions: tuple[str, ...], elements: dict[str, object]) -> None:
    found = film(UPRIGHT, *directions, **elements)
    assert found.tags.orientation is None
    np.testing.assert_array_equal(found.pixels, film(UPRIGHT).pixels)


@pytest.mark.parametrize(
    ("directions", "elements"),
    [
        (("R", "F"), {"ViewPosition": "LL"}),
        (("A", "F"), {}),
        (("L", "R"), {}),
        (("R",), {}),
        (("LE", "CD"), {}),
        (("R", "F"), {"AnatomicalOrientationType": "QUADRUPED"}),
        (("R", "F"), {"SOPClassUID": "1.2.840.10008.5.1.4.1.1.7"}),
        (("R", "F"), {"Modality": "OT"}),
        (("R", "H"), {"BodyPartExamined": None}),
        (("F", "L"), {"ViewPosition": "LLD"}),
        ((), {"FieldOfViewHorizontalFlip": "YES"}),
        ((), {"FieldOfViewRotation": "90"}),
    ],
)
def test_what_is_not_certain_is_flagged_and_left_alone(
    directions: tuple[str, ...], elements: dict[str, object]
) -> None:
    found = film(UPRIGHT, *directions, **elements)
    assert (found.tags.orientation, found.since) == ("uncertain", 1)
    np.testing.assert_array_equal(found.pixels, film(UPRIGHT).pixels)


@given(st.sampled_from(WAYS), st.tuples(*[st.integers(0, 7)] * 4))
def test_boxes_go_with_the_pixels(way: str | None, at: tuple[int, ...]) -> None:
    stored = np.zeros((8, 8))
    (x0, x1), (y0, y1) = sorted((at[0], at[1])), sorted((at[2], at[3]))
    stored[y0 : y1 + 1, x0 : x1 + 1] = 1
    box = (x0 / 8, y0 / 8, (x1 + 1) / 8, (y1 + 1) / 8)
    left, top, right, bottom = (round(8 * share) for share in box_on_film(box, way))
    shown = np.zeros((8, 8))
    shown[top:bottom, left:right] = 1
    np.testing.assert_array_equal(set_right(stored, way), shown)
    np.testing.assert_allclose(box_in_file(box_on_film(box, way), way), box, atol=1e-9)


def archived(folder: Path, tiny: Path, *directions: str, pixels: np.ndarray) -> Archive:
    """An archive of one film, that may lie in its file."""
    (folder / "films").mkdir(parents=True)
    said = {"PatientOrientation": list(directions), "PatientID": "1", "StudyInstanceUID": "1.2.3"}
    (folder / "films" / "film.dcm").write_bytes(dicom(np.ascontiguousarray(pixels), **said))
    archive = Archive.create(folder / "archive")
    index(archive, [folder / "films"], load_towers(str(tiny)), options=Options(workers=1))
    return archive


@pytest.mark.parametrize("directions", LYING)
def test_boxes_of_a_file_are_on_the_same_pixels_everywhere(
    directions: tuple[str, str], tmp_path: Path, tiny: Path
) -> None:
    pytest.importorskip("highdicom")
    marked = UPRIGHT.copy()
    marked[20:30, 40:52] = 4090
    lying = LYING[directions][0](marked)
    archive = archived(tmp_path, tiny, *directions, pixels=lying)
    (one,) = catalog_films.everyone(archive.catalog)
    rows, columns = np.nonzero(lying == 4090)
    x, y = float(columns.min()), float(rows.min())
    listed = Box(x, y, columns.max() + 1 - x, rows.max() + 1 - y)
    share = listed.share(one)
    np.testing.assert_allclose(share, (40 / 60, 20 / 80, 52 / 60, 30 / 80))
    shown = original(one)
    assert (shown[20:30, 40:52] == shown.max()).all(), "the heat map and the viewer lie over these pixels"

    findings.put(archive.catalog, [one.id], [Finding("something bright", (share,))], source="cxrreportgen")
    said = everything(archive.catalog)
    (box,) = said[0].to_json()["boxes_px"]
    assert box == [x, y, x + listed.width, y + listed.height]
    written = write_reports(said, tmp_path / "sr")
    assert (written.files, written.failed) == (1, ())
    (report,) = (tmp_path / "sr").iterdir()
    (found,) = pydicom.dcmread(report).ContentSequence
    graphic = np.array(found.ContentSequence[0].GraphicData).reshape(-1, 2)
    np.testing.assert_allclose(graphic.min(axis=0), (x, y))
    np.testing.assert_allclose(graphic.max(axis=0), (x + listed.width, y + listed.height))


def test_a_search_says_it_in_json(terminal: Terminal, tmp_path: Path, tiny: Path) -> None:
    for at, (name, directions) in enumerate({"right": ["R", "F"], "doubtful": ["R"], "plain": ["L", "F"]}.items()):
        data = dicom(UPRIGHT + at, PatientOrientation=directions, SOPInstanceUID=f"1.2.3.{at}")
        (tmp_path / f"{name}.dcm").write_bytes(data)
    terminal("index", *sorted(tmp_path.glob("*.dcm")), "--model", tiny)
    hits = json.loads(terminal("search", "view:PA", "--json"))["hits"]
    said = {Path(hit["path"]).stem: hit["orientation"] for hit in hits}
    assert said == {"right": "mirrored", "doubtful": "uncertain", "plain": None}


def test_size_in_file_of_a_film_as_it_lies() -> None:
    assert size_in_file(Tags(rows=40, columns=30, orientation="uncertain")) == (40, 30)
