"""The vector index: exact, within filters, without gone films, and never more than a cache."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from sqlalchemy import update

from db import ingest, listing, snapshot, spaces
from db.archive import Archive
from db.listing import Seen
from db.records import Space, State, Tags
from db.schema import film
from db.vectors import VectorIndex, gpu_works

DIM = 16


@dataclass
class Bench:
    """An archive of films with known vectors; film n has id n + 1."""

    archive: Archive
    scope: listing.Scope
    space_id: int
    vectors: NDArray[np.float32]

    def add(self, vectors: NDArray[np.float32], *, start: int = 0) -> None:
        results = [
            ingest.Result(
                Seen(f"{start + at}.png", 1, 1),
                f"{start + at:064}",
                films=[ingest.NewFilm(f"sha256:{start + at}#0", 0, Tags(rows=1, columns=1), b"", rows)],
            )
            for at, rows in enumerate(vectors)
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
    vectors = unit(np.random.default_rng(3), count, per_film, DIM)
    bench = Bench(archive, scope, space_id, vectors.astype(np.float16).astype(np.float32))
    bench.add(bench.vectors)
    return bench


def best(vectors: NDArray[np.float32], query: NDArray[np.float32], allowed: list[int]) -> list[int]:
    scores = (vectors @ query).max(axis=1)
    return [at + 1 for at in sorted(allowed, key=lambda at: (-scores[at], at))]


@pytest.mark.parametrize("per_film", [1, 4])
@pytest.mark.parametrize("share", [1.0, 0.5, 0.1])
def test_a_search_is_exact_within_any_filter(tmp_path: Path, per_film: int, share: float) -> None:
    bench = make_bench(tmp_path, 100, per_film)
    rng = np.random.default_rng(5)
    allowed = np.sort(rng.choice(100, int(100 * share), replace=False))
    queries = unit(rng, 6, DIM)
    found = bench.open().search(queries, 10, None if share == 1.0 else allowed + 1)
    for row, query in enumerate(queries):
        expected = best(bench.vectors, query, allowed.tolist())[:10]
        assert found.film_ids[row].tolist() == expected
        assert np.allclose(found.scores[row], (bench.vectors[np.array(expected) - 1] @ query).max(axis=1), atol=2e-3)


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
    (data,) = bench.archive.vectors.glob("*.faiss")
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
    files = sorted(path for path in saved.archive.vectors.iterdir() if path.suffix in (".faiss", ".npy"))
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
