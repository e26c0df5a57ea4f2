"""The catalog: one writer, many readers, faults in words."""

from __future__ import annotations

import sqlite3
import stat
import threading
from contextlib import closing
from pathlib import Path

import pytest
from filmroom.db import schema
from filmroom.db.archive import Archive
from filmroom.db.catalog import Catalog
from filmroom.db.errors import ArchiveBusy, ArchiveDamaged, ArchiveReplaced, NotFound
from filmroom.db.files.sqlite_file import backup
from filmroom.db.records import Label
from filmroom.db.writes import annotations, findings
from filmroom.db.writes.annotations import Judgement
from filmroom.db.writes.findings import Finding
from sqlalchemy import insert, select
from sqlalchemy.exc import IntegrityError


@pytest.fixture
def catalog(tmp_path: Path) -> Catalog:
    return Catalog.open(tmp_path / "catalog.sqlite")


def test_a_file_that_is_no_catalog_is_refused_in_one_line(tmp_path: Path) -> None:
    path = tmp_path / "catalog.sqlite"
    path.write_bytes(b"this is a text file, and not a short one: " * 50)
    with pytest.raises(ArchiveDamaged, match="Restore it from a backup"):
        Catalog.open(path)


def test_every_write_raises_the_number_that_caches_compare(catalog: Catalog) -> None:
    before = catalog.changes()
    with catalog.write() as connection:
        connection.execute(insert(schema.root).values(path="/films"))
    assert Catalog.open(catalog.path).changes() > before


def test_a_failed_write_leaves_nothing(catalog: Catalog) -> None:
    before = catalog.changes()
    with pytest.raises(IntegrityError), catalog.write() as connection:
        connection.execute(insert(schema.root), [{"path": "/films"}, {"path": "/films"}])
    with catalog.read() as connection:
        assert connection.execute(select(schema.root)).all() == []
    assert catalog.changes() == before


def test_nothing_is_said_of_a_film_that_is_not_there(catalog: Catalog) -> None:
    """It may have been forgotten while somebody looked at it."""
    for say in (
        lambda: annotations.set_tags(catalog, 4711, ["seen"]),
        lambda: annotations.collect(catalog, "mine", [4711]),
        lambda: annotations.set_note(catalog, 4711, "look again"),
        lambda: annotations.judge(catalog, Judgement("effusion", 4711, "ada", 3)),
        lambda: annotations.put_labels(catalog, [(4711, Label("effusion"))]),
        lambda: findings.put(catalog, [4711], [Finding("No effusion.")], source="model"),
    ):
        with pytest.raises(NotFound, match="no longer in the archive"):
            say()
    assert annotations.collections(catalog) == []


def test_readers_do_not_wait_for_a_writer(catalog: Catalog) -> None:
    with catalog.write() as connection:
        connection.execute(insert(schema.root).values(path="/films"))
        with catalog.read() as reading:
            assert reading.execute(select(schema.root)).all() == []


