"""What is kept about all films is what the catalog says now, whatever was written since."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from filmroom.db.archive import Archive
from filmroom.db.erasure.forget import forget
from filmroom.db.reads import facets, fact_cache, film_facts, films, sources, summary
from filmroom.db.reads.facets import FacetTable
from filmroom.db.reads.film_facts import labelled_with, stated_names
from filmroom.db.reads.sources import roots
from filmroom.db.records import Filter, Label, Range
from filmroom.db.schema import film
from filmroom.db.writes import annotations
from sqlalchemy import update

from tests.db.vector_bench import Bench, make_bench

MEN = Filter(sexes=("M",))


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bench:
    monkeypatch.setattr(fact_cache, "LARGE", 1)
    bench = make_bench(tmp_path / "archive", 40)
    with bench.archive.catalog.write() as connection:
        connection.execute(update(film).values(sex="F", age=film.c.id))
        connection.execute(update(film).where(film.c.id % 4 == 0).values(sex="M"))
    bench.archive.vectors.mkdir(exist_ok=True)
    return bench


def answers(folder: Path) -> list[Path]:
    return sorted((folder / "vectors").glob("films-*"))


def men(archive: Archive) -> list[int]:
    return films.select_ids(archive.catalog, MEN).tolist()


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The statements whose ids were collected from the catalog."""
    statements: list[str] = []
    collect = films.ids_of

    def recorded(connection: sqlite3.Connection, statement: str, values: object = ()) -> object:
        statements.append(statement)
        return collect(connection, statement, values)  # type: ignore[arg-type]

    monkeypatch.setattr(films, "ids_of", recorded)
    return statements


def test_films_of_a_value_are_collected_once(bench: Bench, asked: list[str]) -> None:
    expected = list(range(4, 41, 4))
    assert men(bench.archive) == expected
    asked.clear()
    assert men(bench.archive) == men(Archive.open(bench.archive.folder)) == expected
    assert not [statement for statement in asked if "sex" in statement]
    both = Filter(sexes=("M",), age=Range(10, 20))
    for _ in range(2):
        assert films.select_ids(bench.archive.catalog, both).tolist() == [12, 16, 20]


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
    for path in answers(archive.folder):
        path.write_bytes(path.read_bytes()[:-1] + b"\xff")


@pytest.mark.parametrize("write", [change_a_fact, let_one_go, forget_one, tear])
def test_what_was_written_since_is_seen(bench: Bench, write: Callable[[Archive], None]) -> None:
    men(bench.archive), summary.glance(bench.archive.catalog.path)
    write(bench.archive)
    assert men(bench.archive) == [film for film in range(4, 41, 4) if film != 8]
    assert summary.glance(bench.archive.catalog.path).films == films.count(bench.archive.catalog)


def test_a_tag_leaves_what_is_known_of_films(bench: Bench, asked: list[str]) -> None:
    men(bench.archive)
    asked.clear()
    with bench.archive.catalog.write(annotates=True):
        pass
    men(bench.archive)
    assert not [statement for statement in asked if "sex" in statement]


def test_forgetting_leaves_no_answer(bench: Bench) -> None:
    men(bench.archive), summary.glance(bench.archive.catalog.path)
    assert len(answers(bench.archive.folder)) == 2
    forget(bench.archive, [4])
    assert answers(bench.archive.folder) == []


def test_a_status_counts_once(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    first = summary.glance(bench.archive.catalog.path)
    monkeypatch.setattr(summary, "counts_of", None)
    assert summary.glance(bench.archive.catalog.path) == first


def label_films(archive: Archive, count: int) -> None:
    """Give as many films the label, and as many its absence from one source of two."""
    rows = [(film_id, Label("nodule", float(film_id <= count), "made")) for film_id in range(1, 2 * count + 1)]
    annotations.put_labels(archive.catalog, [*rows, (2, Label("nodule", 0.0, "second reader"))])


def read_all(archive: Archive) -> dict[str, object]:
    """What pages read of all films: counts, the facets' films and who is labelled."""
    catalog = archive.catalog
    table = FacetTable(catalog)
    return {
        "counts": [films.facets(catalog, name) for name in ("sex", "age", "label")],
        "facets": table.count(None),
        "ages": table.values("age", np.array([4, 1, 99, 40])),
        "roots": roots(catalog),
        "labelled": [ids.tolist() for ids in labelled_with(catalog, ["nodule"])],
    }


def test_counts_facets_and_labels_are_read_once_until_a_fact_is_written(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    label_films(bench.archive, 5)
    first = read_all(bench.archive)
    assert first["labelled"] == [list(range(1, 6)), list(range(6, 11))]
    with monkeypatch.context() as patched:
        for module, name in ((films, "_counts"), (facets, "ids_by_value"), (film_facts, "ids_in_two")):
            patched.setattr(module, name, None)
        patched.setattr(sources, "_counted", None)
        with pytest.raises(TypeError):
            FacetTable(bench.archive.catalog).count(None, ["tag"])  # that no fact tells of
        kept = {name for name in facets.FACETS if name not in films.ANNOTATED}
        assert FacetTable(bench.archive.catalog).count(None, kept) == {name: first["facets"][name] for name in kept}  # type: ignore[index]
        assert [films.facets(bench.archive.catalog, name) for name in ("sex", "age", "label")] == first["counts"]
        assert roots(bench.archive.catalog) == first["roots"]
        assert [ids.tolist() for ids in labelled_with(bench.archive.catalog, ["nodule"])] == first["labelled"]
    label_films(bench.archive, 8)
    change_a_fact(bench.archive)
    later = read_all(bench.archive)
    monkeypatch.setattr(fact_cache, "LARGE", 1000)
    assert later == read_all(bench.archive) != first


def test_names_that_only_probes_gave_are_not_stated(bench: Bench) -> None:
    assert stated_names(bench.archive.catalog) == []
    label_films(bench.archive, 3)
    annotations.put_labels(
        bench.archive.catalog, [(1, Label("edema", 0.2, "reader")), (2, Label("mass", 0.9, "probe"))]
    )
    annotations.put_labels(bench.archive.catalog, [(1, Label("nodule", 0.3, "probe"))])
    assert stated_names(bench.archive.catalog) == ["edema", "nodule"]


def test_no_more_are_kept_than_the_newest(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fact_cache, "MOST", 3)
    for age in range(1, 9):
        assert films.select_ids(bench.archive.catalog, Filter(age=Range(1, age))).size == age
    assert len(answers(bench.archive.folder)) == 3


def test_a_small_archive_keeps_nothing(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fact_cache, "LARGE", 1000)
    assert men(bench.archive) == list(range(4, 41, 4))
    summary.glance(bench.archive.catalog.path)
    assert answers(bench.archive.folder) == []


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
