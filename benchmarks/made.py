"""What the other benchmarks run on; measures nothing. Archives hold vectors in groups, as those of films are.

A vector is a point of one of 200 groups in 32 dimensions, turned into `dim`, with noise and a shared direction: films
lie in a narrow cone, and texts outside of it.
"""

from __future__ import annotations

import platform
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import numpy as np
from filmroom.db import schema
from filmroom.db.archive import Archive
from filmroom.db.path_names import tail_of
from filmroom.db.reads import spaces
from filmroom.db.records import DECODING, Space
from filmroom.db.vector_index.index import VectorIndex
from numpy.typing import NDArray
from sqlalchemy import insert

BLOCK = 20_000


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
    folder: Path, count: int, space: Space, *, thumbnail: bytes = b"", listed: list[tuple[str, int, int]] | None = None
) -> Archive:
    """An archive of `count` films. `listed` are their files (path, size, mtime_ns) below `folder`/films."""
    archive = Archive.create(folder)
    with archive.catalog.write() as connection:
        connection.execute(insert(schema.root).values(id=1, path=str(folder / "films")))
        connection.execute(
            insert(schema.space).values(
                id=1, model=space.model, fingerprint=space.fingerprint, dim=space.dim, vectors=space.vectors,
                has_text=space.has_text, generation=0,
            )
        )  # fmt: skip
        cursor = connection.connection.cursor()
        for start in range(0, count, BLOCK):
            ids = range(start + 1, min(count, start + BLOCK) + 1)
            files = [listed[i - 1] if listed else (f"ward-{i % 97}/film-{i}.dcm", 1, 1) for i in ids]
            cursor.executemany(
                "INSERT INTO file (id, root_id, path, size, mtime_ns, sha256, outcome, listed, tried_at, tail, "
                "decoding) VALUES (?, 1, ?, ?, ?, ?, 'indexed', 1, 0, ?, ?)",
                [(i, *file, f"{i:064x}", tail_of(file[0]), DECODING) for i, file in zip(ids, files, strict=True)],
            )
            cursor.executemany(
                "INSERT INTO film (id, identity, file_id, frame, state, modality, view, sex, age, year, rows, columns, "
                "study_uid, instance_uid, patient_key, added_at) "
                "VALUES (?, ?, ?, 0, 'present', 'DX', ?, ?, ?, ?, 2991, 2508, ?, ?, ?, 0)",
                [
                    (i, f"uid:2.25.{i:030}#0", i, ("PA", "AP")[i % 2], "MF"[i % 2], i % 90, 2000 + i % 20,
                     f"2.25.{i // 2:030}", f"2.25.{i:030}", f"{i // 5:032x}")
                    for i in ids
                ],
            )  # fmt: skip
            rows = made_vectors(len(ids), space.dim, per_film=space.vectors, seed=start + 2).astype(np.float16)
            cursor.executemany(
                "INSERT INTO embedding (space_id, film_id, vectors) VALUES (1, ?, ?)",
                [(i, row.tobytes()) for i, row in zip(ids, rows, strict=True)],
            )
            if thumbnail:
                cursor.executemany("INSERT INTO thumbnail (film_id, webp) VALUES (?, ?)", [(i, thumbnail) for i in ids])
    archive.catalog.learn_sizes()  # as a run does at its end
    return archive


def kept_archive(folder: Path, count: int, dim: int, per_film: int) -> Archive:
    """One of `count` films with its snapshot, below `folder`; the one that is there already where there is one. In the
    space of the bundled model, where that has vectors of this kind."""
    from filmroom.indexer.models.registry import load_towers

    place = folder / f"{count}-films-{per_film}x{dim}"
    with whole(place) as aside:
        if aside is not None:
            own = load_towers().space
            space = own if (own.dim, own.vectors) == (dim, per_film) else Space("made", "0" * 64, dim, per_film)
            archive = made_archive(aside, count, space)
            (held,) = spaces.spaces(archive.catalog)
            VectorIndex.open(archive.catalog, held, archive.vectors, gpu=False).save()
            archive.catalog.close()
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
