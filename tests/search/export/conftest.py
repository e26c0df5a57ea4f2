"""An archive with patients, labels, boxes, a multi-frame file and pictures without a header, to be exported."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import filmroom
import numpy as np
import pytest
from filmroom.db.archive import Archive
from filmroom.db.reads import films
from filmroom.db.records import Film, Label
from filmroom.db.writes import annotations, findings
from filmroom.db.writes.findings import Finding
from filmroom.search.python_api import OpenArchive

from tests.conftest import write_film
from tests.indexer import dicom_files
from tests.terminal import Terminal

PATIENTS, SHOTS, PICTURES = 10, 2, 4


@dataclass(frozen=True)
class House:
    """The archive, its films by path, and the Python door to it."""

    archive: Archive
    films: dict[str, Film]
    door: OpenArchive
    model: Path

    @property
    def folder(self) -> Path:
        return self.archive.folder


def write_dicom(folder: Path) -> None:
    for patient in range(PATIENTS):
        for shot in range(SHOTS):
            uid = f"1.2.826.0.7.{patient}.{shot}"
            grey = np.random.default_rng(100 * patient + shot).integers(0, 4096, (48 + patient, 64)).astype(np.uint16)
            data = dicom_files.dicom(
                grey,
                PatientID=f"ID-{patient}",
                PatientName="MUSTERFRAU^ANNA",
                PatientSex="F" if patient % 2 else "M",
                PatientAge=f"{40 + patient:03}Y",
                StudyDate=f"20{10 + patient}0102",
                StudyInstanceUID=f"1.2.826.0.7.{patient}",
                SeriesInstanceUID=f"1.2.826.0.7.{patient}.9",
                SOPInstanceUID=uid,
                ViewPosition="PA" if shot else "AP",
                WindowCenter=2048,
                WindowWidth=4096,
            )
            (folder / f"p{patient}-{shot}.dcm").write_bytes(data)


@pytest.fixture(scope="session")
def house(tmp_path_factory: pytest.TempPathFactory, tiny: Path) -> House:
    place = tmp_path_factory.mktemp("house")
    source = place / "films"
    source.mkdir()
    write_dicom(source)
    for number in range(PICTURES):
        write_film(source / f"=picture,{number}.png", number)
    door = filmroom.open(place / "archive", model=str(tiny))
    assert door.index(source, workers=2).counts.indexed == PATIENTS * SHOTS + PICTURES
    archive = Archive.open(place / "archive")
    known = {film.path: film for film in films.everyone(archive.catalog)}
    labels: list[tuple[int, Label]] = []
    for patient in range(PATIENTS):
        for shot in range(SHOTS):
            film = known[f"p{patient}-{shot}.dcm"]
            labels.append((film.id, Label("effusion", float(patient % 2))))
            labels.append((film.id, Label("nodule", float(patient in (0, 5)))))
            labels.append((film.id, Label("edema", 0.25, "probe")))
    labels.append((known["=picture,0.png"].id, Label('=cmd|" /C calc"!A0')))
    annotations.put_labels(archive.catalog, labels)
    annotations.set_tags(archive.catalog, known["p0-0.dcm"].id, ["teaching", "-1+1"])
    annotations.collect(archive.catalog, "chosen", [known[f"p{n}-0.dcm"].id for n in (4, 2, 0)])
    for name in ("p1-0.dcm", "p3-1.dcm"):
        said = [Finding("Small left pleural effusion.", ((0.25, 0.5, 0.75, 1.0),)), Finding("No pneumothorax.")]
        findings.put(archive.catalog, [known[name].id], said, source="model")
    return House(archive, {film.path: film for film in films.everyone(archive.catalog)}, door, tiny)


@pytest.fixture
def shell(house: House, terminal: Terminal) -> Terminal:
    """The terminal, on that archive."""
    terminal.archive = house.folder
    return terminal
