"""The vector index: exact, within filters, without gone films, and never more than a cache."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import faiss
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from sqlalchemy import insert, update

from db import approximate, ingest, listing, rows, snapshot, spaces, vectors
from db.archive import Archive
from db.catalog import touch_generation
from db.glance import glance
from db.listing import Seen
from db.records import Space, State, Tags
from db.rows import gpu_works
from db.schema import embedding, film
from db.vectors import VectorIndex

DIM = 16


@dataclass
class Bench:
    """An archive of films with known vectors; film n has id n + 1."""

    archive: Archive
    scope: listing.Scope
    space_id: int
    vectors: NDArray[np.float32]

    def add(self, given: NDArray[np.float32], *, start: int = 0) -> None:
        results = [
            ingest.Result(
                Seen(f"{start + at}.png", 1, 1),
                f"{start + at:064}",
                films=[ingest.NewFilm(f"sha256:{start + at}#0", 0, Tags(rows=1, columns=1), b"", one)],
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
    scope = listing.open_scope(archive.catalog, films)
    space_id = ingest.ensure_space(archive.catalog, Space("m", "f" * 64, DIM, per_film))
    made = unit(np.random.default_rng(3), count, per_film, DIM)
    bench = Bench(archive, scope, space_id, made.astype(np.float16).astype(np.float32))
    bench.add(bench.vectors)
    return bench


def best(held: NDArray[np.float32], query: NDArray[np.float32], allowed: list[int]) -> list[int]:
    scores = (held @ query).max(axis=1)
    return [at + 1 for at in sorted(allowed, key=lambda at: (-scores[at], at))]


class FakeGpu(faiss.IndexFlatIP):
    """FAISS's GPU index as far as we use it: it knows no filter."""

    def __init__(self, _resources: object, dim: int, _settings: object) -> None:
        super().__init__(dim)

    def search(self, queries: NDArray[np.float32], k: int) -> Any:
        if k > rows.GPU_DEEP:
            raise RuntimeError("GPU index only supports min/max-K selection up to 2048")
        return super().search(queries, k)


