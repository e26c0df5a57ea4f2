"""List the public sets by name, and tell which of several files is which."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from pathlib import Path

from filmroom.db.errors import BadInput
from filmroom.search.evaluation.grading import Document
from filmroom.search.exchange.tables import read_table
from filmroom.search.public_sets.label_tables import read_chexpert, read_mimic, read_padchest, read_vindr
from filmroom.search.public_sets.nih import read_nih
from filmroom.search.public_sets.open_i import read_open_i
from filmroom.search.public_sets.own_tables import read_labels, read_reports

READERS: dict[str, Callable[..., list[Document]]] = {
    "nih": read_nih,
    "chexpert": read_chexpert,
    "mimic": read_mimic,
    "vindr": read_vindr,
    "padchest": read_padchest,
    "open-i": read_open_i,
    "reports": read_reports,
    "labels": read_labels,
}
"""The sets by name; `read_nih` and `read_open_i` take further files."""

SETS = ("nih", "chexpert", "mimic", "vindr", "padchest", "open-i")
"""Those that are published."""

_FURTHER: dict[str, dict[str, tuple[str, ...]]] = {
    "nih": {"boxes": ("Bbox [x", "Bbox [x,y,w,h]"), "adjudicated": ("Airspace opacity",)},
    "open-i": {"projections": ("projection",)},
}
"""By set: the option of a further file, and columns that tell such a file from the others."""


def read_set(name: str, files: Sequence[Path]) -> list[Document]:
    """Read the files of a public set as it is published. Further files, such as NIH's boxes, are told by their columns.

    Raises BadInput for an unknown set, and where no file has rows.
    """
    if name not in SETS:
        raise BadInput("there is no set of this name", where=name, fix=f"Known: {', '.join(SETS)}, folders.")
    main: list[Path] = []
    further: dict[str, Path] = {}
    for file in files:
        kinds = _FURTHER.get(name, {}) if not file.is_dir() else {}
        kind = next((kind for kind, columns in kinds.items() if read_table(file).column(*columns)), None)
        if kind is None:
            main.append(file)
        else:
            further[kind] = file
    if not main:
        raise BadInput("the table of the films is missing", where=name, fix="Name it beside the others.")
    return [document for file in main for document in documents_of(name, file, further)]


def documents_of(name: str, file: Path, further: dict[str, Path]) -> list[Document]:
    """Return the films of one file by the name of its reader. Raises BadInput for a further file that it does not
    take."""
    if name not in READERS:
        raise BadInput("there is no reader of this name", where=name, fix=f"Known: {', '.join(READERS)}")
    read = READERS[name]
    unfit = sorted(set(further) - set(inspect.signature(read).parameters))
    if unfit:
        raise BadInput(f"the reader {name} takes no such file", where=f"--{unfit[0]}")
    documents = read(file, **further)
    if not documents:
        raise BadInput("there are no rows", where=file)
    return documents
