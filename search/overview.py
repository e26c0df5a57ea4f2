"""What an archive holds, in numbers: for `status`, `models` and the Archive page."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from pathlib import Path

from db.archive import Archive, catalog_file, writer
from db.errors import NotFound
from db.glance import FirstLook, glance
from db.records import Facet, FileCounts, Run


@dataclass(frozen=True)
class SpaceStatus:
    """One model's vectors in the archive. `complete`: every present film has them. `first_look`: how a process that
    stays answers fast from many films; None while every answer is exact."""

    model: str
    fingerprint: str
    dim: int
    vectors: int
    has_text: bool
    films: int
    complete: bool
    first_look: FirstLook | None


@dataclass(frozen=True)
class Status:
    archive: str
    megabytes: float
    films: int
    files: FileCounts
    roots: tuple[str, ...]
    models: tuple[SpaceStatus, ...]
    views: tuple[Facet, ...]
    labels: tuple[Facet, ...]
    labelled: int
    reports: int
    burned_in: int
    writer: str | None
    runs: tuple[Run, ...]


def status(folder: Path) -> Status:
    """Costs a few counts, and imports no more than it needs. Raises NotFound where there is no archive, and what
    opening its catalog raises where that cannot be read."""
    catalog = catalog_file(folder)
    try:
        found = glance(catalog)
    except sqlite3.Error:
        # Who opens it says in words what is wrong, or brings an older catalog up to date.
        Archive.open(folder).catalog.close()
        found = glance(catalog)
    size = sum(map(_size, folder.rglob("*")))
    return Status(
        archive=str(folder),
        megabytes=round(size / 2**20, 1),
        films=found.films,
        files=found.files,
        roots=found.roots,
        models=tuple(
            SpaceStatus(
                one.space.model,
                one.space.fingerprint,
                one.space.dim,
                one.space.vectors,
                one.space.has_text,
                one.films,
                one.films == found.films,
                found.looks.get(one.id),
            )
            for one in found.spaces
        ),
        views=found.views,
        labels=found.labels,
        labelled=found.labelled,
        reports=found.reports,
        burned_in=found.burned_in,
        writer=writer(folder),
        runs=found.runs,
    )


def _size(path: Path) -> int:
    try:
        return path.stat().st_size if path.is_file() else 0
    except OSError:
        return 0  # a run replaced the snapshot meanwhile


@dataclass(frozen=True)
class ModelStatus:
    """A model by name. `films`: how many of the archive's films are embedded with it."""

    name: str
    origin: str
    ready: bool
    licence: str
    size_mb: int | None
    films: int
    notes: str


def models(archive: Archive | None) -> list[ModelStatus]:
    """Every model known here, and those that the archive holds vectors of."""
    from db import spaces
    from indexer.registry import list_models

    held: dict[str, int] = {}
    for one in spaces.spaces(archive.catalog) if archive else []:
        held[one.space.model] = held.get(one.space.model, 0) + one.films
    found = [
        ModelStatus(
            card.name, card.origin.value, card.ready, card.licence, card.size_mb, held.pop(card.name, 0), card.notes
        )
        for card in list_models()
    ]
    return found + [ModelStatus(name, "archive", False, "unknown", None, count, "") for name, count in held.items()]


def remove_model(name: str, archive: Archive | None) -> str:
    """Deletes the model's vectors from the archive where one is given, else forgets the added model."""
    from db import snapshot, spaces
    from indexer import registry

    if archive is None:
        return f"{registry.remove_model(name).name} is forgotten; its files stay."
    mine = [one for one in spaces.spaces(archive.catalog) if one.space.model == name]
    if not mine:
        raise NotFound("the archive holds no vectors of this model", where=name, fix="`filmroom models` lists them.")
    with archive.writing(f"removing the vectors of {name}"):
        deleted = sum(spaces.remove(archive.catalog, one.id) for one in mine)
        for one in mine:
            snapshot.remove(archive.vectors, one.id)
    return f"{deleted} vectors of {name} are deleted."
