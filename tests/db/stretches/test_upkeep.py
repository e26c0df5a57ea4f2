"""What is kept about all films is what the catalog says now, whatever was written since."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from filmroom.db import doctor
from filmroom.db.archive import Archive
from filmroom.db.erasure.forget import forget
from filmroom.db.reads import films, summary
from filmroom.db.records import Filter, Label, Range
from filmroom.db.schema import file, film, label, report
from filmroom.db.stretches import columns, counts, kept_answers, upkeep, versions
from filmroom.db.writes.annotations import Report, put_labels, put_reports
from sqlalchemy import Executable, delete, update

from tests.db.test_migrations import of_revision
from tests.db.vector_bench import DIM, Bench, make_bench, unit

MEN = Filter(sexes=("M",))


@pytest.fixture(autouse=True)
def every_archive_is_large(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kept_answers, "LARGE", 1)
    monkeypatch.setattr(columns, "_MANY", 2)


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    bench = make_bench(tmp_path / "archive", 40)
    with bench.archive.catalog.write() as connection:
        connection.execute(update(film).values(sex="F", age=film.c.id))
        connection.execute(update(film).where(film.c.id % 4 == 0).values(sex="M", view="PA", burned_in=True))
    bench.archive.vectors.mkdir(exist_ok=True)
    return bench


def kept(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (folder / "vectors").glob("films-*")}


def men(archive: Archive) -> list[int]:
    return films.select_ids(archive.catalog, MEN).tolist()


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The statements whose ids were collected from the catalog by value."""
    statements: list[str] = []
    collect = columns.ids_by_value

    def collected(connection: sqlite3.Connection, statement: str) -> object:
        statements.append(statement)
        return collect(connection, statement)

    monkeypatch.setattr(columns, "ids_by_value", collected)
    return statements


def test_a_filter_that_nobody_asked_is_answered_by_the_column(bench: Bench, read: list[str]) -> None:
    expected = list(range(4, 41, 4))
    assert men(bench.archive) == expected
    assert len(read) == 1
    assert men(Archive.open(bench.archive.folder)) == expected
    women = films.select_ids(bench.archive.catalog, Filter(sexes=("f",))).tolist()
    assert women == [film_id for film_id in range(1, 41) if film_id % 4]
    assert len(read) == 1
    both = Filter(sexes=("M", "X"), age=Range(10, 20))
    assert films.select_ids(bench.archive.catalog, both).tolist() == [12, 16, 20]
    assert films.select_ids(bench.archive.catalog, Filter(age=Range(None, 3))).tolist() == [1, 2, 3]
    assert films.select_ids(bench.archive.catalog, Filter(body_parts=("CHEST",))).size == 0
    assert films.select_ids(bench.archive.catalog, Filter()).size == 40


def change_a_fact(archive: Archive) -> None:
    with archive.catalog.write() as connection:
        connection.execute(update(film).where(film.c.id == 8).values(sex="F"))


def let_one_go(archive: Archive) -> None:
    with archive.catalog.write() as connection:
        connection.execute(update(film).where(film.c.id == 8).values(state="gone"))


def forget_one(archive: Archive) -> None:
    forget(archive, [8])


def tear(archive: Archive) -> None:
    change_a_fact(archive)
    men(archive)
    for path in (archive.folder / "vectors").glob("films-*"):
        path.write_bytes(path.read_bytes()[:-1] + b"\xff")


@pytest.mark.parametrize("write", [change_a_fact, let_one_go, forget_one, tear])
def test_what_was_written_since_is_seen(bench: Bench, write: Callable[[Archive], None]) -> None:
    upkeep.bring_up_to_date(bench.archive.catalog)
    write(bench.archive)
    assert men(bench.archive) == [film_id for film_id in range(4, 41, 4) if film_id != 8]
    assert_counted(bench.archive)


def assert_counted(archive: Archive) -> None:
    """The counts of `status` are those of all rows, and every column is what the rows say."""
    brought_up = summary.glance(archive.catalog.path)
    assert brought_up == counted_anew(archive)
    assert upkeep.differing(archive.catalog) == []


def counted_anew(archive: Archive) -> summary.Glance:
    large = kept_answers.LARGE
    try:
        kept_answers.LARGE = 10**9
        return summary.glance(archive.catalog.path)
    finally:
        kept_answers.LARGE = large


