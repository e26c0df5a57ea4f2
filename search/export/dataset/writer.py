"""Write a data set: pictures, films.csv, the labels as the chosen layout has them, cohort.json and a Croissant file."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path

from filmroom.db.writes import findings
from filmroom.indexer.radiology.report_labeler import read_report
from filmroom.search.export import cohort
from filmroom.search.export.dataset import coco, croissant, fiftyone, imagefolder, tfrecord, xrayvision
from filmroom.search.export.dataset.record import CSV, Box, Record, Records
from filmroom.search.export.job import Failures, Job
from filmroom.search.export.look import Look
from filmroom.search.export.pictures import BATCH, file_name, pngs
from filmroom.search.export.table import Rows, as_csv
from filmroom.search.results import Hit

_RECORDS = "records.jsonl"
_FACTS = ("view", "sex", "age", "year", "modality", "body_part", "laterality")


class Layout(StrEnum):
    """How labels lie beside the pictures."""

    IMAGEFOLDER = "imagefolder"
    COCO = "coco"
    FIFTYONE = "fiftyone"
    XRAYVISION = "xrayvision"
    TFRECORD = "tfrecord"


_PLACES = {Layout.IMAGEFOLDER: "", Layout.FIFTYONE: "data/"}


class Dataset:
    """A folder with one layout. Pictures are named by film id; no UID and no file name is in it."""

    batch = BATCH

    def __init__(self, job: Job, layout: Layout, *, look: Look) -> None:
        self._job = job
        self._layout = layout
        self._look = look
        self._rows = Rows.of_job(job, paths=False, identifying=False)
        self._folder = job.folder / "out"
        self._folder.mkdir(exist_ok=True)
        self._pictures = self._folder
        if layout is Layout.TFRECORD:  # its pictures end in its records
            self._pictures = job.folder / "pictures"
            tfrecord.checksum()  # before the first film, not after the last

    def write(self, films: Sequence[Hit]) -> Failures:
        pictures, failed = pngs([hit.film for hit in films], self._look)
        written = [hit for hit in films if hit.id in pictures]
        records = [self._record(hit, pictures[hit.id]) for hit in written]
        for record in records:
            path = self._pictures / record.file
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(pictures[record.id])
        self._job.growing(_RECORDS).write("".join(record.to_line() for record in records).encode())
        table = self._job.growing(f"out/{CSV}")
        rows = (
            {"file": record.file, "sha256": record.sha256, **row}
            for record, row in zip(records, self._rows.of(written), strict=True)
        )
        table.write(as_csv(self._columns, rows, header=not table.tell()))
        return failed

    def finish(self) -> Path:
        records = Records(self._job.folder / _RECORDS, self._job.split_names)
        about = cohort.write(self._job, self._folder / "cohort.json")
        if self._layout is Layout.IMAGEFOLDER:
            imagefolder.write(self._folder, records)
        elif self._layout is Layout.COCO:
            coco.write(self._folder, records, {"description": f"Filmroom, cohort {about['hash']}", **_described(about)})
        elif self._layout is Layout.FIFTYONE:
            fiftyone.write(self._folder, records)
        elif self._layout is Layout.XRAYVISION:
            xrayvision.write(self._folder, records)
        else:
            tfrecord.write(self._folder, records, self._pictures)
        croissant.write(
            self._folder, name=self._job.facts["name"], columns=self._columns, cohort=about, layout=self._layout
        )
        return self._folder

    @property
    def _columns(self) -> list[str]:
        return ["file", "sha256", *self._rows.columns]

    def _record(self, hit: Hit, picture: bytes) -> Record:
        film, tags = hit.film, hit.film.tags
        split = self._job.split_of(film.id)
        place = _PLACES.get(self._layout, "images/") or f"{imagefolder.folder_of(split)}/"
        labels: dict[str, float] = {}
        for label in film.labels:
            if label.source != "probe":
                labels[label.name] = max(label.value, labels.get(label.name, 0.0))
        return Record(
            film.id,
            ("" if self._layout is Layout.TFRECORD else place) + file_name(film),
            hashlib.sha256(picture).hexdigest(),
            len(picture),
            *self._look.shape(tags.columns, tags.rows),
            split,
            labels,
            self._boxes(film.id),
            {name: getattr(tags, name) for name in _FACTS} | {"patient": tags.patient_key},
        )

    def _boxes(self, film_id: int) -> tuple[Box, ...]:
        return tuple(
            Box(category_of(finding.text), finding.text, *box)
            for finding in findings.of_film(self._job.archive.catalog, film_id)
            for box in finding.boxes
        )


def category_of(sentence: str) -> str:
    """Name the first finding that a sentence says is there, `finding` where none is known."""
    return next((statement.idea for statement in read_report(sentence) if statement.present), "finding")


def _described(about: dict[str, object]) -> dict[str, object]:
    return {"licence": about["licence"], "cohort": about["hash"], "model": about["model"]}
