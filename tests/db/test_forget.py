"""What is forgotten is in no file of the archive any more, and comes back only when asked for."""

from __future__ import annotations

import shutil
import sqlite3
import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from sqlalchemy import insert, select, update

from db import annotations as say
from db import films as catalog_films
from db import findings, spaces
from db import forget as forgetting
from db.archive import Archive
from db.doctor import examine
from db.errors import ArchiveBusy, NotFound
from db.records import Film, Label
from db.schema import file, film, recent_search, root, run
from db.vectors import VectorIndex
from indexer.limits import Limits
from indexer.pipeline import Options, index
from indexer.registry import add_model, load_towers
from tests.indexer import dicom_files
from tests.terminal import Terminal

Films = Callable[..., Path]
LETTERS = ("Anna", "Berta", "Clara")


def write_films(folder: Path) -> Path:
    """Two films each of three patients, in folders that bear their names."""
    for number, name in enumerate(LETTERS):
        for shot in range(2):
            place = folder / f"{name}-Musterfrau" / f"{name}-{shot}.dcm"
            place.parent.mkdir(parents=True, exist_ok=True)
            noise = np.random.default_rng(10 * number + shot).integers(0, 4096, (64, 64)).astype(np.uint16)
            uid = f"1.2.826.{number + 1}00{number + 1}"
            place.write_bytes(
                dicom_files.dicom(
                    noise,
                    PatientID=f"ID-{name}",
                    StudyInstanceUID=f"{uid}.7",
                    SeriesInstanceUID=f"{uid}.7.1",
                    SOPInstanceUID=f"{uid}.7.1.{shot + 1}",
                )
            )
    return folder


