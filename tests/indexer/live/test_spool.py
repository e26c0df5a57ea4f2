"""What was received goes with its films, and not before; no sender is needed."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import numpy as np
import pytest
from filmroom.db.archive import Archive
from filmroom.db.erasure import forget as forgetting
from filmroom.db.files import sqlite_file
from filmroom.db.reads import films as db_films
from filmroom.indexer.live.receive import receive
from filmroom.indexer.live.receiver import Service
from filmroom.indexer.live.rounds import Listener, Rounds
from filmroom.indexer.live.spool import Spool
from filmroom.indexer.models.registry import load_towers
from filmroom.indexer.pipeline import Options, index

from tests.conftest import write_film
from tests.indexer import dicom_files
from tests.indexer.live.running import free_port
from tests.terminal import Terminal

UID = "1.2.3.4.5"


def received(terminal: Terminal, frames: int = 1) -> tuple[Archive, Path]:
    """An archive with one file that lies where `receive` keeps it, not indexed yet."""
    archive = Archive.create(terminal.archive)
    spool = Spool.open(archive, terminal.archive / "received")
    place = spool.folder / "1.2.3" / "1.2.3.4" / f"{UID}.dcm"
    place.parent.mkdir(parents=True)
    pixels = np.stack([np.roll(dicom_files.ramp(), 9 * number, axis=0) for number in range(frames)])
    uids = {"StudyInstanceUID": "1.2.3", "SeriesInstanceUID": "1.2.3.4", "SOPInstanceUID": UID}
    place.write_bytes(dicom_files.dicom(pixels if frames > 1 else pixels[0], Modality="XA", **uids))
    return archive, place


def test_a_file_stays_until_every_frame_of_it_is_forgotten(terminal: Terminal, tiny: Path) -> None:
    archive, place = received(terminal, frames=3)
    terminal("index", archive.folder / "received", "--model", tiny, "--workers", 1)
    first, second, third = (one.id for one in db_films.everyone(archive.catalog))
    terminal("forget", second, "--yes")
    assert place.is_file()
    assert "1 received file kept: other frames in it are films of the archive. To delete it, forget those too: " in (
        terminal.err
    )
    assert f"filmroom forget {first} {third}" in terminal.err
    terminal("forget", first, third, "--yes")
    assert not place.exists()
    assert "kept" not in terminal.err


def test_a_received_copy_of_a_film_goes_with_it(terminal: Terminal, tiny: Path, tmp_path: Path) -> None:
    archive, place = received(terminal)
    original = tmp_path / "nas" / "film.dcm"
    original.parent.mkdir()
    original.write_bytes(place.read_bytes())
    for folder in (original.parent, archive.folder / "received"):
        terminal("index", folder, "--model", tiny, "--workers", 1)
    (film,) = db_films.everyone(archive.catalog)
    assert film.root == str(original.parent)
    terminal("forget", film.id, "--yes")
    assert original.is_file()
    assert not place.exists()


@pytest.mark.parametrize("killed", [False, True])
def test_files_go_though_the_log_cannot_be_emptied(
    terminal: Terminal, tiny: Path, monkeypatch: pytest.MonkeyPatch, killed: bool
) -> None:
    archive, place = received(terminal)
    terminal("index", archive.folder / "received", "--model", tiny, "--workers", 1)
    (film,) = db_films.everyone(archive.catalog)
    if killed:
        forgetting.forget(archive, [film.id])
        assert place.is_file()
        other = place.with_name("1.2.3.4.6.dcm")
        other.write_bytes(b"came and is not indexed yet")
        terminal("forget")
        assert other.is_file()
    else:
        monkeypatch.setattr(sqlite_file, "BUSY_SECONDS", 0.2)
        reader = sqlite3.connect(archive.catalog.path, isolation_level=None)
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM film").fetchone()
        terminal("forget", film.id, "--yes")
        assert "run: filmroom forget" in terminal.err
        reader.close()
    assert not place.exists()


class _OneRound(Rounds):
    """Rounds that end as Ctrl-C ends them, when the first is done."""

    done = False

    @property
    def may_try(self) -> bool:
        if self.done:
            raise KeyboardInterrupt
        return True

    def take(self, sources: object) -> bool:
        self.done = super().take(sources)  # type: ignore[arg-type]
        return self.done


def test_what_was_sent_again_before_a_kill_is_deleted_at_the_start(terminal: Terminal, tiny: Path) -> None:
    archive, place = received(terminal)
    towers = load_towers(str(tiny))
    index(archive, [archive.folder / "received"], towers, options=Options(workers=1))
    forgetting.forget(archive, [one.id for one in db_films.everyone(archive.catalog)])
    place.touch()
    listener = Listener(lambda done: None, lambda line: None)
    rounds, service = _OneRound(archive, towers, Options(workers=1), listener), Service("FILMROOM", free_port())
    with pytest.raises(KeyboardInterrupt):
        receive(rounds, service, archive.folder / "received", listener)
    assert not place.exists()


def test_a_run_over_the_folder_above_the_archive_takes_nothing_received_away(terminal: Terminal, tiny: Path) -> None:
    archive, place = received(terminal)
    terminal("index", archive.folder / "received", "--model", tiny, "--workers", 1)
    write_film(archive.folder.parent / "another.png", 1)
    counts = terminal.json("index", archive.folder.parent, "--model", tiny, "--workers", 1)
    assert isinstance(counts, dict)
    assert (counts["indexed"], counts["gone"]) == (1, 0)
    assert len(list(db_films.everyone(archive.catalog))) == 2
    place.unlink()
    write_film(place.with_name("another.png"), 2)
    counts = terminal.json("index", archive.folder / "received", "--model", tiny, "--workers", 1)
    assert isinstance(counts, dict)
    assert counts["gone"] == 1, "a run over the received films themselves still tells"
