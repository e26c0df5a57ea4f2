"""Search the vectors of one space: derived from the catalog, in memory, on the GPU where there is one.

Inner products of unit vectors are cosines. A film of T vectors has T rows in the index; its score is its best row's.
Rows are never removed: the vectors of a film that was replaced are skipped, until the next rebuild leaves them out.

Answers are exact up to the size where an exact scan takes longer than SLOW_MS on this machine. Above it, in a process
that stays, `keep_fast` builds an IVF index (`filmroom.db.vector_index.ivf`) beside the exact rows, which
go on serving and have the last word: they score what it names.
"""

from __future__ import annotations

import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from filmroom.db.catalog import Catalog
from filmroom.db.errors import FilmroomError
from filmroom.db.reads import films, spaces
from filmroom.db.reads.spaces import StoredSpace
from filmroom.db.reads.summary import IvfStats
from filmroom.db.vector_index import ivf, snapshot
from filmroom.db.vector_index.flat import FewRows, Rows, are_few, rows_for
from filmroom.db.vector_index.ivf import Approximate
from numpy.typing import NDArray

GATHER_BELOW = 0.2
"""Filters that keep less than this share of the rows are scored over the gathered rows: exact, and fast enough."""

SLOW_MS = 50.0
"""An exact scan that takes longer is worth an IVF index."""

LARGE = 20_000_000
"""Numbers (rows times dimension) below which no scan takes SLOW_MS: not even timed."""

DEEP = 1000
"""Answers of more films than this are always exact."""

SAMPLE = 20_000
"""Films whose scores estimate a percentile; archives up to this size are measured whole."""


@dataclass(frozen=True)
class Ranked:
    """Best first: film ids (Q, k') and scores (Q, k'), k' <= k."""

    film_ids: NDArray[np.int64]
    scores: NDArray[np.float32]


