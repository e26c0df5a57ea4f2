"""Films go back to a real Orthanc as key object selections and reports, and no patient goes anywhere else."""

from __future__ import annotations

import io
import json
import re
import shutil
import subprocess
import warnings
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import highdicom
import numpy as np
import pydicom
import pytest
import requests
from filmroom.db.archive import Archive
from filmroom.db.errors import BadInput
from filmroom.db.reads.films import select_ids
from filmroom.db.records import Filter
from filmroom.db.writes import annotations, findings
from filmroom.indexer.sources.stow import failed_instances, refusal_words
from filmroom.search.send.documents import Draft
from filmroom.search.send.key_objects import key_objects
from filmroom.search.send.titles import REASONS, TITLES, title_of

from tests.conftest import write_film
from tests.indexer.dicom_files import dicom
from tests.orthanc import PASSWORD, USER, Orthanc, running
from tests.terminal import Terminal

NAME = "Canary^Ünal"
FLUOROSCOPY = "1.2.840.10008.5.1.4.1.1.12.2"


def film(number: int, *, study: int | None = None, **elements: Any) -> bytes:
    """A film of a study of two; the patient's attributes are for the study alone."""
    study = number // 2 if study is None else study
    pixels = np.random.default_rng(number).integers(0, 4096, (40, 60)).astype(np.uint16)
    named: dict[str, Any] = {
        "SpecificCharacterSet": "ISO_IR 192",
        "SOPInstanceUID": f"1.2.3.{study}.1.{number}",
        "StudyInstanceUID": f"1.2.3.{study}",
        "SeriesInstanceUID": f"1.2.3.{study}.1",
        "PatientName": NAME,
        "PatientID": f"canary-{study}",
        "PatientBirthDate": "19500102",
        "PatientSex": "F",
        "PatientAddress": "Canary Wharf",
        "StudyDate": "20240102",
        "StudyTime": "101112",
        "StudyID": "canary",
        "AccessionNumber": f"canary{study}",
        "StudyDescription": "Canary wing",
        "InstitutionName": "Canary hospital",
        "PixelSpacing": [0.5, 0.25],
    }
    return dicom(pixels, **(named | elements))


@pytest.fixture(scope="module")
def orthanc(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Orthanc]:
    folder = tmp_path_factory.mktemp("pacs")
    with running(folder / "orthanc") as server:
        yield server


@pytest.fixture
def pacs(orthanc: Orthanc, tmp_path: Path) -> Orthanc:
    """The server with four films of two studies, and nothing else."""
    for name in requests.get(f"{orthanc.url}/instances", auth=(USER, PASSWORD), timeout=20).json():
        orthanc.delete(name)
    for number in range(4):
        place = tmp_path / "put.dcm"
        place.write_bytes(film(number))
        orthanc.put(place)
    return orthanc