def test_two_writers_take_turns(catalog: Catalog) -> None:
    def add(number: int) -> None:
        for part in range(20):
            with catalog.write() as connection:
                connection.execute(insert(schema.root).values(path=f"/films/{number}/{part}"))

    threads = [threading.Thread(target=add, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with catalog.read() as connection:
        assert len(connection.execute(select(schema.root)).all()) == 80


def replaced(catalog: Catalog, how: str) -> None:
    """Another archive takes the place of the one that is open."""
    other = catalog.path.with_name("other.sqlite")
    backup(Catalog.open(other).path, other.with_name("whole.sqlite"))
    if how == "moved away":
        catalog.path.rename(catalog.path.with_name("old.sqlite"))
    elif how == "deleted":
        catalog.path.unlink()
    else:
        other.with_name("whole.sqlite").replace(catalog.path)


@pytest.mark.parametrize("how", ["moved away", "deleted", "replaced"])
def test_an_archive_that_was_replaced_answers_nothing_and_loses_nothing(catalog: Catalog, how: str) -> None:
    with catalog.read() as connection:
        connection.execute(select(schema.root)).all()
    replaced(catalog, how)
    for use in (catalog.look, catalog.read, catalog.write):
        with pytest.raises(ArchiveReplaced, match="Open it again"), use() as connection:  # type: ignore[attr-defined]
            pytest.fail("it was opened")
    with pytest.raises(ArchiveReplaced):
        catalog.changes()
    assert catalog.path.exists() == (how == "replaced"), "no new file is made in its place"


def test_what_is_written_while_the_archive_is_replaced_is_not_called_written(catalog: Catalog) -> None:
    def write() -> None:
        with catalog.write() as connection:
            connection.execute(insert(schema.root).values(path="/films"))
            replaced(catalog, "replaced")

    with pytest.raises(ArchiveReplaced):
        write()
    with Catalog.open(catalog.path).read() as connection:
        assert connection.execute(select(schema.root)).all() == []


def test_a_copy_over_the_open_file_is_another_archive(catalog: Catalog) -> None:
    Catalog.open(catalog.path.with_name("other.sqlite"))  # each has an id of its own
    opened = Catalog.open(catalog.path)
    backup(catalog.path.with_name("other.sqlite"), catalog.path.with_name("whole.sqlite"))
    whole = sqlite3.connect(catalog.path.with_name("whole.sqlite"))
    with closing(whole), closing(sqlite3.connect(catalog.path)) as over:
        whole.backup(over)
    with pytest.raises(ArchiveReplaced):
        opened.changes()


def test_names_that_are_no_text_come_back_byte_for_byte(catalog: Catalog) -> None:
    strange = b"ward \xff\xfe.dcm".decode("utf-8", "surrogateescape")
    with catalog.write() as connection:
        connection.execute(insert(schema.root).values(path=strange))
    with catalog.read() as connection:
        assert connection.scalar(select(schema.root.c.path)) == strange


def test_a_backup_is_a_whole_catalog(catalog: Catalog, tmp_path: Path) -> None:
    with catalog.write() as connection:
        connection.execute(insert(schema.root).values(path="/films"))
    backup(catalog.path, tmp_path / "copy.sqlite")
    with Catalog.open(tmp_path / "copy.sqlite").read() as connection:
        assert connection.scalar(select(schema.root.c.path)) == "/films"


def test_an_archive_has_one_writer_and_says_who(tmp_path: Path) -> None:
    archive = Archive.create(tmp_path / "archive")
    with (
        archive.writing("indexing /films"),
        pytest.raises(ArchiveBusy, match="indexing /films"),
        Archive.open(archive.folder).writing("again"),
    ):
        pass
    with archive.writing("again"):
        assert "again" in str(archive.writer())
    assert archive.writer() is None


def test_a_note_that_cannot_be_written_keeps_nobody_from_writing(tmp_path: Path) -> None:
    """On a full disk films can still be forgotten."""
    archive = Archive.create(tmp_path / "archive")
    (archive.folder / "writer.json").mkdir()
    with archive.writing("forgetting films"), pytest.raises(ArchiveBusy, match="unknown"), archive.writing("again"):
        pass


def test_the_patient_key_is_kept_on_a_disk_without_links(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_links(*_: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr("os.link", no_links)
    archive = Archive.create(tmp_path / "archive")
    key = archive.patient_key()
    assert archive.patient_key() == key
    assert [one.name for one in archive.folder.glob("patient*")] == ["patient.key"]


def test_the_patient_key_is_made_once_and_is_the_owners(tmp_path: Path) -> None:
    archive = Archive.create(tmp_path / "archive")
    key = archive.patient_key()
    assert len(key) == 32
    assert Archive.open(archive.folder).patient_key() == key
    assert stat.S_IMODE((archive.folder / "patient.key").stat().st_mode) == 0o600


def test_no_archive_says_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="filmroom index FOLDER"):
        Archive.open(tmp_path / "nothing")