class VectorIndex:
    """Searches one space. Safe for many threads; `refresh` brings it up to what the catalog holds now."""

    def __init__(self, catalog: Catalog, held: StoredSpace, folder: Path, *, gpu: bool | None) -> None:
        self._catalog = catalog
        self._held = held
        self._folder = folder
        self._lock = threading.Lock()
        self._gpu = gpu
        self._stamp: spaces.Stamp | None = None
        self._sampled = -1
        self._generation = 0
        self._mark = 0
        self._rows: Rows = rows_for(0, held.space.dim, gpu=gpu)
        self._approximate: Approximate | None = None
        self._building = threading.Lock()
        self._tried = 0
        self._ids = np.empty((2, 0), np.int64)
        self._live = np.empty(0, np.bool_)
        self._alive = np.empty(0, np.bool_)
        self._count = 0
        self._row_of = np.empty(0, np.int64)
        self._sample = np.empty((0, held.space.vectors, held.space.dim), np.float32)

    @classmethod
    def open(cls, catalog: Catalog, held: StoredSpace, folder: Path, *, gpu: bool | None = None) -> VectorIndex:
        """Load the snapshot below `folder` if it can be trusted and add what the catalog has besides.

        `gpu=None` uses one for many films, where a real search on it succeeds.
        """
        index = cls(catalog, held, folder, gpu=gpu)
        found = snapshot.load(folder, held)
        if found is not None:
            index._adopt(found)
        index.refresh()
        if index._is_large() and index.device == "CPU":
            with index._lock:
                index._approximate = ivf.load(folder, held)
                index._catch_up()
        return index

    @property
    def device(self) -> str:
        return self._rows.device

    @property
    def approximation(self) -> IvfStats | None:
        """What is known of the IVF index; None while every answer is exact."""
        held = self._approximate
        return None if held is None else held.facts

    def __len__(self) -> int:
        """Return films that a search can find."""
        return self._count

    def refresh(self) -> None:
        """Take in what was committed since. Costs one small query when nothing was."""
        with self._lock:
            stamp = spaces.stamp(self._catalog, self._held.id)
            if stamp == self._stamp:
                return
            for block in spaces.vectors_since(self._catalog, self._held, self._mark):
                self._append(block)
            if stamp.generation != self._generation:
                self._live = np.isin(self._ids[0], spaces.live_ids(self._catalog, self._held.id), assume_unique=True)
                self._generation = stamp.generation
            live_rows = np.flatnonzero(self._live)
            self._row_of = np.full(int(self._ids[1].max(initial=-1)) + 1, -1, np.int64)
            self._row_of[self._ids[1][live_rows]] = live_rows
            self._alive = self._live.copy()
            gone = self._rows_of(films.gone_ids(self._catalog))
            self._alive[gone[gone >= 0]] = False
            self._count = int(self._alive.sum())
            self._catch_up()
            self._take_sample()
            self._stamp = stamp

    def keep_fast(self) -> threading.Thread | None:
        """Help a process that stays: where exact answers are slow here, build an IVF index in the background,
        and again when the archive has grown by half since. Answers go on meanwhile. Gives the thread at work."""
        held, size = self._approximate, len(self)
        covered = max(self._tried, 0 if held is None else held.facts.rows // self._held.space.vectors)
        if not self._is_large() or self.device != "CPU" or size < 1.5 * covered:
            return None
        if not self._building.acquire(blocking=False):
            return None
        builder = threading.Thread(target=self._build, name="filmroom-lists", daemon=True)
        builder.start()
        return builder

    def save(self) -> None:
        """Write the snapshot. A rebuild without the dead rows comes first when they are many. Raises FilmroomError."""
        with self._lock:
            if self._live.size and self._live.mean() < 0.8:
                self._rows = rows_for(0, self._held.space.dim, gpu=self._gpu)
                self._ids, self._live = np.empty((2, 0), np.int64), np.empty(0, np.bool_)
                for block in spaces.vectors_since(self._catalog, self._held, 0):
                    self._append(block)
                self._stamp = None
            shape = (-1, self._held.space.vectors, self._held.space.dim)
            stored = self._rows.stored().reshape(shape)
            found = snapshot.Snapshot(stored, self._ids, self._live, self._generation, self._mark)
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
        """Return the k best films for each query (Q, D), out of the film ids `within` where given.

        Exactly k come back when k exist. Ties are broken by film id, so that a ranking is the same every time.
        """
        with self._lock:
            rows = None if within is None else self._rows_within(within)
            count = self._count if rows is None else rows.size
            k = min(k, count)
            if k == 0:
                empty = np.empty((len(queries), 0))
                return Ranked(empty.astype(np.int64), empty.astype(np.float32))
            if rows is not None and count < GATHER_BELOW * self._count:
                return self._gathered(queries, rows, k)
            found = self._near(queries, k, rows) if self._approximate is not None and k <= DEEP else None
            return found or self._scanned(queries, rows, k)

    def scores(self, queries: NDArray[np.float32], film_ids: NDArray[np.int64]) -> NDArray[np.float32]:
        """Return the scores (Q, N) of these films, in their order; NaN for a film without a vector here."""
        with self._lock:
            rows = self._rows_of(film_ids)
            found = np.full((len(queries), rows.size), np.nan, np.float32)
            known = rows >= 0
            if known.any():
                found[:, known] = self._best_of(queries, rows[known])
            return found

    def percentiles(self, query: NDArray[np.float32], scores: NDArray[np.float32]) -> NDArray[np.float32]:
        """Say how many per cent of the archive's films score below each of `scores` for the query (D,)."""
        if self._sample.size == 0:
            return np.full(scores.shape, 100.0, np.float32)
        everyone = np.sort((self._sample @ query).max(axis=1))
        below = np.searchsorted(everyone, scores - 1e-6, side="left")
        return (100.0 * below / max(1, everyone.size - 1)).clip(0.0, 100.0).astype(np.float32)

    def holds(self, film_ids: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Say which of these films a search can find."""
        with self._lock:
            rows = self._rows_of(film_ids)
            found: NDArray[np.bool_] = (rows >= 0) & self._alive[rows] if self._alive.size else rows >= 0
            return found

    @property
    def sample(self) -> NDArray[np.float32]:
        """Vectors (M, T, D) of some of the archive's films, for means and deviations."""
        return self._sample

    def centre(self) -> NDArray[np.float32]:
        """Return the mean vector (D,) of the archive's films: what they have in common whatever they show."""
        dim = self._held.space.dim
        return self._sample.reshape(-1, dim).mean(axis=0) if self._sample.size else np.zeros(dim, np.float32)

    def vectors(self, film_ids: NDArray[np.int64]) -> NDArray[np.float32]:
        """Return the vectors (N, T, D) of those of the films that have one."""
        with self._lock:
            rows = self._rows_of(film_ids)
            return self._take(rows[rows >= 0])

    def _adopt(self, found: snapshot.Snapshot) -> None:
        flat = found.rows.reshape(-1, self._held.space.dim)
        self._rows = rows_for(len(flat), self._held.space.dim, gpu=self._gpu)
        self._rows.add(flat)
        self._ids, self._live, self._mark = found.ids, found.live, found.mark
        # While the catalog's generation is the snapshot's, what lived then lives now.
        self._generation = found.generation

    def _append(self, block: spaces.Block) -> None:
        rows = block.vectors.reshape(-1, self._held.space.dim)
        if isinstance(self._rows, FewRows) and not are_few(len(self._rows) + len(rows), self._held.space.dim):
            few = self._rows.stored()
            self._rows = rows_for(len(few) + len(rows), self._held.space.dim, gpu=self._gpu)
            self._rows.add(few)
        self._rows.add(rows)
        self._ids = np.concatenate([self._ids, np.stack([block.ids, block.film_ids])], axis=1)
        self._live = np.concatenate([self._live, np.ones(block.ids.size, np.bool_)])
        self._mark = int(block.ids[-1])

    def _catch_up(self) -> None:
        """Add to the IVF index every row that the exact ones know."""
        held = self._approximate
        if held is None or held.mark >= self._mark:
            return
        first = int(np.searchsorted(self._ids[0], held.mark, side="right"))
        count = self._held.space.vectors
        for start in range(first, self._ids.shape[1], 1 << 15):
            ids = self._ids[0][start : start + (1 << 15)]
            rows = np.arange(start, start + ids.size)
            held.add(ivf.numbers(ids, count), self._take(rows).reshape(-1, self._held.space.dim), int(ids[-1]))

    def _is_large(self) -> bool:
        return self._count * self._held.space.vectors * self._held.space.dim >= LARGE

    def _build(self) -> None:
        try:
            self._tried = len(self)
            found = snapshot.load(self._folder, self._held) if self._scan_ms() >= SLOW_MS else None
            if found is None:
                return
            # From the snapshot, which stays as it is: no lock is held, and what came since is caught up with.
            built = ivf.build(self._held, found.rows, found.ids[0], found.live)
            if built is not None:
                with suppress(OSError):  # a full disk: it is built again at the next start
                    ivf.save(self._folder, self._held.id, built)
                if self._outdated(found.generation):
                    # Films may have been forgotten meanwhile: none of their vectors is left on the disk.
                    ivf.remove(self._folder, self._held.id)
                with self._lock:
                    self._approximate = built
                    self._catch_up()
        finally:
            self._building.release()

    def _outdated(self, generation: int) -> bool:
        try:
            return spaces.stamp(self._catalog, self._held.id).generation != generation
        except FilmroomError:
            return True

    def _scan_ms(self) -> float:
        spent = []
        for query in self._sample[:5, 0]:
            with self._lock:
                started = time.perf_counter()
                self._scanned(query[None], None, 10)
                spent.append(1000 * (time.perf_counter() - started))
        return float(np.median(spent)) if spent else 0.0

    def _rows_of(self, film_ids: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the row of each film; -1 where it has none."""
        known = (film_ids >= 0) & (film_ids < self._row_of.size)
        found = np.full(len(film_ids), -1, np.int64)
        found[known] = self._row_of[film_ids[known]]
        return found

    def _rows_within(self, film_ids: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the rows, ascending, of those of the films that a search can find."""
        rows = self._rows_of(film_ids)
        named = np.zeros(self._alive.size, np.bool_)
        named[rows[rows >= 0]] = True
        return np.flatnonzero(named & self._alive)

    def _near(self, queries: NDArray[np.float32], k: int, rows: NDArray[np.int64] | None) -> Ranked | None:
        """Return the exact order of what the IVF index names; None where it names fewer than k films."""
        held, count = self._approximate, self._held.space.vectors
        assert held is not None  # noqa: S101
        keep, share = None, 1.0
        if rows is not None and rows.size < self._count:
            keep = np.zeros((self._mark + 1, count), np.bool_)
            keep[self._ids[0][rows]] = True
            share = rows.size / max(1, self._count)
        named = held.candidates(queries, k * min(count, 4), share=share, keep=None if keep is None else keep.ravel())
        film_ids, scores = [], []
        for query, numbers in zip(queries, named, strict=True):
            embedding_ids = np.unique(numbers[numbers >= 0] // count)
            at = np.searchsorted(self._ids[0], embedding_ids).clip(max=self._ids.shape[1] - 1)
            at = at[(self._ids[0][at] == embedding_ids) & self._alive[at]]
            if at.size < k:
                return None
            found = self._gathered(query[None], at, k)
            film_ids.append(found.film_ids[0])
            scores.append(found.scores[0])
        return Ranked(np.stack(film_ids), np.stack(scores))

    def _scanned(self, queries: NDArray[np.float32], rows: NDArray[np.int64] | None, k: int) -> Ranked:
        count = self._held.space.vectors
        everything = self._alive.all() if rows is None else rows.size == self._alive.size
        mask = self._alive
        if rows is not None and not everything:
            mask = np.zeros(self._alive.size, np.bool_)
            mask[rows] = True
        keep = None if everything else np.repeat(mask, count)
        if keep is not None and mask.mean() >= GATHER_BELOW:
            ranked = self._from_all(queries, mask, k)
            if ranked is not None:
                return ranked
        # The best k * T rows hold at least k films, and each film's best row comes first.
        scores, found = self._rows.scan(queries, min(k * count, len(self._rows)), keep)
        return self._ranked(found // count, scores, k)

    def _from_all(self, queries: NDArray[np.float32], mask: NDArray[np.bool_], k: int) -> Ranked | None:
        """Return a scan of all rows, which FAISS does on all processors, for so many that k should pass the mask; None
        where they do not. What lies above the last row found is all there is, so that the k are exact."""
        count = self._held.space.vectors
        deep = int(1.5 * k / mask.mean()) + 16
        scores, found = self._rows.scan(queries, min(deep * count, len(self._rows)), None)
        rows = np.where(found >= 0, found // count, -1)
        passing = (rows >= 0) & mask[rows]
        if min(np.unique(row[held]).size for row, held in zip(rows, passing, strict=True)) < k:
            return None
        return self._ranked(np.where(passing, rows, -1), scores, k)

    def _gathered(self, queries: NDArray[np.float32], rows: NDArray[np.int64], k: int) -> Ranked:
        scores = self._best_of(queries, rows)
        # Rows ascend with film ids as a rule, and a stable sort keeps that order among equal scores on every page.
        order = np.argsort(-scores, axis=1, kind="stable")[:, :k]
        return self._ranked(rows[order], np.take_along_axis(scores, order, axis=1), k)

    def _best_of(self, queries: NDArray[np.float32], rows: NDArray[np.int64]) -> NDArray[np.float32]:
        dim, count = self._held.space.dim, self._held.space.vectors
        blocks = []
        for start in range(0, rows.size, 65_536):
            some = self._take(rows[start : start + 65_536])
            blocks.append((queries @ some.reshape(-1, dim).T).reshape(len(queries), -1, count).max(axis=2))
        return np.concatenate(blocks, axis=1).astype(np.float32)

    def _ranked(self, rows: NDArray[np.int64], scores: NDArray[np.float32], k: int) -> Ranked:
        film_ids, kept = [], []
        for at, score in zip(rows, scores, strict=True):
            hits, score = self._ids[1][at[at >= 0]], score[at >= 0]
            order = np.lexsort((hits, -score))
            hits, score = hits[order], score[order]
            _, first = np.unique(hits, return_index=True)
            first.sort()
            film_ids.append(hits[first])
            kept.append(score[first])
        return Ranked(np.stack([hits[:k] for hits in film_ids]), np.stack([score[:k] for score in kept]))

    def _take(self, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        """Return (N, T, D)"""
        count, dim = self._held.space.vectors, self._held.space.dim
        wanted = rows if count == 1 else (rows[:, None] * count + np.arange(count)).ravel()
        return self._rows.take(wanted).reshape(-1, count, dim)

    def _take_sample(self) -> None:
        rows = np.flatnonzero(self._alive)
        if rows.size > SAMPLE:
            # A hundredth more or fewer films moves no percentile that is shown.
            if abs(rows.size - self._sampled) < 0.01 * rows.size:
                return
            rows = np.sort(np.random.default_rng(0).choice(rows, SAMPLE, replace=False))
        self._sampled = self._count
        self._sample = self._take(rows)
