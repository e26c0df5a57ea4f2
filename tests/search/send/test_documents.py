"""A document says what is meant, of odd studies too, and lies in a folder as its owner's."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from filmroom.db.errors import BadInput
from filmroom.db.writes import annotations
from filmroom.search.send.documents import Draft
from filmroom.search.send.key_objects import key_objects
from filmroom.search.send.titles import REASONS, TITLES, title_of

from tests.indexer.dicom_files import dicom
from tests.orthanc import Orthanc
from tests.search.send.sending import FLUOROSCOPY, NAME, check, collect, film, instances
from tests.terminal import Terminal


def test_files_are_their_owners_and_are_written_once(door: Terminal, tiny: Path, folder: Path, tmp_path: Path) -> None:
    collect(door, tiny, folder)
    (folder / "0.dcm").unlink()
    (folder / "1.dcm").write_bytes(film(1, PatientID="canary-x"))
    out = door("send", "mine", "--to", tmp_path / "out", "--title", "quality", "--reason", "motion")
    assert "2 documents: 2 written, 0 there already." in out
    assert "They name the patient as the films do." in out
    assert "1, as the file is not where it was indexed" in door.err
    paths = sorted((tmp_path / "out").iterdir())
    assert [path.stat().st_mode & 0o777 for path in paths] == [0o600, 0o600]
    for path in paths:
        one = pydicom.dcmread(path)
        assert path.stem == one.SOPInstanceUID
        check(one, tmp_path)
        first = one.ContentSequence[0]
        assert first.ConceptNameCodeSequence[0].CodeMeaning == "Document Title Modifier"
        assert first.ConceptCodeSequence[0].CodeMeaning == "Motion blur"
    before = [path.stat().st_mtime_ns for path in paths]
    out = door("send", "mine", "--to", tmp_path / "out", "--title", "quality", "--reason", "motion")
    assert "2 documents: 0 written, 2 there already." in out
    assert [path.stat().st_mtime_ns for path in paths] == before


def test_a_study_of_several_patients_gets_no_document(door: Terminal, tiny: Path, folder: Path, tmp_path: Path) -> None:
    """It would name one of them and point at films of the others."""
    (folder / "1.dcm").write_bytes(film(1, PatientID="canary-x"))
    collect(door, tiny, folder)
    out = door("send", "mine", "--to", tmp_path / "out")
    assert "1 document: 1 written, 0 there already." in out
    assert "Left out 2 films: 2, as its study's films name several patients." in door.err
    (path,) = (tmp_path / "out").iterdir()
    assert pydicom.dcmread(path).PatientID == "canary-1"


def test_films_of_a_server_are_written_to_files_without_fetching_them(
    door: Terminal, pacs: Orthanc, tiny: Path, tmp_path: Path
) -> None:
    collect(door, tiny, pacs.dicomweb)
    out = door("send", "mine", "--to", tmp_path / "out")
    assert "2 documents: 2 written" in out, door.err
    assert str(pydicom.dcmread(next((tmp_path / "out").iterdir())).PatientName) == NAME
    assert not (tmp_path / "cache").exists()


ODD = {
    "PatientName": "Canary^" + "x" * 90,
    "PatientSex": "CANARY",
    "PatientBirthDate": "canary",
    "StudyDate": "2024-01-02",
    "StudyTime": "25:61",
    "AccessionNumber": "canary" * 9,
}


def test_odd_values_of_a_study_go_as_they_are_and_are_not_quoted(
    door: Terminal, pacs: Orthanc, tiny: Path, tmp_path: Path
) -> None:
    place = tmp_path / "odd"
    place.mkdir()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        (place / "odd.dcm").write_bytes(film(8, study=5, **ODD))
    pacs.put(place / "odd.dcm")
    collect(door, tiny, place)
    for to in (tmp_path / "out", pacs.dicomweb):
        said = door("send", "mine", "--to", to, "--yes")
        assert "1 document: 1 " in said, door.err
        assert "canary" not in (said + door.err).lower()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for one in (*instances(pacs, "KO"), pydicom.dcmread(next((tmp_path / "out").iterdir()))):
            assert (str(one.PatientName), one.PatientSex) == (ODD["PatientName"], "CANARY")


def test_a_study_of_which_no_document_can_be_made_stops_no_other(
    door: Terminal, tiny: Path, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    collect(door, tiny, folder)

    def refusing(draft: Draft, headers: Any) -> Any:
        if draft.study == "1.2.3.0":
            raise ValueError(NAME)
        return key_objects(draft, headers)

    monkeypatch.setattr("filmroom.search.send.send.key_objects", refusing)
    out = door("send", "mine", "--to", tmp_path / "out")
    assert "1 document: 1 written" in out
    assert "2, as no document can be made of its header" in door.err
    assert "Canary" not in door.err


def test_frames_are_named_where_a_file_has_several(door: Terminal, tiny: Path, tmp_path: Path) -> None:
    place = tmp_path / "films"
    place.mkdir()
    pixels = np.random.default_rng(1).integers(0, 4096, (3, 40, 60)).astype(np.uint16)
    (place / "three.dcm").write_bytes(dicom(pixels, SOPClassUID=FLUOROSCOPY, Modality="RF", PatientName=NAME))
    archive = collect(door, tiny, place)
    annotations.collect(archive.catalog, "two", [1, 3])
    door("send", "two", "--to", tmp_path / "out")
    one = pydicom.dcmread(next((tmp_path / "out").iterdir()))
    check(one, tmp_path)
    (reference,) = (item.ReferencedSOPSequence[0] for item in one.ContentSequence if item.ValueType == "IMAGE")
    assert [int(number) for number in reference.ReferencedFrameNumber] == [1, 3]


def test_titles_and_reasons_are_of_the_standard() -> None:
    from pydicom.sr.codedict import codes

    def of(*lists: Any) -> dict[str, str]:
        return {code.value: code.meaning for one in lists for code in (getattr(one, name) for name in one.dir())}

    assert {one.code: one.meaning for one in TITLES.values()}.items() <= of(codes.cid7010).items()
    assert {one.code: one.meaning for one in REASONS.values()}.items() <= of(codes.cid7011).items()
    for words in (("nonsense", None), ("quality", "nonsense"), ("research", "motion")):
        with pytest.raises(BadInput):
            title_of(*words)
