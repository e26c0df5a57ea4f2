"""Lay out a data set as Hugging Face's image folder: a folder a split, each with metadata.jsonl.

`datasets.load_dataset("imagefolder", data_dir=FOLDER)` infers the type of each column from each file alone, and a
column that is empty all through one of them has no type: such columns are in films.csv only.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from filmroom.search.export.dataset.record import Record, Records


def folder_of(split: str | None) -> str:
    return split or "train"


def write(folder: Path, records: Records) -> None:
    """Write metadata.jsonl beside the pictures of each split."""
    columns: set[str] | None = None
    for _, split_records in records.by_split():
        known: set[str] = set()
        empty = True
        for record in split_records:
            empty = False
            known |= {name for name, value in _row(record).items() if value is not None}
        if not empty:
            columns = known if columns is None else columns & known
    for split, split_records in records.by_split():
        place = folder / folder_of(split)
        place.mkdir(exist_ok=True)
        with (place / "metadata.jsonl").open("w", encoding="utf-8") as out:
            for record in split_records:
                row = _row(record)
                line = {name: row.get(name) for name in sorted(columns or ())}
                out.write(json.dumps(line, ensure_ascii=False) + "\n")


def _row(record: Record) -> dict[str, Any]:
    # A text, as a list that is empty in every film of a split has no type.
    row: dict[str, Any] = {"file_name": Path(record.file).name, "id": record.id, "labels": ";".join(record.present)}
    row |= {name: value for name, value in record.facts.items() if not isinstance(value, list)}
    row |= {"width": record.width, "height": record.height, "sha256": record.sha256}
    return row | {f"label:{name}": float(value) for name, value in record.labels.items()}
