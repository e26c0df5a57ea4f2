"""The vector index: exact, within filters, without gone films, and never more than a cache."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import faiss
import numpy as np
import pytest
from filmroom.db.reads import films, spaces
from filmroom.db.records import FileResult, NewFilm, SourceFile, State, Tags
from filmroom.db.schema import film
from filmroom.db.vector_index import flat, snapshot
from filmroom.db.vector_index.flat import gpu_works
from filmroom.db.vector_index.index import VectorIndex
from filmroom.db.writes import ingest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from sqlalchemy import update

from tests.db.vector_bench import DIM, Bench, best, make_bench, unit

pytestmark = pytest.mark.usefixtures("either")


class FakeGpu(faiss.IndexFlatIP):
    """FAISS's GPU index as far as we use it: it knows no filter."""

    def __init__(self, _resources: object, dim: int, _settings: object) -> None:
        super().__init__(dim)

    def search(self, queries: NDArray[np.float32], k: int) -> Any:
        if k > flat.GPU_DEEP:
            raise RuntimeError("GPU index only supports min/max-K selection up to 2048")
        return super().search(queries, k)


@pytest.fixture(params=["few", "many", "gpu"])
def kind(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Every kind of rows; the GPU is a fake that takes the same calls."""
    if request.param != "few":
        monkeypatch.setattr(flat, "FEW", 0)
    if request.param == "gpu":
        monkeypatch.setattr(faiss, "GpuIndexFlatIP", FakeGpu, raising=False)
        monkeypatch.setattr(faiss, "GpuIndexFlatConfig", SimpleNamespace, raising=False)
        monkeypatch.setattr(faiss, "StandardGpuResources", object, raising=False)
        monkeypatch.setattr(faiss, "get_num_gpus", lambda: 1)
    return str(request.param)


@pytest.mark.parametrize("per_film", [1, 4])
@pytest.mark.usefixtures("kind")
def test_all_films_can_be_ranked(tmp_path: Path, per_film: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(flat, "GPU_DEEP", 32)
    bench = make_bench(tmp_path, 50, per_film)
    index = VectorIndex.open(bench.archive.catalog, bench.held, bench.archive.vectors)
    query = unit(np.random.default_rng(6), 1, DIM)
    for k, within in ((50, None), (16, np.arange(1, 41))):
        found = index.search(query, k, within)
        scores = (bench.vectors @ query[0]).max(axis=1)[: 50 if within is None else 40]
        assert np.allclose(found.scores[0], np.sort(scores)[::-1][:k], atol=2e-3)


@pytest.fixture(scope="module")
def hundreds(either: str, tmp_path_factory: pytest.TempPathFactory) -> dict[int, Bench]:
    """Archives of a hundred films by their vectors a film, which are only read."""
    return {per_film: make_bench(tmp_path_factory.mktemp(either), 100, per_film) for per_film in (1, 4)}


@pytest.mark.parametrize("per_film", [1, 4])
@pytest.mark.parametrize("share", [1.0, 0.5, 0.1])
@pytest.mark.parametrize("asked", [6, 40])
def test_a_search_is_exact_within_any_filter(
    hundreds: dict[int, Bench], kind: str, per_film: int, share: float, asked: int
) -> None:
    bench = hundreds[per_film]
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
        monkeypatch.setattr(flat, "FEW", few)
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
    monkeypatch.setattr(flat, "FEW", 30 * DIM)
    bench = make_bench(tmp_path, 20)
    index = VectorIndex.open(bench.archive.catalog, bench.held, bench.archive.vectors, gpu=False)
    more = unit(np.random.default_rng(8), 20, 1, DIM)
    bench.add(more, start=20)
    index.refresh()
    assert len(index) == 40
    assert index.search(more[19], 1).film_ids[0, 0] == 40
    assert index.search(bench.vectors[0], 1).film_ids[0, 0] == 1


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


def test_percentiles_go_by_the_best_vector_of_each_film(tmp_path: Path) -> None:
    """As scores do: by the mean of a film's vectors its percentile would be another."""
    bench = make_bench(tmp_path / "archive", 101, per_film=4)
    query = unit(np.random.default_rng(8), DIM)
    scores = (bench.vectors @ query).max(axis=1).astype(np.float32)
    found = bench.open().percentiles(query, scores)
    below = np.array([(scores < score - 1e-6).sum() for score in scores], np.float32)
    np.testing.assert_allclose(found, below, atol=1e-4)


def test_a_batch_is_one_transaction(tmp_path: Path) -> None:
    """All of its films or none: one that cannot be kept takes those before it back, and readers see no part of it."""
    bench = make_bench(tmp_path / "archive", 3)
    before = bench.archive.catalog.changes()
    bench.add(bench.vectors, start=10)
    assert bench.archive.catalog.changes() == before + 1
    good, bad = (
        FileResult(
            SourceFile("/films", f"{name}.png", 1, 1),
            f"{name:>064}",
            films=[NewFilm(f"sha256:{name}#0", 0, Tags(rows=1, columns=1), thumbnail, bench.vectors[0])],
        )
        for name, thumbnail in (("good", b""), ("bad", object()))
    )
    with pytest.raises(Exception, match=r"object|bytes"):
        ingest.commit(bench.archive.catalog, bench.scope, bench.space_id, [good, bad])
    assert len(list(films.everyone(bench.archive.catalog))) == 6
    assert bench.archive.catalog.changes() == before + 1


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
