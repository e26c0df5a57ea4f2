"""Lay out a data set as COCO: instances.json, or one a split, with boxes in pixels; labels are with the images."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from filmroom.search.export.dataset.record import Record, Records, write_json_list


def write(folder: Path, records: Records, info: dict[str, Any]) -> None:
    """Write annotations/instances[_SPLIT].json. A category is the finding that a box's sentence names."""
    names = sorted({box.category for record in records for box in record.boxes})
    categories = {name: at for at, name in enumerate(names, start=1)}
    place = folder / "annotations"
    place.mkdir(exist_ok=True)
    for split in records.splits or (None,):

        def records_of_split(split: str | None = split) -> Iterator[Record]:
            return (record for record in records if split is None or record.split == split)

        write_json_list(
            place / (f"instances_{split}.json" if split else "instances.json"),
            {"info": info, "licenses": [{"id": 1, "name": info["licence"] or "not stated", "url": ""}]},
            {
                "categories": iter([{"id": at, "name": name} for name, at in categories.items()]),
                "images": _images(records_of_split()),
                "annotations": _annotations(records_of_split, categories),
            },
        )


def _images(records: Iterable[Record]) -> Iterator[dict[str, Any]]:
    for record in records:
        yield {
            "id": record.id,
            "file_name": record.file,
            "width": record.width,
            "height": record.height,
            "license": 1,
            "labels": record.labels,
        } | record.facts


def _annotations(records: Callable[[], Iterator[Record]], categories: dict[str, int]) -> Iterator[dict[str, Any]]:
    number = 0
    for record in records():
        for box in record.boxes:
            number += 1
            x, y = box.x0 * record.width, box.y0 * record.height
            wide, high = (box.x1 - box.x0) * record.width, (box.y1 - box.y0) * record.height
            yield {
                "id": number,
                "image_id": record.id,
                "category_id": categories[box.category],
                "bbox": [round(value, 2) for value in (x, y, wide, high)],
                "area": round(wide * high, 2),
                "iscrowd": 0,
                "segmentation": [],
                "caption": box.sentence,
            }
