"""Embeddings that were computed elsewhere and published as NPZ: matched to films by name, kept as a space of theirs."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from filmroom.db.archive import Archive
from filmroom.db.errors import BadInput, NotFound
from filmroom.db.reads import films, spaces
from filmroom.db.records import IMPORTED, Space
from filmroom.db.vector_index.index import VectorIndex
from filmroom.db.writes import ingest
from filmroom.db.writes.imported_vectors import put_vectors
from filmroom.indexer.models.base import unit_rows
from filmroom.search.exchange.tables import read_table
from filmroom.search.film_names import FilmNames
from filmroom.search.space_selection import in_use
from numpy.typing import NDArray

LAYOUTS = {
    ("elixr", 32, 128): Space("elixr", f"{IMPORTED}elixr", 128, 32),
    # What the Q-former sees before the joint space: rich for probes, and no text is comparable with it.
    ("elixr", 32, 768): Space("elixr-general", f"{IMPORTED}elixr-general", 768, 32, has_text=False),
}
"""Model, T, D -> the space that such vectors belong to."""

_BATCH = 256
_DAMAGE = (OSError, ValueError, EOFError, zipfile.BadZipFile, zlib.error)
_NAMES = ("image_id", "image_ids", "ids", "id", "names", "films", "paths", "files")

Named = Iterator[tuple[str, NDArray[np.float32]]]


@dataclass(frozen=True)
class ImportedVectors:
    """What came of a file: the space filled, the films that have a vector of it now, names that match no film or
    several, and the model that answers where none is named (an import changes it only where nothing else can)."""

    model: str
    vectors: int
    dim: int
    films: int
    missing: tuple[str, ...]
    ambiguous: tuple[str, ...]
    answers: str


def import_vectors(archive: Archive, path: Path, *, model: str, table: Path | None = None) -> ImportedVectors:
    """Reads an NPZ: one array (32, D) for each film, under the film's name; or one array (N, 32, D) with the names in a
    second array, or in the column `film` of `table`, in the same order.

    The file is read whole before anything is written. Raises BadInput for what is no such file, for vectors of
    another size, and where no name is a film of the archive; ArchiveBusy.
    """
    with _opened(path) as held:
        space = _space(path, held, model)
        given: list[str] = []
        for name, one in _named(path, held, table):
            if one.shape != (space.vectors, space.dim) or not np.isfinite(one).all() or not one.any(axis=1).all():
                raise BadInput(
                    f"the vectors of {name[:80]} are not {space.vectors} x {space.dim} finite numbers", where=path
                )
            given.append(name)
        named = FilmNames(films.everyone(archive.catalog)).place(given)
        placed = named.films
        if not placed:
            raise BadInput(
                f"none of its {len(named.missing) + len(named.ambiguous):,} names is one film of this archive",
                where=path,
                fix="Films are matched by instance UID, path or file name; index them first with any model.",
            )
        with archive.writing(f"importing vectors of {space.model}"):
            space_id = ingest.ensure_space(archive.catalog, space)
            batch: dict[int, NDArray[np.float32]] = {}
            for name, one in _named(path, held, table):
                if name in placed:
                    batch[placed[name]] = unit_rows(one)
                if len(batch) == _BATCH:
                    put_vectors(archive.catalog, space_id, batch)
                    batch = {}
            if batch:
                put_vectors(archive.catalog, space_id, batch)
            kept = next(one for one in spaces.spaces(archive.catalog) if one.id == space_id)
            VectorIndex.open(archive.catalog, kept, archive.vectors, gpu=False).save()
    count = len(set(placed.values()))
    answers = in_use(archive).space.model
    return ImportedVectors(space.model, space.vectors, space.dim, count, named.missing, named.ambiguous, answers)


def _opened(path: Path) -> Any:
    try:
        held = np.load(path, allow_pickle=False)
    except FileNotFoundError:
        raise NotFound("there is no such file", where=path) from None
    except _DAMAGE:
        raise _no_npz(path) from None
    if not isinstance(held, np.lib.npyio.NpzFile) or not held.files:
        raise _no_npz(path)
    return held


def _space(path: Path, held: Any, model: str) -> Space:
    models = sorted({name for name, *_ in LAYOUTS})
    if model not in models:
        raise BadInput("vectors of this model cannot be imported", where=model, fix=f"Known: {', '.join(models)}.")
    stacked = _stacked(path, held)
    shape = _shape(path, held, stacked or held.files[0])
    found = LAYOUTS.get((model, shape[-2], shape[-1])) if len(shape) >= 2 else None
    if found is None:
        known = " or ".join(f"{count} x {dim}" for name, count, dim in LAYOUTS if name == model)
        raise BadInput(f"its arrays have the shape {shape}, and vectors of {model} are {known} a film", where=path)
    return found


def _stacked(path: Path, held: Any) -> str | None:
    """The name of the array that holds all films; None where each film has its own."""
    if len(held.files) > 2:
        return None
    shapes = {name: _shape(path, held, name) for name in held.files}
    big = [name for name, shape in shapes.items() if len(shape) == 3 and shape[0] > 1]
    others = [name for name in held.files if name not in big]
    # A single film may come as (1, 32, D) under its own name.
    return big[0] if len(big) == 1 and (not others or others[0] in _NAMES) else None


def _named(path: Path, held: Any, table: Path | None) -> Named:
    stacked = _stacked(path, held)
    if stacked is None:
        for name in held.files:
            one = _array(path, held, name)
            yield name, np.asarray(one[0] if one.ndim == 3 and len(one) == 1 else one, np.float32)
        return
    rows = _array(path, held, stacked)
    other = next((name for name in held.files if name != stacked), None)
    if table is not None:
        listed = read_table(table)
        column = listed.need("film", "image", "image_id", "file", "path")
        names = [row.get(column) for row in listed]
    elif other is not None:
        names = [str(name) for name in _array(path, held, other).ravel().tolist()]
    else:
        raise BadInput(
            "it does not say which film each row is",
            where=path,
            fix="Give a table with a column film, in the same order: --films TABLE.csv",
        )
    if len(names) != len(rows):
        raise BadInput(f"there are {len(rows):,} rows of vectors and {len(names):,} names", where=table or path)
    for name, one in zip(names, rows, strict=True):
        yield name, np.asarray(one, np.float32)


def _shape(path: Path, held: Any, name: str) -> tuple[int, ...]:
    """Of an array, from its header alone."""
    form = np.lib.format
    try:
        with held.zip.open(f"{name}.npy") as file:
            read = {(1, 0): form.read_array_header_1_0, (2, 0): form.read_array_header_2_0}[form.read_magic(file)]
            shape: tuple[int, ...] = read(file)[0]
    except (KeyError, *_DAMAGE):
        raise _no_npz(path) from None
    return shape


def _array(path: Path, held: Any, name: str) -> NDArray[Any]:
    try:
        found: NDArray[Any] = held[name]
    except ValueError as fault:
        if "pickle" in str(fault).lower():
            raise BadInput(
                f"the array {name[:80]} holds pickled objects, which are code and are not loaded",
                where=path,
                fix="Save numbers and names alone.",
            ) from None
        raise _no_npz(path) from None
    except _DAMAGE:
        raise _no_npz(path) from None
    return found


def _no_npz(path: Path) -> BadInput:
    return BadInput("this is not an NPZ file, or it is damaged", where=path, fix="numpy.savez writes one.")
