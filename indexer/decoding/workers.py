"""Turn listed files into what the image tower and the catalog need, in worker processes with limits."""

from __future__ import annotations

import hashlib
import io
import os
from collections.abc import Callable, Generator, Iterable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
from filmroom.db.errors import Rejected
from filmroom.db.records import SourceFile, Tags
from filmroom.indexer.decoding.burned_in_text import looks_written
from filmroom.indexer.decoding.decode import decode_bytes, read_file, tags_if_shown_alike
from filmroom.indexer.decoding.limits import Limits
from filmroom.indexer.decoding.process_pool import run
from filmroom.indexer.decoding.radiograph import Window
from filmroom.indexer.decoding.rejections import Failure, Refusal
from numpy.typing import NDArray
from PIL import Image

THUMBNAIL_SIDE = 256
_WEBP_QUALITY = 80
_NO_LIMITS_GIVEN = Limits()

Prepare = Callable[[NDArray[np.float32]], NDArray[np.generic]]


@dataclass(frozen=True)
class PreparedFilm:
    """One film on its way to the image tower; `prepared` is what `prepare` made of its pixels.

    `thumbnail` is WebP, its longest side at most 256; `since` is as a Radiograph's; `vectors` (T, D) is what the tower
    made of it, once it has.
    """

    frame: int
    tags: Tags
    prepared: NDArray[np.generic]
    thumbnail: bytes
    since: int = 1
    vectors: NDArray[np.float32] | None = None


@dataclass(frozen=True)
class Processed:
    """A file that was decoded: `sha256` (hex) of its bytes, and its films, one a frame.

    Of a file that an earlier version decoded to the same pixels only `alike` is given: its tags, one a frame, none
    where it has no header.
    """

    listed: SourceFile
    sha256: str
    films: tuple[PreparedFilm, ...]
    alike: tuple[Tags, ...] | None = None


def process(
    items: Iterable[SourceFile],
    *,
    prepare: Prepare,
    limits: Limits = _NO_LIMITS_GIVEN,
    workers: int | None = None,
    key: bytes | None = None,
    any_modality: bool = False,
    hash_uids: bool = False,
    side: int | None = None,
    window: Window | None = None,
    ahead: int | None = None,
) -> Generator[Processed | Failure, None, None]:
    """Decode and prepare files in `workers` processes (one a CPU), and yield each as it is done, in any order.

    `prepare` takes pixels float32 (H, W) in [0, 1]; it is pickled to the workers, so it is a function of a module
    or a method of a frozen dataclass, and must not need torch. Every item comes back exactly once. At most
    `ahead` items (four a worker, at least 32) are taken and not yet yielded, which bounds memory; decoding goes
    on while the caller works on what it got. `items` is read in the caller's thread. Closing the generator, and
    any exception in the caller's loop that ends it, stops the workers at once.

    `side`: pixels a side that `prepare` has use for; a JPEG of more is decoded smaller. `window`: to show DICOM films
    by, in place of their own.

    Raises FilmroomError where workers cannot be started at all.
    """
    count = workers or usable_cpus()
    work = partial(
        _process_file,
        prepare=prepare,
        limits=limits,
        key=key,
        any_modality=any_modality,
        hash_uids=hash_uids,
        side=None if side is None else max(side, 2 * THUMBNAIL_SIDE),
        window=window,
    )
    for listed, result in run(items, work, limits=limits, workers=count, ahead=ahead or max(32, 4 * count)):
        yield Failure(listed, result) if isinstance(result, Rejected) else result


def process_file(path: Path, *, prepare: Prepare, limits: Limits = _NO_LIMITS_GIVEN) -> Processed:
    """Process one file in a worker of its own, for a film that a person hands in as a query. Raises Rejected."""
    place = Path(os.path.abspath(path))
    listed = SourceFile(str(place.parent), place.name, 0, 0)
    (result,) = process([listed], prepare=prepare, limits=limits, workers=1)
    if isinstance(result, Failure):
        raise result.error
    return result


def usable_cpus() -> int:
    """Return the CPUs that this process may use, at least 1."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def thumbnail(pixels: NDArray[np.float32]) -> bytes:
    """Return WebP of (H, W) in [0, 1], its longest side at most 256."""
    if (blocks := max(pixels.shape) // (2 * THUMBNAIL_SIDE)) > 1:
        pixels = np.asarray(Image.fromarray(pixels).reduce(blocks))  # to no less than twice the size, by averages
    grey = pixels * np.float32(255)
    picture = Image.fromarray(np.rint(grey, out=grey).astype(np.uint8))
    picture.thumbnail((THUMBNAIL_SIDE, THUMBNAIL_SIDE), Image.Resampling.LANCZOS)
    out = io.BytesIO()
    picture.save(out, "WEBP", quality=_WEBP_QUALITY, method=1)
    return out.getvalue()


def _process_file(
    listed: SourceFile,
    *,
    prepare: Prepare,
    limits: Limits,
    key: bytes | None,
    any_modality: bool,
    hash_uids: bool,
    side: int | None,
    window: Window | None = None,
) -> Processed:
    """Return the work on one file, read once, so that the hash is of the bytes that were decoded. Raises Rejected."""
    if listed.rejected is not None:
        raise listed.rejected
    if listed.decoding is not None:
        alike = tags_if_shown_alike(listed.location, limits, since=listed.decoding, key=key, hash_uids=hash_uids)
        if alike is not None:
            return Processed(listed, "", (), alike)
    data = read_file(listed.location, limits)
    digest = hashlib.sha256(data).hexdigest()
    films = decode_bytes(
        data, limits, key=key, any_modality=any_modality, hash_uids=hash_uids, side=side, window=window
    )
    prepared = []
    for film in films:
        try:
            ready = prepare(film.pixels)
            small = thumbnail(film.pixels)
            written = looks_written(film.pixels)
        except MemoryError:
            raise
        except Exception:
            raise Refusal.NOT_PREPARED.error() from None
        tags = replace(film.tags, burned_in=True) if written else film.tags
        prepared.append(PreparedFilm(film.frame, tags, ready, small, film.since))
    return Processed(listed, digest, tuple(prepared))
