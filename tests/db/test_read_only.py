"""An archive that may not be written is searched all the same, and says why it is not written."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
from filmroom.db import read_only, schema
from filmroom.db.catalog import Catalog
from filmroom.db.errors import ArchiveBusy, ArchiveReadOnly
from sqlalchemy import insert, select

from tests.terminal import Terminal

Films = Callable[..., Path]
COMMAND = [sys.executable, "-P", "-c", "from filmroom.cli import main; main()"]
# root may write whatever its permissions are, unless it gives that up
CAPABILITIES = "-dac_override,-dac_read_search"
AS_A_USER = ["setpriv", f"--bounding-set={CAPABILITIES}", f"--inh-caps={CAPABILITIES}"] if os.geteuid() == 0 else []


@pytest.fixture
def catalog(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Catalog:
    """A catalog with one root, which may not be written from now on."""
    opened = Catalog.open(tmp_path / "catalog.sqlite")
    add(opened, "/films")
    opened.close()
    monkeypatch.setattr(read_only, "may_write", lambda path: False)
    return Catalog.open(opened.path)


def add(catalog: Catalog, path: str) -> None:
    with catalog.write() as connection:
        connection.execute(insert(schema.root).values(path=path))


def roots(catalog: Catalog) -> list[str]:
    with catalog.look() as connection:
        looked = [str(row[0]) for row in connection.execute("SELECT path FROM root ORDER BY path")]
    with catalog.read() as reading:
        assert list(reading.scalars(select(schema.root.c.path).order_by(schema.root.c.path))) == looked
    return looked


def beside(catalog: Catalog) -> sqlite3.Connection:
    """Somebody who may write, with the file open."""
    return sqlite3.connect(catalog.path, isolation_level=None)


def test_it_is_read_and_nothing_is_left_beside_it(catalog: Catalog) -> None:
    before = sorted(catalog.path.parent.iterdir())
    assert roots(catalog) == ["/films"]
    assert sorted(catalog.path.parent.iterdir()) == before


def test_writing_says_why_not(catalog: Catalog) -> None:
    with pytest.raises(ArchiveReadOnly, match="may be read and not written"):
        add(catalog, "/more")


@pytest.mark.parametrize("kept", [True, False], ids=["with what SQLite keeps of it", "alone"])
def test_a_log_that_was_left_is_read(catalog: Catalog, tmp_path: Path, kept: bool) -> None:
    with closing(beside(catalog)) as other:
        other.execute("INSERT INTO root(path) VALUES ('/later')")
        left = tmp_path / "left"
        left.mkdir()
        for path in catalog.path.parent.glob("catalog.sqlite*"):
            if kept or not path.name.endswith("-shm"):
                shutil.copy(path, left)
    assert (left / "catalog.sqlite-wal").stat().st_size > 0
    opened = Catalog.open(left / "catalog.sqlite")
    assert roots(opened) == ["/films", "/later"]
    # On a disk that may not be written even to read: a copy, made once.
    copied = read_only._copied(opened.path)
    with closing(sqlite3.connect(copied)) as connection:
        assert len(connection.execute("SELECT path FROM root").fetchall()) == 2
    assert read_only._copied(opened.path) == copied


def test_what_somebody_else_writes_is_seen_and_no_half_of_it(catalog: Catalog) -> None:
    with closing(beside(catalog)) as other:
        other.execute("INSERT INTO root(path) VALUES ('/later')")
        assert roots(catalog) == ["/films", "/later"]
    assert roots(catalog) == ["/films", "/later"]

    def torn() -> None:
        with catalog.look() as connection:
            connection.execute("SELECT * FROM root").fetchone()
            with closing(beside(catalog)) as other:
                other.execute("INSERT INTO root(path) VALUES ('/meanwhile')")

    with pytest.raises(ArchiveBusy, match="Ask again"):
        torn()
    assert roots(catalog) == ["/films", "/later", "/meanwhile"]


def test_an_older_catalog_says_that_it_cannot_be_brought_up_to_date(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with closing(sqlite3.connect(tmp_path / "catalog.sqlite")) as connection:
        connection.execute("CREATE TABLE alembic_version (version_num)")
        connection.execute("INSERT INTO alembic_version VALUES ('0001')")
        connection.commit()
    monkeypatch.setattr(read_only, "may_write", lambda path: False)
    with pytest.raises(ArchiveReadOnly):
        Catalog.open(tmp_path / "catalog.sqlite")


@pytest.fixture
def shared(terminal: Terminal, films: Films, tiny: Path) -> Iterator[Path]:
    """An archive of somebody else, in which nothing may be written."""
    terminal("index", films(4), "--model", tiny)
    everything = [terminal.archive, *terminal.archive.rglob("*")]
    for path in everything:
        path.chmod(path.stat().st_mode & ~0o222)
    yield terminal.archive
    for path in everything:
        path.chmod(path.stat().st_mode | 0o200)


@pytest.mark.skipif(
    bool(AS_A_USER) and not shutil.which("setpriv"), reason="root may write everywhere, without setpriv"
)
def test_commands_that_read_answer_and_those_that_write_say_why_not(shared: Path, films: Films, tmp_path: Path) -> None:
    def run(*command: object) -> subprocess.CompletedProcess[str]:
        env = os.environ | {"FILMROOM_ARCHIVE": str(shared), "PYTHONDONTWRITEBYTECODE": "1"}
        line = [*AS_A_USER, *COMMAND, *map(str, command)]
        return subprocess.run(line, env=env, capture_output=True, text=True, timeout=120)

    assert json.loads(run("search", "edema", "--json").stdout)["total"] == 4
    assert json.loads(run("status", "--json").stdout)["films"] == 4
    for command in (["rejected"], ["doctor"], ["backup", tmp_path / "copy.filmroom"]):
        done = run(*command)
        assert (done.returncode, done.stderr) == (0, ""), command
    table = tmp_path / "labels.csv"
    table.write_text("film,label\nfilm-001,edema\n")
    for command in (["label", table], ["index", films(5)], ["forget", "1", "--yes"]):
        done = run(*command)
        assert done.returncode == 1
        assert "may be read and not written" in done.stderr, done.stderr
        assert len(done.stderr.splitlines()) == 1
