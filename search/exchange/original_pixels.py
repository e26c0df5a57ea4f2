"""Read the original pixels of a film from its file, under the same limits as when it was indexed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from filmroom.db.errors import NotFound
from filmroom.db.records import Film, Tags, is_remote
from filmroom.indexer.decoding.limits import Limits
from filmroom.indexer.decoding.orientation import is_set_right
from filmroom.indexer.decoding.radiograph import Radiograph
from filmroom.indexer.decoding.rejections import Failure
from filmroom.indexer.decoding.workers import Prepare, PreparedFilm, Processed, process, process_file
from filmroom.indexer.sources.bucket import is_bucket
from filmroom.indexer.sources.film_cache import drop, source_files, source_path
from numpy.typing import NDArray

CHANGED = "the file has changed since it was indexed; index it again"
_WHITE = np.float32(65535)


def sixteen_bits(pixels: NDArray[np.float32]) -> NDArray[np.uint16]:
    """Turn (H, W) in [0, 1] into uint16, 0 black to 65535 white: all that a 12-bit detector saw, in half the bytes."""
    grey: NDArray[np.uint16] = np.rint(np.clip(pixels, 0, 1) * _WHITE).astype(np.uint16)
    return grey


def original(film: Film, *, limits: Limits = Limits()) -> NDArray[np.uint16]:  # noqa: B008 (frozen)
    """Return the film (H, W) uint16, 0 black to 65535 white, read in a worker process.

    Raises NotFound where the file is gone or is another one by now, Rejected where it can no longer be decoded.
    """
    prepared = _prepared(film, limits)
    if prepared is None and is_bucket(film.root):  # the copy that was kept may be older than the index
        drop([film])
        prepared = _prepared(film, limits)
    if prepared is None:
        raise NotFound("the file has changed since it was indexed", fix="Index the folder again.")
    return np.asarray(prepared.prepared, np.uint16)


def _prepared(film: Film, limits: Limits) -> PreparedFilm | None:
    path = source_path(film)
    if not path.is_file():
        raise NotFound("the file is not where it was indexed", fix="Mount its disk, or index the folder again.")
    return _as_indexed(process_file(path, prepare=sixteen_bits, limits=limits), film)


def originals(films: Sequence[Film]) -> dict[int, NDArray[np.uint16] | str]:
    """Return what `original` does for several films, decoded side by side; by film id, or in words why it cannot be
    had."""
    return {
        film.id: done if isinstance(done, str) else np.asarray(done.prepared, np.uint16)
        for film, done in decoded(films, prepare=sixteen_bits)
    }


def decoded(films: Sequence[Film], *, prepare: Prepare, **how: Any) -> Iterator[tuple[Film, PreparedFilm | str]]:
    """Decode films side by side, as `process` does, and yield each in any order: as it was indexed, or in words why it
    cannot be had. Films of servers and buckets are fetched."""
    again: list[Film] = []
    for film, done in _decoded(films, prepare=prepare, **how):
        if done == CHANGED and is_bucket(film.root):
            again.append(film)
        else:
            yield film, done
    if again:  # the copies that were kept may be older than the index
        drop(again)
        yield from _decoded(again, prepare=prepare, **how)


def _decoded(films: Sequence[Film], **how: Any) -> Iterator[tuple[Film, PreparedFilm | str]]:
    by_file: dict[tuple[str, str], list[Film]] = {}
    for film in films:
        by_file.setdefault((film.root, film.path), []).append(film)
    for done in process(source_files(by_file), **how):
        for film in by_file[done.listed.root, done.listed.path]:
            yield film, done.error.reason if isinstance(done, Failure) else _as_indexed(done, film) or CHANGED


def _as_indexed(done: Processed, film: Film) -> PreparedFilm | None:
    """Give the film of a decoded file, None where the file is another one by now. The hash is of the bytes that were
    decoded; a DICOMweb server may write a film's file anew for each answer, and is asked for it by its UID."""
    if film.sha256 and film.sha256 != done.sha256 and (not is_remote(film.root) or is_bucket(film.root)):
        return None
    match = next((prepared for prepared in done.films if prepared.frame == film.frame), None)
    return match if match is not None and shown_alike(match.tags, film.tags) else None


def shown_alike(now: Tags, indexed: Tags) -> bool:
    """Tell whether places on a film are the same places as when it was indexed."""
    turned = [tags.orientation if is_set_right(tags.orientation) else None for tags in (now, indexed)]
    return (now.rows, now.columns, turned[0]) == (indexed.rows, indexed.columns, turned[1])


def radiograph(film: Film, grey: NDArray[np.uint16]) -> Radiograph:
    """Return what a tower takes, from `original`."""
    return Radiograph(grey.astype(np.float32) / _WHITE, film.tags, film.frame)
