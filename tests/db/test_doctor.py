"""The doctor finds damage wherever it strikes, mends it by the side that is right, and calls a sound archive sound."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from filmroom.db import doctor
from filmroom.db.archive import Archive
from filmroom.db.reads import spaces
from filmroom.db.thumbnails.reading import thumbnails
from filmroom.db.vector_index import snapshot
from filmroom.db.writes import annotations as say
from filmroom.indexer.models.registry import load_towers
from filmroom.indexer.pipeline import Options, index

from tests.bit_flips import flipped
from tests.db.earlier_thumbnails import put_back
from tests.terminal import Terminal


def run(archive: Archive, folder: Path, tiny: Path) -> None:
    index(archive, [folder], load_towers(str(tiny)), options=Options(workers=1))


@pytest.fixture
def kept(films: Callable[..., Path], tiny: Path, tmp_path: Path) -> Archive:
    archive = Archive.create(tmp_path / "archive")
    run(archive, films(12), tiny)
    say.put_reports(archive.catalog, [say.Report("small left effusion", film_id=n) for n in range(1, 9)], source="x")
    assert doctor.examine(archive) == doctor.Examination(12, tuple(spaces.spaces(archive.catalog)), ())
    return archive


def vector_of(archive: Archive, film_id: int) -> bytes:
    with closing(sqlite3.connect(archive.catalog.path)) as connection:
        (data,) = connection.execute("SELECT vectors FROM embedding WHERE film_id = ?", (film_id,)).fetchone()
    return bytes(data)


def write(archive: Archive, statement: str, *values: object) -> None:
    with closing(sqlite3.connect(archive.catalog.path)) as connection, connection:
        connection.execute(statement, values)


def turned(data: bytes) -> bytes:
    """The vector of another film: of unit length, and wrong."""
    rows = -np.frombuffer(data, np.float16)
    return rows.astype(np.float16).tobytes()


def test_a_vector_damaged_in_the_catalog_comes_back_from_the_index(kept: Archive) -> None:
    right = vector_of(kept, 3)
    write(kept, "UPDATE embedding SET vectors = ? WHERE film_id = 3", turned(right))
    found = doctor.examine(kept)
    assert [fault.mendable for fault in found.faults][:1] == [True]
    assert "damaged in the catalog and whole in the index" in found.faults[0].what
    assert doctor.repair(kept).healthy
    assert vector_of(kept, 3) == right


def test_a_vector_damaged_in_the_index_comes_back_from_the_catalog(kept: Archive) -> None:
    right = vector_of(kept, 3)
    (held,) = spaces.spaces(kept.catalog)
    found = snapshot.load(kept.vectors, held)
    assert found is not None
    rows = found.rows.copy()
    rows[2] = -rows[2]
    snapshot.save(kept.vectors, held, snapshot.Snapshot(rows, found.ids, found.live, found.generation, found.mark))
    assert "differ between index and catalog" in doctor.examine(kept).faults[0].what
    assert doctor.repair(kept).healthy
    assert vector_of(kept, 3) == right


def test_what_is_damaged_on_both_sides_is_made_again(kept: Archive, tiny: Path, tmp_path: Path) -> None:
    right, picture = vector_of(kept, 3), thumbnails(kept.catalog, [5])[5]
    write(kept, "UPDATE embedding SET vectors = ? WHERE film_id = 3", turned(right))
    write(kept, "UPDATE thumbnail SET webp = ? WHERE film_id = 5", picture[:-1] + bytes([picture[-1] ^ 1]))
    (held,) = spaces.spaces(kept.catalog)
    snapshot.remove(kept.vectors, held.id)
    assert len(doctor.examine(kept).faults) == 2
    left = doctor.repair(kept)
    assert [fault.what for fault in left.faults] == ["1 films have no thumbnail", "1 films have no vector"]
    run(kept, tmp_path / "films", tiny)
    assert doctor.examine(kept).faults == ()
    assert vector_of(kept, 3) == right
    assert thumbnails(kept.catalog, [5])[5] == picture


def test_without_checksums_nothing_is_guessed_and_the_next_run_keeps_some(
    kept: Archive, tiny: Path, tmp_path: Path
) -> None:
    """As an earlier version left it."""
    put_back(kept)
    right = vector_of(kept, 3)
    write(kept, "UPDATE embedding SET checksum = NULL")
    write(kept, "UPDATE thumbnail SET checksum = NULL")
    assert doctor.examine(kept).faults == ()
    write(kept, "UPDATE embedding SET vectors = ? WHERE film_id = 3", turned(right))
    assert any("nothing tells which are right" in fault.what for fault in doctor.examine(kept).faults)
    assert not doctor.repair(kept).healthy
    assert vector_of(kept, 3) == turned(right), "neither side is copied over the other"
    write(kept, "UPDATE embedding SET vectors = ?, checksum = NULL WHERE film_id = 3", right)
    run(kept, tmp_path / "films", tiny)
    write(kept, "UPDATE embedding SET vectors = ? WHERE film_id = 3", turned(right))
    assert doctor.repair(kept).healthy
    assert vector_of(kept, 3) == right


def test_an_emptied_catalog_beside_a_full_index_is_told(kept: Archive, tmp_path: Path, terminal: Terminal) -> None:
    kept.catalog.close()
    other = Archive.create(tmp_path / "other")
    other.catalog.close()
    whole = kept.catalog.path.read_bytes()
    for path in kept.folder.glob("catalog.sqlite*"):
        path.unlink()
    shutil.copy(other.catalog.path, kept.catalog.path)
    assert "12 films of another catalog" in terminal("doctor")
    assert terminal.code == 1
    for path in kept.folder.glob("catalog.sqlite*"):
        path.unlink()
    kept.catalog.path.write_bytes(b"")
    for command in (["doctor"], ["search", "effusion"]):
        terminal(*command)
        assert terminal.code == 1
        assert "the catalog is empty" in terminal.err
    kept.catalog.path.write_bytes(whole)
    terminal("doctor")
    assert terminal.code == 0


def test_a_run_that_was_stopped_leaves_a_sound_archive(kept: Archive, terminal: Terminal) -> None:
    (held,) = spaces.spaces(kept.catalog)
    snapshot.remove(kept.vectors, held.id)  # as after Ctrl-C, or a kill before the index was written
    assert "its run was stopped" in terminal("doctor")
    assert terminal.code == 0
    assert terminal.json("doctor")["healthy"] is True  # type: ignore[index]


@pytest.mark.parametrize("value", [None, 7, 0.5, "words"])
@pytest.mark.parametrize(("table", "column"), [("embedding", "vectors"), ("thumbnail", "webp")])
@pytest.mark.parametrize("known", [True, False])
def test_a_vector_or_picture_that_is_no_longer_bytes_is_damage(
    value: object, table: str, column: str, known: bool, kept: Archive, tmp_path: Path, tiny: Path, terminal: Terminal
) -> None:
    """As one bit of its row's header makes it."""
    with closing(sqlite3.connect(kept.catalog.path)) as connection:
        connection.execute("PRAGMA writable_schema = ON")
        connection.execute(f"UPDATE sqlite_master SET sql = replace(sql, '{column} BLOB NOT NULL', '{column} BLOB')")
        connection.commit()
    put_back(kept)
    write(kept, f"UPDATE {table} SET {column} = ? WHERE film_id = 3", value)
    if not known:
        write(kept, f"UPDATE {table} SET checksum = NULL")
    kept.catalog.close()
    assert f": 1 {'vector of tiny' if table == 'embedding' else 'thumbnail'}" in terminal("doctor")
    assert terminal.code == 1
    terminal("search", "effusion")
    assert "Traceback" not in terminal.err
    terminal("doctor", "--repair")
    assert "damaged" not in terminal("doctor")
    run(Archive.open(kept.folder), tmp_path / "films", tiny)
    terminal("doctor")
    assert terminal.code == 0


def test_random_bit_flips_are_found_or_harmless(kept: Archive) -> None:
    kept.catalog.close()
    tally = flipped(kept.folder, 20, seed=15)
    assert tally["missed"] == 0
    assert tally["found"] > 10
