"""Hold one film of a data set, as every layout is made of it: one line of JSON in the file of records."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

CSV = "films.csv"
"""The table of every layout: a row a film, in order."""


@dataclass(frozen=True)
class Box:
    """Where something is seen: `category` is the finding of its sentence, the sides are shares of the film's."""

    category: str
    sentence: str
    x0: float
    y0: float
    x1: float
    y1: float


@dataclass(frozen=True)
class Record:
    """A film: `file` is its picture's path in the data set, `labels` what is known to be there (1) or not (0)."""

    id: int
    file: str
    sha256: str
    size: int
    width: int
    height: int
    split: str | None
    labels: dict[str, float]
    boxes: tuple[Box, ...]
    facts: dict[str, Any]

    @property
    def present(self) -> list[str]:
        """The labels that it has."""
        return sorted(name for name, value in self.labels.items() if value >= 0.5)

    def to_line(self) -> str:
        return json.dumps(asdict(self), ensure_ascii=False) + "\n"


class Records:
    """The records of a data set, read from their file as often as a layout goes through them."""

    def __init__(self, path: Path, splits: tuple[str, ...]) -> None:
        self._path = path
        self.splits = splits

    def __iter__(self) -> Iterator[Record]:
        with self._path.open(encoding="utf-8") as lines:
            for line in lines:
                fields = json.loads(line)
                yield Record(**{**fields, "boxes": tuple(Box(**box) for box in fields["boxes"])})

    def labels(self) -> list[str]:
        """Return every label that some film is known to have or not to have."""
        return sorted({name for record in self for name in record.labels})

    def by_split(self) -> list[tuple[str | None, Iterator[Record]]]:
        """Return the records of each split; all of them, under None, where there is none."""

        def only(split: str) -> Iterator[Record]:
            return (record for record in self if record.split == split)

        return [(split, only(split)) for split in self.splits] or [(None, iter(self))]


def write_json_list(path: Path, head: dict[str, Any], lists: dict[str, Iterator[Any]]) -> None:
    """Write {**head, name: [...], ...} item by item, so that no list is held in memory."""
    with path.open("w", encoding="utf-8") as out:
        out.write("{" + ", ".join(f"{json.dumps(name)}: {json.dumps(value)}" for name, value in head.items()))
        first_list = not head
        for name, items in lists.items():
            out.write(("" if first_list else ",") + f"\n{json.dumps(name)}: [")
            first_list = False
            for at, item in enumerate(items):
                out.write((",\n" if at else "\n") + json.dumps(item, ensure_ascii=False))
            out.write("]")
        out.write("}\n")
