"""An export that is interrupted goes on, and nobody sees a part of it."""

from __future__ import annotations

import csv
import errno
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import filmroom
import pytest
from filmroom.db.errors import ArchiveBusy, BadInput, NotFound
from filmroom.search.export import job as jobs
from filmroom.search.export import pictures, table

from tests.conftest import write_film
from tests.search.export.conftest import House


class Stop(Exception):
    pass


def stopping(after: int) -> Any:
    def progress(done: int, total: int) -> None:
        if done >= after:
            raise Stop

    return progress


WAYS = {
    "table": ("t.csv", {}),
    "table in Parquet": ("t.parquet", {}),
    "vectors": ("v.npz", {}),
    "png": ("films", {"bits": 8}),
    "copies": ("copies", {}),
    "dataset": ("set", {"split": "60/20/20"}),
}


@pytest.fixture
def _small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    from filmroom.search.export.copies import Copies
    from filmroom.search.export.dataset.writer import Dataset
    from filmroom.search.export.vectors import VectorsFile

    for writer in (table.CsvTable, table.ParquetTable, VectorsFile, pictures.Pictures, Copies, Dataset):
        monkeypatch.setattr(writer, "batch", 5)


def contents(path: Path) -> dict[str, bytes]:
    files = [path] if path.is_file() else sorted(path.rglob("*"))
    skipped = ("croissant.json", "cohort.json")  # say when
    return {str(one.relative_to(path)): one.read_bytes() for one in files if one.is_file() and one.name not in skipped}


@pytest.mark.usefixtures("_small_batches")
@pytest.mark.parametrize("way", WAYS)
def test_an_interrupted_export_goes_on_and_ends_the_same(way: str, house: House, tmp_path: Path) -> None:
    what, (name, options) = way.split()[0], WAYS[way]
    for folder in ("whole", "cut"):
        (tmp_path / folder).mkdir()
    whole = house.door.export(what, everything=True, to=tmp_path / "whole" / name, **options)
    target = tmp_path / "cut" / name
    with pytest.raises(Stop):
        house.door.export(what, everything=True, to=target, on_progress=stopping(10), **options)
    assert not target.exists()
    part = target.with_name(f".{name}.part")
    for torn in part.rglob("*.csv"):
        with torn.open("ab") as file:
            file.write(b"half a row that was being writ")
    done = house.door.export(what, everything=True, to=target, **options)
    assert (done.films, done.resumed, done.failed) == (24, 10, 0)
    assert contents(target) == contents(tmp_path / "whole" / name)
    assert whole.resumed == 0
    assert [path.name for path in target.parent.iterdir()] == [name], "nothing beside it"


@pytest.mark.usefixtures("_small_batches")
def test_another_export_to_the_place_begins_anew(house: House, tmp_path: Path) -> None:
    target = tmp_path / "t.csv"
    with pytest.raises(Stop):
        house.door.export("table", everything=True, to=target, on_progress=stopping(10))
    done = house.door.export("table", "view:PA", to=target)
    assert (done.films, done.resumed) == (10, 0)


@pytest.mark.usefixtures("_small_batches")
def test_an_export_of_another_archive_to_the_place_begins_anew(house: House, tmp_path: Path) -> None:
    """Its films have the same numbers as those of the archive that was exported before."""
    films = tmp_path / "films"
    films.mkdir()
    write_film(films / "other.png", 4711)
    other = filmroom.open(tmp_path / "other", model=str(house.model))
    other.index(films, workers=1)
    target = tmp_path / "t.csv"
    with pytest.raises(Stop):
        house.door.export("table", everything=True, to=target, on_progress=stopping(10))
    done = other.export("table", everything=True, to=target)
    assert (done.films, done.failed, done.resumed) == (1, 0, 0)


@pytest.mark.usefixtures("_small_batches")
@pytest.mark.parametrize("left", [0, 300])
def test_an_export_whose_list_of_films_is_torn_begins_anew(left: int, house: House, tmp_path: Path) -> None:
    target = tmp_path / "t.csv"
    with pytest.raises(Stop):
        house.door.export("table", everything=True, to=target, on_progress=stopping(10))
    os.truncate(tmp_path / ".t.csv.part" / "films.npz", left)
    done = house.door.export("table", everything=True, to=target)
    assert (done.films, done.resumed) == (24, 0)


