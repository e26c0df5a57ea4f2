"""Vectors in pgvector: the same answers as in this process, kept up by every client, gone with their films."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import psycopg
import pytest
from filmroom.db import doctor
from filmroom.db.archive import Archive, folder_of
from filmroom.db.erasure.forget import forget
from filmroom.db.postgresql import vector_tables
from filmroom.db.postgresql.copying import copy
from filmroom.db.reads import spaces
from filmroom.db.records import FileResult, NewFilm, Space, State, Tags
from filmroom.db.schema import embedding, film
from filmroom.db.vector_index import hnsw
from filmroom.db.vector_index.index import VectorIndex
from filmroom.db.vector_index.opening import open_index
from filmroom.db.vector_index.server import ServerIndex
from filmroom.db.writes import annotations, file_diff, ingest
from filmroom.search.status import status
from numpy.typing import NDArray
from sqlalchemy import update

from tests import postgres

DIM = 16
TWO_PARTS = Space("parts", "two", DIM, 2, True)
PLAIN = Space("plain", "one", DIM, 1, True)
EITHER = pytest.mark.parametrize("space", [PLAIN, TWO_PARTS], ids=["one vector", "two vectors"])


@pytest.fixture
def archive(server: str) -> Archive:
    return Archive.create(folder_of(postgres.new_archive(server)))


def unit(rows: NDArray[np.float64]) -> NDArray[np.float32]:
    return (rows / np.linalg.norm(rows, axis=-1, keepdims=True)).astype(np.float32)


def add_films(archive: Archive, space: Space, count: int, folder: Path, *, start: int = 0) -> None:
    """Commit films with random vectors, as an index run does."""
    folder.mkdir(exist_ok=True)
    scope = file_diff.open_scope(archive.catalog, folder)
    space_id = ingest.ensure_space(archive.catalog, space)
    vectors = unit(np.random.default_rng(start).normal(size=(count, space.vectors, space.dim)))
    ingest.commit(
        archive.catalog,
        scope,
        space_id,
        [
            FileResult(
                ingest.SourceFile(scope.root, f"{number}.png", 1, 1),
                f"{number:064x}",
                [NewFilm(f"sha256:{number:064x}#0", 0, Tags(rows=1, columns=1), b"-", rows)],
            )
            for number, rows in enumerate(vectors, start)
        ],
    )


def both(archive: Archive, folder: Path) -> tuple[VectorIndex, VectorIndex]:
    """The index on the server, and FAISS over the same catalog."""
    (held,) = spaces.spaces(archive.catalog)
    index = open_index(archive.catalog, held, archive.vectors)
    assert isinstance(index, ServerIndex)
    return index, VectorIndex.open(archive.catalog, held, folder, gpu=False)


def query(seed: int = 9) -> NDArray[np.float32]:
    return unit(np.random.default_rng(seed).normal(size=(3, DIM)))


def table(archive: Archive) -> Any:
    """Rows of the space's table: film and part."""
    with psycopg.connect(archive.catalog.address) as connection:  # type: ignore[attr-defined]
        return connection.execute("SELECT film_id, part FROM film_vector_1 ORDER BY film_id, part").fetchall()


def same(server: VectorIndex, faiss: VectorIndex, k: int, within: NDArray[np.int64] | None = None) -> None:
    ours, theirs = server.search(query(), k, within), faiss.search(query(), k, within)
    np.testing.assert_array_equal(ours.film_ids, theirs.film_ids)
    np.testing.assert_allclose(ours.scores, theirs.scores, atol=1e-5)


@EITHER
def test_answers_are_those_of_this_process(archive: Archive, space: Space, tmp_path: Path) -> None:
    add_films(archive, space, 60, tmp_path / "films")
    server, faiss = both(archive, tmp_path / "faiss")
    assert len(server) == len(faiss) == 60
    for k, within in ((5, None), (60, None), (100, None), (5, np.arange(10, 20)), (20, np.array([3, 7, 4000]))):
        same(server, faiss, k, within)
    ids = np.array([5, 999, 1, 5])
    np.testing.assert_allclose(server.scores(query(), ids), faiss.scores(query(), ids), atol=1e-5)
    np.testing.assert_array_equal(server.holds(ids), [True, False, True, True])
    np.testing.assert_array_equal(server.vectors(ids), faiss.vectors(ids))
    np.testing.assert_allclose(server.centre(), faiss.centre(), atol=1e-6)
    assert server.search(query(), 5, np.empty(0, np.int64)).film_ids.shape == (3, 0)


