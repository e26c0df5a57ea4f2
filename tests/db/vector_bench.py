"""An archive of films with known vectors, for tests of the index."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from filmroom.db.archive import Archive
from filmroom.db.reads import spaces
from filmroom.db.records import FileResult, NewFilm, Scope, SourceFile, Space, Tags
from filmroom.db.vector_index.index import VectorIndex
from filmroom.db.writes import file_diff, ingest
from numpy.typing import NDArray

DIM = 16


@dataclass
class Bench:
    """An archive of films with known vectors; film n has id n + 1."""

    archive: Archive
    scope: Scope
    space_id: int
    vectors: NDArray[np.float32]

    def add(self, given: NDArray[np.float32], *, start: int = 0) -> None:
        results = [
            FileResult(
                SourceFile("/films", f"{start + at}.png", 1, 1),
                f"{start + at:064}",
                films=[NewFilm(f"sha256:{start + at}#0", 0, Tags(rows=1, columns=1), b"", one)],
            )
            for at, one in enumerate(given)
        ]
        ingest.commit(self.archive.catalog, self.scope, self.space_id, results)

    def open(self) -> VectorIndex:
        return VectorIndex.open(self.archive.catalog, self.held, self.archive.vectors, gpu=False)

    @property
    def held(self) -> spaces.StoredSpace:
        return next(one for one in spaces.spaces(self.archive.catalog) if one.id == self.space_id)


def unit(rng: np.random.Generator, *shape: int) -> NDArray[np.float32]:
    rows = rng.normal(size=shape).astype(np.float32)
    return rows / np.linalg.norm(rows, axis=-1, keepdims=True)


def make_bench(folder: Path, count: int, per_film: int = 1) -> Bench:
    archive = Archive.create(folder)
    films = folder / "films"
    films.mkdir(exist_ok=True)
    scope = file_diff.open_scope(archive.catalog, films)
    space_id = ingest.ensure_space(archive.catalog, Space("m", "f" * 64, DIM, per_film))
    made = unit(np.random.default_rng(3), count, per_film, DIM)
    bench = Bench(archive, scope, space_id, made.astype(np.float16).astype(np.float32))
    bench.add(bench.vectors)
    return bench


def best(held: NDArray[np.float32], query: NDArray[np.float32], allowed: list[int]) -> list[int]:
    scores = (held @ query).max(axis=1)
    return [at + 1 for at in sorted(allowed, key=lambda at: (-scores[at], at))]
