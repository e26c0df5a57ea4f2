"""Latency of the vector search against raw FAISS, on made vectors of several archive sizes and filters.

    python benchmarks/latency.py [--sizes 1000 10000 100000] [--dim 256]

Prints one table; the ratio is our search over FAISS's own on the same vectors in the same run.
"""

from __future__ import annotations

import argparse
import os
import platform
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import faiss
import numpy as np
from sqlalchemy import insert

from db import schema, spaces
from db.archive import Archive
from db.vectors import VectorIndex


def made_archive(folder: Path, count: int, dim: int) -> Archive:
    """An archive of `count` films with random unit vectors and nothing else."""
    archive = Archive.create(folder)
    rng = np.random.default_rng(0)
    with archive.catalog.write() as connection:
        connection.execute(insert(schema.root).values(id=1, path="/made"))
        connection.execute(
            insert(schema.space).values(
                id=1, model="made", fingerprint="0" * 64, dim=dim, vectors=1, has_text=False, generation=0
            )
        )
        for start in range(0, count, 10_000):
            ids = range(start + 1, min(count, start + 10_000) + 1)
            rows = rng.normal(size=(len(ids), dim)).astype(np.float32)
            rows /= np.linalg.norm(rows, axis=1, keepdims=True)
            seen = {"root_id": 1, "size": 1, "mtime_ns": 1, "outcome": "indexed", "listed": True, "tried_at": 0}
            connection.execute(insert(schema.file), [{"id": i, "path": str(i), **seen} for i in ids])
            facts = {"frame": 0, "state": "present", "rows": 1, "columns": 1, "added_at": 0}
            connection.execute(
                insert(schema.film),
                [{"id": i, "identity": str(i), "file_id": i, "year": 2000 + i % 20, **facts} for i in ids],
            )
            connection.execute(
                insert(schema.embedding),
                [
                    {"space_id": 1, "film_id": i, "vectors": row.astype(np.float16).tobytes()}
                    for i, row in zip(ids, rows, strict=True)
                ],
            )
    return archive


def median_ms(call: Callable[[], object], times: int = 15) -> float:
    call()
    taken = []
    for _ in range(times):
        start = time.perf_counter()
        call()
        taken.append(time.perf_counter() - start)
    return 1000 * float(np.median(taken))


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--sizes", type=int, nargs="+", default=[1_000, 10_000, 100_000])
    options.add_argument("--dim", type=int, default=256)
    asked = options.parse_args()
    print(f"{platform.processor() or platform.machine()}, {os.cpu_count()} CPUs, d={asked.dim}, k=24, medians of 15")
    print("    films  open s  MB/1,000  raw ms  ours ms  ratio    50 %     5 %   0.1 %")
    for size in asked.sizes:
        with tempfile.TemporaryDirectory() as folder:
            archive = made_archive(Path(folder) / "archive", size, asked.dim)
            (held,) = spaces.spaces(archive.catalog)
            VectorIndex.open(archive.catalog, held, archive.vectors).save()
            start = time.perf_counter()
            index = VectorIndex.open(archive.catalog, held, archive.vectors)
            opened = time.perf_counter() - start
            rng = np.random.default_rng(1)
            query = rng.normal(size=(1, asked.dim)).astype(np.float32)
            query /= np.linalg.norm(query)
            raw = faiss.read_index(str(next(archive.vectors.glob("*.faiss"))))
            plain = median_ms(partial(raw.search, query, 24))
            ours = median_ms(partial(index.search, query, 24))
            filtered = []
            for share in (0.5, 0.05, 0.001):
                within = np.sort(rng.choice(size, max(1, int(size * share)), replace=False)) + 1
                filtered.append(median_ms(partial(index.search, query, 24, within)))
            bulk = sum(path.stat().st_size for path in archive.folder.rglob("*")) / 2**20 / size * 1000
            print(
                f"{size:>9,} {opened:>7.2f} {bulk:>9.2f} {plain:>7.2f} {ours:>8.2f} {ours / plain:>6.2f} "
                + " ".join(f"{one:>7.2f}" for one in filtered)
            )


if __name__ == "__main__":
    main()
