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
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

import numpy as np
from filmroom.db.catalog import Catalog
from filmroom.db.errors import FilmroomError
from filmroom.db.reads import films, spaces
from filmroom.db.reads.spaces import StoredSpace
from filmroom.db.reads.summary import IvfStats
from filmroom.db.vector_index import ivf, lists_file, snapshot
from filmroom.db.vector_index.film_rows import FilmRows
from filmroom.db.vector_index.flat import FewRows, Rows, are_few, rows_for
from filmroom.db.vector_index.ivf import Approximate, Lists
from filmroom.db.vector_index.mapped import MappedRows, TornSnapshot
from filmroom.db.vector_index.ranked import Ranked, rank_of_all, rank_rows
from filmroom.db.vector_index.sample import SAMPLE, percentiles_in, sampled_rows
from filmroom.db.vector_index.sharing import Sharing
from numpy.typing import NDArray

T = TypeVar("T")

GATHER_BELOW = 0.2
"""Filters that keep less than this share of the rows are scored over the gathered rows: exact, and fast enough."""

GATHERED = 8_192
"""Films whose vectors are unpacked at a time: few enough for the processor's caches."""

SLOW_MS = 50.0
"""An exact scan that takes longer is worth an IVF index."""

LARGE = 20_000_000
"""Numbers (rows times dimension) below which no scan takes SLOW_MS: not even timed."""

DEEP = 1000
"""Answers of more films than this are always exact."""

RECENT = 50_000
"""Films that an IVF index on the disk may lack: they are scored besides."""


