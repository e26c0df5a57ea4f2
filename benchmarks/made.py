"""What the other benchmarks run on; measures nothing. Archives hold vectors in groups, as those of films are.

A vector is a point of one of 200 groups in 32 dimensions, turned into `dim`, with noise and a shared direction: films
lie in a narrow cone, and texts outside of it.
"""

from __future__ import annotations

import os
import platform
import shutil
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from filmroom.db import schema
from filmroom.db.archive import Archive
from filmroom.db.path_names import tail_of
from filmroom.db.reads import spaces
from filmroom.db.reads.integrity import checksum
from filmroom.db.records import DECODING, Space
from filmroom.db.vector_index.snapshot import Snapshot, save
from numpy.typing import NDArray
from sqlalchemy import insert

BLOCK = 20_000

KEEPING = os.environ | {"PYTHONDONTWRITEBYTECODE": ""}
"""The environment of a process that is timed: byte code is kept, wherever its first call finds none."""

NUMBERS = "WITH RECURSIVE number(i) AS (SELECT ?1 UNION ALL SELECT i + 1 FROM number WHERE i < ?2)"
FILES = """
INSERT INTO file (id, root_id, path, size, mtime_ns, sha256, outcome, listed, tried_at, tail, decoding)
SELECT i, 1, 'ward-' || (i % 97) || '/film-' || i || '.dcm', 1, 1, printf('%064x', i), 'indexed', 1, 0,
       CAST('film-' || i || '/ward-' || (i % 97) || '/' AS BLOB), ?3
FROM number
"""
FILMS = """
INSERT INTO film (id, identity, file_id, frame, state, modality, view, sex, age, year, rows, columns,
                  study_uid, instance_uid, patient_key, added_at)
SELECT i, printf('uid:2.25.%030d#0', i), i, 0, 'present', 'DX', iif(i % 2, 'AP', 'PA'), iif(i % 2, 'F', 'M'), i % 90,
       2000 + i % 20, 2991, 2508, printf('2.25.%030d', i / 2), printf('2.25.%030d', i), printf('%032x', i / 5), 0
FROM number
"""


def made_vectors(count: int, dim: int, *, per_film: int = 1, seed: int = 0) -> NDArray[np.float32]:
    """(count, per_film, dim), rows of unit length."""
    rng = np.random.default_rng(seed)
    fixed = np.random.default_rng(1)
    groups = fixed.normal(size=(200, 32)).astype(np.float32)
    turn = fixed.normal(size=(32, dim)).astype(np.float32) / np.sqrt(32).astype(np.float32)
    where = groups[rng.integers(0, 200, count)][:, None]
    where = where + np.float32(0.7) * rng.standard_normal((count, per_film, 32), np.float32)
    rows = where @ turn + np.float32(0.3) * rng.standard_normal((count, per_film, dim), np.float32) + np.float32(1)
    found: NDArray[np.float32] = rows / np.linalg.norm(rows, axis=2, keepdims=True)
    return found


def made_queries(count: int, dim: int) -> NDArray[np.float32]:
    """(count, dim) as words ask: directions in which films differ."""
    rows = made_vectors(count, dim, seed=99)[:, 0]
    rows = rows - made_vectors(2000, dim, seed=98)[:, 0].mean(axis=0)
    found: NDArray[np.float32] = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    return found


def made_archive(
    folder: Path,
    count: int,
    space: Space,
    *,
    thumbnail: bytes = b"",
    listed: list[tuple[str, int, int]] | None = None,
    snapshot: bool = False,
) -> Archive:
    """An archive of `count` films, and the `snapshot` of their vectors. `listed` are their files (path, size, mtime_ns)
    below `folder`/films."""
    archive = Archive.create(folder)
    with archive.catalog.write() as connection:
        connection.execute(insert(schema.root).values(id=1, path=str(folder / "films")))
        connection.execute(
            insert(schema.space).values(
                id=1, model=space.model, fingerprint=space.fingerprint, dim=space.dim, vectors=space.vectors,
                has_text=space.has_text, generation=0,
            )
        )  # fmt: skip
    archive.catalog.close()
    with TemporaryDirectory(dir=folder) as place:
        rows = np.lib.format.open_memmap(f"{place}/rows.npy", "w+", np.float16, (count, space.vectors, space.dim))
        with filling(archive.catalog.path) as connection:
            for start in range(0, count, BLOCK):
                stop = min(count, start + BLOCK)
                rows[start:stop] = made_vectors(stop - start, space.dim, per_film=space.vectors, seed=start + 2)
                add_films(connection, start + 1, stop, listed)
                vectors = [row.tobytes() for row in rows[start:stop]]
                connection.executemany(
                    "INSERT INTO embedding (space_id, film_id, vectors, checksum) VALUES (1, ?, ?, ?)",
                    [(i, row, checksum(row)) for i, row in enumerate(vectors, start + 1)],
                )
                if thumbnail:
                    connection.execute(f"{NUMBERS} INSERT INTO thumbnail (film_id, webp) SELECT i, ?3 FROM number",
                                       (start + 1, stop, thumbnail))  # fmt: skip
        archive.catalog.learn_sizes()  # as a run does at its end
        if snapshot:
            ids = np.tile(np.arange(1, count + 1), (2, 1))
            (stored,) = spaces.spaces(archive.catalog)
            save(archive.vectors, stored, Snapshot(rows, ids, np.ones(count, np.bool_), 0, count))
    return archive


