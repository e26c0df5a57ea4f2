"""Many visitors at once: every one gets pages, and none another's fault."""

from __future__ import annotations

import pytest

from tests.ui.room import Room
from tests.ui.visitors import crowd


@pytest.mark.slow
def test_thirty_visitors_get_every_page_twenty_times(room: Room) -> None:
    assert crowd(room.url, room.headers, users=30, reruns=20) == {"reruns": 600}
