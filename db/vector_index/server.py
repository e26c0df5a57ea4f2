"""Search the vectors of one space on the server that has them (pgvector): this process holds but a sample."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from filmroom.db.batching import ids_of
from filmroom.db.catalog import Catalog
from filmroom.db.reads import films, spaces
from filmroom.db.reads.spaces import StoredSpace
from filmroom.db.reads.summary import IvfStats
from filmroom.db.vector_index import hnsw
from filmroom.db.vector_index.index import DEEP, GATHER_BELOW, VectorIndex
from filmroom.db.vector_index.ranked import Ranked
from numpy.typing import NDArray

_SAMPLE = 5000
_SAMPLE_BYTES = 1 << 23
_AMONG = "WHERE film_id = ANY(CAST(? AS bigint[]))"
_WITHOUT = "WHERE film_id <> ALL(CAST(? AS bigint[]))"

# Of 16-bit numbers pgvector sends the bytes, the high one first, behind their number and a number of no meaning.
_BYTES = "string_agg(substring(halfvec_send(halves) FROM 5), CAST('' AS bytea) ORDER BY part)"


class ServerIndex(VectorIndex):
    """Answers as `VectorIndex` does. A film's score is that of its best vector, in float32."""

    def __init__(self, catalog: Catalog, stored: StoredSpace, folder: Path) -> None:
        super().__init__(catalog, stored, folder, gpu=False)
        self._gone = np.empty(0, np.int64)
        self._count = 0
        self._width = 0
        self.refresh()

    @property
    def device(self) -> str:
        return "server"

    @property
    def approximation(self) -> IvfStats | None:
        return None

    def __len__(self) -> int:
        return self._count

    def refresh(self) -> None:
        stamp = spaces.stamp(self._catalog, self._held.id)
        widths = f"SELECT ef_search FROM {hnsw.STATS} WHERE space_id = ?"
        with self._catalog.look() as connection:
            width = connection.execute(widths, (self._held.id,)).fetchone()
        self._width = 0 if width is None else int(width[0])  # another may have built the index since
        if stamp == self._stamp:
            return
        gone = films.gone_ids(self._catalog)
        with self._catalog.look() as connection:
            counted = "SELECT count(*) FROM embedding WHERE space_id = ?"
            count = connection.execute(counted, (self._held.id,)).fetchone()[0]
            of_gone = self._embedded(connection, gone)
        with self._sharing.changing():
            self._gone, self._count, self._stamp = gone, int(count) - of_gone.size, stamp
        if abs(self._count - self._sampled) >= 0.01 * self._count:
            self._sample = self._some()
            self._sampled = self._count

    def keep_fast(self) -> None:
        """Do nothing: whoever indexes has the server build its index."""

    def save(self) -> None:
        """Have the server build its index, where the films are many, and measure it."""
        self._catalog.build_index(self._held, self._sample)
        self._stamp = None
        self.refresh()

    def search(self, queries: NDArray[np.float32], k: int, within: NDArray[np.int64] | None = None) -> Ranked:
        if within is not None:
            within = np.setdiff1d(within, self._gone)
        k = min(k, self._count if within is None else within.size)
        answers = [self._nearest(query, k, within) for query in queries] if k > 0 else [[] for _ in queries]
        shortest = min(map(len, answers), default=0)  # a film may have been forgotten between two queries
        hits = [ranking[:shortest] for ranking in answers]
        shape = (len(answers), shortest)
        return Ranked(
            np.array([[film_id for film_id, _ in ranking] for ranking in hits], np.int64).reshape(shape),
            np.array([[score for _, score in ranking] for ranking in hits], np.float32).reshape(shape),
        )

    def scores(self, queries: NDArray[np.float32], film_ids: NDArray[np.int64]) -> NDArray[np.float32]:
        result = np.full((len(queries), film_ids.size), np.nan, np.float32)
        unique_ids, places = np.unique(film_ids, return_inverse=True)
        for row, query in zip(result, queries, strict=True):
            film_scores = np.full(unique_ids.size, np.nan, np.float32)
            ranked = self._ranked(query, unique_ids.size, unique_ids) if unique_ids.size else []
            for film_id, score in ranked:
                film_scores[np.searchsorted(unique_ids, film_id)] = score
            row[:] = film_scores[places]
        return result

    def holds(self, film_ids: NDArray[np.int64]) -> NDArray[np.bool_]:
        with self._catalog.look() as connection:
            embedded = np.setdiff1d(self._embedded(connection, film_ids), self._gone)
        result: NDArray[np.bool_] = np.isin(film_ids, embedded)
        return result

    def vectors(self, film_ids: NDArray[np.int64]) -> NDArray[np.float32]:
        vectors = spaces.vectors_of(self._catalog, self._held, film_ids.tolist())
        rows = [vectors[film_id] for film_id in film_ids.tolist() if film_id in vectors]
        shape = (-1, self._held.space.vectors, self._held.space.dim)
        return np.stack(rows) if rows else np.empty((0, *shape[1:]), np.float32)

    def _nearest(self, query: NDArray[np.float32], k: int, within: NDArray[np.int64] | None) -> list[tuple[int, float]]:
        many = within is None or within.size >= GATHER_BELOW * self._count
        if self._width and many and k <= DEEP:
            which, ids = self._which(within)
            with self._catalog.look() as connection:
                near = hnsw.candidates(connection, self._held, query, k, width=self._width, which=which, ids=ids)
                if near.size >= k:
                    ids = hnsw.ids_text(near)
                    return hnsw.exact(connection, self._held, query, k, which=_AMONG, ids=ids)
        return self._ranked(query, k, within)

    def _ranked(self, query: NDArray[np.float32], k: int, within: NDArray[np.int64] | None) -> list[tuple[int, float]]:
        which, ids = self._which(within)
        with self._catalog.look() as connection:
            return hnsw.exact(connection, self._held, query, k, which=which, ids=ids)

    def _which(self, within: NDArray[np.int64] | None) -> tuple[str, str]:
        if within is not None:
            return _AMONG, hnsw.ids_text(within)
        return (_WITHOUT, hnsw.ids_text(self._gone)) if self._gone.size else ("", "")

    def _embedded(self, connection: hnsw.Looking, film_ids: NDArray[np.int64]) -> NDArray[np.int64]:
        statement = f"SELECT film_id AS id FROM embedding WHERE space_id = ? AND {_AMONG.removeprefix('WHERE ')}"
        return ids_of(connection, statement, (self._held.id, hnsw.ids_text(film_ids)))  # type: ignore[arg-type]

    def _some(self) -> NDArray[np.float32]:
        """Return the vectors of films that are as good as taken at random, the same each time."""
        size = 2 * self._held.space.vectors * self._held.space.dim
        step = 1 + self._count // max(1, min(_SAMPLE, _SAMPLE_BYTES // size))
        statement = f"SELECT film_id AS id FROM embedding WHERE space_id = ? AND hashint8(id) % {step} = 0"
        with self._catalog.look() as connection:
            chosen = ids_of(connection, statement, (self._held.id,))
        return self.vectors(np.setdiff1d(chosen, self._gone))


