"""One file holds an archive; what is damaged is never taken for one."""

from __future__ import annotations

import os
import shutil
import signal
import sqlite3
import stat
import threading
import zipfile
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from filmroom.db.archive import Archive
from filmroom.db.backup import backup, restore
from filmroom.db.doctor import examine
from filmroom.db.errors import BadInput
from filmroom.db.files import private_files
from filmroom.search.background_index import start_index

from tests.conftest import write_film
from tests.terminal import Terminal

Films = Callable[..., Path]


@pytest.fixture
def indexed(terminal: Terminal, films: Films, tiny: Path) -> Terminal:
    terminal("index", films(5), "--model", tiny)
    assert terminal.code == 0, terminal.err
    return terminal


def test_a_restored_archive_answers_as_the_first_one_did(indexed: Terminal, tmp_path: Path) -> None:
    before = indexed.json("search", "edema")
    said = indexed.json("backup", tmp_path / "one.filmroom")
    assert isinstance(said, dict)
    assert said["films"] == 5
    indexed("restore", tmp_path / "one.filmroom", tmp_path / "again")
    assert indexed.code == 0, indexed.err
    assert examine(Archive.open(tmp_path / "again")).faults == ()
    first, second = (path / "patient.key" for path in (indexed.archive, tmp_path / "again"))
    assert first.read_bytes() == second.read_bytes()
    after = indexed.json("search", "edema", "--archive", tmp_path / "again")
    assert isinstance(before, dict)
    assert isinstance(after, dict)
    assert after["hits"] == before["hits"]


def test_a_backup_of_a_newer_version_leaves_nothing_behind(indexed: Terminal, tmp_path: Path) -> None:
    indexed("backup", tmp_path / "one")
    with zipfile.ZipFile(tmp_path / "one") as packed:
        packed.extractall(tmp_path / "inside")
    with closing(sqlite3.connect(tmp_path / "inside" / "catalog.sqlite")) as connection, connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    newer = tmp_path / "newer"
    with zipfile.ZipFile(newer, "w") as packed:
        for name in ("catalog.sqlite", "patient.key"):
            packed.write(tmp_path / "inside" / name, name)
    (tmp_path / "empty").mkdir()
    before = set(tmp_path.iterdir())
    for folder in (tmp_path / "again", tmp_path / "empty"):
        indexed("restore", newer, folder)
        assert indexed.code == 1
        assert f"{newer}: was written by a newer version of Filmroom" in indexed.err
    assert set(tmp_path.iterdir()) == before
    assert list((tmp_path / "empty").iterdir()) == []


def test_only_its_owner_may_read_a_backup_and_what_comes_of_it(indexed: Terminal, tmp_path: Path) -> None:
    old = os.umask(0)
    try:
        indexed("backup", tmp_path / "one")
        indexed("restore", tmp_path / "one", tmp_path / "again")
    finally:
        os.umask(old)
    made = [tmp_path / "one", tmp_path / "again" / "catalog.sqlite", tmp_path / "again" / "patient.key"]
    assert {stat.S_IMODE(path.stat().st_mode) for path in made} == {0o600}
    assert stat.S_IMODE((tmp_path / "again").stat().st_mode) == 0o700


