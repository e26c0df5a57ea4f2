"""A damaged index is never believed, and a catalog that is held by another is waited for and named."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from filmroom.db import catalog, doctor
from filmroom.db.errors import ArchiveBusy, ArchiveDamaged
from filmroom.db.files import sqlite_file
from filmroom.db.reads import films
from filmroom.db.vector_index import snapshot
from filmroom.db.vector_index.index import VectorIndex

from tests.db.test_vectors import Bench, make_bench


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    made = make_bench(tmp_path / "archive", 30)
    made.open().save()
    return made


def rankings(index: VectorIndex, queries: np.ndarray) -> list[list[int]]:
    return index.search(queries, 5).film_ids.tolist()


def files_of(bench: Bench) -> list[Path]:
    found = [path for path in sorted(bench.archive.vectors.iterdir()) if path.is_file()]
    assert len(found) >= 3, "a manifest, and data"
    return found


def test_no_byte_of_the_index_can_change_unnoticed(bench: Bench) -> None:
    assert snapshot.load(bench.archive.vectors, bench.held) is not None
    for path in files_of(bench):
        whole = path.read_bytes()
        for at in {*range(0, len(whole), max(1, len(whole) // 120)), len(whole) - 1}:
            torn = bytearray(whole)
            torn[at] ^= 1 << (at % 8)
            path.write_bytes(torn)
            assert snapshot.load(bench.archive.vectors, bench.held) is None, (path.name, at)
        path.write_bytes(whole)


@pytest.mark.parametrize("kept", [0.0, 0.3, 0.99])
def test_a_torn_index_is_rebuilt_and_answers_the_same(bench: Bench, kept: float) -> None:
    queries = bench.vectors[:4, 0]
    before = rankings(bench.open(), queries)
    for path in files_of(bench):
        whole = path.read_bytes()
        path.write_bytes(whole[: int(kept * len(whole))])
        assert rankings(bench.open(), queries) == before
        assert not doctor.examine(bench.archive).healthy
        path.write_bytes(whole)
    for path in files_of(bench):
        path.write_bytes(path.read_bytes()[: int(kept * path.stat().st_size)])
    assert doctor.repair(bench.archive).healthy
    assert rankings(bench.open(), queries) == before


def test_files_that_changed_places_are_not_believed(bench: Bench) -> None:
    _, first, second = files_of(bench)[:3]
    one, other = first.read_bytes(), second.read_bytes()
    first.write_bytes(other)
    second.write_bytes(one)
    assert snapshot.load(bench.archive.vectors, bench.held) is None


def test_a_catalog_that_is_held_is_named_and_searches_go_on(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite_file, "BUSY_SECONDS", 0.2)
    mine = bench.archive.catalog.path
    opened = catalog.Catalog.open(mine)
    holder = sqlite3.connect(mine, isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    with pytest.raises(ArchiveBusy, match="another process held the catalog"), opened.write():
        pass
    index = VectorIndex.open(opened, bench.held, bench.archive.vectors, gpu=False)
    assert rankings(index, bench.vectors[:1, 0])
    holder.execute("ROLLBACK")
    holder.close()
    with opened.write():
        pass


def test_what_no_longer_reads_as_text_is_damage_and_is_not_shown(bench: Bench) -> None:
    mine = bench.archive.catalog
    with closing(sqlite3.connect(mine.path)) as connection, connection:
        connection.execute("UPDATE film SET view = CAST(x'4a6f686eff' AS TEXT)")
    with pytest.raises(ArchiveDamaged) as found:
        films.get(mine, 1)
    assert "John" not in str(found.value)