def any_write(bench: Bench, draw: np.random.Generator) -> None:
    archive, catalog = bench.archive, bench.archive.catalog
    film_id = int(draw.integers(1, 60))

    def by(statement: Callable[[], Executable]) -> None:
        with catalog.write() as connection:
            connection.execute(statement())

    writes: list[Callable[[], object]] = [
        lambda: by(lambda: update(film).where(film.c.id == film_id).values(view=str(draw.choice(["AP", "PA", "LL"])))),
        lambda: by(
            lambda: update(film).where(film.c.id == film_id).values(state=str(draw.choice(["present", "gone"])))
        ),
        lambda: by(lambda: update(film).where(film.c.id == film_id).values(burned_in=bool(draw.integers(2)))),
        lambda: by(
            lambda: update(film).where(film.c.id == film_id).values(sex=None, year=int(draw.integers(1999, 2003)))
        ),
        lambda: by(lambda: update(file).where(file.c.id == film_id).values(listed=bool(draw.integers(2)))),
        lambda: by(lambda: update(file).where(file.c.id == film_id).values(outcome="duplicate")),
        lambda: by(lambda: delete(label).where(label.c.name == "mass")),
        lambda: by(lambda: delete(report).where(report.c.film_id == film_id)),
        lambda: bench.add(unit(draw, 3, 1, DIM), start=int(draw.integers(40, 60))),
    ]
    if films.films(catalog, [film_id]):
        value, source = float(draw.integers(2)), str(draw.choice(["a", "b", "probe"]))
        writes += [
            lambda: put_labels(catalog, [(film_id, Label(str(draw.choice(["mass", "edema"])), value, source))]),
            lambda: put_reports(catalog, [Report("clear", film_id=film_id)], source="x"),
            lambda: forget(archive, [film_id]),
        ]
    writes[int(draw.integers(len(writes)))]()


@pytest.mark.parametrize("seed", range(4))
def test_counts_and_columns_are_those_of_the_rows_after_any_writes(bench: Bench, seed: int) -> None:
    draw = np.random.default_rng(seed)
    for _ in range(30):
        any_write(bench, draw)
        if draw.random() < 0.5:
            assert_counted(bench.archive)
        if draw.random() < 0.3:
            upkeep.bring_up_to_date(bench.archive.catalog)
    upkeep.bring_up_to_date(bench.archive.catalog)
    assert_counted(bench.archive)


def test_only_what_was_written_to_is_read_again(bench: Bench, read: list[str]) -> None:
    catalog = bench.archive.catalog
    with catalog.write() as connection:
        for number in range(1, 6):
            values = "identity, file_id, frame, state, sex, rows, columns, added_at"
            connection.exec_driver_sql(
                f"INSERT INTO film (id, {values}) SELECT {(number << versions.BITS) + 1}, 'far-{number}', file_id, 0, "
                "state, 'M', 1, 1, 0 FROM film WHERE id = 4"
            )
    upkeep.bring_up_to_date(catalog)
    read.clear()
    change_a_fact(bench.archive)
    expected = [film_id for film_id in range(4, 41, 4) if film_id != 8]
    assert men(bench.archive) == [*expected, *((number << versions.BITS) + 1 for number in range(1, 6))]
    (statement,) = read
    assert f"BETWEEN 0 AND {2**versions.BITS - 1}" in statement
    assert_counted(bench.archive)


def test_a_tag_leaves_what_is_known_of_films(bench: Bench, read: list[str]) -> None:
    men(bench.archive)
    read.clear()
    with bench.archive.catalog.write(annotates=True):
        pass
    men(bench.archive)
    assert read == []


def test_nothing_of_a_forgotten_film_is_kept_and_the_rest_is(bench: Bench, read: list[str]) -> None:
    put_labels(bench.archive.catalog, [(7, Label("mark of seven", 1.0, "x"))])
    with bench.archive.catalog.write() as connection:
        connection.execute(update(film).where(film.c.id == 7).values(body_part="SEVENTH", view="SEVEN"))
    upkeep.bring_up_to_date(bench.archive.catalog)
    before = kept(bench.archive.folder)
    assert set(before) == {f"films-{name}" for name in upkeep.NAMES}
    assert sum(b"SEVEN" in answer or b"seven" in answer for answer in before.values()) == 3
    forget(bench.archive, [7])
    after = kept(bench.archive.folder)
    assert set(after) == set(before)
    assert not any(b"SEVEN" in answer or b"seven" in answer for answer in after.values())
    read.clear()
    assert films.select_ids(bench.archive.catalog, Filter(age=Range(6, 8))).tolist() == [6, 8]
    assert read == []