@pytest.mark.parametrize("way", ["table", "png"])
def test_what_came_to_the_place_meanwhile_is_not_overwritten(way: str, house: House, tmp_path: Path) -> None:
    what, (name, options) = way, WAYS[way]
    target = tmp_path / name

    def meanwhile(done: int, total: int) -> None:
        if done == total:
            target.write_text("mine")

    with pytest.raises(BadInput, match="already"):
        house.door.export(what, everything=True, to=target, on_progress=meanwhile, **options)
    assert target.read_text() == "mine"
    target.unlink()
    done = house.door.export(what, everything=True, to=target, **options)
    assert (done.films, done.resumed) == (24, 24)


def test_one_export_at_a_time_to_a_place(house: House, tmp_path: Path) -> None:
    target = tmp_path / "t.csv"

    def meanwhile(done: int, total: int) -> None:
        with pytest.raises(ArchiveBusy, match="under way"):
            house.door.export("table", everything=True, to=target)

    assert house.door.export("table", everything=True, to=target, on_progress=meanwhile).films == 24


@pytest.mark.usefixtures("_small_batches")
def test_nothing_is_written_into_a_folder_that_somebody_else_prepared(
    house: House, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever guesses the plan of an export could have its films written where a link leads."""
    target, part = tmp_path / "t.csv", tmp_path / ".t.csv.part"
    with pytest.raises(Stop):
        house.door.export("table", everything=True, to=target, on_progress=stopping(10))
    before = contents(part)
    mine = os.geteuid()
    monkeypatch.setattr(os, "geteuid", lambda: mine + 1)
    with pytest.raises(BadInput, match="not yours"):
        house.door.export("table", everything=True, to=target)
    monkeypatch.undo()
    part.rename(tmp_path / "theirs")
    part.symlink_to(tmp_path / "theirs")
    with pytest.raises(BadInput, match="not yours"):
        house.door.export("table", everything=True, to=target)
    assert contents(tmp_path / "theirs") == before


def test_a_film_that_cannot_be_read_is_said_and_the_rest_is_written(house: House, tmp_path: Path) -> None:
    film = house.films["p2-1.dcm"]
    path, aside = Path(film.root) / film.path, Path(film.root) / "aside"
    path.rename(aside)
    try:
        done = house.door.export("png", everything=True, to=tmp_path / "films")
        with pytest.raises(BadInput, match="no film could be exported"):
            house.door.export("png", f"path:{film.path}", to=tmp_path / "none")
    finally:
        aside.rename(path)
    assert (done.films, done.failed, [one for one, _ in done.failures]) == (23, 1, [film.id])
    assert [one.name for one in tmp_path.iterdir()] == ["films"]


@pytest.mark.parametrize("deidentify", [False, True])
def test_no_copy_is_made_of_what_has_come_in_the_place_of_a_film(
    deidentify: bool, house: House, tmp_path: Path
) -> None:
    """Who may write beside the films could have a link followed to whatever their owner may read."""
    films = Path(shutil.copytree(Path(house.films["p0-0.dcm"].root), tmp_path / "films"))
    door = filmroom.open(tmp_path / "archive", model=str(house.model))
    door.index(films, workers=1)
    path = films / "p0-0.dcm"
    path.unlink()
    path.symlink_to(Path(shutil.copy(films / "p0-1.dcm", tmp_path)))
    done = door.export("copies", everything=True, to=tmp_path / "out", deidentify=deidentify)
    assert [why for _, why in done.failures] == ["the file has changed since it was indexed; index it again"]
    assert done.films == len(house.films) - 1


def test_a_place_that_cannot_be_written_is_one_line(house: House, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="cannot be written"):
        house.door.export("table", everything=True, to=tmp_path / f"{'t' * 300}.csv")
    for folder in ("missing", "file"):
        (tmp_path / "file").write_text("")
        with pytest.raises(NotFound, match="its folder is not there"):
            house.door.export("table", everything=True, to=tmp_path / folder / "t.csv")
    assert [path.name for path in tmp_path.glob("*") if path.is_dir()] == []


@pytest.mark.usefixtures("_small_batches")
@pytest.mark.parametrize("way", WAYS)
def test_a_full_disk_is_one_line_and_leaves_what_can_be_gone_on_with(
    way: str, house: House, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    what, (name, options) = way.split()[0], WAYS[way]
    kept, batches = jobs.Job.commit, 0

    def full(self: jobs.Job) -> None:
        nonlocal batches
        batches += 1
        if batches == 3:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        kept(self)

    monkeypatch.setattr(jobs.Job, "commit", full)
    with pytest.raises(BadInput, match=r"cannot be written \(No space left on device\)") as fault:
        house.door.export(what, everything=True, to=tmp_path / name, **options)
    assert "Make room" in str(fault.value)
    assert not (tmp_path / name).exists()
    monkeypatch.setattr(jobs.Job, "commit", kept)
    done = house.door.export(what, everything=True, to=tmp_path / name, **options)
    assert (done.films, done.resumed) == (24, 5)
    assert [path.name for path in tmp_path.iterdir()] == [name]


def cutting_off(monkeypatch: pytest.MonkeyPatch, code: int, number: int) -> None:
    """Let the copy of one of the films fail in its middle."""
    copyfile, copied = shutil.copyfile, 0

    def cut_off(source: Path, target: Path) -> None:
        nonlocal copied
        copied += 1
        copyfile(source, target)
        if copied == number:
            os.truncate(target, 100)
            raise OSError(code, os.strerror(code))

    monkeypatch.setattr(shutil, "copyfile", cut_off)


def test_a_film_that_cannot_be_read_to_its_end_leaves_no_half_of_it(
    house: House, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cutting_off(monkeypatch, errno.EIO, 7)
    done = house.door.export("copies", everything=True, to=tmp_path / "copies")
    assert (done.films, done.failed) == (23, 1)
    with (tmp_path / "copies" / "films.csv").open(encoding="utf-8") as table:
        listed = {row["file"] for row in csv.DictReader(table)}
    assert {path.name for path in (tmp_path / "copies").iterdir()} == listed | {"films.csv"}


@pytest.mark.usefixtures("_small_batches")
def test_a_disk_that_fills_under_copies_fails_no_film(
    house: House, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cutting_off(monkeypatch, errno.ENOSPC, 7)
    with pytest.raises(BadInput, match=r"cannot be written \(No space left on device\)"):
        house.door.export("copies", everything=True, to=tmp_path / "copies")
    done = house.door.export("copies", everything=True, to=tmp_path / "copies")
    assert (done.films, done.failed, done.resumed) == (24, 0, 5)


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix", reason="kills by signal")
def test_a_killed_export_leaves_nothing_half_written(house: House, tmp_path: Path) -> None:
    target = tmp_path / "films"
    script = (
        "import sys, time, filmroom\n"
        "from filmroom.search.export import pictures\n"
        "pictures.Pictures.batch = 4\n"
        "filmroom.open(sys.argv[1], model=sys.argv[2]).export(\n"
        "    'png', everything=True, to=sys.argv[3], on_progress=lambda done, total: (print(done, flush=True),"
        " time.sleep(0.5)))\n"
    )
    command = [sys.executable, "-c", script, str(house.folder), str(house.model), str(target)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    for line in process.stdout:
        if int(line) >= 8:
            process.send_signal(signal.SIGKILL)
            break
    process.wait(30)
    assert not target.exists()
    time.sleep(0.1)
    pictures.Pictures.batch, kept = 4, pictures.Pictures.batch
    try:
        done = house.door.export("png", everything=True, to=target)
    finally:
        pictures.Pictures.batch = kept
    assert done.resumed >= 4
    assert len(list(target.glob("*.png"))) == done.films == 24


def test_the_plan_of_an_export_is_all_that_was_asked() -> None:
    one = jobs.Plan("table", {"query": "a"})
    assert one.digest == jobs.Plan("table", {"query": "a"}).digest
    assert len({one.digest, jobs.Plan("table", {"query": "b"}).digest, jobs.Plan("png", {"query": "a"}).digest}) == 3


@pytest.mark.parametrize("name", ["a" * 300, "a" * 250, "a\0b"])
def test_a_name_that_no_file_can_have_is_said(name: str, house: House, tmp_path: Path) -> None:
    with pytest.raises(BadInput):
        house.door.export("table", everything=True, to=tmp_path / f"{name}.csv")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["/", ".", ".."])
def test_a_place_without_a_name_of_its_own_is_refused(
    name: str, house: House, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    with pytest.raises(BadInput, match="no name of a file"):
        house.door.export("png", everything=True, to=name)
    assert [path.name for path in tmp_path.rglob("*")] == ["here"]
