"""Build an IVF index of very many vectors: FAISS's inverted lists over 8-bit codes.

It only names candidates, which are then scored exactly. How many lists to look into is found on the archive's own
vectors: half of them as they are (what a search for similar films asks) and half as they differ from the mean (what
words ask: texts lie far from films as a whole, and only the difference between films orders them). A structure that
does not reach RECALL there is not used.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
from filmroom.db.reads.summary import IvfStats
from filmroom.db.records import StoredSpace
from filmroom.db.vector_index.flat import ManyRows, best
from numpy.typing import NDArray

RECALL = 0.99
"""The share of the exact ten best that must be found, on average, by either kind of query."""

DEEPER = 8
"""Candidates looked at, for each hit that is asked for."""

_QUERIES = 400
_TEN = 10
_MARGIN = 0.002  # for having taken the first number of lists that does
_PER_LIST = 40  # vectors a list to learn the lists from; FAISS warns below 39


class Lists(Protocol):
    """An IVF index of vectors that are known by number: `embedding id * T + t`. `mark`: the last embedding in it."""

    @property
    def facts(self) -> IvfStats: ...

    @property
    def mark(self) -> int: ...

    def candidates(
        self, queries: NDArray[np.float32], k: int, *, share: float = 1.0, keep: NDArray[np.bool_] | None = None
    ) -> NDArray[np.int64]:
        """Return numbers (Q, 8 k) of vectors near each query, best first, -1 where there are no more. `keep` says of
        each number whether it may come, `share` how many of all may: the fewer, the more lists are looked into."""


@dataclass
class Approximate:
    """Lists that FAISS searches. `grows`: they take what came since."""

    index: Any
    facts: IvfStats
    mark: int
    grows: bool = True

    def add(self, numbers: NDArray[np.int64], rows: NDArray[np.float32], mark: int) -> None:
        self.index.add_with_ids(rows, numbers)
        self.mark = mark

    def candidates(
        self, queries: NDArray[np.float32], k: int, *, share: float = 1.0, keep: NDArray[np.bool_] | None = None
    ) -> NDArray[np.int64]:
        import faiss

        probes = probes_for(self.facts, share)
        # What was overwritten (`lists_file.take_away`) has no number, and for some queries its code beats all others.
        selector: Any = faiss.IDSelectorRange(0, np.iinfo(np.int64).max)
        if keep is not None:
            packed = np.packbits(keep, bitorder="little")
            selector = faiss.IDSelectorBitmap(packed)  # type: ignore[call-arg, arg-type]
        settings = faiss.SearchParametersIVF(nprobe=probes, sel=selector)  # type: ignore[call-arg]
        near: NDArray[np.int64] = self.index.search(queries, DEEPER * k, params=settings)[1]
        return near


def probes_for(facts: IvfStats, share: float) -> int:
    """Return into how many lists to look where this share of the vectors may come."""
    return min(facts.lists, int(np.ceil(facts.probes / share)))


def build(
    stored_space: StoredSpace, stored: NDArray[np.float16], embedding_ids: NDArray[np.int64], alive: NDArray[np.bool_]
) -> Approximate | None:
    """Learn the lists, fill them with `stored` (N, T, D) of these ids, and measure. None where it does not reach
    RECALL, or is no faster than an exact scan by half."""
    import faiss

    count, per_film, dim = stored.shape
    lists = int(2 * np.sqrt(count * per_film))
    rng = np.random.default_rng(0)
    index: Any = faiss.index_factory(dim, f"IVF{lists},SQ8", faiss.METRIC_INNER_PRODUCT)
    flat = stored.reshape(-1, dim)
    sample = np.sort(rng.choice(len(flat), min(len(flat), _PER_LIST * lists), replace=False))
    index.cp.niter = 8
    index.train(flat[sample].astype(np.float32))
    for start in range(0, count, 1 << 15):
        ids = embedding_ids[start : start + (1 << 15)]
        index.add_with_ids(
            flat[start * per_film : (start + ids.size) * per_film].astype(np.float32), numbers(ids, per_film)
        )
    mark = int(embedding_ids[-1])
    facts = IvfStats(stored_space.space.fingerprint, mark, len(flat), lists, 1, 0.0, 0.0, 0.0)
    return _measured(Approximate(index, facts, mark), stored, embedding_ids, np.flatnonzero(alive))


def numbers(embedding_ids: NDArray[np.int64], per_film: int) -> NDArray[np.int64]:
    """Return the numbers (N * T,) of the vectors that these embeddings (N,) hold."""
    return (embedding_ids[:, None] * per_film + np.arange(per_film)).ravel()


def _measured(
    built: Approximate, stored: NDArray[np.float16], embedding_ids: NDArray[np.int64], rows: NDArray[np.int64]
) -> Approximate | None:
    queries = _own_queries(stored, rows)
    exact, exact_ms = _exactly(stored, queries, rows), _exact_ms(stored, queries)
    recall = 0.0
    for probes in _doubling(built.index.nlist):
        built.facts = replace(built.facts, probes=probes)
        recall = min(_recall(built, stored, embedding_ids, queries[kind::2], exact[kind::2]) for kind in (0, 1))
        if recall >= RECALL + _MARGIN:
            break
    spent = []
    for query in queries[:21]:
        started = time.perf_counter()
        built.candidates(query[None], _TEN)
        spent.append(1000 * (time.perf_counter() - started))
    approximate_ms = float(np.median(spent))
    if recall < RECALL or approximate_ms > exact_ms / 2:
        return None
    built.facts = replace(
        built.facts, recall=round(recall, 4), exact_ms=round(exact_ms, 2), approximate_ms=round(approximate_ms, 3)
    )
    return built


def _own_queries(stored: NDArray[np.float16], rows: NDArray[np.int64]) -> NDArray[np.float32]:
    rng = np.random.default_rng(1)
    films = stored[rng.choice(rows, _QUERIES)].astype(np.float32).mean(axis=1)
    films[1::2] -= stored[rng.choice(rows, min(rows.size, 20_000))].astype(np.float32).mean(axis=(0, 1))
    unit: NDArray[np.float32] = films / np.maximum(np.linalg.norm(films, axis=1, keepdims=True), 1e-9)
    return unit


def _exactly(stored: NDArray[np.float16], queries: NDArray[np.float32], rows: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the rows (Q, 10) of the best films, out of `rows`; -1 where there are fewer."""
    count, per_film, dim = stored.shape
    gone = np.ones(count, np.bool_)
    gone[rows] = False
    scores, best_rows = np.empty((len(queries), 0), np.float32), np.empty((len(queries), 0), np.int64)
    for start in range(0, count, 1 << 13):
        block = stored[start : start + (1 << 13)].reshape(-1, dim).astype(np.float32)
        block_scores = (queries @ block.T).reshape(len(queries), -1, per_film).max(axis=2)
        block_scores[:, gone[start : start + (1 << 13)]] = -np.inf
        top, at = best(block_scores, _TEN)
        scores = np.concatenate([scores, top], axis=1)
        best_rows = np.concatenate([best_rows, np.where(at >= 0, at + start, -1)], axis=1)
        scores, order = best(scores, _TEN)
        best_rows = np.where(order >= 0, np.take_along_axis(best_rows, order, axis=1), -1)
    return best_rows


