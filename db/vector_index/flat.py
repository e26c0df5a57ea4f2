"""Scan rows of vectors exactly: by numpy while they are few, by FAISS beyond, on the GPU where one is.

All hold the rows as the catalog does, in float16, so that every kind gives the same scores.
"""

from __future__ import annotations

import threading
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

FEW = 8_000_000
"""Numbers (rows times dimension) up to which numpy is as fast as FAISS: 31,000 films of 256. To import FAISS takes
longer than to scan them."""

GPU_DEEP = 2048
"""FAISS finds no more than so many rows at once on a GPU."""

TOGETHER = 16
"""Queries from which one matrix product over unpacked blocks is faster than a scan for each."""

BLOCK = 1 << 14


class Rows(Protocol):
    """Rows (N, D) that grow at the end. Many threads may read them at once, none while they grow."""

    @property
    def device(self) -> str: ...

    def __len__(self) -> int: ...

    def add(self, rows: NDArray[np.float16]) -> None: ...

    def scan(
        self, queries: NDArray[np.float32], k: int, keep: NDArray[np.bool_] | None
    ) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """Return the k best inner products of each query (Q, D) over the rows where `keep` (N,): scores and rows (Q,
        k), best first; row -1 where there are fewer."""

    def take(self, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        """Return these rows, (n, D)."""

    def stored(self) -> NDArray[np.float16]:
        """Return all of them, (N, D); may be a view that the next `add` makes invalid."""


class FewRows:
    """In float32, through BLAS."""

    device = "CPU"

    def __init__(self, dim: int) -> None:
        self._rows = np.empty((0, dim), np.float32)

    def __len__(self) -> int:
        return len(self._rows)

    def add(self, rows: NDArray[np.float16]) -> None:
        self._rows = np.concatenate([self._rows, rows.astype(np.float32)])

    def scan(
        self, queries: NDArray[np.float32], k: int, keep: NDArray[np.bool_] | None
    ) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        scores = queries @ self._rows.T
        if keep is not None:
            scores[:, ~keep] = -np.inf
        return best(scores, k)

    def take(self, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        return self._rows[rows]

    def stored(self) -> NDArray[np.float16]:
        return self._rows.astype(np.float16)


class ManyRows:
    """In float16, through FAISS on the processor: half the memory of float32, and faster."""

    device = "CPU"

    def __init__(self, dim: int) -> None:
        import faiss

        self._dim = dim
        self._index = faiss.IndexScalarQuantizer(dim, faiss.ScalarQuantizer.QT_fp16, faiss.METRIC_INNER_PRODUCT)
        self._index.is_trained = True

    def __len__(self) -> int:
        return int(self._index.ntotal)

    def add(self, rows: NDArray[np.float16]) -> None:
        self._index.add_sa_codes(np.ascontiguousarray(rows).view(np.uint8).reshape(len(rows), 2 * self._dim))

    def clear(self) -> None:
        """Let go of all rows, and keep the memory for others."""
        self._index.reset()

    def scan(
        self, queries: NDArray[np.float32], k: int, keep: NDArray[np.bool_] | None
    ) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        import faiss

        if len(queries) >= TOGETHER:
            return self._scan_together(queries, k, keep)
        if keep is None:
            ranked: tuple[NDArray[np.float32], NDArray[np.int64]] = self._index.search(queries, k)
            return ranked
        packed = np.packbits(keep, bitorder="little")
        selector = faiss.IDSelectorBitmap(packed)  # type: ignore[call-arg, arg-type]
        settings = faiss.SearchParameters(sel=selector)  # type: ignore[call-arg]
        masked: tuple[NDArray[np.float32], NDArray[np.int64]] = self._index.search(queries, k, params=settings)
        return masked

    def take(self, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        return self.stored()[rows].astype(np.float32)

    def stored(self) -> NDArray[np.float16]:
        import faiss

        if not len(self):
            return np.empty((0, self._dim), np.float16)
        codes = faiss.rev_swig_ptr(self._index.codes.data(), self._index.codes.size())
        return np.asarray(codes).view(np.float16).reshape(-1, self._dim)

    def _scan_together(
        self, queries: NDArray[np.float32], k: int, keep: NDArray[np.bool_] | None
    ) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        stored = self.stored()
        top = np.full((len(queries), k), -np.inf, np.float32)
        rows = np.full((len(queries), k), -1, np.int64)
        for start in range(0, len(stored), BLOCK):
            scores = queries @ stored[start : start + BLOCK].astype(np.float32).T
            if keep is not None:
                scores[:, ~keep[start : start + BLOCK]] = -np.inf
            block_scores, at = best(scores, k)
            joined = np.concatenate([rows, at + start * (at >= 0)], axis=1)
            top, order = best(np.concatenate([top, block_scores], axis=1), k)
            rows = np.take_along_axis(joined, order, axis=1)
        return top, rows


class GpuRows:
    """In float16 in the memory of a GPU. FAISS ignores a filter there, so that what passes one is gathered first; and
    answers one thread at a time."""

    device = "GPU"

    def __init__(self, dim: int) -> None:
        self._dim = dim
        self._alone = threading.Lock()
        self._index = gpu_index(dim)

    def __len__(self) -> int:
        return int(self._index.ntotal)

    def add(self, rows: NDArray[np.float16]) -> None:
        for start in range(0, len(rows), 1 << 18):
            self._index.add(rows[start : start + (1 << 18)].astype(np.float32))

    def scan(
        self, queries: NDArray[np.float32], k: int, keep: NDArray[np.bool_] | None
    ) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        if keep is None and k <= GPU_DEEP:
            with self._alone:
                ranked: tuple[NDArray[np.float32], NDArray[np.int64]] = self._index.search(queries, k)
            return ranked
        rows = np.arange(len(self)) if keep is None else np.flatnonzero(keep)
        scores, at = best(queries @ self.take(rows).T, k)
        return scores, np.where(at >= 0, rows[at], -1)

    def take(self, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        if not rows.size:
            return np.empty((0, self._dim), np.float32)
        with self._alone:
            return np.asarray(self._index.reconstruct_batch(rows), np.float32)

    def stored(self) -> NDArray[np.float16]:
        rows = np.empty((len(self), self._dim), np.float16)
        for start in range(0, len(self), 1 << 18):
            count = min(1 << 18, len(self) - start)
            rows[start : start + count] = self._index.reconstruct_n(start, count)
        return rows


def are_few(count: int, dim: int) -> bool:
    return count * dim <= FEW


def rows_for(count: int, dim: int, *, gpu: bool | None) -> Rows:
    """Return what suits `count` rows. `gpu=None` uses one for many rows where a real search on it succeeds."""
    if not gpu and are_few(count, dim):
        return FewRows(dim)
    return GpuRows(dim) if gpu or (gpu is None and gpu_works()) else ManyRows(dim)


def best(scores: NDArray[np.float32], k: int) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Return the k highest of each row, best first, the leftmost first among equals; position -1 for what is -inf."""
    count = scores.shape[1]
    if count > 4 * k:
        at = np.sort(np.argpartition(-scores, k, axis=1)[:, :k], axis=1)
    else:
        at = np.broadcast_to(np.arange(count), scores.shape)
    top = np.take_along_axis(scores, at, axis=1)
    order = np.argsort(-top, axis=1, kind="stable")[:, :k]
    top = np.take_along_axis(top, order, axis=1)
    at = np.where(np.isneginf(top), -1, np.take_along_axis(at, order, axis=1))
    if count < k:
        top = np.pad(top, ((0, 0), (0, k - count)), constant_values=-np.inf)
        at = np.pad(at, ((0, 0), (0, k - count)), constant_values=-1)
    return top, at


def gpu_works() -> bool:
    """Tell whether FAISS finds a GPU and a real search on it gives the right answer."""
    import faiss

    if not hasattr(faiss, "StandardGpuResources"):
        return False
    try:
        if faiss.get_num_gpus() == 0:
            return False
        index = gpu_index(8)
        index.add(np.eye(8, dtype=np.float32))
        _, places = index.search(np.eye(8, dtype=np.float32)[3:4], 1)
        return int(places[0, 0]) == 3
    except RuntimeError:
        return False


def gpu_index(dim: int) -> Any:
    """Return FAISS's exact inner product over float16 rows on the first GPU."""
    import faiss

    settings = faiss.GpuIndexFlatConfig()
    settings.useFloat16 = True
    return faiss.GpuIndexFlatIP(faiss.StandardGpuResources(), dim, settings)
