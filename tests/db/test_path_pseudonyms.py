"""Files of forgotten films that a later run meets again: they are counted, and leave no name."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from filmroom.db.archive import Archive
from filmroom.db.doctor import examine
from filmroom.db.reads import films as catalog_films
from filmroom.db.schema import file
from filmroom.indexer.decoding.limits import Limits
from filmroom.indexer.models.registry import load_towers
from filmroom.indexer.pipeline import Options, index
from sqlalchemy import select, update

from tests.db.patients import holding, of, write_films
from tests.indexer import dicom_files
from tests.terminal import Terminal


@pytest.fixture
def met_again(told: Terminal, made: Path, tiny: Path, tmp_path: Path) -> tuple[Archive, Path]:
    """The archive and a folder that was indexed anew after one of its patients had been forgotten."""
    folder = shutil.copytree(made / "films", tmp_path / "archive of films")
    archive = Archive.open(told.archive)
    told("forget", "--patient", str(of(archive, "Anna")[0].tags.patient_key), "--yes")
    told("index", folder, "--model", tiny, "--workers", 1)
    return archive, folder


def test_what_was_forgotten_stays_away_until_it_is_asked_for(
    told: Terminal, made: Path, tiny: Path, tmp_path: Path
) -> None:
    folder = shutil.copytree(made / "films", tmp_path / "films")
    key = str(of(Archive.open(told.archive), "Anna")[0].tags.patient_key)
    told("forget", "--patient", key, "--yes")
    new = dicom_files.dicom(dicom_files.ramp(), PatientID="ID-Anna", SOPInstanceUID="1.2.999")
    (folder / "a new film.dcm").write_bytes(new)
    counts = told.json("index", folder, "--model", tiny, "--workers", 1)
    assert isinstance(counts, dict)
    assert (counts["listed"], counts["duplicate"], counts["rejected"]) == (8, 4, 4)
    rejected = told.json("rejected")
    assert isinstance(rejected, list)
    assert {one["reason"] for one in rejected} == {"forgotten on request"}
    back = told.json("index", folder, "--model", tiny, "--workers", 1, "--bring-back")
    assert isinstance(back, dict)
    assert (back["indexed"], back["duplicate"], back["rejected"]) == (3, 5, 0)
    again = told.json("index", folder, "--model", tiny, "--workers", 1)
    assert isinstance(again, dict)
    assert (again["unchanged"], again["duplicate"]) == (3, 5)


def test_a_path_that_holds_a_name_does_not_come_back_with_the_next_run(
    told: Terminal, made: Path, tiny: Path, tmp_path: Path
) -> None:
    folder = shutil.copytree(made / "films", tmp_path / "archive of films")
    model = ("--model", tiny, "--workers", 1)
    key = str(of(Archive.open(told.archive), "Anna")[0].tags.patient_key)
    told("forget", "--patient", key, "--yes")
    for _ in range(2):
        said = told("index", folder, *model)
        assert "forgotten on request 3" in " ".join(said.split())
    assert holding(told.archive, {"Anna": b"Anna"}) == set()
    assert told.json("status")["files"]["rejected"] == 3  # type: ignore[index, call-overload]
    (shown,) = {one["path"][:11] for one in told.json("rejected")}  # type: ignore[attr-defined]
    assert shown == "(forgotten)"
    assert told.json("index", folder / "Anna-Musterfrau", *model)["rejected"] == 2  # type: ignore[index, call-overload]
    assert "forgotten on request" in told("index", folder / "Anna-Musterfrau", *model)
    # What lies at such a place is told by itself again as soon as it is another file.
    shutil.copy(folder / "Berta-Musterfrau" / "Berta-0.dcm", folder / "Anna-Musterfrau" / "Anna-0.dcm")
    (folder / "Anna-Musterfrau" / "Anna-1.dcm").unlink()
    for outcome in ("duplicate", "duplicate"):
        counts = told.json("index", folder, *model)
        assert isinstance(counts, dict)
        assert (counts["listed"], counts["rejected"]) == (6, 1)
        assert counts[outcome] == 5
    assert len(told.json("rejected")) == 1  # type: ignore[arg-type]
    # A folder above takes this one in; the digest is still of the same file.
    (tmp_path / "archive of films" / "z" / "empty.dcm").touch()
    counts = told.json("index", tmp_path / "archive of films" / "..", *model)
    assert isinstance(counts, dict)
    assert told.json("index", folder, *model)["rejected"] == 2  # type: ignore[index, call-overload]
    assert examine(Archive.open(told.archive)).faults == ()
    told("index", folder, *model, "--bring-back")
    assert {one["reason"] for one in told.json("rejected")} == {"empty file"}  # type: ignore[attr-defined]


@pytest.mark.parametrize("reason", ["FORGOTTEN", "TOO_SLOW"])
def test_a_path_that_stands_there_from_before_goes(
    told: Terminal, tiny: Path, met_again: tuple[Archive, Path], reason: str
) -> None:
    """From an earlier version, or because the film could not be read when its patient was forgotten."""
    archive, folder = met_again
    with archive.catalog.write() as connection:
        rows = connection.scalars(select(file.c.id).where(file.c.reason == "FORGOTTEN")).all()
        for row, path in zip(rows, sorted(folder.rglob("*Anna*.dcm")), strict=True):
            named = update(file).where(file.c.id == row)
            connection.execute(named.values(path=str(path.relative_to(folder)), reason=reason))
    assert holding(told.archive, {"Anna": b"Anna"})
    for _ in range(2):
        counts = told.json("index", folder, "--model", tiny, "--workers", 1, "--retry")
        assert isinstance(counts, dict)
        assert (counts["listed"], counts["rejected"]) == (7, 3)
        assert {one["path"][:11] for one in told.json("rejected")} == {"(forgotten)"}  # type: ignore[attr-defined]
    assert holding(told.archive, {"Anna": b"Anna"}) == set(), "while the archive is open, too"


def test_a_forgotten_film_that_cannot_be_read_any_more_keeps_no_path(
    told: Terminal, tiny: Path, met_again: tuple[Archive, Path]
) -> None:
    archive, folder = met_again
    small = Options(workers=1, retry=True, limits=Limits(max_pixels=1))
    done = index(archive, [folder], load_towers(str(tiny)), options=small)
    assert done.reasons == {"TOO_MANY_PIXELS": 3}
    archive.catalog.close()
    assert holding(told.archive, {"Anna": b"Anna"}) == set()


def test_a_forgotten_film_in_the_place_of_another_takes_it_out_of_the_search(
    told: Terminal, tiny: Path, met_again: tuple[Archive, Path]
) -> None:
    archive, folder = met_again
    new = dicom_files.dicom(dicom_files.ramp(), PatientID="ID-Dora", SOPInstanceUID="1.2.777")
    (folder / "Dora.dcm").write_bytes(new)
    told("index", folder, "--model", tiny, "--workers", 1)
    shutil.copy(folder / "Anna-Musterfrau" / "Anna-0.dcm", folder / "Dora.dcm")
    counts = told.json("index", folder, "--model", tiny, "--workers", 1)
    assert isinstance(counts, dict)
    assert (counts["rejected"], counts["gone"]) == (4, 1)
    assert told.json("search", "path:Dora")["total"] == 0  # type: ignore[index, call-overload]
    assert examine(archive).faults == ()


def test_a_root_that_bears_a_name_is_not_put_before_the_digest(terminal: Terminal, tiny: Path, tmp_path: Path) -> None:
    folder = write_films(tmp_path / "films")
    model = ("--model", tiny, "--workers", 1)
    terminal("index", folder / "Anna-Musterfrau", *model)
    (one, *_) = catalog_films.everyone(Archive.open(terminal.archive).catalog)
    terminal("forget", "--patient", str(one.tags.patient_key), "--yes")
    terminal("index", folder / "Anna-Musterfrau", *model)
    for _ in range(2):
        counts = terminal.json("index", folder, *model)
        assert isinstance(counts, dict)
        assert (counts["listed"], counts["rejected"]) == (6, 2)
        assert all(said["path"].startswith("(forgotten) ") for said in terminal.json("rejected"))  # type: ignore[attr-defined]