@pytest.fixture(params=["few", "many", "gpu"])
def kind(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Every kind of rows; the GPU is a fake that takes the same calls."""
    if request.param != "few":
        monkeypatch.setattr(rows, "FEW", 0)
    if request.param == "gpu":
        monkeypatch.setattr(faiss, "GpuIndexFlatIP", FakeGpu, raising=False)
        monkeypatch.setattr(faiss, "GpuIndexFlatConfig", SimpleNamespace, raising=False)
        monkeypatch.setattr(faiss, "StandardGpuResources", object, raising=False)
        monkeypatch.setattr(faiss, "get_num_gpus", lambda: 1)
    return str(request.param)


@pytest.mark.parametrize("per_film", [1, 4])
@pytest.mark.usefixtures("kind")
def test_all_films_can_be_ranked(tmp_path: Path, per_film: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rows, "GPU_DEEP", 32)
    bench = make_bench(tmp_path, 50, per_film)
    index = VectorIndex.open(bench.archive.catalog, bench.held, bench.archive.vectors)
    query = unit(np.random.default_rng(6), 1, DIM)
    for k, within in ((50, None), (16, np.arange(1, 41))):
        found = index.search(query, k, within)
        scores = (bench.vectors @ query[0]).max(axis=1)[: 50 if within is None else 40]
        assert np.allclose(found.scores[0], np.sort(scores)[::-1][:k], atol=2e-3)


@pytest.mark.parametrize("per_film", [1, 4])
@pytest.mark.parametrize("share", [1.0, 0.5, 0.1])
@pytest.mark.parametrize("asked", [6, 40])
def test_a_search_is_exact_within_any_filter(
    tmp_path: Path, kind: str, per_film: int, share: float, asked: int
) -> None:
    bench = make_bench(tmp_path, 100, per_film)
    rng = np.random.default_rng(5)
    allowed = np.sort(rng.choice(100, int(100 * share), replace=False))
    queries = unit(rng, asked, DIM)
    index = VectorIndex.open(bench.archive.catalog, bench.held, bench.archive.vectors)
    assert index.device == ("GPU" if kind == "gpu" else "CPU")
    found = index.search(queries, 10, None if share == 1.0 else allowed + 1)
    for row, query in enumerate(queries):
        expected = best(bench.vectors, query, allowed.tolist())[:10]
        assert found.film_ids[row].tolist() == expected
        assert np.allclose(found.scores[row], (bench.vectors[np.array(expected) - 1] @ query).max(axis=1), atol=2e-3)


def test_a_snapshot_of_any_kind_serves_any_other(tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    bench = make_bench(tmp_path, 60, 2)
    VectorIndex.open(bench.archive.catalog, bench.held, bench.archive.vectors).save()
    for few in (0, 10_000):
        monkeypatch.setattr(rows, "FEW", few)
        index = VectorIndex.open(bench.archive.catalog, bench.held, bench.archive.vectors)
        assert np.array_equal(index.vectors(np.arange(1, 61)), bench.vectors)


@pytest.mark.parametrize(("large", "late", "current"), [(10**6, 1, False), (0, 1, True), (0, 2, False)])
def test_only_the_snapshot_of_a_large_archive_may_lag(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, large: int, late: int, current: bool
) -> None:
    monkeypatch.setattr(snapshot, "LARGE", large)
    bench = make_bench(tmp_path, 60)
    bench.open().save()
    bench.add(unit(np.random.default_rng(8), late, 1, DIM), start=60)
    stamp = spaces.stamp(bench.archive.catalog, bench.space_id)
    folder = bench.archive.vectors
    assert snapshot.is_current(folder, bench.held, generation=stamp.generation, mark=stamp.mark) is current
    assert len(bench.open()) == 60 + late


def test_few_rows_become_many_as_they_grow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rows, "FEW", 30 * DIM)
    bench = make_bench(tmp_path, 20)
    index = VectorIndex.open(bench.archive.catalog, bench.held, bench.archive.vectors, gpu=False)
    more = unit(np.random.default_rng(8), 20, 1, DIM)
    bench.add(more, start=20)
    index.refresh()
    assert len(index) == 40
    assert index.search(more[19], 1).film_ids[0, 0] == 40
    assert index.search(bench.vectors[0], 1).film_ids[0, 0] == 1


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
    monkeypatch.setattr(approximate, "_exact_ms", lambda *_: 1e6)


@pytest.mark.usefixtures("slow")
def test_a_slow_archive_gets_an_approximate_first_look_in_the_background(crowd: Bench) -> None:
    approximate.remove(crowd.archive.vectors, crowd.space_id)
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
        assert facts.recall >= approximate.RECALL
        assert glance(crowd.archive.catalog.path).looks[crowd.space_id].recall == facts.recall
        found = one.search(queries, 10)
        assert np.mean([np.isin(*pair).mean() for pair in zip(exact.film_ids, found.film_ids, strict=True)]) >= 0.99
        assert np.allclose(found.scores[:, 0], 1.0, atol=2e-3), "what is found is scored exactly"


@pytest.mark.usefixtures("slow")
def test_a_fast_archive_is_timed_once(crowd: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vectors, "SLOW_MS", 1e9)
    approximate.remove(crowd.archive.vectors, crowd.space_id)
    index = crowd.open()
    builder = index.keep_fast()
    assert builder is not None
    builder.join()
    assert index.approximation is None
    assert index.keep_fast() is None, "every search would time it again"


@pytest.mark.usefixtures("slow")
def test_lists_that_outlive_a_vector_are_not_kept(crowd: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """A film may be forgotten while they are made of a snapshot that still holds it."""
    save = approximate.save

    def late(folder: Path, space_id: int, built: approximate.Approximate) -> None:
        with crowd.archive.catalog.write() as connection:
            touch_generation(connection, {space_id})
        save(folder, space_id, built)

    monkeypatch.setattr(approximate, "save", late)
    approximate.remove(crowd.archive.vectors, crowd.space_id)
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
    assert approximate.load(crowd.archive.vectors, crowd.held) is None, "no vector outlives the snapshot"
    crowd.open().save()


def test_as_many_come_back_as_there_are(tmp_path: Path) -> None:
    index = make_bench(tmp_path, 7).open()
    query = unit(np.random.default_rng(1), 1, DIM)
    assert index.search(query, 50).film_ids.shape == (1, 7)
    assert index.search(query, 5, np.array([2, 4])).film_ids.shape == (1, 2)
    assert index.search(query, 5, np.array([], np.int64)).film_ids.shape == (1, 0)


def test_gone_films_are_left_out_at_once_and_come_back(tmp_path: Path) -> None:
    bench = make_bench(tmp_path, 20)
    index = bench.open()
    query = bench.vectors[4]
    assert index.search(query, 1).film_ids[0, 0] == 5
    for state, expected in ((State.GONE, False), (State.PRESENT, True)):
        with bench.archive.catalog.write() as connection:
            connection.execute(update(film).where(film.c.id == 5).values(state=state.value))
        index.refresh()
        assert (5 in index.search(query, 20).film_ids) is expected
        assert len(index) == 19 + expected


def test_new_films_are_found_without_a_rebuild_and_a_snapshot_serves_the_next_start(tmp_path: Path) -> None:
    bench = make_bench(tmp_path, 50)
    index = bench.open()
    index.save()
    more = unit(np.random.default_rng(8), 5, 1, DIM)
    bench.add(more, start=50)
    for one in (index, bench.open()):
        one.refresh()
        assert one.search(more[2], 1).film_ids[0, 0] == 53
    assert snapshot.load(bench.archive.vectors, bench.held).mark == 50  # type: ignore[union-attr]


def test_a_film_that_was_embedded_anew_is_found_by_its_new_vector_only(tmp_path: Path) -> None:
    bench = make_bench(tmp_path, 30)
    index = bench.open()
    index.save()
    replaced = -bench.vectors[:1]
    bench.add(replaced)
    for one in (index, bench.open()):
        one.refresh()
        assert len(one) == 30
        found = one.search(replaced[0], 30)
        assert found.film_ids[0, 0] == 1
        assert sorted(found.film_ids[0].tolist()) == list(range(1, 31))


@pytest.mark.parametrize("fault", ["missing", "truncated", "one byte", "other space", "no manifest", "empty manifest"])
def test_whatever_happens_to_the_snapshot_the_answer_is_right(tmp_path: Path, fault: str) -> None:
    bench = make_bench(tmp_path, 40)
    bench.open().save()
    manifest = bench.archive.vectors / f"{bench.space_id}.json"
    (data,) = bench.archive.vectors.glob("*.rows.npy")
    match fault:
        case "missing":
            data.unlink()
        case "truncated":
            data.write_bytes(data.read_bytes()[:-100])
        case "one byte":
            content = bytearray(data.read_bytes())
            content[len(content) // 2] ^= 0xFF
            data.write_bytes(content)
        case "other space":
            manifest.write_text(manifest.read_text().replace('"' + "f" * 64, '"' + "e" * 64))
        case "no manifest":
            manifest.unlink()
        case "empty manifest":
            manifest.write_text("")
    assert snapshot.load(bench.archive.vectors, bench.held) is None
    query = unit(np.random.default_rng(2), DIM)
    assert bench.open().search(query[None], 5).film_ids[0].tolist() == best(bench.vectors, query, list(range(40)))[:5]


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    bench = make_bench(tmp_path_factory.mktemp("archive"), 8)
    bench.open().save()
    return bench


@settings(max_examples=50, deadline=None)
@given(at=st.integers(0, 10_000), flip=st.integers(1, 255))
def test_no_damaged_byte_is_ever_trusted(saved: Bench, at: int, flip: int) -> None:
    files = sorted(path for path in saved.archive.vectors.iterdir() if path.suffix == ".npy")
    path = files[at % len(files)]
    whole = path.read_bytes()
    damaged = bytearray(whole)
    damaged[at % len(whole)] ^= flip
    path.write_bytes(damaged)
    try:
        assert snapshot.load(saved.archive.vectors, saved.held) is None
    finally:
        path.write_bytes(whole)


def test_percentiles_count_the_films_below(tmp_path: Path) -> None:
    bench = make_bench(tmp_path, 101)
    index = bench.open()
    query = unit(np.random.default_rng(4), DIM)
    found = index.search(query[None], 101)
    percentiles = index.percentiles(query, found.scores[0])
    assert percentiles[0] == pytest.approx(100.0)
    assert percentiles[50] == pytest.approx(50.0, abs=0.1)
    assert percentiles[-1] == pytest.approx(0.0)


def test_scores_of_named_films(tmp_path: Path) -> None:
    bench = make_bench(tmp_path, 10)
    query = unit(np.random.default_rng(4), DIM)
    scores = bench.open().scores(query[None], np.array([3, 99, 1]))[0]
    assert scores[0] == pytest.approx(float(bench.vectors[2, 0] @ query), abs=2e-3)
    assert np.isnan(scores[1])
    assert scores[2] == pytest.approx(float(bench.vectors[0, 0] @ query), abs=2e-3)


@pytest.mark.gpu
def test_the_gpu_answers_as_the_cpu_does(tmp_path: Path) -> None:
    if not gpu_works():
        pytest.skip("FAISS finds no GPU here")
    bench = make_bench(tmp_path, 500, 2)
    bench.open().save()
    gpu = VectorIndex.open(bench.archive.catalog, bench.held, bench.archive.vectors, gpu=True)
    assert gpu.device == "GPU"
    queries = unit(np.random.default_rng(6), 4, DIM)
    allowed = np.arange(1, 500, 3)
    for within in (None, allowed):
        assert (
            gpu.search(queries, 9, within).film_ids.tolist()
            == bench.open().search(queries, 9, within).film_ids.tolist()
        )
    gpu.save()
    assert snapshot.load(bench.archive.vectors, bench.held) is not None
