"""Thumbnails of an earlier version are moved out of the catalog; a kill at any step loses none."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from filmroom.db import doctor
from filmroom.db.archive import Archive
from filmroom.db.catalog import HEAD
from filmroom.db.erasure import forget as forgetting
from filmroom.db.thumbnails import moving
from filmroom.db.thumbnails.file import NAME, ThumbnailFile
from filmroom.db.thumbnails.reading import thumbnails
from filmroom.indexer.models.registry import load_towers
from filmroom.indexer.pipeline import Options, index

from tests.db.earlier_thumbnails import put_back
from tests.db.thumbnails.killed import killed_after


@pytest.fixture
def older(films: Callable[..., Path], tiny: Path, tmp_path: Path) -> Archive:
    archive = Archive.create(tmp_path / "archive")
    index(archive, [films(5)], load_towers(str(tiny)), options=Options(workers=1))
    put_back(archive)
    with closing(sqlite3.connect(archive.catalog.path)) as connection, connection:
        triggers = connection.execute(
            "SELECT name FROM sqlite_master WHERE name LIKE 'stretch!_%' ESCAPE '!'"
        ).fetchall()
        for (trigger,) in triggers:
            connection.execute(f"DROP TRIGGER {trigger}")
        connection.execute("DROP TABLE stretch")
        connection.execute("UPDATE alembic_version SET version_num = '0016'")
    archive.catalog.close()
    return Archive.open(archive.folder)


def holding(archive: Archive, pictures: dict[int, bytes]) -> set[str]:
    archive.catalog.close()
    parts = [webp[40:] for webp in pictures.values()]
    return {path.name for path in archive.folder.rglob("*.sqlite*") if any(x in path.read_bytes() for x in parts)}


def moved(archive: Archive) -> None:
    while moving.move_some(archive.catalog):
        pass
    moving.finish(archive.catalog)


def test_an_older_archive_opens_without_a_copy_and_the_next_run_moves_it(
    older: Archive, films: Callable[..., Path], tiny: Path
) -> None:
    assert not list(older.folder.glob("catalog.before-*"))
    assert not (older.folder / NAME).exists()
    before = thumbnails(older.catalog, range(1, 6))
    assert len(before) == 5
    assert doctor.examine(older).faults == ()
    done = index(older, [films(5)], load_towers(str(tiny)), options=Options(workers=1))
    assert done.counts.unchanged == 5
    assert thumbnails(older.catalog, range(1, 6)) == before
    assert doctor.examine(older).faults == ()
    assert holding(older, before) == {NAME}


def test_an_older_program_is_told_that_it_is_too_old(older: Archive) -> None:
    with closing(sqlite3.connect(older.catalog.path)) as connection:
        assert connection.execute("SELECT version_num FROM alembic_version").fetchone() == (HEAD,)


@pytest.mark.parametrize("before", [True, False])
def test_a_kill_between_file_and_catalog_loses_none(
    older: Archive, monkeypatch: pytest.MonkeyPatch, before: bool
) -> None:
    monkeypatch.setattr(moving, "STEP", 2)
    pictures = thumbnails(older.catalog, range(1, 6))
    older.catalog.close()
    moving.move_some(older.catalog)
    older.catalog.close()
    killed_after(ThumbnailFile, "put", lambda: moving.move_some(Archive.open(older.folder).catalog), before=before)
    archive = Archive.open(older.folder)
    assert thumbnails(archive.catalog, range(1, 6)) == pictures
    assert doctor.examine(archive).faults == ()
    moved(archive)
    assert thumbnails(archive.catalog, range(1, 6)) == pictures
    assert holding(archive, pictures) == {NAME}


def test_a_film_is_forgotten_in_both_files(older: Archive, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(moving, "STEP", 2)
    moving.move_some(older.catalog)  # films 1 and 2
    pictures = thumbnails(older.catalog, range(1, 6))
    forgetting.forget(older, [2, 4])
    assert holding(older, {film: pictures[film] for film in (2, 4)}) == set()
    assert thumbnails(older.catalog, range(1, 6)) == {film: pictures[film] for film in (1, 3, 5)}


def test_what_is_damaged_is_not_moved_as_if_it_were_whole(older: Archive) -> None:
    pictures = thumbnails(older.catalog, range(1, 6))
    with closing(sqlite3.connect(older.catalog.path)) as connection, connection:
        turned = pictures[3][:-1] + bytes([pictures[3][-1] ^ 1])
        connection.execute("UPDATE thumbnail SET webp = ? WHERE film_id = 3", (turned,))
    moved(older)
    assert ["1 thumbnail" in fault.what for fault in doctor.examine(older).faults] == [True]
