"""What was measured on a thumbnail is kept: a check that was stopped goes on, and nothing outlives its film."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from filmroom.db.archive import PICTURE_MEASURES, Archive
from filmroom.db.erasure.forget import forget
from filmroom.db.reads.film_table import film_columns
from filmroom.db.thumbnails.reading import thumbnails
from filmroom.search.checks.neighbours import nearest
from filmroom.search.checks.thumbnails import measures
from filmroom.search.checks.thumbnails.measures import Measure, left_to_measure, measured

from tests.terminal import Terminal

READ: list[bytes] = []


def take(webp: bytes) -> Any:
    READ.append(webp)
    return np.array([len(webp), 1, 2], np.int64)


LENGTHS = Measure("lengths-1", "<i8", 3, take)


@pytest.fixture
def archive(terminal: Terminal, films: Any, tiny: Path, monkeypatch: pytest.MonkeyPatch) -> Archive:
    terminal("index", films(7), "--model", tiny, "--workers", 1)
    assert terminal.code == 0, terminal.err
    READ.clear()
    monkeypatch.setattr(measures, "_AT_ONCE", 2)
    return Archive.open(terminal.archive)


def ids(archive: Archive) -> list[int]:
    found: list[int] = film_columns(archive.catalog, ())["id"]
    return found


def kept(archive: Archive) -> Path:
    return archive.folder / PICTURE_MEASURES / "lengths-1.bin"


def test_a_check_that_was_stopped_goes_on_where_it_was(archive: Archive) -> None:
    def stop(done: int, total: int) -> None:
        if done >= 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        measured(archive, ids(archive), LENGTHS, on_films=stop)
    assert left_to_measure(archive, ids(archive), LENGTHS) == 3
    with kept(archive).open("ab") as file:
        file.write(b"torn")  # as a process that is killed leaves it
    found = measured(archive, ids(archive), LENGTHS)
    assert len(READ) == 7, "each film is read once"
    assert found.ids.tolist() == ids(archive)
    stored = thumbnails(archive.catalog, ids(archive))
    assert found.values()[:, 0].tolist() == [len(stored[film]) for film in found.ids.tolist()]
    assert kept(archive).stat().st_mode & 0o077 == 0


def test_a_picture_that_changed_is_measured_again(archive: Archive) -> None:
    measured(archive, ids(archive), LENGTHS)
    first = ids(archive)[0]
    with archive.catalog.write() as connection:
        connection.exec_driver_sql("UPDATE thumbnail SET webp = ? WHERE film_id = ?", (b"another", first))
    READ.clear()
    found = measured(archive, ids(archive), LENGTHS)
    assert len(READ) == 1
    assert found.values()[0, 0] == len(READ[0])


def test_nothing_that_was_measured_outlives_its_film(archive: Archive) -> None:
    measured(archive, ids(archive), LENGTHS)
    forget(archive, ids(archive)[:1])
    assert not kept(archive).exists()
    assert len(measured(archive, ids(archive), LENGTHS).ids) == 6


def test_an_archive_that_may_only_be_read_is_measured_and_left_as_it_is(
    archive: Archive, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("filmroom.db.files.read_only.may_write", lambda path: False)
    read_only = Archive.open(archive.folder)
    assert len(measured(read_only, ids(archive), LENGTHS).ids) == 7
    assert not kept(archive).parent.exists()


def test_records_of_films_that_are_no_more_are_taken_out(archive: Archive) -> None:
    for turn in range(4):
        measured(archive, ids(archive), LENGTHS)
        with archive.catalog.write() as connection:
            connection.exec_driver_sql("UPDATE thumbnail SET webp = ?", (bytes(turn + 1),))
    size = LENGTHS.record.itemsize
    measured(archive, ids(archive), LENGTHS)
    assert kept(archive).stat().st_size // size <= 2 * 7 + 2 + 7


@pytest.mark.parametrize("exact", [20_000, 0])
def test_the_nearest_of_the_opposite_are_found_too(exact: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("filmroom.search.checks.neighbours.EXACT", exact)
    rows = np.random.default_rng(1).normal(size=(60, 12)).astype(np.float32)
    rows[40] = -rows[3]
    rows[50] = rows[3] + 0.01
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    cosines, places = nearest(rows, 2, opposite=True)
    assert places[3, 0] == 50
    assert places[3, 2] == 40
    assert cosines[3, 2] == pytest.approx(1)
    assert not (places == np.arange(60)[:, None]).any()
