"""Export films to a file or folder that others read: the one function behind `filmroom export` and `archive.export`."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from filmroom.db.archive import Archive
from filmroom.db.catalog import get_meta
from filmroom.db.errors import BadInput, NotFound
from filmroom.db.reads import spaces
from filmroom.db.records import StoredSpace
from filmroom.indexer.models.precomputed import is_imported
from filmroom.search import space_selection
from filmroom.search.export import split as splitting
from filmroom.search.export.cohort import Cohort
from filmroom.search.export.copies import Copies
from filmroom.search.export.dataset.writer import Dataset, Layout
from filmroom.search.export.job import Done, Job, Plan, Progress, Start, Writer, run
from filmroom.search.export.look import Look, read_window
from filmroom.search.export.pictures import Pictures
from filmroom.search.export.selection import Chosen, Selection, select
from filmroom.search.export.split import Split
from filmroom.search.export.table import CsvTable, ParquetTable, label_columns
from filmroom.search.export.vectors import VectorsFile
from filmroom.search.query.parser import without_names

if TYPE_CHECKING:
    from filmroom.search.searcher import Searcher


class What(StrEnum):
    """What is exported of each film."""

    TABLE = "table"
    VECTORS = "vectors"
    PNG = "png"
    COPIES = "copies"
    DATASET = "dataset"
    COHORT = "cohort"


@dataclass(frozen=True)
class Options:
    """How to export. `layout` and `licence` are of data sets, `bits`, `window` and `size` of pictures, `model` of
    vectors."""

    layout: Layout = Layout.IMAGEFOLDER
    split: Split | None = None
    bits: int | None = None
    window: str = "film"
    size: int | None = None
    paths: bool = False
    deidentify: bool = False
    licence: str = ""
    model: str | None = None


def options_of(
    *,
    layout: str = Layout.IMAGEFOLDER,
    split: str | None = None,
    seed: int = 0,
    bits: int | None = None,
    window: str = "film",
    size: int | None = None,
    paths: bool = False,
    deidentify: bool = False,
    licence: str = "",
    model: str | None = None,
) -> Options:
    """Read the options in the words of the doors. Raises BadInput."""
    if layout not in tuple(Layout):
        raise BadInput("not a layout of a data set", where=layout, fix=f"Use {', '.join(Layout)}.")
    if bits not in (None, 8, 16):
        raise BadInput("a PNG has 8 or 16 bits", where=bits)
    if size is not None and not 16 <= size <= 65_535:
        raise BadInput("no size of a picture", where=size, fix="Give the pixels of its longer side, 16 or more.")
    parts = None if split is None else splitting.read_shares(split, seed=seed)
    return Options(Layout(layout), parts, bits, window, size, paths, deidentify, licence, model)


_SUFFIXES = {
    What.TABLE: (".csv", ".parquet"),
    What.VECTORS: (".npz", ".parquet", ".safetensors"),
    What.COHORT: (".json",),
}


def export(
    archive: Archive,
    what: str,
    chosen: Chosen,
    target: Path,
    *,
    searcher: Callable[[], Searcher],
    options: Options = Options(),
    progress: Progress = lambda done, total: None,
) -> Done:
    """Export the chosen films to `target`, whole or not at all; run again after an interrupt, it goes on.

    Raises BadInput for what cannot be exported so or a target that is taken, NotFound, MissingExtra, ArchiveBusy, and
    what the search raises.
    """
    kind, suffix = _kind_of(what, target, options)
    look = Look(options.bits or (16 if kind is What.PNG else 8), read_window(options.window), options.size)
    stored = _stored_space(archive, options.model, searcher) if kind is What.VECTORS else None

    def begin() -> Start:
        selection = select(archive, chosen, searcher)
        split = options.split
        ids = selection.ranking.ids
        places = splitting.assign(archive, ids, split) if split else np.full(ids.size, -1, np.int8)
        facts = {"labels": label_columns(archive), "name": target.name} | _facts(selection, options)
        return Start(selection, places, split.names if split else (), facts)

    def writer(job: Job) -> Writer:
        if stored is not None:
            return VectorsFile(job, stored, suffix)
        if kind is What.TABLE:
            return (CsvTable if suffix == ".csv" else ParquetTable)(job, paths=options.paths)
        if kind is What.PNG:
            return Pictures(job, look=look, paths=options.paths)
        if kind is What.COPIES:
            return Copies(job, deidentify=options.deidentify)
        return Cohort(job) if kind is What.COHORT else Dataset(job, options.layout, look=look)

    space = None if stored is None else stored.space.fingerprint
    settings = {
        "archive": [get_meta(archive.catalog, "archive_id"), str(archive.folder.absolute())],  # its ids mean its films
        "chosen": chosen.to_json(),
        "options": options,
        "suffix": suffix,
        "space": space,
    }
    return run(archive, Plan(kind, settings), target, begin=begin, writer=writer, progress=progress)


def _kind_of(name: str, target: Path, options: Options) -> tuple[What, str]:
    """Read the kind of export, and the ending of its file. Raises BadInput where they or the options do not go
    together."""
    if name not in tuple(What):
        raise BadInput("not a kind of export", where=name, fix=f"Choose of: {', '.join(What)}.")
    kind, suffix = What(name), target.suffix.lower()
    if kind in _SUFFIXES and suffix not in _SUFFIXES[kind]:
        known = " or ".join(_SUFFIXES[kind])
        raise BadInput(f"a {kind} export ends in {known}", where=target, fix="Name the file of --to so.")
    if options.deidentify and kind is not What.COPIES:
        raise BadInput("only copies are de-identified; other exports name nobody", where=kind, fix="Leave it out.")
    return kind, suffix


def _stored_space(archive: Archive, model: str | None, searcher: Callable[[], Searcher]) -> StoredSpace:
    """Return the space whose vectors are exported. Raises NotFound, and where there are vectors by several weights of
    the model what loading it raises: then its weights say which."""
    if model is None:
        return space_selection.in_use(archive)
    stored = spaces.spaces(archive.catalog)
    name = Path(model).name if Path(model).is_dir() else model
    matches = [space for space in stored if space.space.model == name and space.films]
    if sum(not is_imported(space.space) for space in matches) > 1:
        return searcher().held
    if not matches:
        models = ", ".join(dict.fromkeys(space.space.model for space in stored)) or "none"
        raise NotFound("the archive holds no vectors of this model", where=model, fix=f"It has: {models}.")
    return matches[0]


def _facts(selection: Selection, options: Options) -> dict[str, Any]:
    split, chosen = options.split, selection.chosen.to_json()
    if chosen["request"]:
        chosen["request"]["query"] = without_names(chosen["request"]["query"])
    return {
        "chosen": chosen,
        "split": None if split is None else {"shares": list(split.shares), "seed": split.seed},
        "licence": options.licence,
        "copies_key": os.urandom(32).hex(),
    }
