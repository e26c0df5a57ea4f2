"""An archive on a server: who may open it, who takes turns, and what is left when a server or a connection ends."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import threading
import time
import traceback
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import psycopg
import pytest
from filmroom.db.archive import Archive, folder_of, glance
from filmroom.db.catalog import Catalog
from filmroom.db.errors import ArchiveBusy, ArchiveReadOnly, BadInput, FilmroomError, NotFound
from filmroom.db.reads import spaces
from filmroom.db.records import RunState, Space
from filmroom.db.schema import embedding, file, film, root
from filmroom.db.vector_index.index import VectorIndex
from filmroom.db.writes import annotations, ingest, runs
from filmroom.search.background_index import stop_index
from sqlalchemy import func, insert, select, text

from tests import postgres
from tests.terminal import Terminal

SPACE = Space("model", "print", 2, 1, True)


@pytest.fixture
def address(server: str) -> str:
    return postgres.new_archive(server)


def elsewhere(archive: Archive, folder: Path, *, key: bool = True) -> Archive:
    """The same archive, as another machine has it."""
    folder.mkdir()
    for name in ("server.url", *(["patient.key"] if key else [])):
        shutil.copy(archive.folder / name, folder)
    return Archive.open(folder)


def add_film(catalog: Catalog, space_id: int, number: int) -> None:
    with catalog.write() as connection:
        root_id = (
            connection.scalar(select(root.c.id))
            or connection.execute(insert(root).values(path="/films").returning(root.c.id)).scalar_one()
        )
        listed = {"root_id": root_id, "path": f"{number}.png", "size": 1, "mtime_ns": 2**60, "outcome": "indexed"}
        file_id = connection.execute(insert(file).values(tried_at=0, **listed).returning(file.c.id)).scalar_one()
        facts = {"identity": f"sha256:{number}#0", "file_id": file_id, "rows": 1, "columns": 1, "added_at": 0}
        film_id = connection.execute(insert(film).values(**facts).returning(film.c.id)).scalar_one()
        connection.execute(insert(embedding).values(space_id=space_id, film_id=film_id, vectors=b"\0\x3c\0\0"))


def count(catalog: Catalog) -> int:
    with catalog.read() as connection:
        return int(connection.scalar(select(func.count()).select_from(film)) or 0)


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("postgresql://me:secret@127.0.0.1:1/films", "the server cannot be used"),
        ("postgresql://me:secret@host", "names no database"),
        ("postgresql://me:secret@host/films?nonsense=1", "cannot be read"),
    ],
)
def test_a_server_that_cannot_be_used_is_one_line_without_the_password(
    terminal: Terminal, address: str, said: str
) -> None:
    for command in ("status", "doctor"):
        terminal(command, "--archive", address)
        assert terminal.code == 1
        assert said in terminal.err
        assert len(terminal.err.splitlines()) == 1
        assert "secret" not in terminal.err


def test_a_database_without_an_archive_is_said_to_be_one(terminal: Terminal, address: str) -> None:
    for command in (["status"], ["search", "effusion"], ["doctor"]):
        terminal(*command, "--archive", address)
        assert terminal.code == 1
        assert "there is no archive in this database" in terminal.err
        assert len(terminal.err.splitlines()) == 1


def test_what_the_server_keeps_is_not_backed_up_here(terminal: Terminal, address: str, tmp_path: Path) -> None:
    Archive.create(folder_of(address))
    terminal("backup", tmp_path / "backup.zip", "--archive", address)
    assert terminal.code == 1
    assert "pg_dump" in terminal.err


def test_the_key_of_the_patients_is_never_on_the_server(address: str, tmp_path: Path) -> None:
    archive = Archive.create(folder_of(address))
    key = archive.patient_key()
    assert elsewhere(archive, tmp_path / "with").patient_key() == key
    without = elsewhere(archive, tmp_path / "without", key=False)
    with pytest.raises(BadInput, match=r"Copy the file patient\.key"):
        without.patient_key()
    (without.folder / "patient.key").write_bytes(b"x" * 32)
    with pytest.raises(BadInput, match="the key of another archive"):
        without.patient_key()
    with psycopg.connect(address) as connection:
        stored = connection.execute("SELECT string_agg(value, ' ') FROM meta").fetchone()
    assert stored is not None
    assert key.hex() not in stored[0]


def test_ids_of_vectors_are_committed_in_their_order(address: str) -> None:
    """Another client may have the highest id it knows: what came with a lower one later it would never see."""
    archive = Archive.create(folder_of(address))
    space_id = ingest.ensure_space(archive.catalog, SPACE)
    (held,) = spaces.spaces(archive.catalog)
    seen: list[int] = []
    done = threading.Event()

    def follow() -> None:
        mark = 0
        while True:
            last = done.is_set()
            for block in spaces.vectors_since(archive.catalog, held, mark):
                seen.extend(block.ids.tolist())
                mark = int(block.ids[-1])
            if last:
                return

    def index(machine: int) -> None:
        catalog = Archive.open(archive.folder).catalog
        for number in range(15):
            add_film(catalog, space_id, 100 * machine + number)
        catalog.close()

    reader = threading.Thread(target=follow)
    writers = [threading.Thread(target=index, args=(machine,)) for machine in range(3)]
    for thread in (reader, *writers):
        thread.start()
    for thread in writers:
        thread.join()
    done.set()
    reader.join()
    assert len(seen) == count(archive.catalog) == 45


def test_many_work_at_once_and_one_alone(address: str, tmp_path: Path) -> None:
    archive = Archive.create(folder_of(address))
    archive.patient_key()
    other = elsewhere(archive, tmp_path / "other")
    with archive.writing("indexing /films"), other.writing("indexing /films"):
        assert "indexing" in str(archive.writer())
        with (
            pytest.raises(ArchiveBusy, match=r"process [0-9]+: indexing, for 0 min"),
            other.writing("repairing", alone=True),
        ):
            pass
    with archive.writing("repairing", alone=True), pytest.raises(ArchiveBusy, match="repairing"), other.writing("x"):
        pass
    assert archive.writer() is None


def as_reader(address: str) -> None:
    """Let a role `reader` read the archive, and not write it."""
    with psycopg.connect(address, autocommit=True) as connection:
        if connection.execute("SELECT 1 FROM pg_roles WHERE rolname = 'reader'").fetchone() is None:
            connection.execute("CREATE ROLE reader LOGIN")
        schema = (connection.execute("SELECT current_schema()").fetchone() or ("",))[0]
        connection.execute(f"GRANT USAGE ON SCHEMA {schema} TO reader")  # type: ignore[call-overload]
        connection.execute(f"GRANT SELECT ON ALL TABLES IN SCHEMA {schema} TO reader")  # type: ignore[call-overload]


def test_a_user_who_may_only_read_is_told(address: str, server: str, tmp_path: Path) -> None:
    archive = Archive.create(folder_of(address))
    as_reader(address)
    reader = Archive.open(folder_of(address.replace("postgres:@", "reader@")))
    assert reader.folder == archive.folder
    (archive.folder / "server.url").write_text(address.replace("postgres:@", "reader@"))
    reader = Archive.open(archive.folder)
    assert count(reader.catalog) == 0
    with pytest.raises(ArchiveReadOnly), reader.writing("indexing"):
        pass
    with pytest.raises(ArchiveReadOnly):
        add_film(reader.catalog, 1, 1)


def test_a_connection_that_was_cut_is_made_again(address: str) -> None:
    archive = Archive.create(folder_of(address))
    space_id = ingest.ensure_space(archive.catalog, SPACE)
    add_film(archive.catalog, space_id, 1)
    cut(address)
    assert archive.catalog.changes() > 0
    cut(address)
    assert count(archive.catalog) == 1
    cut(address)
    add_film(archive.catalog, space_id, 2)

    def cut_in_the_middle() -> None:
        with archive.catalog.write() as connection:
            connection.execute(insert(root).values(path="/more"))
            cut(address)
            connection.execute(insert(root).values(path="/and more"))

    with pytest.raises(FilmroomError, match="what was committed is kept"):
        cut_in_the_middle()
    assert count(archive.catalog) == 2
    with archive.catalog.read() as connection:
        assert list(connection.scalars(select(root.c.path))) == ["/films"]


def cut(address: str) -> None:
    with psycopg.connect(address, autocommit=True) as connection:
        connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE 'filmroom %'"
        )


def test_a_client_that_was_cut_off_leaves_no_lock(address: str) -> None:
    archive = Archive.create(folder_of(address))
    with archive.writing("indexing"):
        cut(address)
        with archive.writing("repairing", alone=True):
            pass


def test_what_was_committed_outlives_the_server(tmp_path: Path) -> None:
    with postgres.running() as server:
        address = postgres.new_archive(server)
        archive = Archive.create(folder_of(address))
        space_id = ingest.ensure_space(archive.catalog, SPACE)
        add_film(archive.catalog, space_id, 1)

        def killed() -> None:
            with archive.catalog.write() as connection:
                connection.execute(insert(root).values(path="/lost"))
                postgres.kill(server)
                connection.execute(insert(root).values(path="/lost, too"))

        with pytest.raises(FilmroomError, match="the server cannot be used"):
            killed()
        with pytest.raises(FilmroomError, match="the server cannot be used"):
            count(archive.catalog)
        postgres.start_again(server)
        assert count(archive.catalog) == 1
        add_film(archive.catalog, space_id, 2)
        assert count(Archive.open(archive.folder).catalog) == 2


def test_no_archive_is_opened_where_none_is(address: str) -> None:
    with pytest.raises(NotFound, match="filmroom copy"):
        Archive.open(folder_of(address))


def test_a_run_is_known_by_its_machine_too(address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Process numbers are alike on many machines, in containers above all."""
    archive = Archive.create(folder_of(address))
    archive.patient_key()
    other = elsewhere(archive, tmp_path / "other")
    with archive.writing("indexing /here"), monkeypatch.context() as there:
        here_id = runs.start(archive.catalog, ["/here"], "model")
        there.setattr("socket.gethostname", lambda: "elsewhere")
        with other.writing("indexing /there"):
            there_id = runs.start(other.catalog, ["/there"], "model")
            there.undo()
            both = {run.id: run for run in runs.runs(archive.catalog)}
            assert {run.state for run in both.values()} == {RunState.RUNNING}
            workers = {number: archive.worker(run) for number, run in both.items()}
            assert workers[here_id].host == ""  # type: ignore[union-attr]
            assert workers[there_id].host.startswith("elsewhere")  # type: ignore[union-attr]
            with pytest.raises(BadInput, match="on another machine"):
                stop_index(archive, both[there_id])
        # That machine was cut off; a process of its number is at work here.
        assert runs.get(archive.catalog, there_id).state is RunState.BROKEN
        assert {run.id: run.state for run in glance(archive.folder).runs} == {
            here_id: RunState.RUNNING,
            there_id: RunState.BROKEN,
        }
        with pytest.raises(NotFound, match="this run is over"):
            stop_index(archive, runs.get(archive.catalog, there_id))


