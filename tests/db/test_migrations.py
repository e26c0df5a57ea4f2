"""Catalogs of earlier versions: brought up to the present tables once, after a copy, and rid of what people typed."""

from __future__ import annotations

import sqlite3
import threading
from contextlib import closing
from pathlib import Path

import pytest
from alembic import command
from filmroom.db import catalog as catalogs
from filmroom.db import migrate, schema
from filmroom.db.archive import Archive
from filmroom.db.catalog import Catalog
from filmroom.db.engine import connect
from filmroom.db.errors import ArchiveBusy, ArchiveDamaged
from filmroom.db.files import sqlite_file
from filmroom.db.path_names import tail_of
from filmroom.db.stretches.versions import versions
from filmroom.db.writes import annotations
from filmroom.indexer.decoding.rejections import Refusal, reason_of
from filmroom.search.status import rejected_files
from sqlalchemy import insert, select

QUERY = b"Musterfrau pneumothorax"


def shape(path: Path) -> set[tuple[str, str]]:
    with closing(sqlite3.connect(path)) as connection:
        rows = connection.execute("SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL").fetchall()
        return {(name, " ".join(sql.split())) for name, sql in rows if name != "alembic_version"}


def of_revision(path: Path, revision: str) -> Path:
    """A catalog of an earlier version."""
    settings = migrate.config()
    engine = connect(path)
    with engine.begin() as connection:
        settings.attributes["connection"] = connection
        command.upgrade(settings, revision)
    engine.dispose()
    return path


def older(path: Path, revision: str = "0003") -> Path:
    """A catalog of an earlier version, in which people searched, and of whose searches the latest fifty are left."""
    of_revision(path, revision)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA secure_delete=OFF")
        connection.execute("PRAGMA synchronous=OFF")
        for number in range(400):
            words = f"{number} {QUERY.decode()} " + "and so on " * (number % 700)
            with connection:
                connection.execute("INSERT INTO recent_search VALUES (?, ?)", (words, number))
                connection.execute("DELETE FROM recent_search WHERE searched_at < ?", (number - 50,))
                connection.execute("INSERT INTO root(path) VALUES (?)", (f"/films/{number}",))
    assert path.read_bytes().count(QUERY) > 51
    return path


def holding(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir() if QUERY in path.read_bytes()}


def test_migrations_make_the_same_tables_as_a_new_catalog(tmp_path: Path) -> None:
    old, new = Catalog(tmp_path / "old.sqlite"), Catalog.open(tmp_path / "new.sqlite")
    migrate.upgrade(old.engine)
    assert shape(old.path) == shape(new.path)
    assert migrate.head() == catalogs.HEAD


@pytest.mark.parametrize("revision", ["0001", "0002", "0003"])
def test_no_byte_is_left_of_what_people_searched_for(tmp_path: Path, revision: str) -> None:
    path = older(tmp_path / "catalog.sqlite", revision)
    earlier = tmp_path / "catalog.before-0002.sqlite"
    earlier.write_bytes(path.read_bytes())
    catalog = Catalog.open(path)
    assert holding(tmp_path) == set(), "while it is open, too"
    assert {one.name for one in tmp_path.glob("*before*")} == {f"catalog.before-{catalogs.HEAD}.sqlite"}
    for one in (catalog, Catalog.open(tmp_path / f"catalog.before-{catalogs.HEAD}.sqlite")):
        with one.read() as connection:
            assert len(connection.scalars(select(schema.root.c.path)).all()) == 400
    assert shape(path) == shape(Catalog.open(tmp_path / "new.sqlite").path)


