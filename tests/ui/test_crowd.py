"""Many visitors at once: every one gets pages, and none another's fault."""

from __future__ import annotations

import pytest

from tests.ui.room import Room
from tests.ui.visitors import crowd, film_ids, health, join, run_page

QUERIES = ("effusion", "mass", "cardiomegaly", "edema", "small+left+effusion")


@pytest.fixture(scope="module")
def alone(room: Room) -> dict[str, list[int]]:
    """What a visitor who is alone is answered."""
    with join(room.url, room.headers) as socket:
        found = {query: film_ids(run_page(socket, "", f"q={query}")) for query in QUERIES}
    assert all(found.values())
    return found


def test_ten_visitors_at_once_get_their_own_answers(room: Room, alone: dict[str, list[int]]) -> None:
    assert crowd(room.url, room.headers, users=10, reruns=4, answers=alone) == {"reruns": 40}


@pytest.mark.slow
def test_thirty_visitors_get_every_page(room: Room, alone: dict[str, list[int]]) -> None:
    """A page and a query each, so that every page is open at once; twenty times each in benchmarks/visitors.py."""
    with health(room.url) as seconds:
        assert crowd(room.url, room.headers, users=30, reruns=2, answers=alone) == {"reruns": 60}
    assert max(seconds) < 10
