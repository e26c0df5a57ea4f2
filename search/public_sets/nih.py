"""Read NIH ChestX-ray14: its labels, the boxes of some films, and the readings of four findings by radiologists."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from filmroom.db.errors import BadInput
from filmroom.indexer.radiology.report_labeler import Statement
from filmroom.indexer.radiology.vocabulary import NORMAL, finding_of
from filmroom.search.evaluation.grading import Document
from filmroom.search.exchange.tables import read_table
from filmroom.search.public_sets.views import view_statements

_NIH_SIZE = 1024.0  # the boxes of ChestX-ray14 are in pixels of its 1024 x 1024 files
_YES_NO = {"yes": True, "no": False, "1": True, "0": False, "1.0": True, "0.0": False}


def read_nih(entries: Path, *, boxes: Path | None = None, adjudicated: Path | None = None) -> list[Document]:
    """Read NIH ChestX-ray14: Data_Entry_2017*.csv; BBox_List_2017.csv gives sides and zones;
    four_findings_expert_labels (Majkowska et al. 2020) decide airspace opacity, pneumothorax, fracture, nodule or mass.

    Where the radiologists contradict a label it stays, uncertain (grade 1).
    """
    table = read_table(entries)
    name, labels = table.need("Image Index"), table.need("Finding Labels")
    view = table.column("View Position")
    placed = _nih_boxes(boxes) if boxes else {}
    judged = _adjudicated(adjudicated) if adjudicated else {}
    documents = []
    for row in table:
        image = row.get(name)
        names = [label.strip() for label in row.get(labels).split("|") if label.strip()]
        if not image:
            raise BadInput("The row names no image", where=row.where)
        boxed = placed.get(image, [])
        ideas = {statement.idea for statement in boxed}
        unboxed = [Statement(finding_of(label)) for label in names if finding_of(label) not in ideas]
        read = judged.get(image, {})
        statements = _decided([*boxed, *unboxed], read) + view_statements(row.get(view))
        documents.append(Document(image, statements, labels=_own_labels(names, statements, read)))
    return documents


def _nih_boxes(path: Path) -> dict[str, list[Statement]]:
    table = read_table(path)
    name, label = table.need("Image Index"), table.need("Finding Label")
    columns = [table.need("Bbox [x", "x"), table.need("y"), table.need("w"), table.need("h", "h]")]
    boxes: dict[str, list[Statement]] = {}
    for row in table:
        x, y, width, height = map(row.number, columns)
        if not math.isfinite(x + y + width + height):
            raise BadInput("A box needs four numbers", where=row.where)
        across, down = (x + width / 2) / _NIH_SIZE, (y + height / 2) / _NIH_SIZE
        wide = x / _NIH_SIZE < 0.45 and (x + width) / _NIH_SIZE > 0.55
        side = "" if wide else "right" if across < 0.5 else "left"  # the patient's right is at the picture's left
        zone = ("upper", "middle", "lower")[min(2, int(down * 3))]
        boxes.setdefault(row.get(name), []).append(
            Statement(finding_of(row.get(label)), side=side, places=frozenset({zone}))
        )
    return boxes


def _adjudicated(path: Path) -> dict[str, dict[str, bool]]:
    table = read_table(path)
    name = table.need("Image Index", "Image ID")
    columns = {table.need(label): label for label in _GOOGLE}
    readings: dict[str, dict[str, bool]] = {}
    for row in table:
        for column, label in columns.items():
            word = row.get(column).lower()
            if word not in _YES_NO:
                raise BadInput(f"Unknown value {row.get(column)} for {column}", where=row.where, fix="Write YES or NO")
            readings.setdefault(row.get(name), {})[label] = _YES_NO[word]
    return readings


_GOOGLE = {
    "Airspace opacity": ("pneumonia", "consolidation", "infiltration"),
    "Nodule or mass": ("nodule", "mass"),
    "Pneumothorax": ("pneumothorax",),
    "Fracture": ("fracture",),
}


def _decided(statements: Iterable[Statement], judged: dict[str, bool]) -> tuple[Statement, ...]:
    """Return the statements, uncertain where the radiologists deny them, and what else the radiologists say."""
    denied = {idea for label, yes in judged.items() if not yes for idea in _GOOGLE[label]}
    mined = [replace(statement, certain=statement.idea not in denied) for statement in statements]
    ideas = {statement.idea for statement in mined}
    read = [
        Statement(finding_of(label), present=yes) for label, yes in judged.items() if finding_of(label) not in ideas
    ]
    mined = [statement for statement in mined if statement.idea != NORMAL or not any(judged.values())]
    return (*mined, *read)


def _own_labels(
    names: Sequence[str], statements: Iterable[Statement], judged: dict[str, bool]
) -> tuple[tuple[str, float], ...]:
    """Return the set's labels that no radiologist contradicts, and what the radiologists found."""
    certain = {statement.idea for statement in statements if statement.present and statement.certain}
    mined = {label.lower().replace("_", " "): 1.0 for label in names if finding_of(label) in certain}
    return tuple((mined | {label.lower(): float(yes) for label, yes in judged.items()}).items())