def test_the_doctor_finds_and_mends_an_answer_that_is_not_true(bench: Bench) -> None:
    catalog = bench.archive.catalog
    upkeep.bring_up_to_date(catalog)
    sound = kept(bench.archive.folder)
    with catalog.write() as connection:
        (trigger,) = connection.exec_driver_sql(
            "SELECT sql FROM sqlite_master WHERE name = 'stretch_film_update'"
        ).one()
        connection.exec_driver_sql("DROP TRIGGER stretch_film_update")
        connection.execute(update(film).where(film.c.id == 8).values(sex="F", view="AP"))
        connection.exec_driver_sql(trigger)
    assert men(bench.archive) == list(range(4, 41, 4)), "the version did not change"
    assert sorted(upkeep.differing(catalog)) == ["counts", "sex", "view"]
    whats = [fault.what for fault in doctor.examine(bench.archive).faults]
    assert sum("kept of all films" in what for what in whats) == 3
    assert kept(bench.archive.folder) == sound, "an examination changes nothing"
    doctor.repair(bench.archive)
    assert 8 not in men(bench.archive)
    assert_counted(bench.archive)


def test_the_doctor_knows_letters_beyond_ascii_apart(bench: Bench) -> None:
    with bench.archive.catalog.write() as connection:
        for film_id, body_part in ((3, "ÉPAULE"), (4, "épaule"), (5, "chest"), (6, "CHEST")):
            connection.execute(update(film).where(film.c.id == film_id).values(body_part=body_part))
    upkeep.bring_up_to_date(bench.archive.catalog)
    assert upkeep.differing(bench.archive.catalog) == []


def test_an_archive_from_before_is_counted_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "vectors").mkdir()
    path = of_revision(tmp_path / "catalog.sqlite", "0017")
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("INSERT INTO root (id, path) VALUES (1, '/films')")
        connection.execute(
            "INSERT INTO file (id, root_id, path, size, mtime_ns, outcome, listed, tried_at) "
            "VALUES (1, 1, 'a', 1, 1, 'indexed', 1, 1)"
        )
        fields = "id, identity, file_id, frame, state, rows, columns, added_at"
        connection.execute(f"INSERT INTO film ({fields}) VALUES (40000, 'a', 1, 0, 'present', 1, 1, 1)")
    assert summary.glance(path).films == 1


def test_a_status_counts_once(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    first = summary.glance(bench.archive.catalog.path)
    monkeypatch.setattr(counts, "_PARTS", {part: (of, "no SQL") for part, (of, _) in counts._PARTS.items()})
    assert summary.glance(bench.archive.catalog.path) == first


def test_a_small_archive_keeps_nothing(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kept_answers, "LARGE", 1000)
    upkeep.bring_up_to_date(bench.archive.catalog)
    assert men(bench.archive) == list(range(4, 41, 4))
    summary.glance(bench.archive.catalog.path)
    assert kept(bench.archive.folder) == {}


def test_an_archive_that_may_not_be_written_keeps_nothing_and_uses_what_is_there(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, read: list[str]
) -> None:
    monkeypatch.setattr(kept_answers, "may_write", lambda path: False)
    expected = list(range(4, 41, 4))
    assert men(bench.archive) == expected
    assert read == []
    assert kept(bench.archive.folder) == {}
    with monkeypatch.context() as patch:
        patch.setattr(kept_answers, "may_write", lambda path: True)
        upkeep.bring_up_to_date(bench.archive.catalog)
    read.clear()
    change_a_fact(bench.archive)
    before = kept(bench.archive.folder)
    assert men(bench.archive) == [film_id for film_id in expected if film_id != 8]
    assert kept(bench.archive.folder) == before
    assert_counted(bench.archive)


def test_a_copy_that_is_put_back_has_answers_of_its_own(bench: Bench) -> None:
    folder, catalog = bench.archive.folder, bench.archive.folder / "catalog.sqlite"
    bench.archive.catalog.close()
    earlier = catalog.read_bytes()

    def men_after_import(film_id: int) -> list[int]:
        archive = Archive.open(folder)
        with archive.catalog.write() as connection:
            connection.execute(update(film).where(film.c.id == film_id).values(sex="M"))
        found = men(archive)
        archive.catalog.close()
        return found

    assert 3 in men_after_import(3)
    for journal in ("-wal", "-shm"):
        catalog.with_name(f"catalog.sqlite{journal}").unlink(missing_ok=True)
    catalog.write_bytes(earlier)  # the same file, and again one write from there
    again = men_after_import(5)
    assert 5 in again
    assert 3 not in again
