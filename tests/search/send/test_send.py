"""Films go back to a real Orthanc as key object selections and reports, and no patient goes anywhere else."""

from __future__ import annotations

import io
import re
from pathlib import Path

import highdicom
import numpy as np
import pydicom
import requests
from filmroom.db.writes import findings

from tests.conftest import write_film
from tests.orthanc import PASSWORD, USER, Orthanc
from tests.search.send.sending import NAME, check, collect, film, instances
from tests.terminal import Terminal


def test_a_collection_goes_back_as_one_key_object_selection_a_study(
    door: Terminal, pacs: Orthanc, tiny: Path, tmp_path: Path
) -> None:
    collect(door, tiny, pacs.dicomweb)
    out = door("send", "mine", "--to", pacs.dicomweb, "--title", "teaching", "--yes")
    assert door.code == 0, door.err
    assert "4 films of the collection mine." in out
    assert "2 documents: 2 sent, 0 there already." in out
    found = instances(pacs, "KO")
    assert [str(one.StudyInstanceUID) for one in found] == ["1.2.3.0", "1.2.3.1"]
    for one in found:
        read = highdicom.ko.KeyObjectSelectionDocument.from_dataset(one)
        assert read.content[0].ConceptNameCodeSequence[0].CodeMeaning == "For Teaching"
        study = str(one.StudyInstanceUID)
        numbers = (0, 1) if study == "1.2.3.0" else (2, 3)
        references = [read.resolve_reference(f"{study}.1.{number}") for number in numbers]
        assert references == [(study, f"{study}.1", f"{study}.1.{number}") for number in numbers]
        assert (str(one.PatientName), one.PatientID, one.AccessionNumber) == (
            NAME,
            f"canary-{study[-1]}",
            f"canary{study[-1]}",
        )
        for keyword in ("PatientAddress", "StudyDescription", "InstitutionName"):
            assert keyword not in one
        check(one, tmp_path)
    assert len(requests.get(f"{pacs.url}/studies", auth=(USER, PASSWORD), timeout=20).json()) == 2


def test_sent_twice_is_sent_once(door: Terminal, pacs: Orthanc, tiny: Path) -> None:
    collect(door, tiny, pacs.dicomweb)
    first = door.json("send", "mine", "--to", pacs.dicomweb, "--yes")
    second = door.json("send", "mine", "--to", pacs.dicomweb, "--yes")
    assert isinstance(first, dict)
    assert isinstance(second, dict)
    assert [one["uid"] for one in first["documents"]] == [one["uid"] for one in second["documents"]]
    assert [one["state"] for one in second["documents"]] == ["there already"] * 2
    assert len(instances(pacs, "KO")) == 2
    door("send", "mine", "--to", pacs.dicomweb, "--yes", "--title", "interest")
    assert len(instances(pacs, "KO")) == 4


def test_a_dry_run_and_a_run_that_nobody_allowed_send_nothing(door: Terminal, pacs: Orthanc, tiny: Path) -> None:
    collect(door, tiny, pacs.dicomweb)
    out = door("send", "mine", "--to", pacs.dicomweb, "--dry-run")
    assert "key objects, study 1.2.3.0: 2 films (planned)" in out
    assert "2 documents: 2 would be sent" in out
    door("send", "mine", "--to", pacs.dicomweb)
    assert door.code == 1
    assert "a server is sent documents only when told to" in door.err
    assert len(instances(pacs)) == 4


def test_findings_go_back_as_a_measurement_report(door: Terminal, pacs: Orthanc, tiny: Path, tmp_path: Path) -> None:
    archive = collect(door, tiny, pacs.dicomweb)
    said = [findings.Finding("No effusion."), findings.Finding("A nodule.", ((0.1, 0.2, 0.3, 0.7),))]
    findings.put(archive.catalog, [1], said, source="cxrreportgen")
    out = door("send", "mine", "--to", pacs.dicomweb, "--findings", "--yes")
    assert "3 documents: 3 sent" in out, door.err
    (one,) = instances(pacs, "SR")
    check(one, tmp_path)
    assert (one.CompletionFlag, one.VerificationFlag) == ("PARTIAL", "UNVERIFIED")
    assert one.ContentTemplateSequence[0].TemplateIdentifier == "1500"
    report = highdicom.sr.MeasurementReport.from_sequence(highdicom.sr.ComprehensiveSR.from_dataset(one).content)
    (group,) = report.get_planar_roi_measurement_groups()
    corners = group.roi.value
    assert np.allclose(corners[[0, 2]], [[6, 8], [18, 28]], atol=1e-3)
    measured = {item.name.meaning: (item.value, item.unit.value) for item in group.get_measurements()}
    assert measured == {"Area": (30.0, "mm2"), "Width": (3.0, "mm"), "Height": (10.0, "mm")}
    (whole,) = report.get_image_measurement_groups()
    words = [item.TextValue for part in (whole, group) for item in part[0].ContentSequence if "TextValue" in item]
    assert [text for text in words if text.endswith(".")] == ["No effusion.", "A nodule."]