def test_reasons_in_words_become_codes_that_show_the_same_words(tmp_path: Path) -> None:
    path = older(tmp_path / "catalog.sqlite")
    before = {
        **{
            refusal.reason: ("rejected", refusal.stage.value, refusal.remedy)
            for refusal in Refusal
            if refusal not in (Refusal.NOT_FETCHED, Refusal.NOT_ON_SERVER, Refusal.ANOTHER_FILM)  # newer than the codes
        },
        "of a version that nobody knows": ("rejected", "open", "Ask whoever wrote it"),
        "same instance UID, other picture": ("duplicate", None, None),
        "same content": ("duplicate", None, None),
    }
    with closing(sqlite3.connect(path)) as connection, connection:
        for at, (reason, (outcome, stage, remedy)) in enumerate(before.items()):
            connection.execute(
                "INSERT INTO file (root_id, path, size, mtime_ns, outcome, listed, stage, reason, remedy, tried_at)"
                " VALUES (1, ?, 1, 1, ?, 1, ?, ?, ?, 1)",
                (f"{at}", outcome, stage, reason, remedy),
            )
    catalog = Catalog.open(path)
    with catalog.read() as connection:
        kept = {row.path: row.reason for row in connection.execute(select(schema.file))}
    assert [reason for reason in kept.values() if " " in reason] == ["of a version that nobody knows"]
    assert [reason_of(kept[f"{at}"]) for at in range(len(before))] == list(before)
    shown = {file.reason: (file.stage, file.remedy) for file in rejected_files(catalog)}
    assert shown == {reason: (stage, remedy) for reason, (outcome, stage, remedy) in before.items() if stage}


def test_films_of_a_collection_keep_the_order_in_which_they_were_put_there(tmp_path: Path) -> None:
    path = of_revision(tmp_path / "catalog.sqlite", "0012")
    put = [(1, 3, 5), (1, 1, 5), (2, 2, 9), (2, 3, 2), (1, 2, 1)]  # collection, film, second
    with closing(sqlite3.connect(path)) as connection, connection:
        for number in (1, 2):
            connection.execute("INSERT INTO collection (id, name, created_at) VALUES (?, ?, 1)", (number, f"c{number}"))
        connection.executemany("INSERT INTO collection_film VALUES (?, ?, ?)", put)
    catalog = Catalog.open(path)
    assert [annotations.collected(catalog, name) for name in ("c1", "c2")] == [[2, 3, 1], [3, 2]]


def test_films_of_an_earlier_version_have_versions_that_no_other_copy_has(tmp_path: Path) -> None:
    """What is kept about one copy must not be taken for what the other holds."""
    first = of_revision(tmp_path / "first.sqlite", "0017")
    with closing(sqlite3.connect(first)) as connection, connection:
        connection.execute("INSERT INTO root (id, path) VALUES (1, '/films')")
        connection.execute(
            "INSERT INTO file (id, root_id, path, size, mtime_ns, outcome, listed, tried_at) "
            "VALUES (1, 1, 'a', 1, 1, 'indexed', 1, 1)"
        )
        fields = "id, identity, file_id, frame, state, rows, columns, added_at"
        connection.execute(f"INSERT INTO film ({fields}) VALUES (40000, 'a', 1, 0, 'present', 1, 1, 1)")
    second = tmp_path / "second.sqlite"
    second.write_bytes(first.read_bytes())
    drawn = []
    for path in (first, second):
        with Catalog.open(path).look() as connection:
            of_films, of_files = versions(connection, "film"), versions(connection, "file")
            assert (len(of_films), len(of_files), versions(connection, "label")) == (3, 1, [])
            drawn += [*of_films, *of_files]
    assert len(set(drawn)) == 8
    assert not list(tmp_path.glob("*before*")), "nothing is to be copied first"


