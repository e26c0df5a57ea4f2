"""Many visitors at once: every one gets pages, and none another's fault."""

from __future__ import annotations

import pytest

from tests.ui.room import Room
from tests.ui.visitors import answers_alone, crowd, health


@pytest.fixture(scope="module")
def alone(room: Room) -> dict[str, list[int]]:
    """What a visitor who is alone is answered."""
    return answers_alone(room.url, room.headers)


def test_ten_visitors_at_once_get_their_own_answers(room: Room, alone: dict[str, list[int]]) -> None:
    assert crowd(room.url, room.headers, users=10, reruns=4, answers=alone) == {"reruns": 40}


@pytest.mark.slow
def test_thirty_visitors_get_every_page(room: Room, alone: dict[str, list[int]]) -> None:
    """A page and a query each, so that every page is open at once; twenty times each in benchmarks/visitors.py."""
    with health(room.url) as seconds:
        assert crowd(room.url, room.headers, users=30, reruns=2, answers=alone) == {"reruns": 60}
    assert max(seconds) < 10
