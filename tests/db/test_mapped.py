"""A process that asks once reads of a large snapshot what it looks at, and answers as one that holds it all."""

from __future__ import annotations

import zlib
from pathlib import Path

import numpy as np
import pytest
from filmroom.db.erasure.forget import forget
from filmroom.db.records import State
from filmroom.db.schema import embedding, film
from filmroom.db.vector_index import flat, ivf, mapped, snapshot
from filmroom.db.vector_index import index as vectors
from filmroom.db.vector_index.index import VectorIndex
from filmroom.db.vector_index.mapped import MappedRows
from filmroom.db.writes.meta import touch_generation
from sqlalchemy import delete, insert, update

from tests.db.vector_bench import DIM, Bench, make_bench, unit


@pytest.fixture(autouse=True)
def small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every archive is large, and its files have many pieces."""
    monkeypatch.setattr(flat, "FEW", 0)
    for module in (mapped, snapshot):
        monkeypatch.setattr(module, "PIECE", 1 << 9)
    monkeypatch.setattr(mapped, "_BLOCK", 1 << 11)


def saved(folder: Path, count: int = 300, per_film: int = 1) -> Bench:
    bench = make_bench(folder, count, per_film)
    bench.open().save()
    return bench


def once(bench: Bench) -> VectorIndex:
    index = VectorIndex.open(bench.archive.catalog, bench.held, bench.archive.vectors, gpu=False, whole=False)
    assert isinstance(index._rows, MappedRows)
    return index


def rows_file(bench: Bench) -> Path:
    (path,) = bench.archive.vectors.glob("*.rows.npy")
    return path


@pytest.mark.parametrize("per_film", [1, 4])
def test_it_answers_as_one_that_holds_all(tmp_path: Path, per_film: int) -> None:
    bench = saved(tmp_path, per_film=per_film)
    newer = unit(np.random.default_rng(8), 40, per_film, DIM)
    bench.add(newer, start=300)
    with bench.archive.catalog.write() as connection:
        connection.execute(update(film).where(film.c.id.in_([3, 7, 310])).values(state=State.GONE.value))
    whole, index = bench.open(), once(bench)
    queries = unit(np.random.default_rng(9), 3, DIM)
    everyone = np.arange(1, 341)
    for within in (None, everyone[::2], everyone[:20], everyone[-25:]):
        for k in (5, 60):
            expected, given = whole.search(queries, k, within), index.search(queries, k, within)
            assert given.film_ids.tolist() == expected.film_ids.tolist()
            assert np.allclose(given.scores, expected.scores, atol=1e-5)
            first = once(bench).search(queries, k, within)
            assert first.film_ids.tolist() == expected.film_ids.tolist()
    assert np.array_equal(index.scores(queries, everyone), whole.scores(queries, everyone), equal_nan=True)
    assert np.array_equal(index.vectors(everyone), whole.vectors(everyone))
    assert len(index) == len(whole) == 337


def test_only_what_is_looked_at_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vectors, "SAMPLE", 10)
    monkeypatch.setattr("filmroom.db.vector_index.sample.SAMPLE", 10)
    monkeypatch.setattr("filmroom.db.vector_index.sample._RUN_BYTES", 256)
    index = once(saved(tmp_path))
    assert isinstance(index._rows, MappedRows)
    read = index._rows._pieces._sound
    before = int(read.sum())
    assert before < read.size / 2
    index.vectors(np.array([150]))
    assert before <= int(read.sum()) <= before + 2
    assert index.percentiles(unit(np.random.default_rng(1), DIM), np.array([1.0], np.float32))[0] == 100.0


@pytest.mark.parametrize("at", [0.0, 0.3, 0.6, 0.999])
def test_a_torn_piece_is_never_believed(tmp_path: Path, at: float) -> None:
    bench = saved(tmp_path)
    queries = unit(np.random.default_rng(9), 2, DIM)
    expected = bench.open().search(queries, 20)
    path = rows_file(bench)
    torn = bytearray(path.read_bytes())
    torn[int(at * len(torn))] ^= 64
    path.write_bytes(torn)
    index = VectorIndex.open(bench.archive.catalog, bench.held, bench.archive.vectors, gpu=False, whole=False)
    given = index.search(queries, 20)
    assert given.film_ids.tolist() == expected.film_ids.tolist()
    assert np.allclose(index.scores(queries, np.arange(1, 301)), bench.open().scores(queries, np.arange(1, 301)))


def test_a_film_that_is_forgotten_meanwhile_is_not_found(tmp_path: Path) -> None:
    bench = saved(tmp_path)
    index = once(bench)
    query = bench.vectors[41]
    assert index.search(query, 1).film_ids[0, 0] == 42
    forget(bench.archive, [42])
    index.refresh()
    assert 42 not in index.search(query, 20).film_ids
    assert index.search(query, 20).film_ids.tolist() == bench.open().search(query, 20).film_ids.tolist()
    assert index.vectors(np.array([42])).size == 0


def test_lists_stay_on_the_disk_and_films_that_they_lack_are_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(vectors, "LARGE", 0)
    monkeypatch.setattr(vectors, "SLOW_MS", 0.0)
    monkeypatch.setattr(ivf, "_exact_ms", lambda *_: 1e6)
    monkeypatch.setattr(ivf, "RECALL", 0.0)
    bench = saved(tmp_path, 1500)
    builder = bench.open().keep_fast()
    assert builder is not None
    builder.join()
    newer = unit(np.random.default_rng(8), 5, 1, DIM)
    bench.add(newer, start=1500)
    index = once(bench)
    assert index.approximation is not None
    assert index.search(newer[2], 3).film_ids[0, 0] == 1503
    half = np.arange(1, 1506, 2)
    assert np.isin(index.search(newer[2], 5, half).film_ids, half).all()
    exact = bench.vectors[:50, 0]
    assert index.search(exact, 1).film_ids[:, 0].tolist() == list(range(1, 51))
    (lists,) = bench.archive.vectors.glob("lists-*.faiss")
    torn = bytearray(lists.read_bytes())
    torn[40] ^= 1
    lists.write_bytes(torn)
    assert once(bench).approximation is None


def test_rows_of_forgotten_films_are_known_to_be_dead(tmp_path: Path) -> None:
    bench = saved(tmp_path)
    forget(bench.archive, [5, 200])
    content = snapshot.load(bench.archive.vectors, bench.held, whole=False)
    assert content is not None
    assert np.flatnonzero(~content.live).tolist() == [4, 199]
    assert once(bench).holds(np.array([5, 6, 200])).tolist() == [False, True, False]


def test_rows_of_few_films_are_found_in_their_order(tmp_path: Path) -> None:
    """Where films stand in it: one that has none, or was embedded anew, is found among the rows of all."""
    bench = saved(tmp_path)
    index = once(bench)
    asked = np.array([200, 1, 300, 42], np.int64)
    assert index.scores(bench.vectors[41], asked)[0].argmax() == 3
    assert index._films._row_of is None
    assert index.holds(np.array([42, 301, 0, -1, 300])).tolist() == [True, False, False, False, True]
    with bench.archive.catalog.write() as connection:
        connection.execute(delete(embedding).where(embedding.c.film_id.in_([42, 90])))
        newer = bench.vectors[90].astype(np.float16).tobytes()
        connection.execute(insert(embedding), [{"space_id": bench.space_id, "film_id": 42, "vectors": newer}])
        touch_generation(connection, {bench.space_id})
    for again in (index, once(bench)):
        again.refresh()
        assert again.search(bench.vectors[90], 2).film_ids.tolist() in ([[42, 91]], [[91, 42]])
        scores = again.scores(bench.vectors[90], np.array([91, 42, 90], np.int64))[0]
        assert np.allclose(scores[:2], 1, atol=1e-3)
        assert np.isnan(scores[2])


def test_who_has_mapped_a_file_reads_no_other_that_took_its_place(tmp_path: Path) -> None:
    bench = saved(tmp_path)
    index = once(bench)
    query, asked = bench.vectors[200], np.array([201, 202, 240], np.int64)
    before = index.scores(query, asked)
    assert before[0].argmax() == 0
    forget(bench.archive, list(range(1, 151)))
    bench.open().save()  # rows lie elsewhere in it
    index.refresh()
    np.testing.assert_allclose(index.scores(query, asked), before, atol=1e-3)
    assert index.search(query, 1, asked).film_ids.tolist() == [[201]]


def test_a_file_under_the_same_name_is_known_as_another(tmp_path: Path) -> None:
    path = tmp_path / "rows"
    path.write_bytes(b"first " * 400)
    pieces = mapped.Pieces(path, [zlib.crc32(path.read_bytes()[at : at + 512]) for at in range(0, 2400, 512)])
    pieces.check(np.zeros(1, np.int64), 2400)
    (tmp_path / "other").write_bytes(b"second" * 400)
    (tmp_path / "other").replace(path)
    for read in (lambda: pieces.read_parts([(0, 6)]), lambda: pieces.read(0, 6, bytearray(2048))):
        with pytest.raises(mapped.TornSnapshot):
            read()