def test_paths_of_every_kind_get_their_tails(tmp_path: Path) -> None:
    path = of_revision(tmp_path / "catalog.sqlite", "0013")
    stored = {
        "a/b/one.PNG": b"one/b/a/",
        b"a/\xff.dcm": "\udcff/a/".encode("utf-8", "surrogatepass"),
        "A\u030a/x": "x/Å/".encode(),
    }
    known = "size, mtime_ns, outcome, listed, tried_at) VALUES (1, ?, 1, 1, 'indexed', 1, 1)"
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("INSERT INTO root (id, path) VALUES (1, '/films')")
        connection.executemany(f"INSERT INTO file (root_id, path, {known}", [(one,) for one in stored])
    with Catalog.open(path).read() as connection:
        rows = connection.execute(select(schema.file.c.path, schema.file.c.tail)).all()
    assert [row.tail for row in rows] == list(stored.values())
    assert [row.tail for row in rows] == [tail_of(row.path) for row in rows]


def test_a_reader_in_the_way_is_told_of_and_nothing_is_half_done(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = older(tmp_path / "catalog.sqlite")
    monkeypatch.setattr(sqlite_file, "BUSY_SECONDS", 0.2)
    with closing(sqlite3.connect(path, isolation_level=None)) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM root").fetchone()
        with pytest.raises(ArchiveBusy, match="an earlier version"):
            Catalog.open(path)
        assert reader.execute("SELECT version_num FROM alembic_version").fetchone() == ("0003",)
    with Archive(tmp_path, Catalog.open(path)).writing("indexing"):
        pass
    assert holding(tmp_path) == set()


def test_an_older_version_at_work_is_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = older(tmp_path / "catalog.sqlite")
    monkeypatch.setattr(sqlite_file, "BUSY_SECONDS", 0.2)
    at_work = Archive(tmp_path, Catalog(path))
    with at_work.writing("indexing /films"), pytest.raises(ArchiveBusy, match="an earlier version"):
        Catalog.open(path)
    assert list(tmp_path.glob("*before*")) == []


def test_a_disk_without_room_for_the_copy_leaves_it_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = older(tmp_path / "catalog.sqlite")

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(sqlite_file.shutil, "move", full)
    with pytest.raises(ArchiveBusy, match="No space left"):
        Catalog.open(path)
    assert list(tmp_path.glob("*before*")) == []
    monkeypatch.undo()
    Catalog.open(path)
    assert shape(path) == shape(Catalog.open(tmp_path / "new.sqlite").path)


def test_many_that_open_it_at_once_migrate_it_once(tmp_path: Path) -> None:
    path = older(tmp_path / "catalog.sqlite")
    faults: list[BaseException] = []

    def look() -> None:
        try:
            with Catalog.open(path).read() as connection:
                assert connection.execute(select(schema.forgotten)).all() == []
        except BaseException as error:
            faults.append(error)

    threads = [threading.Thread(target=look) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert faults == []
    with closing(sqlite3.connect(tmp_path / f"catalog.before-{catalogs.HEAD}.sqlite")) as copy:
        assert copy.execute("SELECT version_num FROM alembic_version").fetchone() == ("0003",)


def test_a_catalog_of_a_newer_version_is_left_alone(tmp_path: Path) -> None:
    newer = tmp_path / "catalog.sqlite"
    with sqlite3.connect(newer) as connection:
        connection.execute("CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL)")
        connection.execute("INSERT INTO alembic_version VALUES ('9999')")
    with pytest.raises(ArchiveDamaged, match="newer version"):
        Catalog.open(newer)
    assert {one.name for one in tmp_path.iterdir()} <= {f"catalog.sqlite{end}" for end in ("", "-wal", "-shm")}


def test_an_older_catalog_is_copied_and_migrated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    old = Catalog.open(tmp_path / "catalog.sqlite")
    with old.write() as connection:
        connection.execute(insert(schema.root).values(path="/films"))
    old.close()
    monkeypatch.setattr(catalogs, "HEAD", "9999")
    monkeypatch.setattr(migrate, "check_known", lambda path, revision: None)
    with Catalog.open(old.path).read() as connection:
        assert connection.scalar(select(schema.root.c.path)) == "/films"
    with Catalog.open(tmp_path / "catalog.before-9999.sqlite").read() as connection:
        assert connection.scalar(select(schema.root.c.path)) == "/films"