def test_a_backup_while_films_are_added_is_of_one_instant(
    indexed: Terminal, films: Films, tiny: Path, tmp_path: Path
) -> None:
    from filmroom.indexer.models.registry import load_towers
    from filmroom.indexer.pipeline import index

    archive = Archive.open(indexed.archive)
    for number in range(40):
        write_film(tmp_path / "more" / f"{number}.png", 500 + number, side=48)
    writing = threading.Thread(target=index, args=(archive, [tmp_path / "more"], load_towers(str(tiny))))
    writing.start()
    made, alive = [], True
    while alive or len(made) < 2:
        alive = writing.is_alive()  # asked before, so that the last backup is of all films
        made.append(tmp_path / f"{len(made)}.backup")
        backup(archive, made[-1])
    writing.join()
    for one in (made[0], made[len(made) // 2], made[-1]):
        restored = restore(one, one.with_suffix(".restored"))
        assert 5 <= restored.films <= 45
        assert examine(Archive.open(one.with_suffix(".restored"))).faults == ()
    assert restored.films == 45


def test_a_backup_never_writes_over_a_file(indexed: Terminal, tmp_path: Path) -> None:
    (tmp_path / "letter").write_text("dear")
    indexed("backup", tmp_path / "letter")
    assert indexed.code == 1
    assert "a file of this name already" in indexed.err
    assert (tmp_path / "letter").read_text() == "dear"
    indexed("backup", tmp_path / "no" / "such" / "folder")
    assert indexed.code == 1
    assert "cannot be written" in indexed.err


def test_a_folder_that_holds_something_is_left_alone(indexed: Terminal, tmp_path: Path) -> None:
    indexed("backup", tmp_path / "one")
    indexed("restore", tmp_path / "one", indexed.archive)
    assert indexed.code == 1
    assert "something there already" in indexed.err
    indexed("backup", tmp_path / "one" / "two")
    assert "the backup cannot be written" in indexed.err
    (tmp_path / "empty").mkdir()
    indexed("restore", tmp_path / "one", tmp_path / "empty")
    assert indexed.code == 0, indexed.err


def damaged(whole: bytes) -> dict[str, bytes]:
    half, flipped = len(whole) // 2, bytearray(whole)
    flipped[half] ^= 0x10
    return {
        "empty": b"",
        "text": b"no backup\n" * 1000,
        "cut": whole[:half],
        "cut by a little": whole[:-1],
        "one bit": bytes(flipped),
    }


def test_a_damaged_backup_is_refused_and_leaves_nothing(indexed: Terminal, tmp_path: Path) -> None:
    indexed("backup", tmp_path / "one")
    bad = tmp_path / "bad"
    before = set(os.listdir(tmp_path)) | {"bad"}
    for what, data in damaged((tmp_path / "one").read_bytes()).items():
        bad.write_bytes(data)
        with pytest.raises(BadInput, match="is no Filmroom backup, or is damaged"):
            restore(bad, tmp_path / "new")
        assert set(os.listdir(tmp_path)) == before, what


@pytest.mark.parametrize("name", ["../escaped", "/absolute", "catalog.sqlite/../../escaped", "vectors/0.json"])
def test_a_zip_with_other_names_in_it_is_no_backup(indexed: Terminal, tmp_path: Path, name: str) -> None:
    indexed("backup", tmp_path / "one")
    with zipfile.ZipFile(tmp_path / "one", "a") as packed:
        packed.writestr(name, b"x")
    with pytest.raises(BadInput, match="is no Filmroom backup"):
        restore(tmp_path / "one", tmp_path / "deep" / "new")
    assert not list(tmp_path.rglob("escaped"))


def test_nothing_planted_beside_a_backup_is_followed_or_kept_open(
    indexed: Terminal, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another user of a shared folder puts links and open files where an unfinished backup could lie."""
    (tmp_path / "spool").mkdir()
    victim = tmp_path / "victim"
    victim.write_text("mine")
    for name in ("one.part", ".one.part", "one.tmp"):
        (tmp_path / "spool" / name).symlink_to(victim)
    names: set[str] = set()
    modes: set[int] = set()
    create = private_files.create

    def seen(path: Path) -> object:
        out = create(path)
        names.add(path.name)
        modes.add(stat.S_IMODE(path.stat().st_mode))
        return out

    monkeypatch.setattr(private_files, "create", seen)
    old = os.umask(0)
    try:
        for target in ("one", "two"):
            indexed("backup", tmp_path / "spool" / target)
            assert indexed.code == 0, indexed.err
    finally:
        os.umask(old)
    assert victim.read_text() == "mine"
    assert len(names) == 2, "another name each time"
    assert modes == {0o600}
    with pytest.raises(FileExistsError):
        create(tmp_path / "spool" / "one.part")
    (tmp_path / "spool" / "three").symlink_to(tmp_path / "nowhere")
    indexed("backup", tmp_path / "spool" / "three")
    assert indexed.code == 1
    assert not (tmp_path / "nowhere").exists()


def bomb(path: Path, *, size: int = 64 << 20, names: int = 0, mode: int = 0, key: int = 32) -> Path:
    """A zip with the names of a backup, and something that no backup has."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as packed:
        catalog = zipfile.ZipInfo("catalog.sqlite")
        catalog.external_attr = mode << 16
        catalog.compress_type = zipfile.ZIP_DEFLATED
        packed.writestr(catalog, bytes(size))
        packed.writestr("patient.key", os.urandom(key))
        for number in range(names):
            packed.writestr(f"{number}", b"")
    return path


@pytest.mark.parametrize(
    "kind",
    [
        {},
        {"names": 70_000, "size": 10},
        {"mode": stat.S_IFLNK | 0o777, "size": 10},
        {"mode": stat.S_IFDIR | 0o777, "size": 10},
        {"key": 1 << 20, "size": 10},
    ],
    ids=["ratio", "count", "link", "folder", "key"],
)
def test_a_restore_unpacks_within_limits(tmp_path: Path, kind: dict[str, int], monkeypatch: pytest.MonkeyPatch) -> None:
    source = bomb(tmp_path / "bomb", **kind)
    written: list[str] = []
    monkeypatch.setattr(private_files, "create", lambda path: written.append(path.name))
    with pytest.raises(BadInput, match="is no Filmroom backup"):
        restore(source, tmp_path / "new")
    assert written == [], "nothing is unpacked"
    assert {path.name for path in tmp_path.iterdir()} == {"bomb"}


def test_a_restore_asks_for_room_first(indexed: Terminal, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    indexed("backup", tmp_path / "one")
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=1000))
    indexed("restore", tmp_path / "one", tmp_path / "new")
    assert indexed.code == 1
    assert "No space left" in indexed.err
    assert not (tmp_path / "new").exists()


def test_every_file_of_an_archive_is_its_owners_wherever_the_folder_came_from(
    films: Films, tiny: Path, tmp_path: Path, terminal: Terminal
) -> None:
    old = os.umask(0)
    try:
        terminal.archive.mkdir(mode=0o777)
        terminal("index", films(5), "--model", tiny)
        with Archive.open(terminal.archive).writing("looking"):
            found = [path for path in terminal.archive.rglob("*") if path.is_file()]
            modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in found}
        started = start_index(terminal.archive, [tmp_path / "films"], model=str(tiny))
        os.kill(started, signal.SIGKILL)
        modes["index.log"] = stat.S_IMODE((terminal.archive / "index.log").stat().st_mode)
    finally:
        os.umask(old)
    assert {"writer.lock", "writer.json", "catalog.sqlite", "patient.key", "1.json"} <= set(modes)
    assert {name: mode for name, mode in modes.items() if mode != 0o600} == {}
    assert stat.S_IMODE((terminal.archive / "vectors").stat().st_mode) == 0o700


def test_a_backup_that_is_not_there_is_said_to_be_missing_and_nothing_is_made(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="there is no backup here") as raised:
        restore(tmp_path / "nowhere", tmp_path / "new" / "archive")
    assert raised.value.fix
    assert not (tmp_path / "new").exists()


def test_a_place_that_cannot_be_made_is_named_with_what_to_do(indexed: Terminal, tmp_path: Path) -> None:
    indexed("backup", tmp_path / "one")
    inside = tmp_path / "one" / "archive"
    with pytest.raises(BadInput, match="cannot be restored") as raised:
        restore(tmp_path / "one", inside)
    assert str(inside) in str(raised.value.fix)


def test_a_disk_of_its_own_takes_a_backup_that_is_brought_up_to_date(indexed: Terminal, tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    (disk / "lost+found").mkdir(parents=True, mode=0o700)
    for _ in range(2):
        indexed("backup", disk)
        assert indexed.code == 0, indexed.err
