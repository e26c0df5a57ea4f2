"""Three patients whose films and all that is said of them bear their names, to be forgotten."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from filmroom.db.archive import Archive
from filmroom.db.reads import films as catalog_films
from filmroom.db.reads import spaces
from filmroom.db.records import Film
from filmroom.db.thumbnails.reading import thumbnails

from tests.indexer import dicom_files

LETTERS = ("Anna", "Berta", "Clara")


def write_films(folder: Path) -> Path:
    """Two films each of three patients, in folders that bear their names."""
    for number, name in enumerate(LETTERS):
        for shot in range(2):
            place = folder / f"{name}-Musterfrau" / f"{name}-{shot}.dcm"
            place.parent.mkdir(parents=True, exist_ok=True)
            noise = np.random.default_rng(10 * number + shot).integers(0, 4096, (64, 64)).astype(np.uint16)
            uid = f"1.2.826.{number + 1}00{number + 1}"
            place.write_bytes(
                dicom_files.dicom(
                    noise,
                    PatientID=f"ID-{name}",
                    StudyInstanceUID=f"{uid}.7",
                    SeriesInstanceUID=f"{uid}.7.1",
                    SOPInstanceUID=f"{uid}.7.1.{shot + 1}",
                )
            )
    return folder


def of(archive: Archive, name: str) -> list[Film]:
    return [one for one in catalog_films.everyone(archive.catalog) if one.path.startswith(f"{name}-Muster")]


def traces(archive: Archive, name: str) -> dict[str, bytes]:
    """All by which a person's films could be known again, as the archive holds it."""
    found: dict[str, bytes] = {}
    (held,) = spaces.spaces(archive.catalog)
    for one in of(archive, name):
        tags = one.tags
        assert tags.patient_key
        assert tags.study_uid
        found |= {
            f"{one.id} instance": str(tags.instance_uid).encode(),
            f"{one.id} series": f"{tags.series_uid}".encode(),
            "study": tags.study_uid.encode(),
            "patient": tags.patient_key.encode(),
            f"{one.id} thumbnail": thumbnails(archive.catalog, [one.id])[one.id][40:400],
            f"{one.id} vector": spaces.vectors_of(archive.catalog, held, [one.id])[one.id].astype(np.float16).tobytes(),
        }
    words = (
        "Musterfrau/{}",
        "finding of {}",
        "note upon {}",
        "tag-{}",
        "judge-{}",
        "filmreport{}",
        "studyreport{}",
        "machinesays{}",
    )
    found |= {word: word.format(name).encode() for word in words}
    return found


def holding(folder: Path, what: dict[str, bytes]) -> set[str]:
    """Which of these the files of an archive hold, whatever their case."""
    data = b"\n".join(path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file())
    lower = data.lower()
    return {name for name, trace in what.items() if trace in data or trace.lower() in lower}
