"""Count what an archive holds: for `status`, `models` and the Archive page."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from filmroom.db.archive import Archive, glance, place_of, writer
from filmroom.db.errors import BadInput, NotFound
from filmroom.db.reads.summary import HnswStats, IvfStats
from filmroom.db.records import Facet, FileCounts, Run, Space, StoredSpace
from filmroom.indexer.decoding.rejections import option_of, reason_of, remedy_of
from filmroom.search.cli.counting import counted

if TYPE_CHECKING:
    from filmroom.db.catalog import Catalog
    from filmroom.indexer.models.measured import FindingMeasured

_WEIGHTS_SHOWN = 8


@dataclass(frozen=True)
class SpaceStatus:
    """One model's vectors in the archive. `label`: its name, with the beginning of the fingerprint where the archive
    holds vectors of several weights of it. `complete`: every present film has them. `ivf`: how a process that
    stays answers fast from many films, `hnsw`: how a server does; None while every answer is exact."""

    model: str
    fingerprint: str
    dim: int
    vectors: int
    has_text: bool
    films: int
    complete: bool
    ivf: IvfStats | None
    hnsw: HnswStats | None
    label: str


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
    same_uid: tuple[str, ...]


@dataclass(frozen=True)
class RejectedFile:
    """A file that was turned away, where on its way, why, and what to do. `option` of `filmroom index` takes it."""

    root: str
    path: str
    stage: str
    code: str
    reason: str
    remedy: str
    option: str
    tried_at: int
    forgotten: bool


@dataclass(frozen=True)
class DuplicateFile:
    """A listed file that is not indexed because film `film` is: `path` and `of_path` are relative to their roots."""

    film: int
    root: str
    path: str
    of_root: str
    of_path: str
    code: str
    why: str


def rejected_files(catalog: Catalog) -> list[RejectedFile]:
    """Return the files that were turned away, by reason, in words."""
    from filmroom.db.writes import runs

    return [
        RejectedFile(
            root=file.root,
            path=file.path,
            stage=file.stage,
            code=file.code,
            reason=reason_of(file.code),
            remedy=remedy_of(file.code, file.remedy),
            option=option_of(file.code),
            tried_at=file.tried_at,
            forgotten=file.forgotten,
        )
        for file in runs.rejected(catalog)
    ]


def duplicate_files(catalog: Catalog) -> list[DuplicateFile]:
    """Return the files whose film is indexed from another one, the same UID with another picture first, in words."""
    from filmroom.db.writes import runs

    return [DuplicateFile(**vars(file), why=reason_of(file.code)) for file in runs.duplicates(catalog)]


def status(folder: Path) -> Status:
    """Count what is there, with no import that is not needed. Raises NotFound where there is no archive, and what
    opening its catalog raises where that cannot be read."""
    try:
        summary = glance(folder)
    except sqlite3.Error:
        # Who opens it says in words what is wrong, or brings an older catalog up to date.
        Archive.open(folder).catalog.close()
        summary = glance(folder)
    size = sum(map(_size, folder.rglob("*"))) + (summary.size or 0)
    return Status(
        archive=place_of(folder),
        megabytes=round(size / 2**20, 1),
        films=summary.films,
        files=summary.files,
        roots=summary.roots,
        models=tuple(
            SpaceStatus(
                space.space.model,
                space.space.fingerprint,
                space.space.dim,
                space.space.vectors,
                space.space.has_text,
                space.films,
                space.films == summary.films,
                summary.ivf.get(space.id),
                summary.hnsw.get(space.id),
                label(space.space, [other.space for other in summary.spaces]),
            )
            for space in summary.spaces
        ),
        views=summary.views,
        labels=summary.labels,
        labelled=summary.labelled,
        reports=summary.reports,
        burned_in=summary.burned_in,
        writer=None if (holder := writer(folder)) is None else str(holder),
        runs=summary.runs,
        same_uid=summary.same_uid,
    )


def _size(path: Path) -> int:
    try:
        return path.stat().st_size if path.is_file() else 0
    except OSError:
        return 0  # a run replaced the snapshot meanwhile


@dataclass(frozen=True)
class ModelStatus:
    """A model by name. `place`: where it comes from, in words, as hf-hub:REPOSITORY, or a folder; `films`: how many of
    the archive's films are embedded with it; `films_a_second` and `ndcg` (nDCG@5 with the query set `ndcg_queries`) as
    last measured on this archive; `measured` and `measured_on`: a finding as its makers measured it; `in_use`: it
    answers where none is named."""

    name: str
    origin: str
    ready: bool
    licence: str
    size_mb: int | None
    films: int
    notes: str
    place: str
    in_use: bool = False
    films_a_second: float | None = None
    ndcg: float | None = None
    ndcg_queries: str | None = None
    measured: FindingMeasured | None = None
    measured_on: str | None = None


def models(archive: Archive | None, *, finding: str | None = None) -> list[ModelStatus]:
    """Return every model known here, and those that the archive holds vectors of; with `finding`, what was measured of
    it with the weights on this disk. Raises BadInput where it was measured of none."""
    from filmroom.indexer.models.registry import list_models

    measured = _measured(archive) if archive else {}
    statuses = []
    for card in list_models():
        figures = measured.pop(card.name, None)
        place = "Filmroom" if card.load.startswith("assets:") else card.weights or card.load
        about = card.origin.value, card.ready, card.licence, card.size_mb
        status = ModelStatus(card.name, *about, 0, card.notes, place)
        statuses.append(replace(status, **figures) if figures else status)
    # Vectors without a model here: imported, or of a model that was forgotten.
    statuses += [
        replace(ModelStatus(name, "archive", False, "unknown", None, 0, "", "this archive"), **figures)
        for name, figures in measured.items()
    ]
    return statuses if finding is None else _with_finding(statuses, finding)


def _with_finding(statuses: list[ModelStatus], finding: str) -> list[ModelStatus]:
    from filmroom.indexer.models.measured import measured_here
    from filmroom.indexer.radiology.abbreviations import spell_out
    from filmroom.search.query.model_limits import findings_in

    words = spell_out(finding).text
    known = {model.name: figures for model in statuses if (figures := measured_here(model.name)) is not None}
    of_finding = {name: matching for name, figures in known.items() if (matching := findings_in([words], figures))}
    if not of_finding:
        findings = ", ".join(sorted({entry.finding for figures in known.values() for entry in figures.findings}))
        fix = f"Measured: {findings or 'none'}."
        raise BadInput("this finding was measured of no model here", where=finding, fix=fix)
    return [
        replace(model, measured=of_finding[model.name][0], measured_on=known[model.name].data)
        if model.name in of_finding
        else model
        for model in statuses
    ]


def _measured(archive: Archive) -> dict[str, dict[str, Any]]:
    """Return what the archive knows of its models, by name."""
    from filmroom.db.reads import spaces
    from filmroom.db.writes import model_scores
    from filmroom.search.space_selection import in_use

    fast = model_scores.films_a_second(archive.catalog)
    good = model_scores.latest(archive.catalog, measure="nDCG@5")
    stored = spaces.spaces(archive.catalog)
    used = in_use(archive).id if any(space.films for space in stored) else None
    by_name: dict[str, dict[str, Any]] = {}
    for space in stored:
        figures = by_name.setdefault(space.space.model, {"films": 0, "films_a_second": fast.get(space.space.model)})
        # Of several weights of one model only one set answers.
        figures["films"] = max(figures["films"], space.films)
        figures["in_use"] = figures.get("in_use", False) or space.id == used
        if space.id in good and "ndcg" not in figures:
            figures |= {"ndcg": good[space.id].value, "ndcg_queries": good[space.id].queries}
    return by_name


def use_model(archive: Archive, name: str) -> str:
    """Let a model answer where none is named. Raises NotFound."""
    from filmroom.db.reads import films
    from filmroom.search.space_selection import use

    used = use(archive, name)
    total = films.count(archive.catalog)
    part = "" if used.films == total else f" It holds {used.films:,} of {counted(total, 'film')} so far."
    words = "" if used.space.has_text else " It has no text tower: it finds similar films only."
    return f"{name} answers from now on.{part}{words}"


def remove_model(name: str, archive: Archive | None) -> str:
    """Delete the model's vectors from the archive where one is given, else forgets the added model."""
    from filmroom.db.reads import spaces
    from filmroom.db.vector_index import snapshot
    from filmroom.indexer.models import registry

    if archive is None:
        return f"{registry.remove_model(name).name} is forgotten; its files stay."
    stored = spaces.spaces(archive.catalog)
    known = any(space.space.model == name for space in stored)
    model, _, weights = (name, "", "") if known else name.rpartition("@")
    mine = [space for space in stored if space.space.model == model and space.space.fingerprint.startswith(weights)]
    if not mine or (name != model and not weights):
        raise NotFound("the archive holds no vectors of this model", where=name, fix="`filmroom models` lists them.")
    if len(mine) > 1:
        raise BadInput(
            "the archive holds vectors of several weights of this model",
            where=name,
            fix=f"Name the ones to delete: {_versions(archive, mine)}.",
        )
    (version,) = mine
    with archive.writing(f"removing the vectors of {name}"):
        deleted = spaces.remove(archive.catalog, version.id)
        snapshot.remove(archive.vectors, version.id)
    return f"Deleted: {counted(deleted, 'vector')} of {name}."


def _versions(archive: Archive, stored: Sequence[StoredSpace]) -> str:
    from filmroom.search.space_selection import in_use

    used = in_use(archive).id if any(space.films for space in stored) else None
    return ", ".join(
        f"{label(space.space, [other.space for other in stored])} "
        f"({counted(space.films, 'film')}{', in use' if space.id == used else ''})"
        for space in stored
    )


def label(space: Space, among: Sequence[Space]) -> str:
    """Return the model's name, with the beginning of its fingerprint where there are others of the name."""
    alone = sum(other.model == space.model for other in among) == 1
    return space.model if alone else f"{space.model}@{space.fingerprint[:_WEIGHTS_SHOWN]}"