def test_boxes_of_a_film_that_is_not_calibrated_are_measured_in_pixels(
    door: Terminal, tiny: Path, tmp_path: Path
) -> None:
    place = tmp_path / "films"
    place.mkdir()
    (place / "one.dcm").write_bytes(film(0, PixelSpacing=""))
    archive = collect(door, tiny, place)
    findings.put(archive.catalog, [1], [findings.Finding("A nodule.", ((0.1, 0.2, 0.3, 0.7),))], source="model")
    door("send", "mine", "--to", tmp_path / "out", "--findings")
    read = [pydicom.dcmread(path) for path in (tmp_path / "out").glob("*.dcm")]
    (one,) = (one for one in read if one.Modality == "SR")
    check(one, tmp_path)
    report = highdicom.sr.MeasurementReport.from_sequence(highdicom.sr.ComprehensiveSR.from_dataset(one).content)
    (group,) = report.get_planar_roi_measurement_groups()
    assert [(item.value, item.unit.value) for item in group.get_measurements()] == [
        (240.0, "{pixels}"),
        (12.0, "{pixels}"),
        (20.0, "{pixels}"),
    ]


def test_a_server_is_sent_nothing_about_films_that_it_does_not_have(
    door: Terminal, pacs: Orthanc, tiny: Path, folder: Path
) -> None:
    (folder / "stranger.dcm").write_bytes(film(9, study=7))
    (folder / "late.dcm").write_bytes(film(8, study=0))
    (folder / "lost.dcm").write_bytes(film(10, StudyInstanceUID=None))
    write_film(folder / "drawn.png", 1)
    collect(door, tiny, folder)
    out = door("send", "mine", "--to", pacs.dicomweb, "--yes")
    assert "2 documents: 2 sent" in out
    for why in (
        "1, as the server does not have its study",
        "1, as the server has its study, but not this film",
        "1, as it is not from a DICOM file",
        "1, as its file names no study or series",
    ):
        assert why in door.err
    pointed = [
        str(item.ReferencedSOPSequence[0].ReferencedSOPInstanceUID)
        for one in instances(pacs, "KO")
        for item in one.ContentSequence
        if item.ValueType == "IMAGE"
    ]
    assert sorted(pointed) == [f"1.2.3.{number // 2}.1.{number}" for number in range(4)]


def test_films_under_one_uid_are_named_only_to_the_server_they_came_from(
    door: Terminal, pacs: Orthanc, tiny: Path, tmp_path: Path
) -> None:
    collect(door, tiny, pacs.dicomweb)
    place = tmp_path / "copies"
    place.mkdir()
    other = np.random.default_rng(99).integers(0, 4096, (40, 60)).astype(np.uint16)
    header = pydicom.dcmread(io.BytesIO(film(0)))
    header.PixelData = other.tobytes()
    header.save_as(place / "twin.dcm")
    collect(door, tiny, place, "--keep-apart")
    found = door.json("send", "mine", "--to", pacs.dicomweb, "--dry-run")
    assert isinstance(found, dict)
    (out,) = found["left_out"]
    assert out["reason"] == "another picture of the archive bears its instance UID"
    assert sorted(number for one in found["documents"] for number in one["films"]) == [1, 2, 3, 4]
    written = door.json("send", "mine", "--to", tmp_path / "out", "--dry-run")
    assert isinstance(written, dict)
    assert len(written["left_out"]) == 2


def test_hashed_uids_go_nowhere(door: Terminal, pacs: Orthanc, tiny: Path, folder: Path, tmp_path: Path) -> None:
    collect(door, tiny, folder, "--hash-uids")
    for to in (pacs.dicomweb, tmp_path / "out"):
        door("send", "mine", "--to", to, "--yes")
        assert door.code == 1
        assert "this archive keeps hashes of the UIDs, which no server knows" in door.err
    assert not (tmp_path / "out").exists()


def test_a_query_sends_the_films_that_it_shows(door: Terminal, tiny: Path, folder: Path, tmp_path: Path) -> None:
    collect(door, tiny, folder)
    found = door.json("send", "study:1.2.3.1", "--to", tmp_path / "out", "--dry-run")
    assert isinstance(found, dict)
    assert (found["films"], [one["study"] for one in found["documents"]]) == (2, ["1.2.3.1"])
    assert not (tmp_path / "out").exists()
    best = door.json("send", "effusion", "-k", 1, "--to", tmp_path / "out", "--dry-run")
    assert isinstance(best, dict)
    assert best["films"] == 1


def test_python_sends_what_the_command_sends(door: Terminal, pacs: Orthanc, tiny: Path) -> None:
    import filmroom

    archive = filmroom.open(door.archive, model=str(tiny))
    assert archive.index(pacs.dicomweb).counts.listed == 4
    planned = archive.send("study:1.2.3.1", pacs.dicomweb, dry_run=True)
    assert [(one.study, one.state) for one in planned.documents] == [("1.2.3.1", "planned")]
    sent = archive.send("study:1.2.3.1", pacs.dicomweb, title="quality", reason="grid")
    assert [one.state for one in sent.documents] == ["sent"]
    assert [one.SOPInstanceUID for one in instances(pacs, "KO")] == [one.uid for one in sent.documents]


def test_nothing_of_a_patient_is_kept_or_said(door: Terminal, pacs: Orthanc, tiny: Path, tmp_path: Path) -> None:
    collect(door, tiny, pacs.dicomweb)
    said = door("send", "mine", "--to", pacs.dicomweb, "--yes") + door.err
    said += door("send", "mine", "--to", pacs.dicomweb, "--yes", "--json") + door.err
    kept = b"".join(path.read_bytes() for path in door.archive.rglob("*") if path.is_file())
    assert "canary" not in said.lower()
    assert not re.search(b"canary", kept, re.IGNORECASE)
