"""Every text of Python comes back from a server as it was."""

from __future__ import annotations

import pytest
from filmroom.db.postgresql.connection import connect
from filmroom.db.postgresql.text import carried, restored
from hypothesis import given, settings
from hypothesis import strategies as st

STRANGE = ["", "plain", "ward \udcff\udcfe.dcm", "a\x00b", "\U0010ffff \U0010ff00"]


@settings(deadline=None)
@given(st.binary() | st.text(st.characters(min_codepoint=0x10FF00)).map(str.encode))
def test_a_text_is_carried_as_text_and_restored(name: bytes) -> None:
    text = name.decode("utf-8", "surrogateescape")  # as Python reads the names of files
    there = carried(text)
    assert "\x00" not in there
    assert restored(there.encode("utf-8").decode("utf-8")) == text


@pytest.mark.parametrize("text", STRANGE)
def test_a_strange_text_comes_back_from_a_server(server: str, text: str) -> None:
    with connect(server) as connection:
        assert connection.execute("SELECT CAST(%s AS text)", (text,)).fetchone() == (text,)


def test_numbers_are_those_of_sqlite(server: str) -> None:
    with connect(server) as connection:
        (whole, part) = (
            connection.execute("SELECT sum(one), avg(one) FROM generate_series(1, 2) AS one").fetchone() or ()
        )
    assert (type(whole), whole, part) == (int, 3, 1.5)
