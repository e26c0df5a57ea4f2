"""Ids come out of SQLite as they went in, however many digits they have."""

from __future__ import annotations

import sqlite3

import numpy as np
import pytest
from filmroom.db.batching import ids_by_value, ids_in_two, ids_of


@pytest.mark.parametrize("highest", [1, 10, 9_999_999, 10**7, 89_999_999, 90_000_000, 10**12])
def test_ids_come_out_ascending(highest: int) -> None:
    chance = np.random.default_rng(highest)
    ids = np.unique(np.append(chance.integers(1, highest, 2000, endpoint=True), highest))
    places = chance.permutation(ids.size)
    connection = sqlite3.connect(":memory:")
    connection.execute("CREATE TABLE film (id INTEGER PRIMARY KEY AUTOINCREMENT, place INTEGER)")
    connection.executemany("INSERT INTO film VALUES (?, ?)", zip(ids.tolist(), places.tolist(), strict=True))
    assert ids_of(connection, "SELECT id FROM film ORDER BY place").tolist() == ids.tolist()
    lower = ids[: ids.size // 2 + 1]
    assert ids_of(connection, "SELECT id FROM film WHERE id <= ?", (int(lower[-1]),)).tolist() == lower.tolist()
    assert ids_of(connection, "SELECT id FROM film WHERE id < 0").size == 0


@pytest.mark.parametrize("highest", [5, 10**12])
def test_ids_come_by_value(highest: int) -> None:
    connection = sqlite3.connect(":memory:")
    connection.execute("CREATE TABLE film (id INTEGER PRIMARY KEY AUTOINCREMENT, view TEXT)")
    films = [(1, "PA"), (2, "AP"), (3, None), (4, "PA"), (highest, "LL")]
    connection.executemany("INSERT INTO film VALUES (?, ?)", films)
    grouped = "SELECT view, {ids} FROM film WHERE view IS NOT NULL GROUP BY view ORDER BY 1"
    values, ids, counts = ids_by_value(connection, grouped)
    assert (values, ids.tolist(), counts) == (["AP", "LL", "PA"], [2, highest, 1, 4], [1, 1, 2])
    connection.execute("UPDATE film SET view = NULL")
    values, ids, counts = ids_by_value(connection, grouped)
    assert (values, ids.size, counts) == ([], 0, [])


@pytest.mark.parametrize("highest", [5, 10**12])
def test_ids_come_in_two_by_a_condition(highest: int) -> None:
    connection = sqlite3.connect(":memory:")
    connection.execute("CREATE TABLE film (id INTEGER PRIMARY KEY AUTOINCREMENT, age INTEGER)")
    connection.executemany("INSERT INTO film VALUES (?, ?)", [(4, 70), (1, 30), (2, 60), (highest, 20)])
    older, younger = ids_in_two(connection, "SELECT * FROM film WHERE id != ?", "age >= 50", (3,))
    assert (older.tolist(), younger.tolist()) == ([2, 4], [1, highest])
    assert [ids.size for ids in ids_in_two(connection, "SELECT * FROM film", "age > 90")] == [0, 4]
    assert [ids.size for ids in ids_in_two(connection, "SELECT * FROM film WHERE id < 0", "age > 90")] == [0, 0]
