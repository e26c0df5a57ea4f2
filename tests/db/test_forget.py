"""What is forgotten is in no file of the archive any more, and comes back only when asked for."""

from __future__ import annotations

import sqlite3
import threading
from contextlib import closing
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
from filmroom.db.archive import Archive
from filmroom.db.doctor import Examination, examine
from filmroom.db.erasure import forget as forgetting
from filmroom.db.errors import ArchiveBusy, NotFound
from filmroom.db.files import sqlite_file
from filmroom.db.reads import films as catalog_films
from filmroom.db.reads import spaces
from filmroom.db.schema import film, root, run
from filmroom.db.vector_index import snapshot
from filmroom.db.vector_index.index import VectorIndex
from filmroom.db.writes import annotations as say
from filmroom.db.writes.facts import put_facts
from filmroom.db.writes.imported_vectors import put_vectors
from filmroom.db.writes.query_sets import put_query_set, query_sets
from filmroom.indexer.models.registry import load_towers
from filmroom.indexer.pipeline import Options, index
from sqlalchemy import select

from tests.db.patients import LETTERS, holding, of, traces, write_films
from tests.indexer import dicom_files
from tests.terminal import Terminal


def test_no_byte_of_a_patient_is_left(told: Terminal) -> None:
    archive = Archive.open(told.archive)
    anna, berta = traces(archive, "Anna"), traces(archive, "Berta")
    key = anna["patient"].decode()
    # Vectors stand in the snapshot as FAISS packs them: float16, as in the catalog.
    assert holding(told.archive, anna) == set(anna), "the search would find them"
    put_facts(archive.catalog, {one.id: {"split": "fold-of-anna"} for one in of(archive, "Anna")}, source="table")
    archive.catalog.close()
    done = told.json("forget", "--patient", key, "--yes")
    assert done == {"films": 2, "files": 3, "reports": 3, "remembered": True}
    assert holding(told.archive, anna) == set()
    assert not any(b"fold-of-anna" in one.read_bytes() for one in told.archive.rglob("*") if one.is_file())
    assert b"copy-of-anna" not in (told.archive / "catalog.sqlite").read_bytes().lower()
    assert holding(told.archive, berta) == set(berta), "the films of others are untouched"
    assert examine(Archive.open(told.archive)).faults == ()
    assert told.json("search", f"patient:{key}")["total"] == 0  # type: ignore[index]
    found = told.json("search", "effusion")
    assert isinstance(found, dict)
    assert found["total"] == 4


def test_a_film_that_is_not_there_costs_nothing(told: Terminal) -> None:
    def index_files() -> dict[str, bytes]:
        return {path.name: path.read_bytes() for path in (told.archive / "vectors").iterdir()}

    before = index_files()
    assert before
    (here, *_) = of(Archive.open(told.archive), "Anna")
    for ids in ((999_999,), (here.id, 999_999), (10**30,)):
        told("forget", *ids, "--yes")
        assert told.code == 1
        assert "there is no such film" in told.err
        assert index_files() == before


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
    monkeypatch.setattr(sqlite_file, "BUSY_SECONDS", 0.2)
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


