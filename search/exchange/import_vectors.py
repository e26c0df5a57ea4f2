"""Import embeddings computed elsewhere, or exported from an archive: matched to films by name, kept as a space of
theirs."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from filmroom.db.archive import Archive
from filmroom.db.errors import BadInput
from filmroom.db.reads import film_facts, spaces
from filmroom.db.records import IMPORTED, Space
from filmroom.db.vector_index.opening import open_index
from filmroom.db.writes import ingest
from filmroom.db.writes.imported_vectors import put_vectors
from filmroom.indexer.models.base import unit_rows
from filmroom.indexer.models.registry import list_models
from filmroom.search.catalog_names import CatalogNames
from filmroom.search.exchange.vector_files import VectorFile, open_vectors
from filmroom.search.film_names import Placed
from filmroom.search.space_selection import in_use
from numpy.typing import NDArray

LAYOUTS = {
    ("elixr", 32, 128): Space("elixr", f"{IMPORTED}elixr", 128, 32),
    # What the Q-former sees before the joint space: rich for probes, and no text is comparable with it.
    ("elixr", 32, 768): Space("elixr-general", f"{IMPORTED}elixr-general", 768, 32, has_text=False),
}
"""Model, T, D -> the space that such vectors belong to; of other models any T and D are taken."""

_BATCH = 256
_MOST = 1 << 20
"""Numbers a film."""


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


def import_vectors(
    archive: Archive, path: Path, *, model: str | None = None, table: Path | None = None
) -> ImportedVectors:
    """Read an NPZ, Parquet or safetensors file of vectors with the names of their films; `table` names the rows of a
    file that does not, in its column `film`. `model` says what made them, where the file does not say it itself.

    The file is gone through whole before anything is written. Raises BadInput for what is no such file, for vectors
    of several sizes, and where no name is a film of the archive; ArchiveBusy.
    """
    file = open_vectors(path, table)
    space = _space(archive, path, file, model)
    names: list[str] = []
    for name, vectors in file.rows():
        usable = np.isfinite(vectors).all() and vectors.any(axis=1).all()
        if vectors.shape != (space.vectors, space.dim) or not usable:
            raise BadInput(
                f"the vectors of {name[:80]} are not {space.vectors} x {space.dim} finite numbers", where=path
            )
        names.append(name)
    placing = _placed(archive, names)
    placed = placing.films
    if not placed:
        raise BadInput(
            f"none of its {len(placing.missing) + len(placing.ambiguous):,} names is one film of this archive",
            where=path,
            fix="Films are matched by instance UID, path or file name; index them first with any model.",
        )
    with archive.writing(f"importing vectors of {space.model}"):
        space_id = ingest.ensure_space(archive.catalog, space)
        batch: dict[int, NDArray[np.float32]] = {}
        for name, vectors in file.rows():
            if name in placed:
                batch[placed[name]] = unit_rows(vectors)
            if len(batch) == _BATCH:
                put_vectors(archive.catalog, space_id, batch)
                batch = {}
        if batch:
            put_vectors(archive.catalog, space_id, batch)
        space_row = next(stored for stored in spaces.spaces(archive.catalog) if stored.id == space_id)
        open_index(archive.catalog, space_row, archive.vectors, gpu=False).save()
    count = len(set(placed.values()))
    answers = in_use(archive).space.model
    return ImportedVectors(space.model, space.vectors, space.dim, count, placing.missing, placing.ambiguous, answers)


def _placed(archive: Archive, names: list[str]) -> Placed:
    """Find the films: by identity, as an export names them, else as judgements and labels do."""
    exact = film_facts.ids_of_identities(archive.catalog, [name for name in names if name[:4] in ("uid:", "sha2")])
    not_identities = [name for name in names if name not in exact]
    if not not_identities:
        return Placed(exact, (), ())
    by_name = CatalogNames(archive.catalog).place(not_identities)
    return Placed(exact | by_name.films, by_name.missing, by_name.ambiguous)


def _space(archive: Archive, path: Path, file: VectorFile, model: str | None) -> Space:
    """Return the space of the vectors: one that is known by its layout, else one of the model's name."""
    name = (model or file.facts.model).strip()
    if not name:
        raise BadInput("it does not say which model made the vectors", where=path, fix="Say it with --model NAME.")
    count, dim = file.shape
    if any(name == known for known, *_ in LAYOUTS):
        layout = LAYOUTS.get((name, count, dim))
        if layout is None:
            known = " or ".join(f"{count} x {dim}" for model, count, dim in LAYOUTS if model == name)
            raise BadInput(
                f"its arrays have the shape {count} x {dim} a film, and vectors of {name} are {known} a film",
                where=path,
                fix="Give vectors of another layer another name with --model.",
            )
        return layout
    if count * dim > _MOST:
        raise BadInput(f"{count} x {dim} numbers a film are more than an archive takes", where=path)
    earlier = next(
        (
            space.space
            for space in spaces.spaces(archive.catalog)
            if (space.space.model, space.space.fingerprint) == (name, f"{IMPORTED}{name}")
        ),
        None,
    )
    if earlier is not None and (earlier.vectors, earlier.dim) != (count, dim):
        raise BadInput(
            f"the archive holds imported vectors of this name with {earlier.vectors} x {earlier.dim} numbers a film, "
            f"and these have {count} x {dim}",
            where=name,
            fix="Give these another name with --model.",
        )
    has_text = file.facts.has_text
    if has_text is None or model is not None:
        # Words can be asked only where the model itself is known here.
        has_text = any(card.name == name for card in list_models()) and has_text is not False
    return earlier or Space(name, f"{IMPORTED}{name}", dim, count, has_text=has_text)
