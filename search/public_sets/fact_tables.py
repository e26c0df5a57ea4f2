"""Read facts of public sets: what their tables, and the paths and names of their files, say of films and patients."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from filmroom.db.errors import BadInput
from filmroom.search.exchange.fact_rows import FactRow, rows_of_table
from filmroom.search.exchange.placing import Named
from filmroom.search.exchange.tables import read_lines, read_table
from filmroom.search.public_sets.label_tables import bare_number
from filmroom.search.public_sets.open_i import images_of, projections_of

_CHEXPERT = re.compile(r"(?:(?:^|/)(train|valid|test))?(?:^|/)(patient\d+)/(study\d+)/")
_LIST = re.compile(r"(.+)_list", re.IGNORECASE)
_PART = re.compile(r"(?:^|[_.-])(train|test|val)(?:$|[_.-])", re.IGNORECASE)


def rows_of_set(name: str, path: Path) -> list[FactRow]:
    """Return the facts in one file of a public set. Raises BadInput for an unknown set, and for a file that holds
    none."""
    if name not in _READERS:
        raise BadInput("there is no set of this name", where=name, fix=f"Known: {', '.join(_READERS)}, folders.")
    return _READERS[name](path)


def _chexpert(path: Path) -> list[FactRow]:
    """Read patient, study and split from the path: CheXpert-v1.0/train/patient00001/study1/view1_frontal.jpg."""
    return [_by_path(row) for row in rows_of_table(path)]


def _by_path(row: FactRow) -> FactRow:
    match = _CHEXPERT.search(row.name.film)
    if not match:
        return row
    split, patient, study = match.groups()
    facts = {"patient": (patient,), "study": (study,), **({"split": (split,)} if split else {})}
    return FactRow(Named(row.name.film, patient, study), {**facts, **row.values})


def _mimic(path: Path) -> list[FactRow]:
    """Read mimic-cxr-2.0.0-metadata.csv and -split.csv. The years are those of its shifted dates."""
    return [_numbered(row) for row in rows_of_table(path)]


def _numbered(row: FactRow) -> FactRow:
    patient, study = bare_number(row.name.patient), bare_number(row.name.study)
    values = {fact: tuple(map(bare_number, words)) for fact, words in row.values.items()}
    return FactRow(replace(row.name, patient=patient, study=study), values)


def _nih(path: Path) -> list[FactRow]:
    """Read Data_Entry_2017*.csv; train_val_list.txt and test_list.txt give the split."""
    listed = _LIST.fullmatch(path.stem)
    if path.suffix.lower() != ".txt" or not listed:
        return rows_of_table(path)
    return [FactRow(Named(line.strip(), "", ""), {"split": (listed[1],)}) for _, line in read_lines(path)]


def _vindr(path: Path) -> list[FactRow]:
    """Read annotations_train.csv, image_labels_test.csv: the split stands in the file's name."""
    part = _PART.search(path.name.split(".")[0])
    if part is None:
        return rows_of_table(path)
    table = read_table(path)
    image = table.need("image_id")
    names = dict.fromkeys(row.get(image) for row in table)
    return [FactRow(Named(name, "", ""), {"split": (part[1],)}) for name in names]


def _open_i(path: Path) -> list[FactRow]:
    """Read the folder of XML reports, or indiana_projections.csv: a report is a study."""
    views = images_of(path) if path.is_dir() else projections_of(path)
    return [
        FactRow(Named(image, "", study), {"study": (study,), **({"view": (view,)} if view else {})})
        for study, images in views.items()
        for image, view in images
    ]


_READERS: dict[str, Callable[[Path], list[FactRow]]] = {
    "nih": _nih,
    "chexpert": _chexpert,
    "mimic": _mimic,
    "vindr": _vindr,
    "padchest": rows_of_table,
    "open-i": _open_i,
}
