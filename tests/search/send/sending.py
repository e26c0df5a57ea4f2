"""Films with a patient whose name must go nowhere else, and what a server holds of them."""

from __future__ import annotations

import io
import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
import requests
from filmroom.db.archive import Archive
from filmroom.db.reads.films import select_ids
from filmroom.db.records import Filter
from filmroom.db.writes import annotations

from tests.indexer.dicom_files import dicom
from tests.orthanc import PASSWORD, USER, Orthanc
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
