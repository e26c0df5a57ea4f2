"""Read the open collections that taught the bundled model: films with what is known of them, and nothing more.

A folder holds `manifest.csv` and `images/train`. What a collection never looked for is unknown and counts neither way:
Kermany's says nothing of effusions, Wingspan's speaks of the heart alone, Hannover's of view and sex.
"""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
from filmroom.indexer.radiology.captions import Claim, Facts, facts
from filmroom.indexer.training.data.films import TrainingFilm
from numpy.typing import NDArray

NIH = (
    "atelectasis", "cardiomegaly", "consolidation", "edema", "effusion", "emphysema", "fibrosis", "hernia",
    "infiltration", "mass", "nodule", "pleural thickening", "pneumonia", "pneumothorax", "no finding",
)  # fmt: skip
NORMAL_HEART = 0.5
"""A cardiothoracic ratio below which a heart is surely not enlarged."""

Boxes = tuple[tuple[str, float, float, float, float], ...]
"""Finding, left, top, right, bottom; in shares of the film padded to a square."""


def collection(data: Path) -> tuple[list[TrainingFilm], list[Boxes]]:
    """Read the films of the train split that may teach what ships, and their boxes, in the same order.

    The group of a film is its folder and its source: two draws of one collection may differ in what they were drawn
    for.
    """
    with (data / "manifest.csv").open(encoding="utf-8", newline="") as file:
        rows = [r for r in csv.DictReader(file) if r["split"] == "train" and r["source"] in _KNOWN]
    films = [
        TrainingFilm(
            r["image_id"], r["patient_id"], _reader(data / "images" / "train" / f"{r['image_id']}.jpg"),
            _KNOWN[r["source"]](r), group=f"{data.name}-{r['source']}",
        )
        for r in rows
    ]  # fmt: skip
    return films, [_boxes(r) for r in rows]


def _nih(row: dict[str, str]) -> Facts:
    stated = facts(row["labels"].split("|"), view=row["view"], vocabulary=NIH)
    labels = {name for name in row["labels"].split("|") if name}
    # "no finding" tells nothing of what nobody mined the reports for.
    present = [claim for claim in stated.present if claim.idea in labels or claim.idea.startswith("view ")]
    absent = {idea for idea in stated.absent if idea in NIH or idea.startswith("view ")}
    return _person(row, present, absent)


def _person(row: dict[str, str], present: list[Claim], absent: set[str]) -> Facts:
    sexes = {"M": ("male", "female"), "F": ("female", "male")}.get(row["sex"])
    if sexes:
        present.append(Claim(sexes[0]))
        absent.add(sexes[1])
    if row["age"]:
        age = int(float(row["age"]))
        for idea, is_so, is_not in (("elderly", age >= 70, age <= 60), ("child", age <= 12, age > 12)):
            if is_so:
                present.append(Claim(idea))
            if is_not:
                absent.add(idea)
    return Facts(tuple(present), frozenset(absent))


def _kermany(row: dict[str, str]) -> Facts:
    kinds = {"pneumonia", "bacterial pneumonia", "viral pneumonia", "no finding"}
    labels = set(row["labels"].split("|")) & kinds
    if labels & {"bacterial pneumonia", "viral pneumonia"}:
        labels.add("pneumonia")
    return Facts(tuple(Claim(label) for label in sorted(labels)), frozenset(kinds - labels))


def _wingspan(row: dict[str, str]) -> Facts:
    if "cardiomegaly" in row["labels"].split("|"):
        return Facts((Claim("cardiomegaly"),))
    ratio = re.search(r"\d?\.\d+", row["report"])
    sure = ratio is not None and float(ratio.group()) < NORMAL_HEART
    return Facts(absent=frozenset({"cardiomegaly"})) if sure else Facts()


def _hannover(row: dict[str, str]) -> Facts:
    stated = facts((), view=row["view"])
    return _person(row, list(stated.present), set(stated.absent))


_KNOWN: dict[str, Callable[[dict[str, str]], Facts]] = {
    "nih": _nih, "kermany": _kermany, "wingspan": _wingspan, "hannover": _hannover
}  # fmt: skip


def _boxes(row: dict[str, str]) -> Boxes:
    if not row["boxes"]:
        return ()
    width, height = int(row["width"]), int(row["height"])
    side = max(width, height)
    left, top = (side - width) / 2, (side - height) / 2
    return tuple(
        (
            str(box["label"]), (left + box["x"]) / side, (top + box["y"]) / side,
            (left + box["x"] + box["w"]) / side, (top + box["y"] + box["h"]) / side,
        )
        for box in json.loads(row["boxes"])
    )  # fmt: skip


def _reader(path: Path) -> Callable[[], NDArray[np.uint8]]:
    def read() -> NDArray[np.uint8]:
        from PIL import Image

        with Image.open(path) as picture:
            return np.asarray(picture.convert("L"))

    return read
