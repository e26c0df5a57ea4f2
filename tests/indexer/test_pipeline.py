"""The way of a film: every file ends in one place, nothing is embedded twice, and a run can be killed anywhere."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from filmroom.db.archive import Archive
from filmroom.db.doctor import examine
from filmroom.db.errors import ArchiveBusy, BadInput, NotFound
from filmroom.db.reads import films as catalog_films
from filmroom.db.reads import spaces
from filmroom.db.records import Counts, RunState, State
from filmroom.db.schema import embedding, film, space
from filmroom.db.writes import findings, ingest, runs
from filmroom.indexer.decoding.limits import Limits
from filmroom.indexer.models.registry import load_towers
from filmroom.indexer.pipeline import BATCH, Options, Summary, index
from sqlalchemy import select

from tests.conftest import write_film
from tests.indexer import dicom_files
from tests.terminal import Terminal
from tests.tiny_model import make_model

Films = Callable[..., Path]


@pytest.fixture
def archive(tmp_path: Path) -> Archive:
    return Archive.create(tmp_path / "archive")


def run(archive: Archive, tiny: Path, *paths: Path, **options: object) -> Summary:
    done = index(archive, paths, load_towers(str(tiny)), options=Options(workers=1, **options))  # type: ignore[arg-type]
    counts = done.counts
    assert counts.listed == counts.indexed + counts.unchanged + counts.duplicate + counts.rejected
    assert examine(archive).faults == ()
    return done


def content(archive: Archive) -> dict[str, bytes]:
    """Every present film's vectors by its identity."""
    statement = (
        select(film.c.identity, embedding.c.vectors)
        .join(embedding, embedding.c.film_id == film.c.id)
        .where(film.c.state == State.PRESENT.value)
    )
    with archive.catalog.read() as connection:
        return {row.identity: row.vectors for row in connection.execute(statement)}


def content_of(archive: Archive, model: str) -> dict[str, bytes]:
    """As `content`, of one model."""
    statement = (
        select(film.c.identity, embedding.c.vectors)
        .join(embedding, embedding.c.film_id == film.c.id)
        .join(space, space.c.id == embedding.c.space_id)
        .where(film.c.state == State.PRESENT.value, space.c.model == model)
    )
    with archive.catalog.read() as connection:
        return {row.identity: row.vectors for row in connection.execute(statement)}


def embedded(archive: Archive) -> int:
    """The highest embedding id: how many vectors were ever written."""
    with archive.catalog.read() as connection:
        ids = list(connection.scalars(select(embedding.c.id)))
    return max(ids, default=0)


