"""Turn the bytes of a file into radiographs, whatever it is called: content decides.

Runs in a worker process (indexer/workers.py), as a damaged file can make a decoder hang, crash or fill memory.
"""

from __future__ import annotations

import os
import stat
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filmroom.db.errors import Rejected
from filmroom.db.records import Tags
from filmroom.indexer.decoding.limits import Limits
from filmroom.indexer.decoding.radiograph import Radiograph, Window
from filmroom.indexer.decoding.raster import is_picture, picture_changed, read_picture
from filmroom.indexer.decoding.rejections import Refusal

_PART_10 = slice(128, 132)
_START_BYTES = 132
# A DICOM file without its preamble starts with an element of group 0002 or 0008, in either byte order.
_BARE_STARTS = (b"\x02\x00", b"\x08\x00", b"\x00\x02", b"\x00\x08")


def read_file(path: Path, limits: Limits) -> bytes:
    """Return the bytes of a regular file of at most `limits.max_bytes`. Raises Rejected.

    Opened without waiting, so that a pipe put in a file's place cannot hold the worker.
    """
    try:
        handle = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
        with os.fdopen(handle, "rb") as file:
            facts = os.fstat(handle)
            if not stat.S_ISREG(facts.st_mode):
                raise Refusal.NOT_A_FILE.error()
            if facts.st_size > limits.max_bytes:
                raise Refusal.TOO_LARGE.error()
            # No more than there was: the whole of the limit would be allocated before the first byte is read.
            return file.read(facts.st_size)
    except (OSError, ValueError):
        raise Refusal.UNREADABLE.error() from None


def decode(
    path: Path,
    limits: Limits = Limits(),  # noqa: B008 (frozen)
    *,
    key: bytes | None = None,
    any_modality: bool = False,
    hash_uids: bool = False,
) -> list[Radiograph]:
    """Return the films of a file, one a frame. Raises Rejected and nothing else.

    `key` makes the patient keys (none without it); `any_modality` also takes CT, MR, colour captures and so on;
    `hash_uids` replaces the UIDs by keyed ones.
    """
    return decode_bytes(read_file(path, limits), limits, key=key, any_modality=any_modality, hash_uids=hash_uids)


def decode_bytes(
    data: bytes,
    limits: Limits = Limits(),  # noqa: B008 (frozen)
    *,
    key: bytes | None = None,
    any_modality: bool = False,
    hash_uids: bool = False,
    side: int | None = None,
    window: Window | None = None,
) -> list[Radiograph]:
    """Decode as `decode` does, from a file that was read. Time and memory are limited in a worker, not here.

    Where no more than `side` pixels a side are needed, a film that can be decoded at a half, a quarter or an eighth
    of its size is; its tags still tell its own size. A `window` takes the place of a DICOM film's own; pictures have
    none.
    """
    if not data:
        raise Refusal.EMPTY.error()
    with _rejecting():
        if data[_PART_10] != b"DICM" and is_picture(data):
            return read_picture(data, limits, side=side)
        if data[_PART_10] == b"DICM" or data.startswith(_BARE_STARTS):
            from filmroom.indexer.decoding.dicom.read import read_dicom  # pydicom is slow to import

            return read_dicom(
                data, limits, key=key, any_modality=any_modality, hash_uids=hash_uids, side=side, window=window
            )
    raise Refusal.UNKNOWN.error()


def tags_if_shown_alike(
    path: Path, limits: Limits, *, since: int, key: bytes | None = None, hash_uids: bool = False
) -> tuple[Tags, ...] | None:
    """Look at the header alone of a file that the version `since` of decoding decoded, and that is unchanged.

    None where its films are to be decoded again, as their pixels are others now; else what tags there are, one a
    frame (none of a picture). Raises Rejected.
    """
    with _rejecting(), path.open("rb") as file:
        start = file.read(_START_BYTES)
        file.seek(0)
        if start[_PART_10] != b"DICM" and is_picture(start):
            return None if picture_changed(file, since=since) else ()
        from filmroom.indexer.decoding.dicom.read import read_tags  # pydicom is slow to import

        return read_tags(file, limits, since=since, key=key, hash_uids=hash_uids)


@contextmanager
def _rejecting() -> Iterator[None]:
    """Let nothing but Rejected through, and no warnings: what a library says may quote the file."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    except Rejected:
        raise
    except MemoryError:
        raise Refusal.TOO_MUCH_MEMORY.error() from None
    except Exception:
        # Damage takes forms that no list of exceptions holds; what is not understood is not a film.
        raise Refusal.DAMAGED.error() from None
