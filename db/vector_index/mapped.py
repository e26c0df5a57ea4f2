"""Search the rows of a snapshot, and the lists over it, where they lie on the disk: a process that asks once reads what
it looks at, and does not import FAISS, which takes 170 MB."""

from __future__ import annotations

import os
import sys
import threading
import weakref
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import accumulate, islice
from pathlib import Path
from typing import IO

import numpy as np
from filmroom.db.reads.summary import IvfStats
from filmroom.db.vector_index import ivf
from filmroom.db.vector_index.flat import ManyRows, Rows, best, rows_for
from numpy.typing import NDArray

PIECE = 1 << 18
"""Bytes that have a checksum of their own."""

_FEW = 20_000
"""Rows that are read one by one."""

_BLOCK = 1 << 25
"""Bytes that a scan holds at a time."""

_CODES = 1 << 13
"""Codes of a list that are unpacked at a time."""

NUMBER = np.dtype("<i8")
"""How the numbers of vectors are written behind the codes of a list."""


class TornSnapshot(Exception):
    """A piece of a snapshot is not what was written: everything is to be read from the catalog."""


def sums_of(path: Path, *, size: int = sys.maxsize, flush: bool = False) -> list[int]:
    """Return a checksum of each piece of a file, or of those that hold its first `size` bytes. Raises OSError."""
    with path.open("rb") as data:
        pieces = islice(iter(lambda: data.read(PIECE), b""), -(-size // PIECE))
        sums = [zlib.crc32(piece) for piece in pieces]
        if flush:
            os.fsync(data.fileno())
    return sums


def read_sound(data: IO[bytes], size: int, sums: Sequence[int]) -> bytes:
    """Return the first bytes of a file, as many as `size`. Raises TornSnapshot where their pieces are not those that
    were summed."""
    read = [data.read(PIECE) for _ in range(-(-size // PIECE))]
    if [zlib.crc32(piece) for piece in read] != list(sums[: len(read)]):
        raise TornSnapshot
    return b"".join(read)[:size]


def sum_again(path: Path, sums: list[int], starts: NDArray[np.int64], size: int) -> None:
    """Compute the checksums of the pieces in which `size` bytes from each of `starts` lie. Raises OSError."""
    pieces = np.unique(np.concatenate([starts // PIECE, (starts + max(size, 1) - 1) // PIECE]))
    with path.open("rb") as data:
        for piece in pieces.tolist():
            data.seek(piece * PIECE)
            sums[piece] = zlib.crc32(data.read(PIECE))
        os.fsync(data.fileno())


class Pieces:
    """The checksums of a file, each compared once, when its piece is first read."""

    def __init__(self, path: Path, sums: Sequence[int]) -> None:
        self._path = path
        self._file = _identity(path.stat())
        self._sums = sums
        self._sound = np.zeros(len(sums), np.bool_)

    def check(self, starts: NDArray[np.int64], size: int) -> None:
        """Check where `size` bytes from each of `starts` lie. Raises TornSnapshot."""
        span = np.arange(max(size - 1, 0) // PIECE + 2)
        last = (starts + max(size, 1) - 1) // PIECE
        numbers = np.unique(np.minimum((starts // PIECE)[:, None] + span, last[:, None]))
        numbers = numbers[~self._sound[numbers]]
        if not numbers.size:
            return
        try:
            with self._opened() as data:
                for number in numbers.tolist():
                    data.seek(number * PIECE)
                    if zlib.crc32(data.read(PIECE)) != self._sums[number]:
                        raise TornSnapshot
        except OSError as error:  # another snapshot took its place
            raise TornSnapshot from error
        self._sound[numbers] = True

    def read_parts(self, parts: Sequence[tuple[int, int]]) -> list[bytes]:
        """Return parts of the file, each of a start and a size, that have been checked. Raises TornSnapshot."""
        try:
            with self._opened(buffering=0) as data:
                return [data.read(size) for start, size in parts if data.seek(start) == start]
        except OSError as error:  # another snapshot took its place
            raise TornSnapshot from error

    def read(self, start: int, stop: int, into: bytearray) -> memoryview:
        """Return these bytes of the file, checked, in a buffer that has two pieces more than they are. Raises
        TornSnapshot."""
        first = start // PIECE
        try:
            with self._opened() as data:
                data.seek(first * PIECE)
                size = data.readinto(memoryview(into)[: PIECE * ((stop - 1) // PIECE + 1 - first)])  # type: ignore[attr-defined]
        except OSError as error:  # another snapshot took its place
            raise TornSnapshot from error
        read = memoryview(into)[:size]
        for number, at in enumerate(range(0, size, PIECE), first):
            if zlib.crc32(read[at : at + PIECE]) != self._sums[number]:
                raise TornSnapshot
        return read[start - first * PIECE : stop - first * PIECE]

    @contextmanager
    def _opened(self, *, buffering: int = -1) -> Iterator[IO[bytes]]:
        """Open the file whose pieces were compared. Raises TornSnapshot where another took its place."""
        with self._path.open("rb", buffering=buffering) as data:
            if _identity(os.fstat(data.fileno())) != self._file:
                raise TornSnapshot
            yield data


def _identity(file: os.stat_result) -> tuple[int, ...]:
    return file.st_dev, file.st_ino, file.st_size, file.st_mtime_ns


class MappedRows:
    """Rows (N, D) of a file in float16, and those that came since. Whoever scans them more than once holds them all."""

    def __init__(self, stored: NDArray[np.float16], offset: int, pieces: Pieces) -> None:
        """Take rows that lie `offset` bytes from the beginning of their file."""
        self._stored = stored
        self._offset = offset
        self._pieces = pieces
        self._newer = np.empty((0, stored.shape[1]), np.float16)
        self._in_memory: Rows | None = None
        self._was_scanned = False
        self._loading = threading.Lock()

    @property
    def device(self) -> str:
        return "CPU" if self._in_memory is None else self._in_memory.device

    def __len__(self) -> int:
        return len(self._stored) + len(self._newer)

    def add(self, rows: NDArray[np.float16]) -> None:
        self._newer = np.concatenate([self._newer, rows])
        if self._in_memory is not None:
            self._in_memory.add(rows)

    def scan(
        self, queries: NDArray[np.float32], k: int, keep: NDArray[np.bool_] | None
    ) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        with self._loading:
            if self._in_memory is None and self._was_scanned:
                in_memory = rows_for(len(self), self._stored.shape[1], gpu=None)
                in_memory.add(self.stored())
                self._in_memory = in_memory
            self._was_scanned = True
        if self._in_memory is not None:
            return self._in_memory.scan(queries, k, keep)
        return self._scan_once(queries, k, keep)

    def take(self, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        count = len(self._stored)
        if not len(self._newer) or not rows.size or int(rows.max()) < count:
            return self._read(rows).astype(np.float32)
        vectors = np.empty((rows.size, self._stored.shape[1]), np.float32)
        is_newer = rows >= count
        vectors[is_newer] = self._newer[rows[is_newer] - count]
        vectors[~is_newer] = self._read(rows[~is_newer])
        return vectors

    def stored(self) -> NDArray[np.float16]:
        self._pieces.check(np.zeros(1, np.int64), self._offset + self._stored.nbytes)
        return np.concatenate([self._stored, self._newer]) if len(self._newer) else self._stored

    def _read(self, rows: NDArray[np.int64]) -> NDArray[np.float16]:
        size = self._stored.itemsize * self._stored.shape[1]
        self._pieces.check(self._offset + size * rows, size)
        if rows.size > _FEW:
            return self._stored[rows]
        # As bytes: of what is read through the map the process is said to hold what lies around it, too.
        runs = np.split(rows, np.flatnonzero(np.diff(rows) != 1) + 1) if rows.size else []
        read = self._pieces.read_parts([(self._offset + size * int(run[0]), size * run.size) for run in runs])
        return np.frombuffer(b"".join(read), np.float16).reshape(-1, self._stored.shape[1])

    def _scan_once(
        self, queries: NDArray[np.float32], k: int, keep: NDArray[np.bool_] | None
    ) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """Scan block by block, so that no more than one is held."""
        count, dim = self._stored.shape
        length = max(1, _BLOCK // (2 * dim))
        # One buffer and one index for all blocks: to be given new memory for each took longer than to scan it.
        buffer, block = bytearray(2 * dim * length + 2 * PIECE), ManyRows(dim)
        scores = np.empty((len(queries), 0), np.float32)
        rows = np.empty((len(queries), 0), np.int64)
        for start in range(0, len(self), length):
            stop = min(len(self), start + length)
            block.clear()
            if start < count:
                block.add(self._read_range(start, min(stop, count), buffer))
            if stop > count:
                block.add(self._newer[max(start - count, 0) : stop - count])
            block_scores, places = block.scan(queries, min(k, len(block)), None if keep is None else keep[start:stop])
            scores = np.concatenate([scores, np.where(places >= 0, block_scores, -np.inf)], axis=1)
            rows = np.concatenate([rows, np.where(places >= 0, places + start, -1)], axis=1)
            scores, order = best(scores, k)
            rows = np.where(order >= 0, np.take_along_axis(rows, np.maximum(order, 0), axis=1), -1)
        return scores, rows

    def _read_range(self, start: int, stop: int, buffer: bytearray) -> NDArray[np.float16]:
        """Read some rows as bytes: of what is read through the map the process is said to hold all."""
        dim = self._stored.shape[1]
        place = self._offset + 2 * dim * start
        read = self._pieces.read(place, place + 2 * dim * (stop - start), buffer)
        return np.frombuffer(read, np.float16).reshape(-1, dim)


@dataclass(frozen=True)
class ListsHead:
    """What FAISS writes before IVF lists: their centres (L, D), and the steps (D,) of a code, which is of a vector's
    difference from its centre."""

    centres: NDArray[np.float32]
    steps: NDArray[np.float32]


class MappedLists:
    """IVF lists in a file, of which a search reads those that it looks into; numpy finds in them what FAISS does. They
    take nothing new, and are not checked: they only name rows, which have the last word."""

    def __init__(self, content: IO[bytes], start: int, sizes: Sequence[int], head: ListsHead, facts: IvfStats) -> None:
        """Take lists of these `sizes` from `start` on: of each its codes, then its numbers. The open file stays the one
        that was found, whatever takes its name."""
        self.facts = facts
        self.mark = facts.mark
        self._content = content
        self._sizes = sizes
        self._starts = list(accumulate((size * (len(head.steps) + NUMBER.itemsize) for size in sizes), initial=start))
        self._head = head
        self._alone = threading.Lock()
        weakref.finalize(self, content.close)

    def candidates(
        self, queries: NDArray[np.float32], k: int, *, share: float = 1.0, keep: NDArray[np.bool_] | None = None
    ) -> NDArray[np.int64]:
        """Return what `ivf.Lists` says. Raises TornSnapshot where the file is too short."""
        near = np.full((len(queries), ivf.DEEPER * k), -1, np.int64)
        for query, numbers in zip(queries, near, strict=True):
            likeness = self._head.centres @ query
            places = best(likeness[None], ivf.probes_for(self.facts, share))[1][0]
            # In the order of the file. What all codes have in common changes no order.
            lists = [self._scored(place, query, float(likeness[place]), keep) for place in np.sort(places).tolist()]
            scores, ids = (np.concatenate(parts) for parts in zip(*lists, strict=True))
            at = best(scores[None], numbers.size)[1][0]
            numbers[at >= 0] = ids[at[at >= 0]]
        return near

    def _scored(
        self, place: int, query: NDArray[np.float32], likeness: float, keep: NDArray[np.bool_] | None
    ) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """Return the scores of the vectors of a list that may come, and their numbers."""
        size, dim = self._sizes[place], query.size
        length = size * (dim + NUMBER.itemsize)
        with self._alone:
            self._content.seek(self._starts[place])
            written = self._content.read(length)
        if len(written) < length:
            raise TornSnapshot
        codes = np.frombuffer(written, np.uint8, size * dim).reshape(size, dim)
        numbers = np.frombuffer(written, NUMBER, size, size * dim)
        # What was overwritten (`lists_file.take_away`) has no number.
        may_come = numbers >= 0 if keep is None else (numbers >= 0) & (numbers < keep.size)
        if keep is not None:
            may_come[may_come] = keep[numbers[may_come]]
        codes, numbers = codes[may_come], numbers[may_come]
        scores = np.empty(numbers.size, np.float32)
        weights = query * self._head.steps
        for start in range(0, numbers.size, _CODES):
            scores[start : start + _CODES] = codes[start : start + _CODES].astype(np.float32) @ weights
        return scores + np.float32(likeness), numbers