def _exact_ms(stored: NDArray[np.float16], queries: NDArray[np.float32]) -> float:
    """Say how long FAISS takes to scan all of them for one query, from a part that no cache of the processor holds."""
    count, per_film, dim = stored.shape
    part = ManyRows(dim)
    part.add(stored[: (1 << 25) // (per_film * dim)].reshape(-1, dim))
    spent = []
    for query in queries[:9]:
        started = time.perf_counter()
        part.scan(query[None], _TEN, None)
        spent.append(1000 * (time.perf_counter() - started))
    return float(np.median(spent) * count * per_film / max(1, len(part)))


def _recall(
    built: Approximate,
    stored: NDArray[np.float16],
    embedding_ids: NDArray[np.int64],
    queries: NDArray[np.float32],
    exact: NDArray[np.int64],
) -> float:
    per_film = stored.shape[1]
    candidates = built.candidates(queries, _TEN)
    shares = []
    for query, expected, near in zip(queries, exact, candidates, strict=True):
        rows = np.unique(np.searchsorted(embedding_ids, near[near >= 0] // per_film))
        scores = (stored[rows].astype(np.float32) @ query).max(axis=1)
        ten = rows[np.argsort(-scores)[:_TEN]]
        shares.append(np.isin(expected[expected >= 0], ten).mean())
    return float(np.mean(shares))


def _doubling(most: int) -> Iterator[int]:
    probes = 4
    while probes < most // 4:
        yield probes
        probes *= 2
