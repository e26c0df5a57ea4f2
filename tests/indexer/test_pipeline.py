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

import pytest
from filmroom.db.archive import Archive
from filmroom.db.errors import ArchiveBusy, BadInput
from filmroom.db.reads import spaces
from filmroom.db.records import Counts, RunState
from filmroom.db.writes import ingest, runs
from filmroom.indexer.decoding.limits import Limits
from filmroom.indexer.models.registry import load_towers
from filmroom.indexer.pipeline import BATCH, Options, index

from tests.conftest import write_film
from tests.indexer.dicom_files import dicom, ramp
from tests.indexer.runs import content, embedded, run
from tests.tiny_model import make_model

Films = Callable[..., Path]


@pytest.fixture
def archive(tmp_path: Path) -> Archive:
    return Archive.create(tmp_path / "archive")


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


def test_a_rejected_file_is_tried_again_once_an_option_that_its_remedy_names_lets_it_in(
    archive: Archive, tiny: Path, films: Films
) -> None:
    folder = films(1)
    (folder / "slice.dcm").write_bytes(dicom(ramp(), Modality="CT"))
    assert run(archive, tiny, folder).reasons == {"NOT_RADIOGRAPH": 1}
    assert run(archive, tiny, folder, any_modality=True).counts == Counts(listed=2, unchanged=1, indexed=1)
    large = write_film(folder.parent / "large.png", 9)
    assert run(archive, tiny, large, limits=Limits(max_pixels=100)).reasons == {"TOO_MANY_PIXELS": 1}
    assert run(archive, tiny, large, limits=Limits(max_bytes=1 << 40)).counts == Counts(listed=1, rejected=1)
    assert run(archive, tiny, large, limits=Limits(max_pixels=200_000_000)).counts == Counts(listed=1, indexed=1)


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
    keep, kept = ingest._vector_values, []

    def torn(*given: Any, **how: Any) -> Any:
        if len(kept) == 3:
            raise RuntimeError
        kept.append(keep(*given, **how))
        return kept[-1]

    monkeypatch.setattr(ingest, "_vector_values", torn)
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
