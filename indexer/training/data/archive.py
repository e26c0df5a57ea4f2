"""Take an archive's films for training: pixels decoded once, facts from labels and views, sentences from reports."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path

import numpy as np
from filmroom.db.archive import Archive
from filmroom.db.catalog import get_meta
from filmroom.db.errors import BadInput
from filmroom.db.reads import films
from filmroom.db.records import Film, Filter
from filmroom.db.schema import label
from filmroom.indexer.decoding.rejections import Failure
from filmroom.indexer.decoding.workers import process
from filmroom.indexer.radiology.captions import Facts, facts
from filmroom.indexer.sources.film_cache import source_files
from filmroom.indexer.training.data.films import TrainingFilm
from numpy.typing import NDArray
from PIL import Image
from sqlalchemy import select

SIDE = 512
"""Longest side that is kept for training, in pixels."""

_KEY = "film-"
_SENTENCE = re.compile(r"(?<=[.!?])\s+|\n+")
_HEADING = re.compile(r"^\s*(?:findings?|impression|indication|technique|comparison|conclusion)\s*:\s*", re.IGNORECASE)


def training_films(
    archive: Archive,
    work: Path,
    *,
    where: Filter | None = None,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> list[TrainingFilm]:
    """Return every present film that has a label or a report and can be decoded; its pixels are kept as PNG below
    `work`.

    What a source of labels never says of a film that it does label counts as absent; films without any label from it
    say nothing. Raises BadInput where no film has either, or `work` holds the pixels of another archive.
    """
    _mark(archive, work)
    chosen = list(films.everyone(archive.catalog, where))
    vocabulary = _vocabulary(archive)
    described = [(film, _facts(film, vocabulary), _sentences(archive, film)) for film in chosen]
    usable = [(film, facts, sentences) for film, facts, sentences in described if film.labels or sentences]
    if not usable:
        raise BadInput(
            "no film of the archive has a label or a report to learn from",
            where=archive.folder,
            fix="Give them some: filmroom label FILE.csv, or filmroom report FILE.csv",
        )
    pixel_files = _keep_pixels(archive, [film for film, _, _ in usable], work / "pixels", progress)
    return [
        TrainingFilm(
            key=f"{_KEY}{film.id}",
            patient=film.tags.patient_key or film.tags.study_uid or f"film-{film.id}",
            read=partial(_read, pixel_files[film.id]),
            facts=facts,
            sentences=sentences,
            patient_known=film.tags.patient_key is not None,
        )
        for film, facts, sentences in usable
        if film.id in pixel_files
    ]


def _mark(archive: Archive, work: Path) -> None:
    """Let what is kept below `work` be of one archive alone: another one's films bear the same numbers."""
    mark, archive_id = work / "archive", str(get_meta(archive.catalog, "archive_id"))
    if mark.is_file() and mark.read_text("utf-8") != archive_id:
        raise BadInput(
            "a run over another archive was begun here", where=work.parent, fix="Use another --out, or remove it."
        )
    work.mkdir(parents=True, exist_ok=True)
    mark.write_text(archive_id, "utf-8")


def film_of(film: TrainingFilm) -> int:
    """Return the id of the film that `training_films` took from the archive."""
    return int(film.key.removeprefix(_KEY))


def _vocabulary(archive: Archive) -> dict[str, frozenset[str]]:
    """Return the names that each source of labels uses."""
    names_by_source: dict[str, set[str]] = {}
    with archive.catalog.read() as connection:
        for row in connection.execute(select(label.c.source, label.c.name).where(label.c.source != "probe").distinct()):
            names_by_source.setdefault(row.source, set()).add(row.name)
    return {source: frozenset(names) for source, names in names_by_source.items()}


def _facts(film: Film, vocabulary: dict[str, frozenset[str]]) -> Facts:
    present = [label.name for label in film.labels if label.value >= 0.5 and label.source != "probe"]
    looked: set[str] = set().union(*(vocabulary.get(label.source, frozenset()) for label in film.labels))
    return facts(present, view=film.tags.view, vocabulary=looked)


def _sentences(archive: Archive, film: Film) -> tuple[str, ...]:
    if not film.has_report:
        return ()
    pieces = [piece for text in films.reports(archive.catalog, film) for piece in _SENTENCE.split(text)]
    plain = [_HEADING.sub("", piece).strip() for piece in pieces]
    return tuple(dict.fromkeys(piece for piece in plain if len(piece.split()) >= 2))


def _keep_pixels(
    archive: Archive, chosen: Iterable[Film], folder: Path, progress: Callable[[int, int], None]
) -> dict[int, Path]:
    """Decode what is not kept from an earlier call; films that cannot be decoded are left out."""
    folder.mkdir(parents=True, exist_ok=True)
    places = {film.id: folder / f"{film.id}.png" for film in chosen}
    missing = {(film.root, film.path, film.frame): film.id for film in chosen if not places[film.id].is_file()}
    files = dict.fromkeys((root, path) for root, path, _ in missing)
    total, done = len(places), len(places) - len(missing)
    progress(done, total)
    for result in process(source_files(files), prepare=small, key=archive.patient_key(), any_modality=True):
        if isinstance(result, Failure):
            continue
        for film in result.films:
            film_id = missing.get((result.listed.root, result.listed.path, film.frame))
            if film_id is not None:
                # Written aside: a file that is there is whole, whenever the run was killed.
                part = places[film_id].with_suffix(".part")
                Image.fromarray(film.prepared.astype(np.uint8)).save(part, "PNG")
                part.replace(places[film_id])
                done += 1
                progress(done, total)
    return {film_id: path for film_id, path in places.items() if path.is_file()}


def small(pixels: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Turn (H, W) in [0, 1] into uint8 with its longest side at most 512, aspect kept."""
    picture = Image.fromarray(pixels)
    scale = SIDE / max(pixels.shape)
    if scale < 1:
        size = (max(1, round(pixels.shape[1] * scale)), max(1, round(pixels.shape[0] * scale)))
        picture = picture.resize(size, Image.Resampling.LANCZOS)
    grey: NDArray[np.uint8] = np.rint(np.clip(np.asarray(picture), 0, 1) * 255).astype(np.uint8)
    return grey


def _read(path: Path) -> NDArray[np.uint8]:
    return np.asarray(Image.open(path), np.uint8)