def test_a_second_run_reads_no_pixels(
    archive: Archive, tiny: Path, films: Films, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = films(5)
    assert run(archive, tiny, folder).counts == Counts(listed=5, indexed=5)
    for path in folder.iterdir():
        path.chmod(0)
    assert run(archive, tiny, folder).counts == Counts(listed=5, unchanged=5)


def test_every_file_ends_in_exactly_one_place(archive: Archive, tiny: Path, films: Films) -> None:
    folder = films(2)
    shutil.copy(folder / "film-000.png", folder / "copy.png")
    (folder / "empty.dcm").touch()
    (folder / "text.dcm").write_text("no film at all")
    (folder / "cut.png").write_bytes((folder / "film-001.png").read_bytes()[:300])
    os.mkfifo(folder / "pipe")
    done = run(archive, tiny, folder)
    assert done.counts == Counts(listed=7, indexed=2, duplicate=1, rejected=4)
    assert sum(done.reasons.values()) == 4
    assert run(archive, tiny, folder).counts == Counts(listed=7, unchanged=2, duplicate=1, rejected=4)
    assert {one.path for one in runs.rejected(archive.catalog)} == {"empty.dcm", "text.dcm", "cut.png", "pipe"}


def test_a_rejected_file_is_tried_again_when_it_changes_or_when_asked(
    archive: Archive, tiny: Path, films: Films
) -> None:
    folder = films(1)
    bad = folder / "bad.png"
    bad.write_bytes(b"not yet a picture")
    run(archive, tiny, folder)
    assert run(archive, tiny, folder, retry=True).counts == Counts(listed=2, unchanged=1, rejected=1)
    write_film(bad, 9)
    assert run(archive, tiny, folder).counts == Counts(listed=2, unchanged=1, indexed=1)
    assert runs.rejected(archive.catalog) == []


def test_a_moved_archive_is_not_embedded_again(archive: Archive, tiny: Path, films: Films, tmp_path: Path) -> None:
    folder = films(4)
    run(archive, tiny, folder)
    before = content(archive)
    folder.rename(tmp_path / "elsewhere")
    assert run(archive, tiny, tmp_path / "elsewhere").counts == Counts(listed=4, unchanged=4)
    assert content(archive) == before
    assert embedded(archive) == 4


def test_renamed_files_keep_what_is_known_of_them(archive: Archive, tiny: Path, films: Films) -> None:
    folder = films(3)
    run(archive, tiny, folder)
    before = {one.id for one in catalog_films.everyone(archive.catalog)}
    for path in list(folder.iterdir()):
        path.rename(folder / f"renamed-{path.name}")
    assert run(archive, tiny, folder).counts == Counts(listed=3, unchanged=3)
    after = list(catalog_films.everyone(archive.catalog))
    assert {one.id for one in after} == before
    assert all(one.path.startswith("renamed-") for one in after)


def test_a_copied_archive_is_all_duplicates_and_stands_in_when_the_first_goes(
    archive: Archive, tiny: Path, films: Films, tmp_path: Path
) -> None:
    first, second = films(4), tmp_path / "copy"
    run(archive, tiny, first)
    shutil.copytree(first, second)
    assert run(archive, tiny, second).counts == Counts(listed=4, duplicate=4)
    assert embedded(archive) == 4
    for path in list(first.iterdir())[1:]:
        path.unlink()
    assert run(archive, tiny, first).counts == Counts(listed=1, unchanged=1, gone=0)
    assert len(content(archive)) == 4
    assert run(archive, tiny, second).counts == Counts(listed=4, unchanged=3, duplicate=1)


def test_a_film_that_is_gone_comes_back_as_itself(archive: Archive, tiny: Path, films: Films, tmp_path: Path) -> None:
    folder = films(3)
    run(archive, tiny, folder)
    away = folder / "film-001.png"
    away.rename(tmp_path / "aside.png")
    assert run(archive, tiny, folder).counts == Counts(listed=2, unchanged=2, gone=1)
    assert len(content(archive)) == 2
    (tmp_path / "aside.png").rename(away)
    assert run(archive, tiny, folder).counts == Counts(listed=3, unchanged=3)
    assert len(content(archive)) == 3
    assert embedded(archive) == 3


def test_a_disk_that_is_not_there_takes_nothing_away(
    archive: Archive, tiny: Path, films: Films, tmp_path: Path
) -> None:
    folder = films(3)
    run(archive, tiny, folder)
    folder.rename(tmp_path / "unmounted")
    with pytest.raises(NotFound, match="nothing to index"):
        run(archive, tiny, folder)
    folder.mkdir()
    assert run(archive, tiny, folder).counts == Counts()
    assert len(content(archive)) == 3


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read every folder")
def test_a_folder_that_may_not_be_read_takes_nothing_away(archive: Archive, tiny: Path, films: Films) -> None:
    folder = films(2)
    write_film(folder / "closed" / "a.png", 50)
    run(archive, tiny, folder)
    (folder / "closed").chmod(0)
    try:
        assert run(archive, tiny, folder).counts == Counts(listed=3, unchanged=2, rejected=1)
    finally:
        (folder / "closed").chmod(0o700)
    assert len(content(archive)) == 3


def test_a_file_that_holds_another_picture_is_another_film(archive: Archive, tiny: Path, films: Films) -> None:
    folder = films(2)
    run(archive, tiny, folder)
    write_film(folder / "film-000.png", 77)
    assert run(archive, tiny, folder).counts == Counts(listed=2, indexed=1, unchanged=1)
    assert len(content(archive)) == 2


def _dicom(path: Path, top: int, uid: str = "1.2.3") -> None:
    path.write_bytes(dicom_files.dicom(dicom_files.ramp(64, 64, top=top), SOPInstanceUID=uid))


def test_files_that_change_places_are_all_still_there(archive: Archive, tiny: Path, films: Films) -> None:
    folder = films(3)
    run(archive, tiny, folder)
    before = content(archive)
    first, second, aside = folder / "film-000.png", folder / "film-001.png", folder / "aside"
    first.rename(aside)
    second.rename(first)
    aside.rename(second)
    run(archive, tiny, folder)
    assert content(archive) == before
    assert run(archive, tiny, folder).counts == Counts(listed=3, unchanged=3)


def test_a_moved_film_and_a_new_one_in_its_place(archive: Archive, tiny: Path, films: Films) -> None:
    folder = films(1)
    run(archive, tiny, folder)
    (folder / "film-000.png").rename(folder / "moved.png")
    write_film(folder / "film-000.png", 90)
    run(archive, tiny, folder)
    assert len(content(archive)) == 2
    assert run(archive, tiny, folder).counts == Counts(listed=2, unchanged=2)


def test_a_copy_becomes_the_film_when_its_original_is_overwritten(archive: Archive, tiny: Path, films: Films) -> None:
    folder = films(1)
    shutil.copy(folder / "film-000.png", folder / "copy.png")
    run(archive, tiny, folder)
    before = content(archive)
    original = next(one.path for one in catalog_films.everyone(archive.catalog))
    write_film(folder / original, 91)
    run(archive, tiny, folder)
    assert content(archive).items() > before.items()
    assert len(content(archive)) == 2


def test_a_copied_archive_lives_on_when_the_old_disk_is_gone(
    archive: Archive, tiny: Path, films: Films, tmp_path: Path
) -> None:
    old, new = films(3), tmp_path / "new"
    run(archive, tiny, old)
    shutil.copytree(old, new)
    run(archive, tiny, new)
    shutil.rmtree(old)
    assert run(archive, tiny, new).counts == Counts(listed=3, unchanged=3)
    assert {one.root for one in catalog_films.everyone(archive.catalog)} == {str(new)}
    assert embedded(archive) == 3


def test_a_film_rewritten_in_place_has_one_vector_in_every_space(
    archive: Archive, tiny: Path, films: Films, tmp_path: Path
) -> None:
    folder = films(8)
    _dicom(folder / "a.dcm", 4095)
    other = make_model(tmp_path / "other", name="other", seed=1)
    run(archive, tiny, folder)
    run(archive, other, folder)
    before = content_of(archive, "other")
    _dicom(folder / "a.dcm", 900)
    assert run(archive, tiny, folder).counts == Counts(listed=9, indexed=1, unchanged=8)
    assert run(archive, other, folder).counts == Counts(listed=9, indexed=1, unchanged=8)
    after = content_of(archive, "other")
    assert {name for name in after if after[name] != before[name]} == {"uid:1.2.3#0"}


def test_what_stands_in_the_way_of_a_second_model_takes_nothing_from_the_first(
    archive: Archive, tiny: Path, films: Films, tmp_path: Path
) -> None:
    folder = films(3)
    run(archive, tiny, folder)
    other = make_model(tmp_path / "other", name="other", seed=1)
    small = Limits(max_pixels=10)
    done = index(archive, [folder], load_towers(str(other)), options=Options(small, workers=1))
    assert done.counts == Counts(listed=3, rejected=3)
    assert len(content(archive)) == 3
    assert run(archive, tiny, folder).counts == Counts(listed=3, unchanged=3)
    assert run(archive, other, folder).counts == Counts(listed=3, indexed=3)


def test_other_content_under_the_same_uid_never_inherits_a_vector(archive: Archive, tiny: Path, films: Films) -> None:
    folder = films(1)
    _dicom(folder / "a.dcm", 4095)
    run(archive, tiny, folder)
    _dicom(folder / "b.dcm", 700)
    assert run(archive, tiny, folder).counts.duplicate == 1
    before = content(archive)["uid:1.2.3#0"]
    (folder / "a.dcm").unlink()
    run(archive, tiny, folder)
    run(archive, tiny, folder)
    assert content(archive)["uid:1.2.3#0"] != before


def _in_place(folder: Path, new: bytes) -> None:
    (folder / "film.dcm").write_bytes(new)


def _elsewhere(folder: Path, new: bytes) -> None:
    (folder / "film.dcm").unlink()
    (folder / "other.dcm").write_bytes(new)


@pytest.mark.parametrize("rewrite", [_in_place, _elsewhere])
@pytest.mark.parametrize("stage", ["at once", "gone between", "rejected between"])
def test_other_pixels_under_the_same_uid_drop_what_a_model_wrote(
    archive: Archive, tiny: Path, tmp_path: Path, rewrite: Callable[[Path, bytes], None], stage: str
) -> None:
    folder = tmp_path / "films"
    folder.mkdir()
    old, new = (
        dicom_files.dicom(
            np.random.default_rng(seed).integers(0, 4096, (40, 40)).astype(np.uint16), SOPInstanceUID="1.2.3"
        )
        for seed in (1, 2)
    )
    (folder / "film.dcm").write_bytes(old)
    (folder / "beside.dcm").write_bytes(
        dicom_files.dicom(np.full((40, 40), 7, np.uint16), SOPInstanceUID="1.2.4"),
    )
    run(archive, tiny, folder)
    ids = {one.tags.instance_uid: one.id for one in catalog_films.films(archive.catalog, [1, 2])}
    for one in ids.values():
        findings.put(archive.catalog, [one], [findings.Finding("A nodule.", ((0.1, 0.2, 0.3, 0.7),))], source="model")
    if stage == "gone between":
        (folder / "film.dcm").rename(tmp_path / "away")
        run(archive, tiny, folder)
        (tmp_path / "away").rename(folder / "film.dcm")
    rewrite(folder, new)
    if stage == "rejected between":
        run(archive, tiny, folder, limits=Limits(max_pixels=100))
    run(archive, tiny, folder, retry=True)
    assert {one.tags.instance_uid: one.id for one in catalog_films.films(archive.catalog, [1, 2])} == ids
    assert findings.of_film(archive.catalog, ids["1.2.3"]) == []
    assert findings.described_ids(archive.catalog, source="model") == {ids["1.2.4"]}
    assert len(findings.of_film(archive.catalog, ids["1.2.4"])) == 1


def test_pictures_under_one_uid_are_named_and_can_be_kept_apart(
    archive: Archive, tiny: Path, tmp_path: Path, terminal: Terminal
) -> None:
    folder = tmp_path / "anonymised"
    folder.mkdir()
    ramp = dicom_files.ramp(64, 64)
    for name, pixels in zip("abcde", (ramp, ramp[::-1], ramp.T, ramp.T[:, ::-1], ramp // 2048 * 2048), strict=True):
        (folder / f"{name}.dcm").write_bytes(dicom_files.dicom(np.ascontiguousarray(pixels), SOPInstanceUID="1.2.3"))
    shutil.copy(folder / "b.dcm", folder / "z.dcm")
    done = run(archive, tiny, folder)
    assert done.counts == Counts(listed=6, indexed=1, duplicate=5)
    assert [one.path for one in done.same_uid] == ["b.dcm", "c.dcm", "d.dcm", "e.dcm", "z.dcm"]
    assert run(archive, tiny, folder).same_uid == done.same_uid, "a later run says it, too"
    said = "5 files bear the instance UID of another picture and so are not indexed: b.dcm, c.dcm, d.dcm and 2 more."
    for command in (["status"], ["doctor"], ["index", folder, "--model", tiny]):
        out = " ".join(terminal(*command).split())
        assert said in out
        assert "--keep-apart" in out
    apart = run(archive, tiny, folder, keep_apart=True)
    assert apart.counts == Counts(listed=6, indexed=4, unchanged=1, duplicate=1)
    assert apart.same_uid == ()
    assert "UID of another" not in terminal("status") + terminal("doctor")
    before = content(archive)
    assert len(before) == len(set(before.values())) == 5
    assert run(archive, tiny, folder).counts == Counts(listed=6, unchanged=5, duplicate=1)
    other = make_model(tmp_path / "other-apart", name="other-apart", seed=1)
    assert run(archive, other, folder).counts == Counts(listed=6, indexed=5, duplicate=1), "without the option, too"


def test_what_was_kept_apart_is_forgotten_alone(
    archive: Archive, tiny: Path, tmp_path: Path, terminal: Terminal
) -> None:
    folder = tmp_path / "anonymised"
    folder.mkdir()
    _dicom(folder / "a.dcm", 4095)
    _dicom(folder / "b.dcm", 700)
    assert run(archive, tiny, folder, keep_apart=True).counts.indexed == 2
    second = next(one.id for one in catalog_films.everyone(archive.catalog) if one.path == "b.dcm")
    terminal("forget", second, "--yes")
    assert terminal.code == 0, terminal.err
    assert run(archive, tiny, folder, keep_apart=True).reasons == {"FORGOTTEN": 1}
    assert run(archive, tiny, folder, keep_apart=True, bring_back=True).counts.indexed == 1


def test_uids_are_hashed_for_a_whole_archive_or_not_at_all(archive: Archive, tiny: Path, films: Films) -> None:
    folder = films(1)
    run(archive, tiny, folder, hash_uids=True)
    with pytest.raises(BadInput, match="Add --hash-uids"):
        run(archive, tiny, folder)


def test_the_reasons_are_of_this_run(archive: Archive, tiny: Path, films: Films) -> None:
    bad = films(1, "bad")
    (bad / "x.png").write_bytes(b"no picture")
    assert run(archive, tiny, bad).reasons == {"UNKNOWN": 1}
    assert run(archive, tiny, films(2, "good")).reasons == {}


def test_a_part_of_a_folder_and_the_folder_above_are_one_archive(archive: Archive, tiny: Path, films: Films) -> None:
    folder = films(2)
    write_film(folder / "ward" / "x.png", 60)
    assert run(archive, tiny, folder / "ward").counts == Counts(listed=1, indexed=1)
    assert run(archive, tiny, folder).counts == Counts(listed=3, indexed=2, unchanged=1)
    assert run(archive, tiny, folder / "ward").counts == Counts(listed=1, unchanged=1)
    assert run(archive, tiny, folder / "ward" / "x.png").counts == Counts(listed=1, unchanged=1)
    assert runs.roots(archive.catalog) == [str(folder)]


def test_the_archive_does_not_index_itself(tiny: Path, films: Films) -> None:
    folder = films(2)
    archive = Archive.create(folder / "archive")
    assert run(archive, tiny, folder).counts == Counts(listed=2, indexed=2)


def test_two_models_live_side_by_side(archive: Archive, tiny: Path, films: Films, tmp_path: Path) -> None:
    folder = films(3)
    run(archive, tiny, folder)
    other = make_model(tmp_path / "other", name="other", seed=1)
    assert run(archive, other, folder).counts == Counts(listed=3, indexed=3)
    assert run(archive, tiny, folder).counts == Counts(listed=3, unchanged=3)
    assert {(one.space.model, one.films) for one in spaces.spaces(archive.catalog)} == {("tiny", 3), ("other", 3)}


def test_a_second_run_at_the_same_time_says_who_holds_the_archive(archive: Archive, tiny: Path, films: Films) -> None:
    with archive.writing("indexing /elsewhere"), pytest.raises(ArchiveBusy, match="indexing /elsewhere"):
        index(archive, [films(1)], load_towers(str(tiny)))


def test_films_are_committed_in_batches(
    archive: Archive, tiny: Path, films: Films, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A commit for each film would flush the disk as often; more in one would be lost together by a kill."""
    sizes: list[int] = []
    commit = ingest.commit

    def counted(catalog: Any, scope: Any, space_id: int, results: Any, **how: Any) -> Any:
        sizes.append(len(results))
        return commit(catalog, scope, space_id, results, **how)

    monkeypatch.setattr(ingest, "commit", counted)
    index(archive, [films(70)], load_towers(str(tiny)), options=Options(workers=1))
    assert sizes == [BATCH, BATCH, 70 - 2 * BATCH]


def test_a_batch_is_kept_whole_or_not_at_all(
    archive: Archive, tiny: Path, films: Films, monkeypatch: pytest.MonkeyPatch
) -> None:
    keep, kept = ingest._keep, []

    def torn(*given: Any, **how: Any) -> Any:
        if len(kept) == 3:
            raise RuntimeError
        kept.append(keep(*given, **how))
        return kept[-1]

    monkeypatch.setattr(ingest, "_keep", torn)
    with pytest.raises(RuntimeError):
        index(archive, [films(5)], load_towers(str(tiny)), options=Options(workers=1))
    assert not ingest.any_films(archive.catalog)


def test_an_interrupt_keeps_what_was_done(archive: Archive, tiny: Path, films: Films) -> None:
    folder = films(70)
    seen = []

    def interrupt(counts: Counts) -> None:
        seen.append(counts)
        if counts.indexed:
            raise KeyboardInterrupt

    done = index(archive, [folder], load_towers(str(tiny)), options=Options(workers=1), on_progress=interrupt)
    assert done.stopped
    assert 0 < done.counts.indexed < 70
    assert runs.runs(archive.catalog)[0].state is RunState.STOPPED
    rest = run(archive, tiny, folder).counts
    assert (rest.unchanged, rest.indexed) == (done.counts.indexed, 70 - done.counts.indexed)
    assert embedded(archive) == 70


COMMAND = """
import sys
from pathlib import Path
from filmroom.db.archive import Archive
from filmroom.indexer.decoding.limits import Limits
from filmroom.indexer.pipeline import Options, index
from filmroom.indexer.models.registry import load_towers
if __name__ == "__main__":
    index(Archive.create(Path(sys.argv[1])), [Path(sys.argv[2])], load_towers(sys.argv[3]), options=Options(workers=1))
"""


@pytest.mark.slow
def test_a_run_killed_at_random_equals_an_unbroken_one(
    archive: Archive, tiny: Path, films: Films, tmp_path: Path
) -> None:
    folder = films(150)
    script = tmp_path / "run.py"
    script.write_text(COMMAND)
    chance = random.Random(11)
    for _ in range(3):
        process = subprocess.Popen([sys.executable, str(script), str(archive.folder), str(folder), str(tiny)])
        # Counted from the first commit, so that the kill falls into the work and not into the imports.
        before, waited = embedded(archive), time.monotonic()
        while embedded(archive) == before and process.poll() is None and time.monotonic() - waited < 60:
            time.sleep(0.02)
        time.sleep(chance.uniform(0, 0.2))
        process.send_signal(signal.SIGKILL)
        process.wait()
        if before < embedded(archive) < 150:
            assert runs.runs(archive.catalog)[0].state is RunState.BROKEN
    run(archive, tiny, folder)
    assert embedded(archive) == 150, "a film was embedded twice"
    unbroken = Archive.create(tmp_path / "unbroken")
    run(unbroken, tiny, folder)
    assert content(archive) == content(unbroken)