@contextmanager
def filling(catalog: Path) -> Iterator[sqlite3.Connection]:
    """A transaction that fills a new catalog, whose indexes are made when it is full: a fifth of the time that rows
    take that keep them. What is killed leaves no catalog: `whole` begins anew."""
    with closing(sqlite3.connect(catalog, isolation_level=None)) as connection:
        for setting in ("journal_mode=OFF", "synchronous=OFF", "cache_size=-500000", "locking_mode=EXCLUSIVE"):
            connection.execute(f"PRAGMA {setting}")
        found = connection.execute("SELECT name, sql FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL")
        indexes = found.fetchall()
        connection.execute("BEGIN")
        for name, _ in indexes:
            connection.execute(f"DROP INDEX {name}")
        yield connection
        for _, sql in indexes:
            connection.execute(sql)
        connection.execute("COMMIT")
        connection.execute("PRAGMA locking_mode=NORMAL")
        connection.execute("PRAGMA journal_mode=WAL")


def add_films(
    connection: sqlite3.Connection, first: int, last: int, listed: list[tuple[str, int, int]] | None = None
) -> None:
    """Films and files of these ids."""
    if listed is None:
        connection.execute(f"{NUMBERS} {FILES}", (first, last, DECODING))
    else:
        columns = "id, root_id, path, size, mtime_ns, sha256, outcome, listed, tried_at, tail, decoding"
        connection.executemany(
            f"INSERT INTO file ({columns}) VALUES (?, 1, ?, ?, ?, ?, 'indexed', 1, 0, ?, ?)",
            [(i, *listed[i - 1], f"{i:064x}", tail_of(listed[i - 1][0]), DECODING) for i in range(first, last + 1)],
        )
    connection.execute(f"{NUMBERS} {FILMS}", (first, last))


def kept_archive(folder: Path, count: int, dim: int, per_film: int) -> Archive:
    """One of `count` films with its snapshot, below `folder`; the one that is there already where there is one. In the
    space of the bundled model, where that has vectors of this kind."""
    from filmroom.indexer.models.registry import load_towers

    place = folder / f"{count}-films-{per_film}x{dim}"
    with whole(place) as aside:
        if aside is not None:
            own = load_towers().space
            space = own if (own.dim, own.vectors) == (dim, per_film) else Space("made", "0" * 64, dim, per_film)
            made_archive(aside, count, space, snapshot=True).catalog.close()
    return Archive.open(place)


@contextmanager
def whole(place: Path) -> Iterator[Path | None]:
    """Where to make a folder that becomes `place` when it is done, so that what a killed run leaves is made anew; None
    where it is there."""
    if place.exists():
        yield None
        return
    aside = place.with_name(f"{place.name}.part")
    shutil.rmtree(aside, ignore_errors=True)
    aside.mkdir(parents=True)
    yield aside
    aside.rename(place)


def median_ms(call: Callable[[int], object], times: int = 15) -> float:
    """Of `times` calls, each told its number; the first two are not counted."""
    spent = []
    for number in range(times + 2):
        started = time.perf_counter()
        call(number)
        spent.append(1000 * (time.perf_counter() - started))
    return float(np.median(spent[2:]))


def checkpoint(architecture: str, path: Path) -> Path:
    """Random weights of an open_clip architecture: speed does not depend on them."""
    import open_clip
    import torch

    torch.manual_seed(0)
    torch.save(open_clip.create_model(architecture).state_dict(), path)
    return path


@cache
def machine() -> str:
    """The machine in words, for the head of a table."""
    name = platform.processor() or platform.machine()
    told = Path("/proc/cpuinfo")
    if told.is_file():
        lines = told.read_text().splitlines()
        name = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), name)
    from filmroom.indexer.decoding.workers import usable_cpus

    return f"{usable_cpus()} processors ({name}), Python {platform.python_version()}"
