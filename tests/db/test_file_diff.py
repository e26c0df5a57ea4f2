"""Which files are new, moved or gone, whatever their names are made of."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.conftest import write_film
from tests.terminal import Terminal

pytestmark = pytest.mark.usefixtures("either")


@pytest.mark.parametrize("ward", [b"ward", b"ward \xff"])
@pytest.mark.parametrize("name", [b"a film.png", b"a film \xff.png"])
def test_a_run_over_a_part_of_a_folder_notes_what_is_gone_there(
    terminal: Terminal, tiny: Path, tmp_path: Path, ward: bytes, name: bytes
) -> None:
    """SQLite holds a name that is no UTF-8 as bytes, which come after every text."""
    folder = tmp_path / "films"
    gone = folder / os.fsdecode(ward) / os.fsdecode(name)
    for number, place in enumerate((gone, gone.with_name("stays.png"), folder / "elsewhere" / gone.name)):
        write_film(place, number)
    terminal("index", folder, "--model", tiny, "--workers", 1)
    assert terminal.code == 0, terminal.err
    gone.unlink()
    (folder / "elsewhere" / gone.name).unlink()
    counts = terminal.json("index", gone.parent, "--model", tiny, "--workers", 1)
    assert isinstance(counts, dict)
    assert (counts["listed"], counts["unchanged"], counts["gone"]) == (1, 1, 1)
    assert terminal.json("search", "path:film")["total"] == 1  # type: ignore[index, call-overload]
    counts = terminal.json("index", folder, "--model", tiny, "--workers", 1)
    assert isinstance(counts, dict)
    assert (counts["listed"], counts["gone"]) == (1, 1)