def stored_vectors(catalog: Catalog, stored: StoredSpace) -> Iterator[tuple[int, NDArray[np.float16]]]:
    """Yield each vector (T, D) as its table on the server has it, with its embedding id, in their order."""
    statement = (
        f"SELECT id, {_BYTES} FROM {hnsw.table_of(stored.id)} WHERE id > ? GROUP BY id ORDER BY id LIMIT {spaces.BLOCK}"
    )
    mark = 0
    while True:
        with catalog.look() as connection:
            rows = connection.execute(statement, (mark,)).fetchall()
        for row in rows:
            yield int(row[0]), _read(row[1]).reshape(-1, stored.space.dim)
        if not rows:
            return
        mark = int(rows[-1][0])


class ServerCopies:
    """The vectors of a space's table on the server, by film."""

    def __init__(self, catalog: Catalog, stored: StoredSpace) -> None:
        self._catalog = catalog
        self._statement = f"SELECT {_BYTES} FROM {hnsw.table_of(stored.id)} WHERE film_id = ? GROUP BY id"

    def of(self, film_id: int) -> bytes | None:
        with self._catalog.look() as connection:
            row = connection.execute(self._statement, (film_id,)).fetchone()
        return None if row is None else _read(row[0]).tobytes()


def _read(data: bytes) -> NDArray[np.float16]:
    return np.frombuffer(data, ">f2").astype(np.float16)
