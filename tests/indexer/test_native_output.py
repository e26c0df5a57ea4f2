"""What native code writes to stderr is kept out of the terminal, and only while it is asked for."""

from __future__ import annotations

import os
from contextlib import suppress

import pytest
from filmroom.indexer.native_output import hushed


def test_what_is_written_past_python_is_not_seen(capfd: pytest.CaptureFixture[str]) -> None:
    with suppress(ValueError), hushed():
        os.write(2, b"W0000 a notice\n")
        raise ValueError
    os.write(2, b"a fault\n")
    assert capfd.readouterr().err == "a fault\n"
