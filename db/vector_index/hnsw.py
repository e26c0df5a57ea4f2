"""Ask the tables of pgvector on a server: which films are nearest, exactly or by the HNSW index.

The index only names candidates, whose vectors have the last word. How far it looks is found on the archive's own
vectors (`measured`), as is done for IVF: half of them as they are, half as they differ from the mean.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, Protocol

import numpy as np
from filmroom.db.reads.summary import HnswStats
from filmroom.db.records import StoredSpace
from numpy.typing import NDArray

STATS = "film_vector_index"
"""The table of what was measured."""

RECALL = 0.99
"""The share of the exact ten best that must be found, on average, by either kind of query."""

_TEN = 10
_DEEPER = 8  # candidates looked at, for each hit that is asked for
_QUERIES = 60
_WIDTHS = (40, 80, 160, 320, 640, 1000)

_SETTINGS = {
    "enable_seqscan": "off",
    "enable_bitmapscan": "off",
    "enable_sort": "off",
    "hnsw.iterative_scan": "relaxed_order",
    "hnsw.max_scan_tuples": "200000",
}
BY_INDEX = (
    f"SELECT {', '.join(f'set_config({name!r}, {value!r}, true)' for name, value in _SETTINGS.items())}, "
    "set_config('hnsw.ef_search', ?, true)"
)
"""Has the server ask its index until the transaction ends, by this width of the search."""


class Looking(Protocol):
    """A transaction of a catalog on a server."""

    def execute(self, statement: str, values: Sequence[Any] = ...) -> Any: ...


def table_of(space_id: int) -> str:
    return f"film_vector_{space_id}"


def vector_text(query: NDArray[np.float32]) -> str:
    """Return a vector as pgvector reads it."""
    return "[" + ",".join(map(repr, query.tolist())) + "]"


def ids_text(ids: NDArray[np.int64]) -> str:
    return "{" + ",".join(map(str, ids.tolist())) + "}"


def exact(
    connection: Looking, stored: StoredSpace, query: NDArray[np.float32], k: int, *, which: str = "", ids: str = ""
) -> list[tuple[int, float]]:
    """Return the k best films and their scores, in float32, of those `which` keeps, a condition on `ids`."""
    # Not an order that the index knows: what it leaves out would be missing.
    score = f"-(CAST(halves AS vector({stored.space.dim})) <#> CAST(? AS vector))"
    grouped, best = ("", score) if stored.space.vectors == 1 else ("GROUP BY film_id", f"max({score})")
    statement = (
        f"SELECT film_id, {best} AS score FROM {table_of(stored.id)} {which} {grouped} "
        f"ORDER BY score DESC, film_id LIMIT {k}"
    )
    rows = connection.execute(statement, (vector_text(query), *([ids] if which else [])))
    return [(int(row[0]), float(row[1])) for row in rows]


def candidates(
    connection: Looking,
    stored: StoredSpace,
    query: NDArray[np.float32],
    k: int,
    *,
    width: int,
    which: str = "",
    ids: str = "",
) -> NDArray[np.int64]:
    """Return films near the query, ascending, as the index names them: 8 k rows, or more where films have several."""
    connection.execute(BY_INDEX, (str(width),))
    rows = _DEEPER * k * min(stored.space.vectors, 4)
    order = f"halves <#> CAST(? AS halfvec({stored.space.dim}))"
    statement = f"SELECT film_id FROM {table_of(stored.id)} {which} ORDER BY {order} LIMIT {rows}"
    values = (*([ids] if which else []), vector_text(query))
    return np.unique(np.fromiter((row[0] for row in connection.execute(statement, values)), np.int64))


def measured(look: Callable[[], Any], stored: StoredSpace, sample: NDArray[np.float32], rows: int) -> HnswStats:
    """Find how far to look into the index to reach RECALL; a width of 0 where it is not reached. `look` begins a
    transaction, `sample` (M, T, D) are vectors of the archive."""
    films = sample[np.random.default_rng(1).choice(len(sample), _QUERIES)].mean(axis=1)
    films[1::2] -= sample.mean(axis=(0, 1))
    queries = films / np.maximum(np.linalg.norm(films, axis=1, keepdims=True), 1e-9)
    best, exact_ms = _timed(look, queries, partial(exact, stored=stored, k=_TEN))
    tens = [[film_id for film_id, _ in ranking] for ranking in best]
    stats = HnswStats(rows, 0, 0.0, round(exact_ms, 2), 0.0)
    for width in _WIDTHS:
        near, index_ms = _timed(look, queries, partial(candidates, stored=stored, k=_TEN, width=width))
        shares = [float(np.isin(ten, films_near).mean()) for ten, films_near in zip(tens, near, strict=True)]
        recall = min(float(np.mean(shares[kind::2])) for kind in (0, 1))
        stats = replace(stats, recall=round(recall, 4), approximate_ms=round(index_ms, 2))
        if recall >= RECALL:
            return replace(stats, ef_search=width)
    return stats


def _timed(look: Callable[[], Any], queries: NDArray[np.float32], ask: Callable[..., Any]) -> tuple[list[Any], float]:
    """Return the answers, and the median of the milliseconds that each took."""
    answers, spent = [], []
    for query in queries:
        with look() as connection:
            began = time.perf_counter()
            answers.append(ask(connection, query=query))
            spent.append(1000 * (time.perf_counter() - began))
    return answers, float(np.median(spent))