@pytest.fixture
def door(terminal: Terminal, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Terminal:
    monkeypatch.setenv("FILMROOM_PACS_USER", USER)
    monkeypatch.setenv("FILMROOM_PACS_PASSWORD", PASSWORD)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return terminal


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The same four films as files."""
    place = tmp_path / "films"
    place.mkdir()
    for number in range(4):
        (place / f"{number}.dcm").write_bytes(film(number))
    return place


def collect(door: Terminal, tiny: Path, source: object, *options: object) -> Archive:
    """Index a source, and put all its films into the collection `mine`."""
    door("index", source, "--model", tiny, "--max-seconds", 60, *options)
    assert door.code == 0, door.err
    archive = Archive.open(door.archive)
    annotations.collect(archive.catalog, "mine", select_ids(archive.catalog, Filter()).tolist())
    return archive


def instances(pacs: Orthanc, modality: str | None = None) -> list[pydicom.Dataset]:
    """What the server holds, without pixels."""
    found = []
    for name in requests.get(f"{pacs.url}/instances", auth=(USER, PASSWORD), timeout=20).json():
        data = requests.get(f"{pacs.url}/instances/{name}/file", auth=(USER, PASSWORD), timeout=20).content
        one = pydicom.dcmread(io.BytesIO(data), stop_before_pixels=True)
        if modality is None or one.Modality == modality:
            found.append(one)
    return sorted(found, key=lambda one: str(one.StudyInstanceUID))


def check(document: pydicom.Dataset, tmp_path: Path) -> None:
    """Compare a document with the standard."""
    program = shutil.which("dciodvfy")
    if program is None:
        pytest.skip("no dciodvfy here: apt-get install dicom3tools")
    place = tmp_path / "checked.dcm"
    document.save_as(place, enforce_file_format=True)
    said = subprocess.run([program, "-new", place], capture_output=True, text=True, check=False).stderr
    assert not [line for line in said.splitlines() if line.startswith("Error")], said


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


class Grudging(BaseHTTPRequestHandler):
    """A server that has two studies of one film each, and answers STOW-RS as it is told to."""

    answer: tuple[int, str]

    def do_GET(self) -> None:
        path = self.path.partition("?")[0].strip("/").split("/")[1:]
        uid = path[1] if len(path) > 1 else "1.2.3.0"
        number = 0 if uid.endswith("0") else 2
        row = json.loads(pydicom.dcmread(io.BytesIO(film(number)), stop_before_pixels=True).to_json())
        self._send(200, json.dumps([row]))

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        uid = re.findall(rb"2\.25\.[0-9]+", body)[0].decode()
        status, text = type(self).answer
        self._send(status, text.replace("UID", uid))

    def _send(self, status: int, text: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "application/dicom+json; charset=utf-8")
        self.send_header("Content-Length", str(len(text.encode())))
        self.end_headers()
        self.wfile.write(text.encode())

    def log_message(self, *said: Any) -> None: ...


FAILED = (
    '{"00081198":{"vr":"SQ","Value":[{"00081155":{"vr":"UI","Value":["UID"]},"00081197":{"vr":"US","Value":[%d]}}]}}'
)


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ((202, FAILED % 0x0122), "The server refused 2 documents: 2, as it takes no documents of this kind (0122)."),
        ((409, FAILED % 0xA700), "The server refused 2 documents: 2, as it is out of room (A700)."),
        ((409, "no"), "The server refused 2 documents: 2, as it could not process them (0110)."),
    ],
)
def test_what_a_server_refuses_is_said_in_one_line(
    door: Terminal, tiny: Path, folder: Path, answer: tuple[int, str], said: str
) -> None:
    for number in (1, 3):
        (folder / f"{number}.dcm").unlink()
    collect(door, tiny, folder)
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (Grudging,), {"answer": answer}))
    Thread(target=server.serve_forever, daemon=True).start()
    try:
        out = door("send", "mine", "--to", f"http://127.0.0.1:{server.server_port}/rs", "--yes")
    finally:
        server.shutdown()
    assert door.code == 1
    assert "2 documents: 0 sent, 0 there already." in out
    assert door.err.strip().splitlines()[-1] == said


class Failing(Grudging):
    """A server that answers requests of one study, those that are named, with a status of its own."""

    where: str
    status: int
    stored: list[bytes]

    def do_GET(self) -> None:
        kind = "metadata" if self.path.endswith("metadata") else "instances"
        if "/studies/1.2.3.0/" in self.path and type(self).where == kind:
            self._send(type(self).status, "no")
        else:
            super().do_GET()

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if b"canary-0" in body and type(self).where == "store":
            self._send(type(self).status, "no")
        else:
            type(self).stored += re.findall(rb"canary-[0-9]", body)
            self._send(200, "{}")


@pytest.mark.parametrize(
    ("where", "status", "said"),
    [
        ("metadata", 404, "Left out 1 film: 1, as the server did not send its header."),
        ("metadata", 503, "Left out 1 film: 1, as the server did not send its header."),
        ("metadata", 403, "Left out 1 film: 1, as the server did not send its header."),
        ("instances", 400, "Left out 1 film: 1, as the server does not take this request (status 400)."),
        ("instances", 500, "Left out 1 film: 1, as the server does not answer (status 500)."),
        ("store", 400, "The server refused 1 document: 1, as the server does not take this request (status 400)."),
        ("store", 413, "The server refused 1 document: 1, as the server does not take this request (status 413)."),
        ("store", 404, "The server refused 1 document: 1, as there is no DICOMweb service here."),
    ],
)
def test_a_study_that_fails_stops_no_other(
    door: Terminal, tiny: Path, folder: Path, monkeypatch: pytest.MonkeyPatch, where: str, status: int, said: str
) -> None:
    monkeypatch.setattr("filmroom.indexer.sources.dicomweb._WAIT_SECONDS", 0.001)
    for number in (1, 3):
        (folder / f"{number}.dcm").unlink()
    collect(door, tiny, folder)
    handler = type("Handler", (Failing,), {"where": where, "status": status, "stored": []})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    Thread(target=server.serve_forever, daemon=True).start()
    try:
        out = door("send", "mine", "--to", f"http://127.0.0.1:{server.server_port}/rs", "--yes")
    finally:
        server.shutdown()
    assert set(handler.stored) == {b"canary-1"}
    assert f"{1 + (where == 'store')} document" in out
    assert ": 1 sent, 0 there already." in out
    assert door.err.strip().splitlines()[-1] == said
    assert door.code == 1


def test_a_server_that_goes_away_is_not_asked_for_every_study(
    door: Terminal, tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("filmroom.indexer.sources.dicomweb._WAIT_SECONDS", 0.001)
    place = tmp_path / "many"
    place.mkdir()
    for number in range(30):
        (place / f"{number}.dcm").write_bytes(film(number, study=100 + number))
    collect(door, tiny, place)
    asked: list[str] = []

    class Away(Grudging):
        def do_GET(self) -> None:
            asked.append(self.path)
            self._send(200 if len(asked) == 1 else 500, "[]")

    server = ThreadingHTTPServer(("127.0.0.1", 0), Away)
    Thread(target=server.serve_forever, daemon=True).start()
    try:
        door("send", "mine", "--to", f"http://127.0.0.1:{server.server_port}/rs", "--yes")
    finally:
        server.shutdown()
    assert len(asked) < 4 * 20
    assert "Left out 30 films: " in door.err
    assert "as the server did not answer for those before" in door.err
    assert door.code == 1


def test_films_whose_server_went_away_are_not_all_asked_for(
    door: Terminal, tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("filmroom.indexer.sources.dicomweb._WAIT_SECONDS", 0.001)
    with running(tmp_path / "orthanc") as server:
        for number in range(30):
            place = tmp_path / "put.dcm"
            place.write_bytes(film(number, study=100 + number))
            server.put(place)
        collect(door, tiny, server.dicomweb)
        server.stop()
        door("send", "mine", "--to", tmp_path / "out")
    assert door.code == 1
    assert "Left out 30 films: " in door.err
    for_want = re.search(r"([0-9]+), as the server did not send its header", door.err)
    assert for_want is not None
    assert 8 <= int(for_want[1]) < 16
    assert "as the server did not answer for those before" in door.err


def test_a_server_that_is_away_or_lets_nobody_in(
    door: Terminal, pacs: Orthanc, tiny: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    collect(door, tiny, folder)
    monkeypatch.setattr("filmroom.indexer.sources.dicomweb._WAIT_SECONDS", 0.01)
    for to, why in (
        ("http://127.0.0.1:1/dicom-web", "the server does not answer"),
        (f"{pacs.url}/nope", "there is no DICOMweb service here"),
        ("ftp://pacs.example/films", "documents go to a DICOMweb server or a folder"),
    ):
        door("send", "mine", "--to", to, "--yes")
        assert door.code == 1
        assert why in door.err
    monkeypatch.setenv("FILMROOM_PACS_PASSWORD", "wrong")
    door("send", "mine", "--to", pacs.dicomweb, "--yes")
    assert "the server does not let Filmroom in (401)" in door.err


def test_titles_and_reasons_are_of_the_standard() -> None:
    from pydicom.sr.codedict import codes

    def of(*lists: Any) -> dict[str, str]:
        return {code.value: code.meaning for one in lists for code in (getattr(one, name) for name in one.dir())}

    assert {one.code: one.meaning for one in TITLES.values()}.items() <= of(codes.cid7010).items()
    assert {one.code: one.meaning for one in REASONS.values()}.items() <= of(codes.cid7011).items()
    for words in (("nonsense", None), ("quality", "nonsense"), ("research", "motion")):
        with pytest.raises(BadInput):
            title_of(*words)


def test_answers_to_stow() -> None:
    assert failed_instances([json.loads(FAILED % 0x0124)]) == {"UID": 0x0124}
    assert failed_instances(None) == failed_instances({}) == failed_instances("no") == {}
    assert refusal_words(0xC001) == "it does not understand them (C001)"
    assert refusal_words(0x9999) == "for a reason of its own (9999)"
