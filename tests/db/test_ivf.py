"""The IVF index into a large archive: never older than a deletion, and never the last word."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from filmroom.db.reads.summary import glance
from filmroom.db.records import State
from filmroom.db.schema import embedding, film
from filmroom.db.vector_index import index as vectors
from filmroom.db.vector_index import ivf, snapshot
from filmroom.db.writes.meta import touch_generation
from sqlalchemy import insert, update

from tests.db.vector_bench import DIM, Bench, make_bench, unit


@pytest.fixture(scope="module")
def crowd(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    """Vectors in groups, as those of films are."""
    bench = make_bench(tmp_path_factory.mktemp("crowd"), 1)
    rng = np.random.default_rng(0)
    centres = unit(rng, 60, DIM)
    near = centres[rng.integers(0, 60, 3000)] + 0.15 * rng.normal(size=(3000, DIM)).astype(np.float32)
    near /= np.linalg.norm(near, axis=1, keepdims=True)
    facts = {"frame": 0, "state": "present", "rows": 1, "columns": 1, "added_at": 0, "file_id": 1}
    blobs = [row.astype(np.float16).tobytes() for row in near]
    with bench.archive.catalog.write() as connection:
        connection.execute(insert(film), [{"id": at, "identity": str(at), **facts} for at in range(2, 3002)])
        rows_of_table = [{"space_id": 1, "film_id": at + 2, "vectors": blob} for at, blob in enumerate(blobs)]
        connection.execute(insert(embedding), rows_of_table)
    bench.open().save()
    return bench


@pytest.fixture
def slow(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine on which every archive is large and every exact scan slow."""
    monkeypatch.setattr(vectors, "LARGE", 0)
    monkeypatch.setattr(vectors, "SLOW_MS", 0.0)
    monkeypatch.setattr(ivf, "_exact_ms", lambda *_: 1e6)


@pytest.mark.usefixtures("slow")
def test_a_slow_archive_gets_an_approximate_first_look_in_the_background(crowd: Bench) -> None:
    ivf.remove(crowd.archive.vectors, crowd.space_id)
    index = crowd.open()
    assert index.approximation is None
    queries = index.vectors(np.arange(100, 200))[:, 0]
    exact = index.search(queries, 10)
    builder = index.keep_fast()
    assert builder is not None
    assert np.array_equal(index.search(queries, 10).film_ids, exact.film_ids), "the exact rows serve meanwhile"
    builder.join()
    assert index.keep_fast() is None, "it is not built twice"
    for one in (index, crowd.open()):
        facts = one.approximation
        assert facts is not None
        assert facts.recall >= ivf.RECALL
        assert glance(crowd.archive.catalog.path).ivf[crowd.space_id].recall == facts.recall
        found = one.search(queries, 10)
        assert np.mean([np.isin(*pair).mean() for pair in zip(exact.film_ids, found.film_ids, strict=True)]) >= 0.99
        assert np.allclose(found.scores[:, 0], 1.0, atol=2e-3), "what is found is scored exactly"


@pytest.mark.usefixtures("slow")
def test_a_fast_archive_is_timed_once(crowd: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vectors, "SLOW_MS", 1e9)
    ivf.remove(crowd.archive.vectors, crowd.space_id)
    index = crowd.open()
    builder = index.keep_fast()
    assert builder is not None
    builder.join()
    assert index.approximation is None
    assert index.keep_fast() is None, "every search would time it again"


@pytest.mark.usefixtures("slow")
def test_lists_that_outlive_a_vector_are_not_kept(crowd: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """A film may be forgotten while they are made of a snapshot that still holds it."""
    save = ivf.save

    def late(folder: Path, space_id: int, built: ivf.Approximate) -> None:
        with crowd.archive.catalog.write() as connection:
            touch_generation(connection, {space_id})
        save(folder, space_id, built)

    monkeypatch.setattr(ivf, "save", late)
    ivf.remove(crowd.archive.vectors, crowd.space_id)
    index = crowd.open()
    index.save()
    builder = index.keep_fast()
    assert builder is not None
    builder.join()
    assert index.approximation is not None
    assert not list(crowd.archive.vectors.glob("lists-*"))


@pytest.mark.usefixtures("slow")
def test_the_first_look_follows_films_that_come_and_go(crowd: Bench) -> None:
    index = crowd.open()
    if (builder := index.keep_fast()) is not None:
        builder.join()
    assert index.approximation is not None
    newest = unit(np.random.default_rng(77), 1, 1, DIM)
    start = len(index)
    crowd.add(newest, start=start)
    index.refresh()
    assert index.search(newest[0], 3).film_ids[0, 0] == start + 1
    with crowd.archive.catalog.write() as connection:
        connection.execute(update(film).where(film.c.id == start + 1).values(state=State.GONE.value))
    index.refresh()
    found = index.search(newest[0], 3)
    assert start + 1 not in found.film_ids
    half = np.arange(1, start, 2)
    within = index.search(newest[0], 5, half)
    assert np.isin(within.film_ids, half).all()
    assert within.film_ids.shape == (1, 5)
    assert snapshot.load(crowd.archive.vectors, crowd.held) is not None
    snapshot.remove(crowd.archive.vectors, crowd.space_id)
    assert ivf.load(crowd.archive.vectors, crowd.held) is None, "no vector outlives the snapshot"
    crowd.open().save()
