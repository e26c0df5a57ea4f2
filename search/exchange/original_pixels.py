"""Read the original pixels of a film from its file, under the same limits as when it was indexed."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from filmroom.db.errors import NotFound
from filmroom.db.records import Film, Tags
from filmroom.indexer.decoding.limits import Limits
from filmroom.indexer.decoding.orientation import is_set_right
from filmroom.indexer.decoding.radiograph import Radiograph
from filmroom.indexer.decoding.rejections import Failure
from filmroom.indexer.decoding.workers import process, process_file
from filmroom.indexer.sources.film_cache import source_files, source_path
from numpy.typing import NDArray

_WHITE = np.float32(65535)


def sixteen_bits(pixels: NDArray[np.float32]) -> NDArray[np.uint16]:
    """Turn (H, W) in [0, 1] into uint16, 0 black to 65535 white: all that a 12-bit detector saw, in half the bytes."""
    grey: NDArray[np.uint16] = np.rint(np.clip(pixels, 0, 1) * _WHITE).astype(np.uint16)
    return grey


def original(film: Film, *, limits: Limits = Limits()) -> NDArray[np.uint16]:  # noqa: B008 (frozen)
    """Return the film (H, W) uint16, 0 black to 65535 white, read in a worker process.

    Raises NotFound where the file is gone or is another one by now, Rejected where it can no longer be decoded.
    """
    path = source_path(film)
    if not path.is_file():
        raise NotFound("the file is not where it was indexed", fix="Mount its disk, or index the folder again.")
    done = process_file(path, prepare=sixteen_bits, limits=limits)
    found = next((one for one in done.films if one.frame == film.frame), None)
    if found is None or not shown_alike(found.tags, film.tags):
        raise NotFound("the file has changed since it was indexed", fix="Index the folder again.")
    return np.asarray(found.prepared, np.uint16)


def originals(films: Sequence[Film]) -> dict[int, NDArray[np.uint16] | str]:
    """Return what `original` does for several films, decoded side by side; by film id, or in words why it cannot be
    had."""
    by_file: dict[tuple[str, str], list[Film]] = {}
    for film in films:
        by_file.setdefault((film.root, film.path), []).append(film)
    found: dict[int, NDArray[np.uint16] | str] = {}
    for done in process(source_files(by_file), prepare=sixteen_bits):
        for film in by_file[done.listed.root, done.listed.path]:
            if isinstance(done, Failure):
                found[film.id] = done.error.reason
                continue
            same = [one for one in done.films if one.frame == film.frame]
            if same and shown_alike(same[0].tags, film.tags):
                found[film.id] = np.asarray(same[0].prepared, np.uint16)
            else:
                found[film.id] = "the file has changed since it was indexed"
    return found


def shown_alike(now: Tags, indexed: Tags) -> bool:
    """Tell whether places on a film are the same places as when it was indexed."""
    turned = [one.orientation if is_set_right(one.orientation) else None for one in (now, indexed)]
    return (now.rows, now.columns, turned[0]) == (indexed.rows, indexed.columns, turned[1])


def radiograph(film: Film, grey: NDArray[np.uint16]) -> Radiograph:
    """Return what a tower takes, from `original`."""
    return Radiograph(grey.astype(np.float32) / _WHITE, film.tags, film.frame)