@EITHER
def test_the_index_of_the_server_is_measured_and_answers_within_filters(
    archive: Archive, space: Space, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(vector_tables, "FEW", 100)
    add_films(archive, space, 400, tmp_path / "films")
    server, faiss = both(archive, tmp_path / "faiss")
    server.save()
    (model,) = status(archive.folder).models
    assert model.hnsw is not None
    assert model.hnsw.recall >= 0.99
    assert model.hnsw.rows == 400 * space.vectors
    asked: list[str] = []
    candidates = hnsw.candidates
    monkeypatch.setattr(hnsw, "candidates", lambda *args, **named: asked.append("") or candidates(*args, **named))
    for within in (None, np.arange(100, 300), np.arange(1, 400, 3)):
        same(server, faiss, 5, within)
    assert len(asked) == 9
    same(server, faiss, 5, np.arange(1, 20))  # so few are scored one by one
    assert len(asked) == 9


def test_the_server_uses_its_index(archive: Archive, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vector_tables, "FEW", 100)
    add_films(archive, PLAIN, 300, tmp_path / "films")
    server, _ = both(archive, tmp_path / "faiss")
    server.save()
    plans = []
    for which in ("", "WHERE film_id = ANY(CAST('{1,2,3}' AS bigint[]))"):
        statement = f"EXPLAIN SELECT film_id FROM film_vector_1 {which} ORDER BY halves <#> ? LIMIT 80"
        with archive.catalog.look() as connection:
            connection.execute(hnsw.BY_INDEX, ("40",))
            value = hnsw.vector_text(query()[0])
            plans.append(str(connection.execute(statement.replace("?", f"'{value}'")).fetchall()))
    assert all("ix_film_vector_1_hnsw" in plan for plan in plans)


def test_a_film_that_is_gone_is_not_found(archive: Archive, tmp_path: Path) -> None:
    add_films(archive, PLAIN, 20, tmp_path / "films")
    server, faiss = both(archive, tmp_path / "faiss")
    best = int(server.search(query(), 1).film_ids[0, 0])
    with archive.catalog.write() as connection:
        connection.execute(update(film).where(film.c.id == best).values(state=State.GONE.value))
    server.refresh(), faiss.refresh()
    assert len(server) == 19
    assert not server.holds(np.array([best]))[0]
    same(server, faiss, 5)
    same(server, faiss, 5, np.array([best, *range(1, 9)]))


def test_what_another_machine_commits_is_found(archive: Archive, tmp_path: Path) -> None:
    add_films(archive, PLAIN, 10, tmp_path / "films")
    server, _ = both(archive, tmp_path / "faiss")
    (tmp_path / "other").mkdir()
    shutil.copy(archive.folder / "server.url", tmp_path / "other")
    other = Archive.open(tmp_path / "other")
    add_films(other, PLAIN, 10, tmp_path / "films", start=10)
    server.refresh()
    assert len(server) == 20
    assert server.search(query(), 20).film_ids.max() > 10
    assert not list(other.vectors.glob("*"))


def test_a_forgotten_film_is_in_no_table(archive: Archive, tmp_path: Path) -> None:
    add_films(archive, TWO_PARTS, 5, tmp_path / "films")
    server, _ = both(archive, tmp_path / "faiss")
    assert (2, 0) in table(archive)
    forget(archive, [2])
    assert table(archive) == [(film_id, part) for film_id in (1, 3, 4, 5) for part in (0, 1)]
    server.refresh()
    assert 2 not in server.search(query(), 5).film_ids
    forget(archive, [])
    assert doctor.examine(archive).faults == ()


def test_films_that_go_between_two_queries_leave_answers_of_one_length(
    archive: Archive, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_films(archive, PLAIN, 10, tmp_path / "films")
    server, _ = both(archive, tmp_path / "faiss")
    exact = hnsw.exact
    done: list[int] = []

    def then_forgotten(*args: Any, **named: Any) -> list[tuple[int, float]]:
        done.append(len(done))
        ranking = exact(*args, **named)
        return ranking if len(done) == 1 else [hit for hit in ranking if hit[0] != 4]

    monkeypatch.setattr(hnsw, "exact", then_forgotten)
    ranked = server.search(query(), 10)
    assert ranked.film_ids.shape == ranked.scores.shape == (3, 9)


def test_a_tag_asks_nothing_of_the_vectors(archive: Archive, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    add_films(archive, PLAIN, 3, tmp_path / "films")
    monkeypatch.setattr(vector_tables, "keep_up", lambda _: pytest.fail("vectors were looked at"))
    assert annotations.add_tags(archive.catalog, [1], ["seen"]) == [(1, "seen")]


def test_a_space_that_is_removed_takes_its_table_along(archive: Archive, tmp_path: Path) -> None:
    add_films(archive, PLAIN, 3, tmp_path / "films")
    spaces.remove(archive.catalog, 1)
    with archive.catalog.look() as connection:
        assert vector_tables.names(connection) == set()


def test_the_doctor_compares_and_repairs(archive: Archive, tmp_path: Path) -> None:
    add_films(archive, TWO_PARTS, 5, tmp_path / "films")
    _, faiss = both(archive, tmp_path / "faiss")
    assert doctor.examine(archive).faults == ()
    address = archive.catalog.address  # type: ignore[attr-defined]
    with psycopg.connect(address) as connection:
        connection.execute("DELETE FROM film_vector_1 WHERE film_id = 2")
    assert [fault.what for fault in doctor.examine(archive).faults] == ["the index of parts lacks 1 vectors"]
    assert doctor.repair(archive).faults == ()
    with psycopg.connect(address) as connection:
        connection.execute("UPDATE embedding SET vectors = overlay(vectors placing '\\x0000' from 1) WHERE film_id = 3")
    said = [fault.what for fault in doctor.examine(archive).faults]
    assert "damaged in the catalog and whole in the index: 1 vector of parts" in said
    assert doctor.repair(archive).faults == ()
    server, _ = both(archive, tmp_path / "faiss")
    np.testing.assert_array_equal(server.vectors(np.array([3])), faiss.vectors(np.array([3])))


@EITHER
def test_a_copy_has_its_tables_and_comes_back(archive: Archive, space: Space, server: str, tmp_path: Path) -> None:
    folder = Archive.create(tmp_path / "folder")
    add_films(folder, space, 12, tmp_path / "films")
    copy(folder, archive)
    opened = Archive.open(archive.folder)
    index, faiss = both(opened, tmp_path / "faiss")
    same(index, faiss, 5)
    assert not list(opened.vectors.glob("*.json"))
    back = Archive.create(tmp_path / "back")
    copy(opened, back)
    back = Archive.open(back.folder)
    (held,) = spaces.spaces(back.catalog)
    same(open_index(back.catalog, held, back.vectors), faiss, 5)


def test_a_server_without_the_extension_has_faiss_beside_each_client(server: str, tmp_path: Path) -> None:
    """The extension of these tests is in the schema `public`, which this archive does not look into."""
    postgres.new_archive(server)
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute("CREATE SCHEMA alone")
    archive = Archive.create(folder_of(f"{server}&options=-csearch_path%3Dalone"))
    add_films(archive, PLAIN, 8, tmp_path / "films")
    (held,) = spaces.spaces(archive.catalog)
    index = open_index(archive.catalog, held, archive.vectors)
    assert type(index) is VectorIndex
    assert index.search(query(), 3).film_ids.shape == (3, 3)
    assert status(archive.folder).models[0].hnsw is None


def test_an_archive_from_before_gets_its_tables_with_the_next_batch(archive: Archive, tmp_path: Path) -> None:
    add_films(archive, PLAIN, 4, tmp_path / "films")
    with psycopg.connect(archive.catalog.address) as connection:  # type: ignore[attr-defined]
        connection.execute("DROP TABLE film_vector_1")
    (held,) = spaces.spaces(archive.catalog)
    assert type(open_index(archive.catalog, held, archive.vectors)) is VectorIndex
    add_films(archive, PLAIN, 4, tmp_path / "films", start=4)
    assert len(both(archive, tmp_path / "faiss")[0]) == 8


def test_a_damaged_vector_is_left_out(archive: Archive, tmp_path: Path) -> None:
    add_films(archive, PLAIN, 4, tmp_path / "films")
    with archive.catalog.write() as connection:
        connection.execute(update(embedding).where(embedding.c.id == 2).values(vectors=b"\xff" * 2 * DIM))
        vector_tables.drop_all(connection)
    assert [film_id for film_id, _ in table(archive)] == [1, 3, 4]


def test_roles_that_share_an_archive_fill_its_tables(
    server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who may write vectors may write them here, and who may read them may search, whoever made the tables."""
    address = postgres.new_archive(server)
    archive = Archive.create(folder_of(address))
    schema = address.rpartition("search_path%3D")[2].split(",")[0]
    with psycopg.connect(server, autocommit=True) as connection:
        for role, rights in (("vector_writer", "SELECT, INSERT, UPDATE, DELETE"), ("vector_reader", "SELECT")):
            connection.execute(f"CREATE ROLE {role} LOGIN")  # type: ignore[call-overload]
            connection.execute(f"GRANT USAGE ON SCHEMA {schema} TO {role}")  # type: ignore[call-overload]
            connection.execute(f"GRANT {rights} ON ALL TABLES IN SCHEMA {schema} TO {role}")  # type: ignore[call-overload]
        connection.execute(f"GRANT USAGE ON ALL SEQUENCES IN SCHEMA {schema} TO vector_writer")  # type: ignore[call-overload]
    add_films(archive, PLAIN, 4, tmp_path / "films")
    for role in ("vector_writer", "vector_reader"):
        (tmp_path / role).mkdir()
        (tmp_path / role / "server.url").write_text(address.replace("postgres:@", f"{role}@"))
    add_films(Archive.open(tmp_path / "vector_writer"), PLAIN, 4, tmp_path / "films", start=4)
    monkeypatch.setattr(vector_tables, "FEW", 1)
    both(Archive.open(tmp_path / "vector_writer"), tmp_path / "faiss")[0].save()  # it may not build an index
    reading = Archive.open(tmp_path / "vector_reader")
    assert reading.catalog.read_only
    assert len(both(reading, tmp_path / "faiss")[0].search(query(), 20).film_ids[0]) == 8
