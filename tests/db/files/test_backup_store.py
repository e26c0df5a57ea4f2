"""A backup in a folder is brought up to date: only what is new is written, and a kill leaves the one of before."""

from __future__ import annotations

import errno
import os
import sqlite3
import stat
import struct
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import numpy as np
import pytest
from filmroom.db import backup as backups
from filmroom.db.archive import Archive
from filmroom.db.backup import backup, restore
from filmroom.db.doctor import examine
from filmroom.db.errors import BadInput
from filmroom.db.files import backup_store
from filmroom.db.thumbnails.file import NAME as THUMBNAILS
from filmroom.db.thumbnails.reading import thumbnails

from tests.bit_flips import all_said
from tests.db.earlier_thumbnails import put_back
from tests.db.thumbnails.killed import killed_after
from tests.terminal import Terminal

Films = Callable[..., Path]


@pytest.fixture
def indexed(terminal: Terminal, films: Films, tiny: Path, tmp_path: Path) -> Terminal:
    terminal("index", films(30), "--model", tiny)
    assert terminal.code == 0, terminal.err
    (tmp_path / "kept").mkdir()
    return terminal


def said_of(folder: Path) -> list[object]:
    archive = Archive.open(folder)
    assert examine(archive).faults == ()
    said = all_said(archive)
    archive.catalog.close()
    return said


def test_a_second_backup_writes_what_is_new_and_restores_all(
    indexed: Terminal, films: Films, tiny: Path, tmp_path: Path
) -> None:
    first = indexed.json("backup", tmp_path / "kept")
    assert isinstance(first, dict)
    assert first["films"] == 30
    again = indexed.json("backup", tmp_path / "kept")
    assert isinstance(again, dict)
    assert again["new_megabytes"] <= 0.1
    indexed("index", films(33), "--model", tiny)
    said = indexed("backup", tmp_path / "kept")
    assert indexed.code == 0, indexed.err
    assert "33 films in" in said
    assert "were new" in said
    indexed("restore", tmp_path / "kept", tmp_path / "again")
    assert indexed.code == 0, indexed.err
    assert said_of(tmp_path / "again") == said_of(indexed.archive)
    assert (tmp_path / "again" / "patient.key").read_bytes() == (indexed.archive / "patient.key").read_bytes()
    modes = {stat.S_IMODE(os.stat(path).st_mode) for path in (tmp_path / "kept").iterdir()}
    assert modes == {0o600}


def test_what_was_forgotten_goes_from_the_backup(indexed: Terminal, tmp_path: Path) -> None:
    archive = Archive.open(indexed.archive)
    picture = thumbnails(archive.catalog, [7])[7]
    archive.catalog.close()
    indexed("backup", tmp_path / "kept")
    path = tmp_path / "kept" / backup_store.NAME
    with closing(sqlite3.connect(path)) as connection:
        assert (picture,) in connection.execute("SELECT webp FROM picture").fetchall()
    indexed("forget", "7", "--yes")
    assert indexed.code == 0, indexed.err
    indexed("backup", tmp_path / "kept")
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("SELECT count(*) FROM picture").fetchone() == (29,)
    assert picture[40:400] not in path.read_bytes()


@pytest.mark.parametrize("step", ["_put_pages", "_put_pictures"])
def test_a_killed_backup_leaves_the_one_of_before(
    step: str, indexed: Terminal, films: Films, tiny: Path, tmp_path: Path
) -> None:
    indexed("backup", tmp_path / "kept")
    before = said_of(indexed.archive)
    indexed("index", films(40), "--model", tiny)
    killed_after(backup_store, step, lambda: backup(Archive.open(indexed.archive), tmp_path / "kept"))
    restore(tmp_path / "kept", tmp_path / "again")
    assert said_of(tmp_path / "again") == before
    backup(Archive.open(indexed.archive), tmp_path / "kept")
    restore(tmp_path / "kept", tmp_path / "later")
    assert said_of(tmp_path / "later") == said_of(indexed.archive)
    indexed("forget", "1", "--yes")
    assert not list(indexed.archive.glob(".filmroom-*")), "nor does the copy of a killed backup outlive forgetting"


def test_a_first_backup_that_was_killed_is_begun_again(indexed: Terminal, tmp_path: Path) -> None:
    killed_after(backup_store, "_put_pages", lambda: backup(Archive.open(indexed.archive), tmp_path / "kept"))
    with pytest.raises(BadInput, match="is no Filmroom backup"):
        restore(tmp_path / "kept", tmp_path / "again")
    assert backup(Archive.open(indexed.archive), tmp_path / "kept").films == 30
    assert restore(tmp_path / "kept", tmp_path / "again").films == 30


def large_catalog(path: Path, text: str) -> Path:
    """More than SQLite writes in memory alone before the end of a transaction."""
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("CREATE TABLE line (words TEXT)")
        connection.executemany("INSERT INTO line VALUES (?)", [(text * 1000,) for _ in range(8000)])
    return path


def bring_up(place: Path, catalog: Path) -> None:
    backup_store.update(place, "one", b"key", catalog, np.empty(0, np.int64), lambda keys: {})


@pytest.fixture
def ended_late(tmp_path: Path) -> tuple[Path, Path]:
    """A backup whose update was killed when much of it was on the disk, and the catalog that was in it."""
    place = tmp_path / "kept"
    place.mkdir()
    before = large_catalog(tmp_path / "before", "a")
    bring_up(place, before)
    after = large_catalog(tmp_path / "after", "b")
    whole = (place / backup_store.NAME).read_bytes()
    killed_after(backup_store, "_put_pages", lambda: bring_up(place, after))
    assert (place / backup_store.NAME).read_bytes() != whole
    return place, before


