"""What is kept about all films is what the catalog says now, whatever was written since."""

from __future__ import annotations

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
from filmroom.db.records import Filter, Label
from filmroom.db.schema import film
from filmroom.db.stretches import kept_answers
from filmroom.db.writes import annotations
from sqlalchemy import update

from tests.db.vector_bench import Bench, make_bench

MEN = Filter(sexes=("M",))


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bench:
    monkeypatch.setattr(kept_answers, "LARGE", 1)
    bench = make_bench(tmp_path / "archive", 40)
    with bench.archive.catalog.write() as connection:
        connection.execute(update(film).values(sex="F", age=film.c.id))
        connection.execute(update(film).where(film.c.id % 4 == 0).values(sex="M"))
    bench.archive.vectors.mkdir(exist_ok=True)
    return bench


def answers(folder: Path) -> list[Path]:
    return sorted((folder / "vectors").glob("films-*"))


def change_a_fact(archive: Archive) -> None:
    with archive.catalog.write() as connection:
        connection.execute(update(film).where(film.c.id == 8).values(sex="F"))


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
    monkeypatch.setattr(kept_answers, "LARGE", 1000)
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
    summary.glance(bench.archive.catalog.path)
    for name in ("sex", "age", "view", "modality", "year", "label"):
        films.facets(bench.archive.catalog, name)
    assert len(answers(bench.archive.folder)) == 3 + 1  # and the counts, which are brought up to date


@pytest.mark.parametrize("tear", [lambda answer: answer[:-1] + b"\xff", lambda answer: answer[:9], lambda answer: b""])
def test_a_torn_answer_is_asked_again(bench: Bench, tear: Callable[[bytes], bytes]) -> None:
    counts = films.facets(bench.archive.catalog, "sex")
    (path,) = answers(bench.archive.folder)
    path.write_bytes(tear(path.read_bytes()))
    assert films.facets(bench.archive.catalog, "sex") == counts


def test_forgetting_leaves_no_answer(bench: Bench) -> None:
    label_films(bench.archive, 5)
    read_all(bench.archive)
    assert answers(bench.archive.folder)
    forget(bench.archive, [4])
    assert answers(bench.archive.folder) == []


def test_a_small_archive_keeps_nothing(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kept_answers, "LARGE", 1000)
    read_all(bench.archive)
    assert answers(bench.archive.folder) == []


def test_a_copy_that_is_put_back_has_answers_of_its_own(bench: Bench) -> None:
    folder, catalog = bench.archive.folder, bench.archive.folder / "catalog.sqlite"
    bench.archive.catalog.close()
    earlier = catalog.read_bytes()

    def ages_after_import(film_id: int, age: int) -> list[str]:
        archive = Archive.open(folder)
        with archive.catalog.write() as connection:
            connection.execute(update(film).where(film.c.id == film_id).values(age=age))
        ages = [facet.value for facet in films.facets(archive.catalog, "age")]
        archive.catalog.close()
        return ages

    assert "77" in ages_after_import(3, 77)
    for journal in ("-wal", "-shm"):
        catalog.with_name(f"catalog.sqlite{journal}").unlink(missing_ok=True)
    catalog.write_bytes(earlier)  # the same file, and again one write from there
    again = ages_after_import(5, 88)
    assert "88" in again
    assert "77" not in again
