"""Measurements in the words of a note, and how large a pixel is."""

from __future__ import annotations

from pathlib import Path

import pydicom
import pytest
from filmroom.db.errors import BadInput
from filmroom.indexer.decoding.dicom.spacing import Spacing, spacing_of
from filmroom.search.findings.measurements import (
    Kind,
    as_csv,
    measure,
    measurements_of,
    with_measurements,
)
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian


def film(path: Path, **tags: object) -> Path:
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    header = FileDataset(str(path), {}, file_meta=meta, preamble=b"\0" * 128)
    for name, value in tags.items():
        setattr(header, name, value)
    pydicom.dcmwrite(path, header, enforce_file_format=False)
    return path


def test_the_spacing_of_the_patient_goes_before_that_of_the_detector(tmp_path: Path) -> None:
    both = film(tmp_path / "both.dcm", PixelSpacing=["0.2", "0.1"], ImagerPixelSpacing=["0.3", "0.3"])
    assert spacing_of(both) == Spacing(0.2, 0.1)
    assert spacing_of(both, turned=True) == Spacing(0.3, 0.3, "at the detector")
    assert spacing_of(film(tmp_path / "none.dcm", Rows=3)) is None
    assert spacing_of(film(tmp_path / "odd.dcm", PixelSpacing=["0", "-1"])) is None
    (tmp_path / "text.dcm").write_bytes(b"not a film" * 50)
    assert spacing_of(tmp_path / "text.dcm") is None
    assert spacing_of(tmp_path / "nowhere.dcm") is None


def test_lengths_and_angles_are_those_of_the_patient_not_of_the_grid() -> None:
    assert measure(Kind.LENGTH, ((0, 0), (30, 40)), None).value == pytest.approx(50)
    assert measure(Kind.LENGTH, ((0, 0), (30, 40)), Spacing(0.5, 0.5)).value == pytest.approx(25)
    assert measure(Kind.LENGTH, ((0, 0), (30, 0)), Spacing(1, 0.1)).value == pytest.approx(3)
    assert measure(Kind.ANGLE, ((10, 0), (0, 0), (0, 10)), None).value == pytest.approx(90)
    assert measure(Kind.ANGLE, ((0, 11), (10, 10), (0, 9)), None).value < 12
    assert measure(Kind.ANGLE, ((10, 0), (0, 0), (10, 20)), Spacing(0.5, 1)).value == pytest.approx(45)
    assert measure(Kind.VALUE, ((5, 6),), None, 0.431).value == pytest.approx(43.1)
    for points in (((0, 0),), ((0, 0), (float("nan"), 1)), ((0, 0), (-1, 1)), ((0, 0), (1e9, 1))):
        with pytest.raises(BadInput):
            measure(Kind.LENGTH, points, None)


def test_a_note_keeps_its_words_and_gives_its_measurements_back() -> None:
    some = [
        measure(Kind.LENGTH, ((1, 2), (31, 42)), Spacing(0.139, 0.139, "at the detector")),
        measure(Kind.ANGLE, ((10, 0), (0, 0), (0, 10)), None),
        measure(Kind.VALUE, ((5, 6),), None, 0.5),
    ]
    note = with_measurements("Tube is low.\n", some)
    assert note.startswith("Tube is low.\nLength 7.0 mm at the detector: 1,2 31,42\nAngle 90.0°: ")
    assert [(one.kind, one.points, one.unit) for one in measurements_of(note)] == [
        (one.kind, one.points, one.unit) for one in some
    ]
    assert measurements_of("Length is fine. Angle 3: 4") == []
    assert measurements_of("Length 3.0 mm: 1,2") == []
    rows = as_csv({7: note, 8: "nothing"}).decode().splitlines()
    assert rows[1] == '7,Length,7.0,mm at the detector,"1,2 31,42"'
    assert len(rows) == 4