def test_a_backup_that_was_killed_late_is_restored_as_it_was_before(
    ended_late: tuple[Path, Path], tmp_path: Path
) -> None:
    place, before = ended_late
    assert backup_store.unpack(place / backup_store.NAME, tmp_path / "catalog", lambda pictures: None) == b"key"
    assert (tmp_path / "catalog").read_bytes() == before.read_bytes()


def test_a_journal_that_has_another_file_deleted_is_refused(ended_late: tuple[Path, Path], tmp_path: Path) -> None:
    place, _ = ended_late
    letter = tmp_path / "letter"
    letter.write_text("dear")
    name = os.fsencode(letter)
    with (place / f"{backup_store.NAME}-journal").open("ab") as journal:
        end = (1 << 30) // 4096 + 1, name, len(name), sum(name)
        journal.write(struct.pack(f">I{len(name)}sII", *end) + bytes.fromhex("d9d505f920a163d7"))
    with pytest.raises(BadInput, match="is no Filmroom backup, or is damaged"):
        restore(place, tmp_path / "again")
    assert letter.exists()


def test_a_backup_that_is_being_written_is_not_called_damaged(
    ended_late: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place, _ = ended_late
    connect = sqlite3.connect
    monkeypatch.setattr(
        backup_store.sqlite3, "connect", lambda *names, **options: connect(*names, **options, timeout=0)
    )
    with closing(connect(place / backup_store.NAME)) as connection:
        connection.execute("BEGIN EXCLUSIVE")
        with pytest.raises(BadInput, match="an update of this backup is under way"):
            restore(place, tmp_path / "again")


def test_an_archive_that_keeps_its_thumbnails_in_the_catalog(indexed: Terminal, tmp_path: Path) -> None:
    archive = Archive.open(indexed.archive)
    pictures = put_back(archive)
    for place in ("kept", "one.file"):
        backup(archive, tmp_path / place)
        restore(tmp_path / place, tmp_path / f"{place}.again")
        assert thumbnails(Archive.open(tmp_path / f"{place}.again").catalog, range(1, 31)) == pictures
        assert (tmp_path / f"{place}.again" / THUMBNAILS).exists()


def test_what_is_no_place_for_it_is_refused(indexed: Terminal, films: Films, tiny: Path, tmp_path: Path) -> None:
    (tmp_path / "letters").mkdir()
    (tmp_path / "letters" / "one").write_text("dear")
    indexed("backup", tmp_path / "letters")
    assert indexed.code == 1
    assert "there is something else in this folder" in indexed.err
    indexed("backup", tmp_path / "kept")
    indexed("index", films(2), "--model", tiny, "--archive", tmp_path / "other")
    indexed("backup", tmp_path / "kept", "--archive", tmp_path / "other")
    assert indexed.code == 1
    assert "holds the backup of another archive" in indexed.err


def test_a_full_disk_of_the_archive_itself_is_named(
    indexed: Terminal, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The copy that a backup is made of lies there: to name another folder for the backup would not help."""

    def full(_: Path, copy: Path) -> None:
        assert indexed.archive in copy.parents
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patched:
        patched.setattr(backups.sqlite_file, "backup", full)
        indexed("backup", tmp_path / "kept")
    assert indexed.code == 1
    assert "the copy of the catalog that a backup is made of cannot be written (No space left" in indexed.err
    assert str(tmp_path / "kept") not in indexed.err
    assert str(indexed.archive) in indexed.err
    assert list((tmp_path / "kept").iterdir()) == []
    with patched_store(monkeypatch):
        indexed("backup", tmp_path / "kept")
    assert "the backup cannot be written (No space left" in indexed.err
    assert str(tmp_path / "kept") in indexed.err
    assert not [path for path in indexed.archive.iterdir() if path.name.startswith(".filmroom-")]


@contextmanager
def patched_store(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let the disk that a backup is on be full."""

    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patched:
        patched.setattr(backups.backup_store, "update", full)
        yield


def strange_schema(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("ALTER TABLE page RENAME TO pages")
        connection.execute("CREATE VIEW page AS SELECT number, data FROM pages")


def a_page_less(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("DELETE FROM page WHERE number = 3")


def another_page(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("UPDATE page SET data = (SELECT data FROM page WHERE number = 4) WHERE number = 3")


def a_number_for_a_key(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("UPDATE info SET value = 99999999999 WHERE name = 'key'")


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def missing(path: Path) -> None:
    path.unlink()


def text(path: Path) -> None:
    path.write_bytes(b"no backup\n" * 1000)


@pytest.mark.parametrize("harm", [strange_schema, a_page_less, another_page, a_number_for_a_key, cut, text, missing])
def test_a_damaged_backup_is_refused_and_leaves_nothing(
    harm: Callable[[Path], None], indexed: Terminal, tmp_path: Path
) -> None:
    indexed("backup", tmp_path / "kept")
    harm(tmp_path / "kept" / backup_store.NAME)
    with pytest.raises(BadInput, match="is no Filmroom backup, or is damaged"):
        restore(tmp_path / "kept", tmp_path / "again")
    assert not (tmp_path / "again").exists()


def test_there_must_be_room_for_it(indexed: Terminal, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    indexed("backup", tmp_path / "kept")
    monkeypatch.setattr(backups.shutil, "disk_usage", lambda _: os.statvfs_result and type("Usage", (), {"free": 1}))
    indexed("restore", tmp_path / "kept", tmp_path / "again")
    assert indexed.code == 1
    assert "No space left" in indexed.err