@pytest.fixture(scope="module")
def made(tiny: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An archive in which much is said of the films of one patient, and of those of another; films beside it."""
    place = tmp_path_factory.mktemp("told")
    folder = write_films(place / "films")
    (folder / "z").mkdir()
    shutil.copy(folder / "Anna-Musterfrau" / "Anna-0.dcm", folder / "z" / "copy-of-Anna.dcm")
    archive = Archive.create(place / "archive")
    for path in (folder, folder / "Anna-Musterfrau" / "Anna-1.dcm"):
        index(archive, [path], load_towers(str(tiny)), options=Options(workers=1))
    for name in ("Anna", "Berta"):
        for one in of(archive, name):
            say.put_labels(archive.catalog, [(one.id, Label(f"finding of {name}".lower()))])
            findings.put(archive.catalog, [one.id], [findings.Finding(f"machinesays{name} opacity")], source="model")
            say.set_note(archive.catalog, one.id, f"note upon {name}")
            say.set_tags(archive.catalog, one.id, [f"tag-{name}"])
            say.collect(archive.catalog, "everyone", [one.id])
            say.judge(archive.catalog, say.Judgement("effusion", one.id, f"judge-{name}", 2))
            say.put_reports(archive.catalog, [say.Report(f"filmreport{name} unremarkable", film_id=one.id)], source="x")
        study = say.Report(f"studyreport{name} unremarkable", study_uid=one.tags.study_uid)
        say.put_reports(archive.catalog, [study], source="x")
        say.save_search(archive.catalog, f"all of {one.tags.patient_key}", f"patient:{one.tags.patient_key}")
        with archive.catalog.write() as connection:
            connection.execute(insert(recent_search).values(query=f"path:{name}-Musterfrau", searched_at=1))
    archive.catalog.close()
    return place


@pytest.fixture
def told(terminal: Terminal, made: Path, tiny: Path) -> Terminal:
    """The terminal, on a copy of that archive."""
    shutil.copytree(made / "archive", terminal.archive)
    add_model(str(tiny))
    return terminal


def of(archive: Archive, name: str) -> list[Film]:
    return [one for one in catalog_films.everyone(archive.catalog) if one.path.startswith(f"{name}-Muster")]


def traces(archive: Archive, name: str) -> dict[str, bytes]:
    """All by which a person's films could be known again, as the archive holds it."""
    found: dict[str, bytes] = {}
    (held,) = spaces.spaces(archive.catalog)
    for one in of(archive, name):
        tags = one.tags
        assert tags.patient_key
        assert tags.study_uid
        found |= {
            f"{one.id} instance": str(tags.instance_uid).encode(),
            f"{one.id} series": f"{tags.series_uid}".encode(),
            "study": tags.study_uid.encode(),
            "patient": tags.patient_key.encode(),
            f"{one.id} thumbnail": catalog_films.thumbnails(archive.catalog, [one.id])[one.id][40:400],
            f"{one.id} vector": spaces.vectors_of(archive.catalog, held, [one.id])[one.id].astype(np.float16).tobytes(),
        }
    words = (
        "Musterfrau/{}",
        "finding of {}",
        "note upon {}",
        "tag-{}",
        "judge-{}",
        "filmreport{}",
        "studyreport{}",
        "machinesays{}",
    )
    found |= {word: word.format(name).encode() for word in words}
    return found


def holding(folder: Path, what: dict[str, bytes]) -> set[str]:
    """Which of these the files of an archive hold, whatever their case."""
    data = b"\n".join(path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file())
    lower = data.lower()
    return {name for name, trace in what.items() if trace in data or trace.lower() in lower}


def test_no_byte_of_a_patient_is_left(told: Terminal) -> None:
    archive = Archive.open(told.archive)
    anna, berta = traces(archive, "Anna"), traces(archive, "Berta")
    key = anna["patient"].decode()
    # Vectors stand in the snapshot as FAISS packs them: float16, as in the catalog.
    assert holding(told.archive, anna) == set(anna), "the search would find them"
    archive.catalog.close()
    done = told.json("forget", "--patient", key, "--yes")
    assert done == {"films": 2, "files": 3, "reports": 3, "remembered": True}
    assert holding(told.archive, anna) == set()
    assert b"copy-of-anna" not in (told.archive / "catalog.sqlite").read_bytes().lower()
    assert holding(told.archive, berta) == set(berta), "the films of others are untouched"
    assert examine(Archive.open(told.archive)).faults == ()
    assert told.json("search", f"patient:{key}")["total"] == 0  # type: ignore[index]
    found = told.json("search", "effusion")
    assert isinstance(found, dict)
    assert found["total"] == 4


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


@pytest.mark.parametrize("reason", ["forgotten on request", "took longer than the limit"])
def test_a_path_that_stands_there_from_before_goes(
    told: Terminal, made: Path, tiny: Path, tmp_path: Path, reason: str
) -> None:
    """From an earlier version, or because the film could not be read when its patient was forgotten."""
    folder = shutil.copytree(made / "films", tmp_path / "archive of films")
    archive = Archive.open(told.archive)
    told("forget", "--patient", str(of(archive, "Anna")[0].tags.patient_key), "--yes")
    told("index", folder, "--model", tiny, "--workers", 1)
    with archive.catalog.write() as connection:
        rows = connection.scalars(select(file.c.id).where(file.c.reason == "forgotten on request")).all()
        for row, path in zip(rows, sorted(folder.rglob("*Anna*.dcm")), strict=True):
            named = update(file).where(file.c.id == row)
            connection.execute(named.values(path=str(path.relative_to(folder)), reason=reason))
    assert holding(told.archive, {"Anna": b"Anna"})
    for _ in range(2):
        counts = told.json("index", folder, "--model", tiny, "--workers", 1, "--retry")
        assert isinstance(counts, dict)
        assert (counts["listed"], counts["rejected"]) == (7, 3)
        assert {one["path"][:11] for one in told.json("rejected")} == {"(forgotten)"}  # type: ignore[attr-defined]
    with archive.catalog.engine.connect() as connection:  # as the last process does that closes the archive
        connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")
    assert holding(told.archive, {"Anna": b"Anna"}) == set()


def test_a_forgotten_film_that_cannot_be_read_any_more_keeps_no_path(
    told: Terminal, made: Path, tiny: Path, tmp_path: Path
) -> None:
    folder = shutil.copytree(made / "films", tmp_path / "archive of films")
    archive = Archive.open(told.archive)
    told("forget", "--patient", str(of(archive, "Anna")[0].tags.patient_key), "--yes")
    told("index", folder, "--model", tiny, "--workers", 1)
    small = Options(workers=1, retry=True, limits=Limits(max_pixels=1))
    done = index(archive, [folder], load_towers(str(tiny)), options=small)
    assert done.reasons == {"more pixels than the limit": 3}
    archive.catalog.close()
    assert holding(told.archive, {"Anna": b"Anna"}) == set()


def test_a_forgotten_film_in_the_place_of_another_takes_it_out_of_the_search(
    told: Terminal, made: Path, tiny: Path, tmp_path: Path
) -> None:
    folder = shutil.copytree(made / "films", tmp_path / "archive of films")
    archive = Archive.open(told.archive)
    told("forget", "--patient", str(of(archive, "Anna")[0].tags.patient_key), "--yes")
    told("index", folder, "--model", tiny, "--workers", 1)
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


def test_one_film_goes_and_the_others_of_its_study_keep_their_report(told: Terminal, tiny: Path) -> None:
    archive = Archive.open(told.archive)
    first, second = of(archive, "Anna")
    done = told.json("forget", first.id, "--yes", "--not-remembered")
    assert done == {"films": 1, "files": 2, "reports": 1, "remembered": False}
    assert catalog_films.reports(archive.catalog, second) == [
        "studyreportAnna unremarkable",
        "filmreportAnna unremarkable",
    ]
    with archive.catalog.read() as connection:
        assert connection.execute(select(film.c.id).where(film.c.id == first.id)).first() is None
    counts = told.json("index", Path(first.root), "--model", tiny)
    assert isinstance(counts, dict)
    assert (counts["indexed"], counts["duplicate"], counts["unchanged"]) == (1, 1, 5)


def test_a_frame_goes_and_its_file_stays(terminal: Terminal, tiny: Path, tmp_path: Path) -> None:
    (tmp_path / "films").mkdir()
    frames = np.stack([dicom_files.ramp(), dicom_files.ramp()[::-1]])
    (tmp_path / "films" / "two.dcm").write_bytes(dicom_files.dicom(frames, Modality="XA"))
    terminal("index", tmp_path / "films", "--model", tiny)
    archive = Archive.open(terminal.archive)
    first, second = catalog_films.everyone(archive.catalog)
    assert terminal.json("forget", first.id, "--yes")["files"] == 0  # type: ignore[index]
    assert [one.id for one in catalog_films.everyone(archive.catalog)] == [second.id]
    (tmp_path / "films" / "two.dcm").touch()
    terminal("index", tmp_path / "films", "--model", tiny)
    assert [one.frame for one in catalog_films.everyone(archive.catalog)] == [1]


def test_an_open_index_finds_it_no_more(told: Terminal) -> None:
    archive = Archive.open(told.archive)
    (held,) = spaces.spaces(archive.catalog)
    held_index = VectorIndex.open(archive.catalog, held, archive.vectors, gpu=False)
    gone = of(archive, "Berta")[0].id
    query = held_index.vectors(np.array([gone]))[0]
    assert held_index.search(query, 1).film_ids[0, 0] == gone
    forgetting.forget(archive, [gone])
    held_index.refresh()
    assert gone not in held_index.search(query, 9).film_ids


def test_runs_and_folders_that_bear_a_name_are_blotted_out(tiny: Path, tmp_path: Path) -> None:
    folder = write_films(tmp_path / "films")
    archive = Archive.create(tmp_path / "archive")
    places = [folder / f"{name}-Musterfrau" for name in LETTERS]
    index(archive, places, load_towers(str(tiny)), options=Options(workers=1))
    anna = [one.id for one in catalog_films.everyone(archive.catalog) if "Anna" in one.root]
    forgetting.forget(archive, anna)
    with archive.catalog.read() as connection:
        assert "Anna" not in "".join(
            [*connection.scalars(select(root.c.path)), *connection.scalars(select(run.c.paths))]
        )
    assert holding(archive.folder, {"Anna": b"Anna-Muster", "Berta": b"Berta-Muster"}) == {"Berta"}


def test_a_reader_in_the_way_is_named_and_the_rest_is_done_later(
    told: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive = Archive.open(told.archive)
    anna = traces(archive, "Anna")
    monkeypatch.setattr(forgetting, "BUSY_SECONDS", 0.2)
    ids = [one.id for one in of(archive, "Anna")]
    reader = sqlite3.connect(archive.catalog.path, isolation_level=None)
    reader.execute("BEGIN")
    reader.execute("SELECT count(*) FROM film").fetchone()
    with pytest.raises(ArchiveBusy, match="run: filmroom forget"):
        forgetting.forget(archive, ids)
    reader.close()
    archive.catalog.close()
    assert told.json("forget", "--yes") == {"films": 0, "files": 0, "reports": 0, "remembered": True}
    assert holding(told.archive, anna) == set()


def test_nothing_is_deleted_where_a_film_is_not_there_or_nobody_agrees(
    told: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive = Archive.open(told.archive)
    known = of(archive, "Anna")[0].id
    with pytest.raises(NotFound, match="there is no such film"):
        forgetting.forget(archive, [known, 4711])
    monkeypatch.setattr("builtins.input", lambda *_: "n")
    for command in (("forget", known), ("forget", known, "--json"), ("forget", "--patient", "no-such-key", "--yes")):
        told(*command)
        assert told.code == 1, command
    assert len(of(archive, "Anna")) == 2
    with archive.writing("indexing"), pytest.raises(ArchiveBusy, match="another process is writing"):
        forgetting.forget(archive, [known])


def test_duplicates_say_of_what_and_why(terminal: Terminal, tiny: Path, tmp_path: Path) -> None:
    folder = tmp_path / "films"
    folder.mkdir()
    film_bytes = dicom_files.dicom(dicom_files.ramp(64, 64))
    (folder / "a.dcm").write_bytes(film_bytes)
    (folder / "b same bytes.dcm").write_bytes(film_bytes)
    (folder / "c other header.dcm").write_bytes(dicom_files.dicom(dicom_files.ramp(64, 64), PatientSex="F"))
    (folder / "d other picture.dcm").write_bytes(dicom_files.dicom(dicom_files.ramp(64, 64)[::-1]))
    terminal("index", folder, "--model", tiny, "--workers", 1)
    found = terminal.json("duplicates")
    assert isinstance(found, list)
    original = found[0]["of_path"]
    whys = {one["path"]: one["why"] for one in found}
    assert original == "a.dcm"
    assert whys == {
        "b same bytes.dcm": "same content",
        "c other header.dcm": "same instance UID and picture, other header",
        "d other picture.dcm": "same instance UID, other picture",
    }
    assert "same instance UID, other picture" in terminal("duplicates")


def test_forgetting_beside_searches(told: Terminal) -> None:
    archive = Archive.open(told.archive)
    (held,) = spaces.spaces(archive.catalog)
    held_index = VectorIndex.open(archive.catalog, held, archive.vectors, gpu=False)
    query = held_index.centre()[None]
    stop, faults = threading.Event(), []

    def look() -> None:
        try:
            while not stop.is_set():
                held_index.refresh()
                held_index.search(query, 3)
        except Exception as error:
            faults.append(error)

    looking = threading.Thread(target=look)
    looking.start()
    for one in of(archive, "Anna"):
        forgetting.forget(archive, [one.id])
    stop.set()
    looking.join()
    assert faults == []
    assert examine(archive).faults == ()


def test_what_a_killed_builder_left_goes_too(told: Terminal) -> None:
    archive = Archive.open(told.archive)
    anna = traces(archive, "Anna")
    (one,) = spaces.spaces(archive.catalog)
    vector = anna[f"{of(archive, 'Anna')[0].id} vector"]
    archive.vectors.mkdir(exist_ok=True)
    for name in (
        f"vectors/lists-{one.id}.faiss.4711.part",
        "vectors/99-7-4711.rows.npy",
        "catalog.before-0003.sqlite.part",
    ):
        (told.archive / name).write_bytes(vector)
    archive.catalog.close()
    told("forget", "--patient", anna["patient"].decode(), "--yes")
    assert told.code == 0, told.err
    assert holding(told.archive, anna) == set()


def test_searches_that_name_others_are_kept(told: Terminal) -> None:
    """UIDs are often numbered on: one is the beginning of another."""
    archive = Archive.open(told.archive)
    anna = of(archive, "Anna")
    uid = anna[0].tags.study_uid
    for query in (f"study:{uid}", f'opacity "{uid}"', f"study:{uid}4", f"study:{uid}.99", f"study:9{uid}"):
        say.save_search(archive.catalog, query, query)
    forgetting.forget(archive, [one.id for one in anna])
    left = {one.query for one in say.saved_searches(archive.catalog) if str(uid) in one.query}
    assert left == {f"study:{uid}4", f"study:{uid}.99", f"study:9{uid}"}
