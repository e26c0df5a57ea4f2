"""The vector index of one space: derived from the catalog, exact, in memory, on the GPU where there is one.

Inner products of unit vectors are cosines. A film of T vectors has T rows in the index; its score is its best row's.
Rows are never removed: the vectors of a film that was replaced are skipped, until the next rebuild leaves them out.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from db import films, snapshot, spaces
from db.catalog import Catalog
from db.errors import FilmroomError
from db.spaces import StoredSpace

GATHER_BELOW = 0.2
"""Filters that keep less than this share of the rows are scored over the gathered rows: faster than a masked scan."""

SAMPLE = 20_000
"""Films whose scores estimate a percentile; archives up to this size are measured whole."""


@dataclass(frozen=True)
class Ranked:
    """Best first: film ids (Q, k') and scores (Q, k'), k' <= k."""

    film_ids: NDArray[np.int64]
    scores: NDArray[np.float32]


class VectorIndex:
    """Searches one space. Safe for many threads; `refresh` brings it up to what the catalog holds now."""

    def __init__(self, catalog: Catalog, held: StoredSpace, folder: Path, *, gpu: bool) -> None:
        self._catalog = catalog
        self._held = held
        self._folder = folder
        self._lock = threading.Lock()
        self._gpu = gpu
        self._stamp: spaces.Stamp | None = None
        self._sampled = -1
        self._generation = 0
        self._mark = 0
        self._index = _new_index(held.space.dim, gpu=gpu)
        self._ids = np.empty((2, 0), np.int64)
        self._live = np.empty(0, np.bool_)
        self._alive = np.empty(0, np.bool_)
        self._by_film = np.empty(0, np.int64)
        self._sample = np.empty((0, held.space.vectors, held.space.dim), np.float32)

    @classmethod
    def open(cls, catalog: Catalog, held: StoredSpace, folder: Path, *, gpu: bool | None = None) -> VectorIndex:
        """Loads the snapshot below `folder` if it can be trusted and adds what the catalog has besides.

        `gpu=None` uses one where a real search on it succeeds.
        """
        index = cls(catalog, held, folder, gpu=gpu_works() if gpu is None else gpu)
        found = snapshot.load(folder, held)
        if found is not None:
            index._adopt(found)
        index.refresh()
        return index

    @property
    def device(self) -> str:
        return "GPU" if self._gpu else "CPU"

    def __len__(self) -> int:
        """Films that a search can find."""
        return int(self._alive.sum())

    def refresh(self) -> None:
        """Takes in what was committed since. Costs one small query when nothing was."""
        with self._lock:
            stamp = spaces.stamp(self._catalog, self._held.id)
            if stamp == self._stamp:
                return
            for block in spaces.vectors_since(self._catalog, self._held, self._mark):
                self._append(block)
            if stamp.generation != self._generation:
                self._live = np.isin(self._ids[0], spaces.live_ids(self._catalog, self._held.id), assume_unique=True)
                self._generation = stamp.generation
            gone = films.gone_ids(self._catalog)
            self._alive = self._live & ~np.isin(self._ids[1], gone) if gone.size else self._live.copy()
            live_rows = np.flatnonzero(self._live)
            self._by_film = live_rows[np.argsort(self._ids[1][live_rows], kind="stable")]
            self._take_sample()
            self._stamp = stamp

    def save(self) -> None:
        """Writes the snapshot. A rebuild without the dead rows comes first when they are many. Raises FilmroomError."""
        with self._lock:
            if self._live.size and self._live.mean() < 0.8:
                self._index = _new_index(self._held.space.dim, gpu=self._gpu)
                self._ids, self._live = np.empty((2, 0), np.int64), np.empty(0, np.bool_)
                for block in spaces.vectors_since(self._catalog, self._held, 0):
                    self._append(block)
                self._stamp = None
            found = snapshot.Snapshot(self._on_cpu(), self._ids, self._generation, self._mark)
            try:
                snapshot.save(self._folder, self._held, found)
            except OSError as error:
                raise FilmroomError(
                    f"the index snapshot could not be written ({error.strerror or error})",
                    where=self._folder,
                    fix="The catalog holds everything; make room and run `filmroom doctor --repair`.",
                ) from error
        self.refresh()

    def search(self, queries: NDArray[np.float32], k: int, within: NDArray[np.int64] | None = None) -> Ranked:
        """The k best films for each query (Q, D), out of the film ids `within` where given.

        Exactly k come back when k exist. Ties are broken by film id, so that a ranking is the same every time.
        """
        with self._lock:
            rows = self._rows(within)
            k = min(k, rows.size)
            if k == 0:
                empty = np.empty((len(queries), 0))
                return Ranked(empty.astype(np.int64), empty.astype(np.float32))
            if rows.size < GATHER_BELOW * self._alive.size or (self._gpu and rows.size < self._alive.size):
                positions, scores = self._gathered(queries, rows, k)
            else:
                positions, scores = self._scanned(queries, rows, k)
            return self._ranked(positions, scores, k)

    def scores(self, queries: NDArray[np.float32], film_ids: NDArray[np.int64]) -> NDArray[np.float32]:
        """The scores (Q, N) of these films, in their order; NaN for a film without a vector here."""
        with self._lock:
            rows = self._rows_of(film_ids)
            found = np.full((len(queries), rows.size), np.nan, np.float32)
            known = rows >= 0
            if known.any():
                found[:, known] = self._best_of(queries, rows[known])
            return found

    def percentiles(self, query: NDArray[np.float32], scores: NDArray[np.float32]) -> NDArray[np.float32]:
        """How many per cent of the archive's films score below each of `scores` for the query (D,)."""
        if self._sample.size == 0:
            return np.full(scores.shape, 100.0, np.float32)
        everyone = np.sort((self._sample @ query).max(axis=1))
        below = np.searchsorted(everyone, scores - 1e-6, side="left")
        return (100.0 * below / max(1, everyone.size - 1)).clip(0.0, 100.0).astype(np.float32)

    def holds(self, film_ids: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Which of these films a search can find."""
        with self._lock:
            rows = self._rows_of(film_ids)
            found: NDArray[np.bool_] = (rows >= 0) & self._alive[rows] if self._alive.size else rows >= 0
            return found

    def centre(self) -> NDArray[np.float32]:
        """The mean vector (D,) of the archive's films: what they have in common whatever they show."""
        dim = self._held.space.dim
        return self._sample.reshape(-1, dim).mean(axis=0) if self._sample.size else np.zeros(dim, np.float32)

    def vectors(self, film_ids: NDArray[np.int64]) -> NDArray[np.float32]:
        """The vectors (N, T, D) of those of the films that have one."""
        with self._lock:
            rows = self._rows_of(film_ids)
            return self._reconstruct(rows[rows >= 0])

    def _adopt(self, found: snapshot.Snapshot) -> None:
        self._index = _to_gpu(found.index) if self._gpu else found.index
        self._ids, self._mark = found.ids, found.mark
        self._live = np.ones(found.ids.shape[1], np.bool_)
        # A snapshot holds the vectors of replaced films too: which rows live is always asked of the catalog.
        self._generation = -1

    def _append(self, block: spaces.Block) -> None:
        rows = block.vectors.reshape(-1, self._held.space.dim).astype(np.float32)
        self._index.add(rows)
        self._ids = np.concatenate([self._ids, np.stack([block.ids, block.film_ids])], axis=1)
        self._live = np.concatenate([self._live, np.ones(block.ids.size, np.bool_)])
        self._mark = int(block.ids[-1])

    def _rows_of(self, film_ids: NDArray[np.int64]) -> NDArray[np.int64]:
        """The row of each film; -1 where it has none."""
        known = self._ids[1][self._by_film]
        at = np.searchsorted(known, film_ids).clip(max=max(0, known.size - 1))
        found = known[at] == film_ids if known.size else np.zeros(len(film_ids), np.bool_)
        return np.where(found, self._by_film[at] if known.size else -1, -1)

    def _rows(self, within: NDArray[np.int64] | None) -> NDArray[np.int64]:
        keep = self._alive if within is None else self._alive & np.isin(self._ids[1], within)
        return np.flatnonzero(keep)

    def _scanned(
        self, queries: NDArray[np.float32], rows: NDArray[np.int64], k: int
    ) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        import faiss

        count = self._held.space.vectors
        # The best k * T rows hold at least k films, and each film's best row comes first.
        deep = min(k * count, rows.size * count)
        if rows.size == self._alive.size:
            scores, found = self._index.search(queries, deep)
        else:
            mask = np.zeros(self._alive.size * count, np.bool_)
            mask.reshape(-1, count)[rows] = True
            packed = np.packbits(mask, bitorder="little")
            selector = faiss.IDSelectorBitmap(packed)  # type: ignore[call-arg, arg-type]
            scores, found = self._index.search(queries, deep, params=faiss.SearchParameters(sel=selector))  # type: ignore[call-arg]
        return found // count, scores

    def _gathered(
        self, queries: NDArray[np.float32], rows: NDArray[np.int64], k: int
    ) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        scores = self._best_of(queries, rows)
        # Rows ascend with film ids as a rule, and a stable sort keeps that order among equal scores on every page.
        best = np.argsort(-scores, axis=1, kind="stable")[:, :k]
        return rows[best], np.take_along_axis(scores, best, axis=1)

    def _best_of(self, queries: NDArray[np.float32], rows: NDArray[np.int64]) -> NDArray[np.float32]:
        blocks = [
            np.einsum("qd,ntd->qnt", queries, self._reconstruct(rows[start : start + 65_536])).max(axis=2)
            for start in range(0, rows.size, 65_536)
        ]
        return np.concatenate(blocks, axis=1).astype(np.float32)

    def _ranked(self, positions: NDArray[np.int64], scores: NDArray[np.float32], k: int) -> Ranked:
        film_ids, kept = [], []
        for row, score in zip(positions, scores, strict=True):
            hits = self._ids[1][row]
            order = np.lexsort((hits, -score))
            hits, score = hits[order], score[order]
            _, first = np.unique(hits, return_index=True)
            first.sort()
            film_ids.append(hits[first])
            kept.append(score[first])
        return Ranked(np.stack([hits[:k] for hits in film_ids]), np.stack([score[:k] for score in kept]))

    def _reconstruct(self, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        count, dim = self._held.space.vectors, self._held.space.dim
        wanted = (rows[:, None] * count + np.arange(count)).ravel()
        found = self._index.reconstruct_batch(wanted) if wanted.size else np.empty((0, dim), np.float32)
        return np.asarray(found, np.float32).reshape(-1, count, dim)

    def _take_sample(self) -> None:
        rows = np.flatnonzero(self._alive)
        if rows.size > SAMPLE:
            # A hundredth more or fewer films moves no percentile that is shown.
            if abs(rows.size - self._sampled) < 0.01 * rows.size:
                return
            rows = np.sort(np.random.default_rng(0).choice(rows, SAMPLE, replace=False))
        self._sampled = int(self._alive.sum())
        self._sample = self._reconstruct(rows)

    def _on_cpu(self) -> Any:
        if not self._gpu:
            return self._index
        cpu = _new_index(self._held.space.dim, gpu=False)
        total = self._ids.shape[1] * self._held.space.vectors
        for start in range(0, total, 1 << 18):
            cpu.add(self._index.reconstruct_n(start, min(1 << 18, total - start)))
        return cpu


def gpu_works() -> bool:
    """Whether FAISS finds a GPU and a real search on it gives the right answer."""
    import faiss

    if not hasattr(faiss, "StandardGpuResources"):
        return False
    try:
        if faiss.get_num_gpus() == 0:
            return False
        index = _new_index(8, gpu=True)
        index.add(np.eye(8, dtype=np.float32))
        _, found = index.search(np.eye(8, dtype=np.float32)[3:4], 1)
        return int(found[0, 0]) == 3
    except RuntimeError:
        return False


def _new_index(dim: int, *, gpu: bool) -> Any:
    """Exact inner product over float16 rows: half the memory of float32, and faster on the CPU."""
    import faiss

    if not gpu:
        return faiss.IndexScalarQuantizer(dim, faiss.ScalarQuantizer.QT_fp16, faiss.METRIC_INNER_PRODUCT)
    settings = faiss.GpuIndexFlatConfig()
    settings.useFloat16 = True
    return faiss.GpuIndexFlatIP(faiss.StandardGpuResources(), dim, settings)


def _to_gpu(index: Any) -> Any:
    gpu = _new_index(index.d, gpu=True)
    for start in range(0, index.ntotal, 1 << 18):
        gpu.add(index.reconstruct_n(start, min(1 << 18, index.ntotal - start)))
    return gpu
