"""The doctor tells of a missing or broken file of thumbnails, and the next run makes again what was lost."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from filmroom.db.archive import Archive
from filmroom.db.thumbnails.file import NAME, ThumbnailFile, key_of
from filmroom.db.thumbnails.reading import thumbnails

from tests.terminal import Terminal

FILMS = range(1, 61)


@pytest.fixture
def indexed(terminal: Terminal, films: Callable[..., Path], tiny: Path) -> Terminal:
    terminal("index", films(60), "--model", tiny)
    assert terminal.code == 0, terminal.err
    return terminal


def missing(path: Path) -> None:
    path.unlink()


def garbage(path: Path) -> None:
    path.write_bytes(b"no database at all, and long enough" * 1000)


def torn(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2 : len(data) // 2 + 4096] = bytes(4096)
    path.write_bytes(data)


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2 // 4096 * 4096])


@pytest.mark.parametrize("harm", [missing, garbage, torn, cut])
def test_a_broken_file_is_told_and_mended(
    harm: Callable[[Path], None], indexed: Terminal, films: Callable[..., Path], tiny: Path
) -> None:
    archive = Archive.open(indexed.archive)
    before = thumbnails(archive.catalog, FILMS)
    archive.catalog.close()
    harm(indexed.archive / NAME)
    left = thumbnails(Archive.open(indexed.archive).catalog, FILMS)
    assert left.items() < before.items()
    indexed("search", "effusion")
    assert indexed.code == 0, indexed.err
    said = indexed("doctor")
    assert indexed.code == 1
    assert NAME in said
    indexed("doctor", "--repair")
    assert NAME not in indexed("doctor")
    whole = thumbnails(Archive.open(indexed.archive).catalog, FILMS)
    assert left.items() <= whole.items() < before.items(), "what was whole is kept"
    indexed("index", films(60), "--model", tiny)
    assert indexed.code == 0, indexed.err
    assert thumbnails(Archive.open(indexed.archive).catalog, FILMS) == before
    indexed("doctor")
    assert indexed.code == 0


def test_pictures_that_no_film_has_are_deleted(indexed: Terminal) -> None:
    file = ThumbnailFile(indexed.archive / NAME)
    whole = {key for keys in file.all_keys() for key in keys}
    file.put({key_of(3, 7): b"strange", key_of(999, 7): b"stranger"})
    indexed("doctor", "--repair")
    assert {key for keys in file.all_keys() for key in keys} == whole


def test_a_run_into_a_broken_file_says_what_to_do(indexed: Terminal, films: Callable[..., Path], tiny: Path) -> None:
    garbage(indexed.archive / NAME)
    indexed("index", films(61, folder="more"), "--model", tiny)
    assert indexed.code == 1
    assert "filmroom doctor --repair" in indexed.err
    assert "Traceback" not in indexed.err
