"""The counts that SQLite alone gives are those of the catalog."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from filmroom.db.archive import Archive
from filmroom.db.catalog import Catalog
from filmroom.db.erasure.forget import forget
from filmroom.db.errors import Rejected, Stage
from filmroom.db.files import sqlite_file
from filmroom.db.reads import films, sources, spaces
from filmroom.db.reads.summary import glance
from filmroom.db.records import Counts, FileCounts, FileResult, NewFilm, RunState, SourceFile, Space, State, Tags
from filmroom.db.schema import file, film, label, report, root
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
    ingest.commit(catalog, scope, space_id, [FileResult(broken, None)])
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


def test_what_is_gone_is_in_no_count(tmp_path: Path) -> None:
    """Films are counted by indexes that know nothing of their state; those that are gone are taken away."""
    catalog = Catalog.open(tmp_path / "catalog.sqlite")
    draw = np.random.default_rng(0)
    outcomes = {"indexed": 60, "rejected": 9, "duplicate": 5}
    kinds = [outcome for outcome, count in outcomes.items() for _ in range(count)]
    rows = [(at, int(draw.integers(1, 4)), kind, bool(draw.random() < 0.8)) for at, kind in enumerate(kinds, 1)]
    states = {at: str(draw.choice(["present", "present", "gone", "replaced"])) for at in range(1, 61)}
    years = {at: 2020 if at < 4 else int(draw.integers(2010, 2016)) for at in states}
    states |= dict.fromkeys((1, 2, 3), "gone")  # all of a year
    with catalog.write() as connection:
        connection.execute(insert(root), [{"id": at, "path": f"/{name}"} for at, name in enumerate("cabd", 1)])
        fields = ("id", "root_id", "outcome", "listed")
        usual = {"size": 1, "mtime_ns": 1, "tried_at": 0}
        files = [dict(zip(fields, row, strict=True)) | usual | {"path": str(row[0])} for row in rows]
        connection.execute(insert(file), files)
        usual = {"rows": 1, "columns": 1, "added_at": 0}
        connection.execute(
            insert(film),
            [
                {"id": at, "identity": str(at), "file_id": at, "state": state, "year": years[at], "view": "PA",
                 "burned_in": at % 2 == 0, **usual}
                for at, state in states.items()
            ],
        )  # fmt: skip
    there = [at for at, state in states.items() if state == "present"]
    root_of = {at: root_id for at, root_id, _, _ in rows}
    by_root = {
        f"/{name}": (
            sum(root_of[at] == number for at in there),
            sum(row[1:] == (number, "rejected", True) for row in rows),
        )
        for number, name in enumerate("cabd", 1)
    }
    assert {one.root: (one.films, one.rejected) for one in sources.roots(catalog)} == by_root
    assert [one.root for one in sources.roots(catalog)] == ["/a", "/b", "/c", "/d"]
    counted = Counter(str(years[at]) for at in there)
    assert {one.value: one.count for one in films.facets(catalog, "year")} == counted
    found = glance(catalog.path)
    assert [(one.value, one.count) for one in found.views] == [("PA", len(there))]
    assert (found.films, found.burned_in) == (len(there), sum(at % 2 == 0 for at in there))
    listed = Counter(outcome for _, _, outcome, is_listed in rows if is_listed)
    assert found.files == FileCounts(**listed, gone=len(rows) - listed.total())


def _result(at: int) -> FileResult:
    tags = Tags(view="PA" if at % 2 else "AP", rows=1, columns=1)
    new = NewFilm(f"sha256:{at}#0", 0, tags, b"", np.array([[1.0, 0.0]], np.float32))
    return FileResult(SourceFile("/films", f"{at}.png", 1, 1), f"{at:064}", films=[new])


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
