"""The counts that SQLite alone gives are those of the catalog."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from filmroom.db.archive import Archive
from filmroom.db.erasure.forget import forget
from filmroom.db.errors import Rejected, Stage
from filmroom.db.files import sqlite_file
from filmroom.db.reads import films, spaces
from filmroom.db.reads.summary import glance
from filmroom.db.records import Counts, FileCounts, RunState, SourceFile, Space, State, Tags
from filmroom.db.schema import film, label, report
from filmroom.db.writes import file_diff, ingest, runs
from sqlalchemy import insert, update

from tests.db.vector_bench import DIM, make_bench, unit


def test_it_counts_as_the_catalog_does(tmp_path: Path) -> None:
    archive = Archive.create(tmp_path)
    catalog = archive.catalog
    (tmp_path / "films").mkdir()
    scope = file_diff.open_scope(catalog, tmp_path / "films")
    for model, count in (("first", 3), ("second", 5)):
        space_id = ingest.ensure_space(catalog, Space(model, "f" * 64, 2))
        ingest.commit(catalog, scope, space_id, [_result(at) for at in range(count)])
    refused = Rejected("NO_PIXELS", "no picture in it", stage=Stage.DECODE, remedy="look at the file")
    broken = SourceFile("/films", "broken.png", 1, 1, rejected=refused)
    ingest.commit(catalog, scope, space_id, [ingest.Result(broken, None)])
    with catalog.write() as connection:
        connection.execute(update(film).where(film.c.id == 2).values(state=State.GONE.value))
        for film_id, name, source, value in (
            (1, "edema", "csv", 1.0), (1, "edema", "other", 1.0), (2, "edema", "csv", 1.0),
            (3, "mass", "csv", 0.0), (3, "edema", "probe", 1.0), (4, "mass", "csv", 1.0), (4, "edema", "csv", 0.9),
        ):  # fmt: skip
            connection.execute(insert(label).values(film_id=film_id, name=name, source=source, value=value))
        connection.execute(insert(report).values(film_id=1, source="csv", text="clear"))
    run_id = runs.start(catalog, [tmp_path / "films"], "first")
    runs.end(catalog, run_id, RunState.DONE, Counts(listed=6, indexed=5, rejected=1))

    found = glance(catalog.path)

    assert found.films == films.count(catalog) == 4
    assert found.spaces == tuple(spaces.spaces(catalog))
    assert [(one.space.model, one.films) for one in found.spaces] == [("second", 4), ("first", 2)]
    assert found.views == tuple(films.facets(catalog, "view"))
    assert found.labels == tuple(films.facets(catalog, "label"))
    assert {one.value: one.count for one in found.labels} == {"edema": 2, "mass": 1}
    assert (found.labelled, found.reports) == (4, 1)
    assert found.roots == tuple(runs.roots(catalog))
    assert found.runs == tuple(runs.runs(catalog))
    assert found.files == FileCounts(indexed=5, duplicate=0, rejected=1, gone=0)


def _result(at: int) -> ingest.Result:
    tags = Tags(view="PA" if at % 2 else "AP", rows=1, columns=1)
    new = ingest.NewFilm(f"sha256:{at}#0", 0, tags, b"", np.array([[1.0, 0.0]], np.float32))
    return ingest.Result(SourceFile("/films", f"{at}.png", 1, 1), f"{at:064}", films=[new])


def test_what_is_no_catalog_is_an_error_of_sqlite(tmp_path: Path) -> None:
    (tmp_path / "catalog.sqlite").write_text("this is no catalog, whatever it is called")
    with pytest.raises(sqlite3.Error):
        glance(tmp_path / "catalog.sqlite")


def test_status_imports_nothing_heavy() -> None:
    heavy = "{'sqlalchemy', 'numpy', 'faiss', 'torch', 'onnxruntime', 'PIL'}"
    said = subprocess.run(
        [sys.executable, "-c", "import sys, filmroom.cli, filmroom.search.status, filmroom.search.cli.output; "
        f"print({heavy} & set(sys.modules))"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert said.stdout.strip() == "set()"


def test_a_snapshot_counts_what_the_catalog_has(tmp_path: Path) -> None:
    bench = make_bench(tmp_path / "archive", 20)
    catalog, folder = bench.archive.catalog, tmp_path / "archive"
    (folder / "earlier.sqlite").write_bytes(b"")
    sqlite_file.backup(catalog.path, folder / "earlier.sqlite")
    bench.add(unit(np.random.default_rng(5), 10, 1, DIM), start=20)

    def counts_agree(count: int) -> None:
        for where in (catalog.path, tmp_path / "elsewhere.sqlite"):
            sqlite_file.backup(catalog.path, tmp_path / "elsewhere.sqlite")
            assert [stored.films for stored in glance(where).spaces] == [count]

    counts_agree(30)
    bench.open().save()
    claims = (bench.archive.vectors / "1.json").read_text()
    assert '"live": 30' in claims
    counts_agree(30)
    bench.add(unit(np.random.default_rng(6), 5, 1, DIM), start=30)
    counts_agree(35)
    forget(bench.archive, [4, 5, 33])
    counts_agree(32)
    assert '"live": 28' in (bench.archive.vectors / "1.json").read_text()
    with catalog.write() as connection:
        connection.execute(update(film).where(film.c.id == 9).values(state=State.GONE.value))
    counts_agree(31)
    bench.add(unit(np.random.default_rng(7), 3, 1, DIM), start=10)
    counts_agree(31)
    (bench.archive.vectors / "1.json").write_text(claims)
    counts_agree(31)
    catalog.close()
    (folder / "earlier.sqlite").replace(catalog.path)
    assert [stored.films for stored in glance(catalog.path).spaces] == [20]
