"""The leading vectors say which of any films scores best, whatever came, went and came back."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from filmroom.db.schema import film
from filmroom.db.vector_index.index import VectorIndex
from filmroom.search.ranking.leaders import Leaders
from numpy.typing import NDArray
from sqlalchemy import update

from tests.db.vector_bench import DIM, Bench, make_bench, unit

QUERIES = unit(np.random.default_rng(8), 6, DIM)


@pytest.fixture(params=[1, 3])
def bench(tmp_path: Path, request: pytest.FixtureRequest) -> Bench:
    return make_bench(tmp_path / "archive", 300, per_film=request.param)


def best_by_search(index: VectorIndex, within: NDArray[np.int64] | None) -> NDArray[np.float32]:
    return index.search(QUERIES, 1, within).scores[:, 0]


def leaders_of(index: VectorIndex, depth: int = 60) -> Leaders:
    leaders = Leaders(index, QUERIES, depth=depth)
    leaders.catch_up()
    return leaders


def agree(leaders: Leaders, index: VectorIndex) -> None:
    rng = np.random.default_rng(2)
    every = np.arange(1, len(index) + 1)
    for within in (None, *(np.sort(rng.choice(every, 120, replace=False)) for _ in range(20))):
        assert leaders.best(within) == pytest.approx(best_by_search(index, within), abs=1e-6)


def test_the_best_of_any_films_is_that_of_a_search(bench: Bench) -> None:
    index = bench.open()
    agree(leaders_of(index), index)


def test_where_no_leader_passes_there_is_no_best(bench: Bench) -> None:
    index = bench.open()
    leaders = leaders_of(index, depth=1)
    first = index.search(QUERIES, 1).film_ids[:, 0]
    rest = np.setdiff1d(np.arange(1, 301), first)
    assert np.isnan(leaders.best(rest)).all()
    assert np.isnan(leaders.best(np.empty(0, np.int64))).all()


def test_films_that_came_went_and_came_back_count(bench: Bench) -> None:
    index = bench.open()
    leaders = leaders_of(index)
    bench.add(unit(np.random.default_rng(9), 200, bench.vectors.shape[1], DIM), start=300)
    leading = index.search(QUERIES, 1).film_ids[:, 0].tolist()
    for state in ("gone", "present"):
        with bench.archive.catalog.write() as connection:
            connection.execute(update(film).where(film.c.id.in_(leading)).values(state=state))
        index.refresh()
        leaders.catch_up()
        assert leaders.best(None) == pytest.approx(best_by_search(index, None), abs=1e-6)


def test_what_was_kept_goes_on_where_it_ended(bench: Bench) -> None:
    kept = leaders_of(bench.open()).to_bytes()
    bench.add(unit(np.random.default_rng(9), 50, bench.vectors.shape[1], DIM), start=300)
    index = bench.open()
    leaders = Leaders(index, QUERIES, depth=60)
    leaders.adopt(kept)
    assert np.nanmax(leaders.best(np.arange(301, 351)), initial=-2) == -2, "those are not scored yet"
    leaders.catch_up()
    agree(leaders, index)


@pytest.mark.parametrize("cut", [0, 1, 100])
def test_what_is_torn_is_found_anew(bench: Bench, cut: int) -> None:
    index = bench.open()
    leaders = Leaders(index, QUERIES, depth=60)
    leaders.adopt(leaders_of(index).to_bytes()[:cut])
    leaders.catch_up()
    agree(leaders, index)


def test_a_thread_that_catches_up_changes_no_answer_of_another() -> None:
    class Growing:
        count = 100

        def scores_since(
            self, queries: NDArray[np.float32], mark: int, most: int
        ) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
            ids = np.arange(mark + 1, self.count + 1)[:most]
            return ids, (ids[None] / 200).astype(np.float32)

        def can_find(self, embedding_ids: NDArray[np.int64], within: NDArray[np.int64] | None) -> NDArray[np.bool_]:
            findable = np.isin(embedding_ids, within)
            if self.count == 100:
                self.count = 150
                leaders.catch_up()
            return findable

    leaders = Leaders(Growing(), QUERIES[:1], depth=20)
    leaders.catch_up()
    assert leaders.best(np.array([90, 95])) == pytest.approx([95 / 200])
