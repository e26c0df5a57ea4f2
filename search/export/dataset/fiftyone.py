"""Lay out a data set as FiftyOne's labelled images: data/ with labels.json, and detections.json where there are boxes.

labels.json is a FiftyOneImageClassificationDataset with several labels a film, detections.json a
FiftyOneImageDetectionDataset; with a split there is one of each a split, to be named as `labels_path`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from filmroom.search.export.dataset.record import Record, Records


def write(folder: Path, records: Records) -> None:
    """Write the label files beside data/."""
    classes = sorted({name for record in records for name in record.present})
    boxed = sorted({box.category for record in records for box in record.boxes})
    for split in records.splits or (None,):

        def records_of_split(split: str | None = split) -> Iterator[Record]:
            return (record for record in records if split is None or record.split == split)

        end = f"_{split}.json" if split else ".json"
        _write(folder / f"labels{end}", classes, records_of_split, _labels)
        if boxed:
            _write(folder / f"detections{end}", boxed, records_of_split, _detections)


def _labels(record: Record) -> list[dict[str, Any]]:
    return [{"label": name, "confidence": record.labels[name]} for name in record.present]


def _detections(record: Record) -> list[dict[str, Any]]:
    return [
        {
            "label": box.category,
            "bounding_box": [round(v, 6) for v in (box.x0, box.y0, box.x1 - box.x0, box.y1 - box.y0)],
            "attributes": {"sentence": box.sentence},
        }
        for box in record.boxes
    ]


def _write(
    path: Path, classes: list[str], records: Callable[[], Iterator[Record]], to_json: Callable[[Record], Any]
) -> None:
    with path.open("w", encoding="utf-8") as out:
        out.write(f'{{"classes": {json.dumps(classes)},\n"labels": {{')
        for at, record in enumerate(records()):
            key = json.dumps(Path(record.file).stem)
            out.write((",\n" if at else "\n") + f"{key}: {json.dumps(to_json(record), ensure_ascii=False)}")
        out.write("}}\n")