def test_each_of_two_runs_of_this_machine_can_be_stopped(
    address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive = Archive.create(folder_of(address))
    archive.patient_key()
    other = elsewhere(archive, tmp_path / "other")
    stopped: list[int] = []
    monkeypatch.setattr("os.kill", lambda pid, _: stopped.append(pid))
    with archive.writing("indexing /one"), monkeypatch.context() as second:
        runs.start(archive.catalog, ["/one"], "model")
        second.setattr("os.getpid", lambda: 4711)
        with other.writing("indexing /two"):
            runs.start(other.catalog, ["/two"], "model")
            for run in runs.runs(archive.catalog):
                stop_index(archive, run)
    assert stopped == [4711, os.getpid()]


def test_nothing_is_said_of_a_time_that_is_not_known(address: str, server: str) -> None:
    """Since when another role is connected, a server tells its administrator alone."""
    archive = Archive.create(folder_of(address))
    as_reader(address)
    with archive.writing("indexing"):
        (archive.folder / "server.url").write_text(address.replace("postgres:@", "reader@"))
        assert str(archive.writer()) == f"process {os.getpid()}: indexing"


@pytest.mark.parametrize(
    "statement",
    [
        insert(root).values(path="/films of Anna Example"),
        text("INSERT INTO film(id, identity, file_id) VALUES (1, 'of Anna Example', NULL)"),
        text("SELECT CAST('Anna Example' AS integer)"),
    ],
)
def test_no_fault_shows_what_a_row_holds(address: str, statement: Any) -> None:
    """A server quotes values in its messages; a REST server's log shows those of every cause."""
    archive = Archive.create(folder_of(address))
    with archive.catalog.write() as connection:
        connection.execute(insert(root).values(path="/films of Anna Example"))
    with pytest.raises(FilmroomError, match="refused") as raised, archive.catalog.write() as connection:
        connection.execute(statement)
    assert "Anna" not in "".join(traceback.format_exception(raised.value))


def test_what_was_there_already_is_not_called_new(address: str) -> None:
    """Undo takes off what was new: a tag that was there before would go with it."""
    archive = Archive.create(folder_of(address))
    space_id = ingest.ensure_space(archive.catalog, SPACE)
    for number in (1, 2):
        add_film(archive.catalog, space_id, number)
    assert annotations.collect(archive.catalog, "mine", [1]) == 1
    assert annotations.collect(archive.catalog, "mine", [1, 2]) == 1
    assert annotations.add_tags(archive.catalog, [1], ["seen"]) == [(1, "seen")]
    assert annotations.add_tags(archive.catalog, [1, 2], ["seen"]) == [(2, "seen")]
    assert annotations.remove_tags(archive.catalog, [(1, "seen"), (1, "odd")]) == [(1, "seen")]


def test_who_looked_from_many_threads_gives_connections_back(address: str) -> None:
    """A server has a hundred for all clients by default."""
    catalog = Archive.create(folder_of(address)).catalog
    together = threading.Barrier(12)

    def look(_: int) -> int:
        with catalog.look() as connection:
            together.wait(30)
            return int(connection.execute("SELECT pg_backend_pid()").fetchone()[0])

    with ThreadPoolExecutor(12) as threads:
        used = list(threads.map(look, range(12)))
    assert len(set(used)) == 12
    until = time.monotonic() + 20  # a server takes its time to see that a client has gone
    with psycopg.connect(address, autocommit=True) as connection:
        while connected(connection, used) > 4 and time.monotonic() < until:
            time.sleep(0.05)
        assert connected(connection, used) == 4


def connected(connection: psycopg.Connection[Any], backends: list[int]) -> int:
    """Count those of a server's processes that still have their client."""
    row = connection.execute("SELECT count(*) FROM pg_stat_activity WHERE pid = ANY(%s)", (backends,)).fetchone()
    return int(row[0]) if row else 0


def test_an_index_that_is_open_sees_what_another_process_writes(address: str) -> None:
    """FAISS beside a server is brought up to the catalog's stamp before every search: nobody is started again."""
    archive = Archive.create(folder_of(address))
    space_id = ingest.ensure_space(archive.catalog, SPACE)
    add_film(archive.catalog, space_id, 1)
    (held,) = spaces.spaces(archive.catalog)
    index = VectorIndex.open(archive.catalog, held, archive.vectors, gpu=False)
    query = np.array([[1, 0]], np.float32)
    assert index.search(query, 5).film_ids[0].tolist() == [1]
    for statement, expected in ((f"add_film(catalog, {space_id}, 2)", {1, 2}), ("forget(catalog)", {2})):
        program = f"""
import sys
from pathlib import Path
from filmroom.db.archive import Archive
from filmroom.db.schema import film
from sqlalchemy import delete
from tests.db.postgresql.test_catalog import add_film
def forget(catalog):
    with catalog.write() as connection:
        from filmroom.db.writes.meta import touch_generation
        connection.execute(delete(film).where(film.c.id == 1))
        touch_generation(connection, {{{space_id}}})
catalog = Archive.open(Path(sys.argv[1])).catalog
{statement}
"""
        subprocess.run([sys.executable, "-c", program, str(archive.folder)], check=True, cwd=Path(__file__).parents[3])
        index.refresh()
        assert set(index.search(query, 5).film_ids[0].tolist()) - {-1} == expected