def test_what_was_left_beside_the_catalog_goes_too(told: Terminal) -> None:
    archive = Archive.open(told.archive)
    anna = traces(archive, "Anna")
    (one,) = spaces.spaces(archive.catalog)
    vector = anna[f"{of(archive, 'Anna')[0].id} vector"]
    archive.vectors.mkdir(exist_ok=True)
    for name in (
        f"vectors/lists-{one.id}.faiss.4711.part",
        "vectors/99-7-4711.rows.npy",
        "catalog.before-0003.sqlite.part",
        "index.log",
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


def test_query_sets_keep_no_query_that_names_them(told: Terminal) -> None:
    archive = Archive.open(told.archive)
    anna = of(archive, "Anna")
    uid, key = str(anna[0].tags.study_uid), str(anna[0].tags.patient_key)
    put_query_set(
        archive.catalog, "ward", ["effusion", f"effusion study:{uid}", f"edema patient:{key}", f"study:{uid}4"]
    )
    put_query_set(archive.catalog, "hers", [f"patient:{key}"])
    forgetting.forget(archive, [one.id for one in anna])
    assert query_sets(archive.catalog) == {"ward": ["effusion", f"study:{uid}4"]}


def test_films_that_a_killed_run_had_fetched_go_too(told: Terminal) -> None:
    archive = Archive.open(told.archive)
    (told.archive / "fetched-4711").mkdir()
    (told.archive / "fetched-4711" / "0.dcm").write_bytes(b"Anna Musterfrau")
    forgetting.forget(archive, [one.id for one in of(archive, "Anna")])
    assert not list(told.archive.glob("fetched-*"))


def test_neither_catalog_nor_index_is_written_anew(told: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    """Seconds must not grow with the archive; benchmarks/forgetting.py measures them."""
    archive = Archive.open(told.archive)
    (held,) = spaces.spaces(archive.catalog)
    VectorIndex.open(archive.catalog, held, archive.vectors, gpu=False).save()
    before = {path: path.stat().st_ino for path in archive.vectors.glob("*.npy")}
    asked: list[str] = []
    monkeypatch.setattr(sqlite_file, "scrub", lambda path: asked.append("VACUUM"))
    gone = of(archive, "Berta")[0].id
    forgetting.forget(archive, [gone])
    assert asked == []
    assert {path: path.stat().st_ino for path in archive.vectors.glob("*.npy")} == before
    found = snapshot.load(archive.vectors, held)
    assert found is not None
    assert gone not in found.ids[1]
    assert int(found.live.sum()) == 5
    stamp = spaces.stamp(archive.catalog, held.id)
    assert snapshot.is_current(archive.vectors, held, generation=stamp.generation, mark=stamp.mark)
    assert examine(archive) == Examination(5, tuple(spaces.spaces(archive.catalog)), ())


def test_a_vector_that_was_replaced_goes_with_its_film(told: Terminal) -> None:
    """The index skips what was replaced, and holds it still."""
    archive = Archive.open(told.archive)
    anna = of(archive, "Anna")[0]
    (held,) = spaces.spaces(archive.catalog)
    old = spaces.vectors_of(archive.catalog, held, [anna.id])[anna.id]
    put_vectors(archive.catalog, held.id, {anna.id: -old})
    VectorIndex.open(archive.catalog, held, archive.vectors, gpu=False).save()
    trace = {"old": old.astype(np.float16).tobytes(), "new": (-old).astype(np.float16).tobytes()}
    assert holding(told.archive / "vectors", trace) == {"old", "new"}
    forgetting.forget(archive, [anna.id])
    archive.catalog.close()
    assert holding(told.archive, trace) == set()


@pytest.mark.parametrize("step", ["erase", "settle"])
def test_an_end_in_the_middle_leaves_a_sound_archive(
    told: Terminal, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    archive = Archive.open(told.archive)
    anna = traces(archive, "Anna")
    ids = [one.id for one in of(archive, "Anna")]

    def ended(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(forgetting if step == "erase" else sqlite_file, step, ended)
        with pytest.raises(KeyboardInterrupt):
            forgetting.forget(archive, ids)
    assert examine(archive).faults == ()
    assert not any(name.endswith("vector") for name in holding(told.archive / "vectors", anna))
    forgetting.forget(archive, ids if step == "erase" else [])
    archive.catalog.close()
    assert holding(told.archive, anna) == set()


def test_a_vector_that_the_index_does_not_hold_yet_is_not_taken_for_held(told: Terminal) -> None:
    archive = Archive.open(told.archive)
    anna, berta = of(archive, "Anna")[0], of(archive, "Berta")[0]
    (held,) = spaces.spaces(archive.catalog)
    old = spaces.vectors_of(archive.catalog, held, [anna.id])[anna.id]
    put_vectors(archive.catalog, held.id, {anna.id: -old})  # and no snapshot after it
    forgetting.forget(archive, [berta.id])
    opened = VectorIndex.open(archive.catalog, held, archive.vectors, gpu=False)
    assert np.allclose(opened.vectors(np.array([anna.id]))[0], -old, atol=1e-3)
    assert examine(archive).faults == ()


def test_forgetting_nothing_overwrites_what_was_deleted_by_other_means(told: Terminal) -> None:
    left = {"note": b"what another program deleted"}
    with closing(sqlite3.connect(told.archive / "catalog.sqlite")) as connection:
        connection.execute("PRAGMA secure_delete=OFF")
        connection.execute("CREATE TABLE other (text)")
        connection.execute("INSERT INTO other VALUES (?)", (left["note"].decode(),))
        connection.commit()
        connection.execute("DELETE FROM other")
        connection.execute("DROP TABLE other")
        connection.commit()
    assert holding(told.archive, left)
    told("forget", "--yes")
    assert told.code == 0, told.err
    assert holding(told.archive, left) == set()


def test_who_is_brought_back_brings_nobody_else(tiny: Path, tmp_path: Path) -> None:
    folder, archive = write_films(tmp_path / "films"), Archive.create(tmp_path / "archive")

    def counts(place: Path, **options: bool) -> dict[str, int]:
        done = index(archive, [place], load_towers(str(tiny)), options=Options(workers=1, **options)).counts
        return {name: count for name, count in asdict(done).items() if count}

    counts(folder)
    forgetting.forget(archive, [one.id for name in ("Anna", "Berta") for one in of(archive, name)])
    assert counts(folder / "Anna-Musterfrau", bring_back=True) == {"listed": 2, "indexed": 2}
    held = forgetting.marks(archive)
    assert not any(held.hold(f"uid:{one.tags.instance_uid}#0", one.tags.patient_key) for one in of(archive, "Anna"))
    assert counts(folder / "Berta-Musterfrau") == {"listed": 2, "rejected": 2}
