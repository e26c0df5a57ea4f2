"""Ids come out of SQLite as they went in, however many digits they have."""

from __future__ import annotations

import sqlite3

import numpy as np
import pytest
from filmroom.db.batching import ids_of


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
