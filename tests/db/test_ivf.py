"""The IVF index into a large archive: never older than a deletion, and never the last word."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import faiss
import numpy as np
import pytest
from filmroom.db.erasure import forget as forgetting
from filmroom.db.erasure.forget import forget
from filmroom.db.reads.summary import glance
from filmroom.db.records import State
from filmroom.db.schema import embedding, film
from filmroom.db.vector_index import index as vectors
from filmroom.db.vector_index import ivf, lists_file, snapshot
from filmroom.db.vector_index.mapped import MappedLists
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
    lists_file.remove(crowd.archive.vectors, crowd.space_id)
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
    lists_file.remove(crowd.archive.vectors, crowd.space_id)
    index = crowd.open()
    builder = index.keep_fast()
    assert builder is not None
    builder.join()
    assert index.approximation is None
    assert index.keep_fast() is None, "every search would time it again"


@pytest.mark.usefixtures("slow")
def test_lists_that_outlive_a_vector_are_not_kept(crowd: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """A film may be forgotten while they are made of a snapshot that still holds it."""
    save = lists_file.save

    def late(folder: Path, space_id: int, built: ivf.Approximate) -> None:
        with crowd.archive.catalog.write() as connection:
            touch_generation(connection, {space_id})
        save(folder, space_id, built)

    monkeypatch.setattr(lists_file, "save", late)
    lists_file.remove(crowd.archive.vectors, crowd.space_id)
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
    assert lists_file.load(crowd.archive.vectors, crowd.held) is None, "no vector outlives the snapshot"
    crowd.open().save()


def lists_of(crowd: Bench) -> bytes:
    return (crowd.archive.vectors / f"lists-{crowd.space_id}.faiss").read_bytes()


def codes_of(crowd: Bench, films: list[int]) -> list[bytes]:
    """The codes of eight bits of these films, as they stand in the lists."""
    built = lists_file.load(crowd.archive.vectors, crowd.held)
    assert built is not None
    inverted = built.index.invlists
    codes = {}
    for number in range(built.index.nlist):
        size = inverted.list_size(number)
        ids = faiss.rev_swig_ptr(inverted.get_ids(number), size)
        rows = faiss.rev_swig_ptr(inverted.get_codes(number), size * DIM).reshape(size, DIM)
        codes |= {int(embedding_id): row.tobytes() for embedding_id, row in zip(ids, rows, strict=True)}
    return [codes[film_id] for film_id in films if film_id in codes]


def with_lists(crowd: Bench) -> vectors.VectorIndex:
    lists_file.remove(crowd.archive.vectors, crowd.space_id)
    index = crowd.open()
    index.save()
    builder = index.keep_fast()
    assert builder is not None
    builder.join()
    assert index.approximation is not None
    return index


@pytest.mark.usefixtures("slow")
@pytest.mark.parametrize("whole", [True, False])
def test_lists_outlive_a_film_that_is_forgotten_and_hold_nothing_of_it(crowd: Bench, whole: bool) -> None:
    index = with_lists(crowd)
    there = index._films.film_ids[index._films.alive]
    gone, others = there[[5, 700]], there[[6, 900, 1500]]
    queries = index.vectors(gone)[:, 0]
    traces = codes_of(crowd, gone.tolist())
    assert len(traces) == 2
    assert all(trace in lists_of(crowd) for trace in traces)
    of_others = codes_of(crowd, others.tolist())
    head = len(lists_of(crowd))

    forget(crowd.archive, gone.tolist())

    assert not any(trace in lists_of(crowd) for trace in traces)
    assert len(lists_of(crowd)) == head, "it is not written anew"
    assert codes_of(crowd, gone.tolist()) == []
    assert codes_of(crowd, others.tolist()) == of_others
    opened = vectors.VectorIndex.open(crowd.archive.catalog, crowd.held, crowd.archive.vectors, gpu=False, whole=whole)
    assert opened.approximation is not None, "they count again at once"
    near = opened.search(queries, 10)
    assert not np.isin(near.film_ids, gone).any()
    half = there[::2]
    assert not np.isin(opened.search(queries, 10, half).film_ids, gone).any()
    lists_file.remove(crowd.archive.vectors, crowd.space_id)
    exact = crowd.open().search(queries, 10)
    assert np.mean([np.isin(*pair).mean() for pair in zip(exact.film_ids, near.film_ids, strict=True)]) >= 0.9


@pytest.mark.usefixtures("slow")
def test_lists_that_another_process_puts_in_place_meanwhile_go(crowd: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """A reading room may write what it made of the film before it can know."""
    index = with_lists(crowd)
    film_id = int(index._films.film_ids[index._films.alive][9])
    earlier = {path: path.read_bytes() for path in crowd.archive.vectors.glob("lists-*")}
    erase = forgetting.erase

    def and_written_anew(*arguments: Any) -> tuple[int, int]:
        for path, content in earlier.items():
            path.unlink(missing_ok=True)
            path.write_bytes(content)
        return erase(*arguments)

    monkeypatch.setattr(forgetting, "erase", and_written_anew)
    forget(crowd.archive, [film_id])
    assert not list(crowd.archive.vectors.glob("lists-*.faiss"))
    assert crowd.open().approximation is None


@pytest.mark.usefixtures("slow")
def test_lists_of_a_forgetting_that_was_ended_are_not_believed(crowd: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    index = with_lists(crowd)
    film_id = int(index._films.film_ids[index._films.alive][11])
    (trace,) = codes_of(crowd, [film_id])

    def ended(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(forgetting, "erase", ended)
        with pytest.raises(KeyboardInterrupt):
            forget(crowd.archive, [film_id])
    assert trace not in lists_of(crowd)
    assert crowd.open().approximation is None
    crowd.open().save()
    forget(crowd.archive, [film_id])
    assert not list(crowd.archive.vectors.glob("lists-*"))


@pytest.mark.usefixtures("slow")
def test_torn_lists_are_not_believed(crowd: Bench) -> None:
    with_lists(crowd)
    path = crowd.archive.vectors / f"lists-{crowd.space_id}.faiss"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    assert lists_file.load(crowd.archive.vectors, crowd.held) is None
    content[-1] ^= 1
    content[200] ^= 1
    path.write_bytes(content)
    assert lists_file.load_mapped(crowd.archive.vectors, crowd.held) is None


@pytest.mark.usefixtures("slow")
@pytest.mark.parametrize("load", [lists_file.load, lists_file.load_mapped])
def test_what_was_overwritten_takes_no_candidates_place(crowd: Bench, load: Callable[..., ivf.Lists | None]) -> None:
    index = with_lists(crowd)
    there = index._films.film_ids[index._films.alive]
    lists = lists_file.take_away(
        crowd.archive.vectors, crowd.held, index._films.embedding_ids[::2], np.empty((0, DIM), np.float16)
    )
    assert lists is not None
    lists_file.put_back(crowd.archive.vectors, crowd.held, lists)
    built = load(crowd.archive.vectors, crowd.held)
    assert built is not None
    queries = unit(np.random.default_rng(5), 100, DIM)
    near = built.candidates(queries, 10, share=0.01)
    assert there.size > 200
    assert (near > 0).all()
    crowd.open().save()


@pytest.mark.usefixtures("slow")
@pytest.mark.parametrize("share", [1.0, 0.1])
def test_lists_on_the_disk_name_the_vectors_that_faiss_names(crowd: Bench, share: float) -> None:
    index = with_lists(crowd)
    folder, queries = crowd.archive.vectors, unit(np.random.default_rng(6), 50, DIM)
    by_faiss, mapped = lists_file.load(folder, crowd.held), lists_file.load_mapped(folder, crowd.held)
    assert by_faiss is not None
    assert isinstance(mapped, MappedLists)
    assert (mapped.facts, mapped.mark) == (by_faiss.facts, by_faiss.mark)
    keep = np.random.default_rng(7).random(index._mark + 1) < share
    for may_come in (None, keep):
        expected, near = (lists.candidates(queries, 5, share=share, keep=may_come) for lists in (by_faiss, mapped))
        assert near.shape == expected.shape
        # The last may differ: sums of floats are rounded otherwise, and equal codes have no order.
        assert np.mean([np.isin(*pair).mean() for pair in zip(near, expected, strict=True)]) > 0.999
        assert (near[:, :5] == expected[:, :5]).mean() > 0.99


@pytest.mark.usefixtures("slow")
def test_lists_that_another_faiss_has_written_are_left_to_it(crowd: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    with_lists(crowd)
    monkeypatch.setattr(lists_file, "_read_head", lambda *_: None)
    lists = lists_file.load_mapped(crowd.archive.vectors, crowd.held)
    assert isinstance(lists, ivf.Approximate)
    assert not lists.grows


@pytest.mark.usefixtures("slow")
def test_lists_cut_off_while_they_are_searched_are_not_believed(crowd: Bench) -> None:
    with_lists(crowd)
    index = vectors.VectorIndex.open(crowd.archive.catalog, crowd.held, crowd.archive.vectors, gpu=False, whole=False)
    query = unit(np.random.default_rng(5), 1, DIM)
    path = crowd.archive.vectors / f"lists-{crowd.space_id}.faiss"
    content = path.read_bytes()
    with path.open("r+b") as lists:
        lists.truncate(len(content) // 4)
    given = index.search(query, 10).film_ids
    lists_file.remove(crowd.archive.vectors, crowd.space_id)
    assert given.tolist() == crowd.open().search(query, 10).film_ids.tolist()


@pytest.mark.usefixtures("slow")
def test_lists_of_which_a_forgotten_film_is_the_centre_go(crowd: Bench) -> None:
    """Lists are learnt of films: the centre of one that was learnt of a single film is its vector."""
    index = with_lists(crowd)
    built = lists_file.load(crowd.archive.vectors, crowd.held)
    assert built is not None
    lonely = built.index.quantizer.reconstruct_n(0, built.index.nlist)[7:8].astype(np.float16)
    assert lists_file.take_away(crowd.archive.vectors, crowd.held, index._films.embedding_ids, lonely) is None
    assert lists_file.load(crowd.archive.vectors, crowd.held) is None


@pytest.mark.usefixtures("slow")
def test_lists_that_were_cut_off_hinder_no_forgetting(crowd: Bench) -> None:
    index = with_lists(crowd)
    path = crowd.archive.vectors / f"lists-{crowd.space_id}.faiss"
    path.write_bytes(path.read_bytes()[:-5001])
    forget(crowd.archive, [int(index._films.film_ids[index._films.alive][13])])
    assert not list(crowd.archive.vectors.glob("lists-*"))
