"""Lay out a data set with the table that torchxrayvision reads: the columns of NIH ChestX-ray14.

`torchxrayvision.datasets.NIH_Dataset(imgpath=FOLDER/images, csvpath=FOLDER/films_nih.csv, views=["PA", "AP"],
unique_patients=False)` reads it. Findings that it knows bear its names, others their own.
"""

from __future__ import annotations

import csv
from pathlib import Path

from filmroom.search.exchange.delimited import cell
from filmroom.search.export.dataset.record import Record, Records

COLUMNS = (
    "Image Index", "Finding Labels", "Follow-up #", "Patient ID", "Patient Age", "Patient Gender", "View Position",
    "OriginalImage[Width", "Height]", "Split",
)  # fmt: skip
TABLE = "films_nih.csv"

_NIH = (
    "Atelectasis", "Cardiomegaly", "Consolidation", "Edema", "Effusion", "Emphysema", "Fibrosis", "Hernia",
    "Infiltration", "Mass", "Nodule", "Pleural_Thickening", "Pneumonia", "Pneumothorax",
)  # fmt: skip
_NAMES = {name.lower().replace("_", " "): name for name in _NIH} | {
    "pleural effusion": "Effusion",
    "no finding": "No Finding",
}


def write(folder: Path, records: Records) -> None:
    """Write the table, and an empty one of boxes beside it, which `bbox_list_path` takes."""
    with (folder / TABLE).open("w", newline="", encoding="utf-8") as out:
        writer = csv.writer(out)
        writer.writerow(COLUMNS)
        for record in records:
            facts = record.facts
            # A patient of its own where none is known: with one number for all of them the films would be one's.
            patient = facts["patient"] or f"film {record.id}"
            row = [Path(record.file).name, findings(record), 0, patient, facts["age"], facts["sex"], facts["view"]]
            writer.writerow(
                [cell(value) if isinstance(value, str) else value for value in row]
                + [record.width, record.height, record.split]
            )
    with (folder / "boxes_nih.csv").open("w", newline="", encoding="utf-8") as out:
        boxes = csv.writer(out)
        boxes.writerow(["Image Index", "Finding Label", "Bbox [x", "y", "w", "h]", "", "", ""])
        for record in records:
            for box in record.boxes:
                sides = (
                    box.x0 * record.width,
                    box.y0 * record.height,
                    (box.x1 - box.x0) * record.width,
                    (box.y1 - box.y0) * record.height,
                )
                label = _NAMES.get(box.category, box.category)
                boxes.writerow([Path(record.file).name, cell(label), *(round(side, 2) for side in sides), "", "", ""])


def findings(record: Record) -> str:
    """Join the labels as NIH does; `No Finding` only where a film is labelled so."""
    return "|".join(_NAMES.get(name.replace("_", " "), name) for name in record.present)
