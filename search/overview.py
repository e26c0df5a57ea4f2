"""What an archive holds, in numbers: for `status`, `models` and the Archive page."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import func, select

from db import films, runs, snapshot, spaces
from db.archive import Archive
from db.errors import NotFound
from db.films import Facet
from db.runs import FileCounts, Run
from db.schema import label, report


@dataclass(frozen=True)
class SpaceStatus:
    """One model's vectors in the archive. `complete`: every present film has them."""

    model: str
    fingerprint: str
    dim: int
    vectors: int
    has_text: bool
    films: int
    complete: bool


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
    writer: str | None
    runs: tuple[Run, ...]


def status(archive: Archive) -> Status:
    """Raises nothing of its own; costs a few counts."""
    catalog = archive.catalog
    total = films.count(catalog)
    with catalog.read() as connection:
        labelled = connection.scalar(select(func.count(label.c.film_id.distinct())))
        reports = connection.scalar(select(func.count()).select_from(report))
    size = sum(map(_size, archive.folder.rglob("*")))
    return Status(
        archive=str(archive.folder),
        megabytes=round(size / 2**20, 1),
        films=total,
        files=runs.file_counts(catalog),
        roots=tuple(runs.roots(catalog)),
        models=tuple(
            SpaceStatus(
                one.space.model,
                one.space.fingerprint,
                one.space.dim,
                one.space.vectors,
                one.space.has_text,
                one.films,
                one.films == total,
            )
            for one in spaces.spaces(catalog)
        ),
        views=tuple(films.facets(catalog, "view")),
        labels=tuple(films.facets(catalog, "label")),
        labelled=int(labelled or 0),
        reports=int(reports or 0),
        writer=archive.writer(),
        runs=tuple(runs.runs(catalog, 5)),
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