class VectorIndex:
    """Searches one space. Safe for many threads; `refresh` brings it up to what the catalog holds now."""

    def __init__(self, catalog: Catalog, stored_space: StoredSpace, folder: Path, *, gpu: bool | None) -> None:
        self._catalog = catalog
        self._held = stored_space
        self._folder = folder
        self._sharing = Sharing()
        self._gpu = gpu
        self._stamp: spaces.Stamp | None = None
        self._sampled = -1
        self._generation = 0
        self._mark = 0
        self._rows: Rows = rows_for(0, stored_space.space.dim, gpu=gpu)
        self._approximate: Lists | None = None
        self._building = threading.Lock()
        self._tried = 0
        self._films = FilmRows()
        self._sample = np.empty((0, stored_space.space.vectors, stored_space.space.dim), np.float32)

    @classmethod
    def open(
        cls, catalog: Catalog, stored_space: StoredSpace, folder: Path, *, gpu: bool | None = None, whole: bool = True
    ) -> VectorIndex:
        """Load the snapshot below `folder` if it can be trusted and add what the catalog has besides.

        `gpu=None` uses one for many films, where a real search on it succeeds. Where it need not be `whole`, for a
        process that asks once, many rows stay on the disk.
        """
        index = cls(catalog, stored_space, folder, gpu=gpu)
        if (stored := snapshot.load(folder, stored_space, whole=whole)) is not None:
            index._adopt(stored)
        index.refresh()
        if index._is_large() and index.device == "CPU":
            with index._sharing.changing():
                index._approximate = (lists_file.load if whole else lists_file.load_mapped)(folder, stored_space)
                index._catch_up()
        return index

    @property
    def device(self) -> str:
        return self._rows.device

    @property
    def approximation(self) -> IvfStats | None:
        """What is known of the IVF index; None while every answer is exact."""
        return None if self._approximate is None else self._approximate.facts

    def __len__(self) -> int:
        """Count the films that a search can find."""
        return self._films.count

    def refresh(self) -> None:
        """Take in what was committed since. Costs one small query when nothing was."""
        if spaces.stamp(self._catalog, self._held.id) == self._stamp:
            return
        try:
            self._refresh()
        except TornSnapshot:
            self._rebuild()

    def _refresh(self) -> None:
        with self._sharing.changing():
            stamp = spaces.stamp(self._catalog, self._held.id)
            if stamp == self._stamp:
                return
            for block in spaces.vectors_since(self._catalog, self._held, self._mark):
                self._append(block)
            if stamp.generation != self._generation:
                self._films.keep_live(spaces.live_ids(self._catalog, self._held.id))
                self._generation = stamp.generation
            self._films.settle(films.gone_ids(self._catalog))
            self._catch_up()
            self._take_sample()
            self._stamp = stamp

    def keep_fast(self) -> threading.Thread | None:
        """Help a process that stays: where exact answers are slow here, build an IVF index in the background,
        and again when the archive has grown by half since. Answers go on meanwhile. Gives the thread at work."""
        lists, size = self._approximate, len(self)
        covered = max(self._tried, 0 if lists is None else lists.facts.rows // self._held.space.vectors)
        if not self._is_large() or self.device != "CPU" or size < 1.5 * covered:
            return None
        if not self._building.acquire(blocking=False):
            return None
        builder = threading.Thread(target=self._build, name="filmroom-lists", daemon=True)
        builder.start()
        return builder

    def _rebuild(self) -> None:
        """Read everything from the catalog."""
        with self._sharing.changing():
            self._drop_rows()
            self._mark, self._stamp, self._approximate = 0, None, None
        self._refresh()

    def _drop_rows(self) -> None:
        self._rows, self._films = rows_for(0, self._held.space.dim, gpu=self._gpu), FilmRows()

    def _answered(self, answer: Callable[[], T]) -> T:
        """Answer beside others who ask; from the catalog where the snapshot turns out to be torn."""
        try:
            with self._sharing.reading():
                return answer()
        except TornSnapshot:
            self._rebuild()
            with self._sharing.reading():
                return answer()

    def save(self) -> None:
        """Write the snapshot. A rebuild without the dead rows comes first when they are many. Raises FilmroomError."""
        with self._sharing.changing():
            if len(self._films) and self._films.live.mean() < 0.8:
                self._drop_rows()
                for block in spaces.vectors_since(self._catalog, self._held, 0):
                    self._append(block)
                self._stamp = None
            shape = (-1, self._held.space.vectors, self._held.space.dim)
            stored = self._rows.stored().reshape(shape)
            content = snapshot.Snapshot(stored, self._films.ids, self._films.live, self._generation, self._mark)
            try:
                snapshot.save(self._folder, self._held, content)
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
        return self._answered(lambda: self._search(queries, k, within))

    def _search(self, queries: NDArray[np.float32], k: int, within: NDArray[np.int64] | None) -> Ranked:
        rows = None if within is None else self._films.within(within)
        count = self._films.count if rows is None else rows.size
        k = min(k, count)
        if k == 0:
            empty = np.empty((len(queries), 0))
            return Ranked(empty.astype(np.int64), empty.astype(np.float32))
        if rows is not None and count < GATHER_BELOW * self._films.count:
            return self._gathered(queries, rows, k)
        near = self._near(queries, k, rows) if self._approximate is not None and k <= DEEP else None
        return near or self._scanned(queries, rows, k)

    def scores(self, queries: NDArray[np.float32], film_ids: NDArray[np.int64]) -> NDArray[np.float32]:
        """Return the scores (Q, N) of these films, in their order; NaN for a film without a vector here."""
        return self._answered(lambda: self._scores(queries, self._films.of(film_ids)))

    def _scores(self, queries: NDArray[np.float32], rows: NDArray[np.int64]) -> NDArray[np.float32]:
        scores = np.full((len(queries), rows.size), np.nan, np.float32)
        known = rows >= 0
        if known.any():
            scores[:, known] = self._best_of(queries, rows[known])
        return scores

    def scores_since(
        self, queries: NDArray[np.float32], mark: int, most: int
    ) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Return the first `most` embedding ids (n,) after `mark` and their scores (Q, n), those of gone films, too."""
        return self._answered(lambda: self._scores_of(queries, self._films.since(mark)[:most]))

    def _scores_of(
        self, queries: NDArray[np.float32], rows: NDArray[np.int64]
    ) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        return self._films.embedding_ids[rows], self._best_of(queries, rows)

    def can_find(self, embedding_ids: NDArray[np.int64], within: NDArray[np.int64] | None) -> NDArray[np.bool_]:
        """Say of each vector whether it is of a film that a search can find, out of the film ids where given."""
        with self._sharing.reading():
            return self._films.findable(embedding_ids, within)

    def percentiles(self, query: NDArray[np.float32], scores: NDArray[np.float32]) -> NDArray[np.float32]:
        """Say how many per cent of the archive's films score below each of `scores` for the query (D,)."""
        return percentiles_in(self._sample, query, scores)

    def holds(self, film_ids: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Say which of these films a search can find."""
        with self._sharing.reading():
            rows = self._films.of(film_ids)
            findable: NDArray[np.bool_] = (rows >= 0) & self._films.alive[rows] if self._films.alive.size else rows >= 0
            return findable

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
        return self._answered(lambda: self._take((rows := self._films.of(film_ids))[rows >= 0]))

    def _adopt(self, content: snapshot.Snapshot) -> None:
        flat = content.rows.reshape(-1, self._held.space.dim)
        if content.pieces is not None and not are_few(len(flat), self._held.space.dim):
            self._rows = MappedRows(flat, content.offset, content.pieces)
        else:
            if content.pieces is not None:
                content.pieces.check(np.zeros(1, np.int64), content.offset + flat.nbytes)
            self._rows = rows_for(len(flat), self._held.space.dim, gpu=self._gpu)
            self._rows.add(flat)
        self._films.adopt(content.ids, content.live)
        self._mark = content.mark
        # While the catalog's generation is the snapshot's, what lived then lives now.
        self._generation = content.generation

    def _append(self, block: spaces.Block) -> None:
        rows = block.vectors.reshape(-1, self._held.space.dim)
        if isinstance(self._rows, FewRows) and not are_few(len(self._rows) + len(rows), self._held.space.dim):
            few = self._rows.stored()
            self._rows = rows_for(len(few) + len(rows), self._held.space.dim, gpu=self._gpu)
            self._rows.add(few)
        self._rows.add(rows)
        self._films.append(block.ids, block.film_ids)
        self._mark = int(block.ids[-1])

    def _catch_up(self) -> None:
        """Add to the IVF index every row that the exact ones know."""
        lists = self._approximate
        if not isinstance(lists, Approximate) or not lists.grows or lists.mark >= self._mark:
            return
        count = self._held.space.vectors
        for rows in np.array_split(newer := self._films.since(lists.mark), newer.size // (1 << 15) + 1):
            ids = self._films.embedding_ids[rows]
            lists.add(ivf.numbers(ids, count), self._take(rows).reshape(-1, self._held.space.dim), int(ids[-1]))

    def _is_large(self) -> bool:
        return self._films.count * self._held.space.vectors * self._held.space.dim >= LARGE

    def _build(self) -> None:
        try:
            self._tried = len(self)
            content = snapshot.load(self._folder, self._held) if self._scan_ms() >= SLOW_MS else None
            if content is None:
                return
            # From the snapshot, which stays as it is: no lock is held, and what came since is caught up with.
            built = ivf.build(self._held, content.rows, content.ids[0], content.live)
            if built is not None:
                with suppress(OSError):  # a full disk: it is built again at the next start
                    lists_file.save(self._folder, self._held.id, built)
                if self._outdated(content.generation):
                    # Films may have been forgotten meanwhile: none of their vectors is left on the disk.
                    lists_file.remove(self._folder, self._held.id)
                with self._sharing.changing():
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
            with self._sharing.reading():
                started = time.perf_counter()
                self._scanned(query[None], None, 10)
                spent.append(1000 * (time.perf_counter() - started))
        return float(np.median(spent)) if spent else 0.0

    def _near(self, queries: NDArray[np.float32], k: int, rows: NDArray[np.int64] | None) -> Ranked | None:
        """Return the exact order of what the IVF index names; None where it names fewer than k films."""
        lists, count = self._approximate, self._held.space.vectors
        assert lists is not None  # noqa: S101
        keep, share = None, 1.0
        if rows is not None and rows.size < self._films.count:
            keep = np.zeros((self._mark + 1, count), np.bool_)
            keep[self._films.embedding_ids[rows]] = True
            share = rows.size / max(1, self._films.count)
        newer = self._films.since(lists.mark)
        if newer.size > RECENT:
            return None
        if rows is not None:
            newer = np.intersect1d(newer, rows, assume_unique=True)
        near = lists.candidates(queries, k * min(count, 4), share=share, keep=None if keep is None else keep.ravel())
        film_ids, scores = [], []
        for query, numbers in zip(queries, near, strict=True):
            rows_near = self._films.of_embeddings(np.unique(numbers[numbers >= 0] // count))
            candidates = np.union1d(rows_near, newer)
            candidates = candidates[self._films.alive[candidates]]
            if candidates.size < k:
                return None
            ranked = self._gathered(query[None], candidates, k)
            film_ids.append(ranked.film_ids[0])
            scores.append(ranked.scores[0])
        return Ranked(np.stack(film_ids), np.stack(scores))

    def _scanned(self, queries: NDArray[np.float32], rows: NDArray[np.int64] | None, k: int) -> Ranked:
        count = self._held.space.vectors
        everything = self._films.alive.all() if rows is None else rows.size == self._films.alive.size
        mask = self._films.alive
        if rows is not None and not everything:
            mask = np.zeros(self._films.alive.size, np.bool_)
            mask[rows] = True
        keep = None if everything else np.repeat(mask, count)
        if keep is not None and mask.mean() >= GATHER_BELOW:
            ranked = rank_of_all(self._rows, self._films.film_ids, queries, mask, k)
            if ranked is not None:
                return ranked
        # The best k * T rows hold at least k films, and each film's best row comes first.
        scores, places = self._rows.scan(queries, min(k * count, len(self._rows)), keep)
        return rank_rows(self._films.film_ids, places // count, scores, k)

    def _gathered(self, queries: NDArray[np.float32], rows: NDArray[np.int64], k: int) -> Ranked:
        scores = self._best_of(queries, rows)
        # Rows ascend with film ids as a rule, and a stable sort keeps that order among equal scores on every page.
        order = np.argsort(-scores, axis=1, kind="stable")[:, :k]
        return rank_rows(self._films.film_ids, rows[order], np.take_along_axis(scores, order, axis=1), k)

    def _best_of(self, queries: NDArray[np.float32], rows: NDArray[np.int64]) -> NDArray[np.float32]:
        dim, count = self._held.space.dim, self._held.space.vectors
        blocks = [np.empty((len(queries), 0), np.float32)]
        for start in range(0, rows.size, GATHERED):
            vectors = self._take(rows[start : start + GATHERED])
            blocks.append((queries @ vectors.reshape(-1, dim).T).reshape(len(queries), -1, count).max(axis=2))
        return np.concatenate(blocks, axis=1).astype(np.float32)

    def _take(self, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        """Return the vectors (N, T, D) of these rows of films."""
        count, dim = self._held.space.vectors, self._held.space.dim
        numbers = rows if count == 1 else (rows[:, None] * count + np.arange(count)).ravel()
        return self._rows.take(numbers).reshape(-1, count, dim)

    def _take_sample(self) -> None:
        # A hundredth more or fewer films moves no percentile that is shown.
        if self._films.count > SAMPLE and abs(self._films.count - self._sampled) < 0.01 * self._films.count:
            return
        row_bytes = 2 * self._held.space.vectors * self._held.space.dim
        rows = sampled_rows(self._films.alive, row_bytes, in_runs=isinstance(self._rows, MappedRows))
        self._sampled = self._films.count
        self._sample = self._take(rows)
