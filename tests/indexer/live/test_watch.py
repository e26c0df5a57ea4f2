"""New, changed, moved and deleted films of a watched folder are so in the archive soon after, and an unmounted one
takes nothing away."""

from __future__ import annotations

import errno
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from filmroom.db.archive import Archive
from filmroom.db.reads import films as db_films
from filmroom.db.records import Counts
from filmroom.indexer.live import rounds as rounds_module
from filmroom.indexer.live import settling, watch
from filmroom.indexer.live.rounds import Listener, Rounds
from filmroom.indexer.models.registry import load_towers
from filmroom.indexer.pipeline import Options, Summary

from tests.conftest import write_film
from tests.indexer.live.running import running
from tests.terminal import Terminal

Watch = Callable[..., "Watched"]


class Watched:
    """A folder that is watched in this thread while another one changes it."""

    def __init__(self, folder: Path, archive: Archive, model: Path) -> None:
        self.folder, self.archive, self.model = folder, archive, model
        self.notes: list[str] = []
        self.rounds: list[Counts] = []

    def __call__(self, change: Callable[[], object], until: Callable[[], bool], *, poll: bool = False) -> None:
        """Watch; `change` is made after the first comparison; ends when `until` holds."""
        failures: list[BaseException] = []

        def drive() -> None:
            try:
                self._wait(lambda: self.started.is_set())
                change()
                self._wait(until)
            except BaseException as error:
                failures.append(error)
            self.stop.set()

        self.stop, self.started = threading.Event(), threading.Event()
        listener = Listener(self._run, self.notes.append)
        rounds = _Stoppable(self, listener)
        driver = threading.Thread(target=drive)
        driver.start()
        with pytest.raises(KeyboardInterrupt):
            watch.watch(rounds, [self.folder], listener, poll=poll)
        driver.join()
        if failures:
            raise failures[0]

    def films(self) -> list[str]:
        present = db_films.everyone(self.archive.catalog)
        return sorted(one.path for one in present)

    def _run(self, done: Summary) -> None:
        self.rounds.append(done.counts)

    def _wait(self, what: Callable[[], bool]) -> None:
        end = time.monotonic() + 90
        while not what():
            if time.monotonic() > end:
                raise AssertionError(f"{self.films()} {self.notes}")
            time.sleep(0.05)


class _Stoppable(Rounds):
    """Rounds that end as Ctrl-C ends them."""

    def __init__(self, watched: Watched, listener: Listener) -> None:
        super().__init__(watched.archive, load_towers(str(watched.model)), Options(workers=1), listener)
        self._watched = watched

    @property
    def may_try(self) -> bool:
        if self._watched.stop.is_set():
            raise KeyboardInterrupt
        return super().may_try

    def take(self, sources: object) -> bool:
        done = super().take(sources)  # type: ignore[arg-type]
        if done:
            self._watched.started.set()
        return done


@pytest.fixture
def watched(tmp_path: Path, tiny: Path, monkeypatch: pytest.MonkeyPatch) -> Watched:
    monkeypatch.setattr(settling, "QUIET", 0.3)
    monkeypatch.setattr(settling, "LOST_AFTER", 0.9)
    monkeypatch.setattr(watch, "STEP_MS", 100)
    monkeypatch.setattr(watch, "POLL_MS", 100)
    monkeypatch.setattr(rounds_module, "RETRY", 0.2)
    for number in range(3):
        write_film(tmp_path / "films" / f"{number}.png", number)
    return Watched(tmp_path / "films", Archive.create(tmp_path / "archive"), tiny)


@pytest.mark.parametrize("poll", [False, True])
def test_new_films_are_found(watched: Watched, poll: bool) -> None:
    def change() -> None:
        write_film(watched.folder / "3.png", 3)
        write_film(watched.folder / "deep" / "er" / "4.png", 4)

    watched(change, lambda: len(watched.films()) == 5, poll=poll)
    assert sum(one.indexed for one in watched.rounds) == 5


def test_a_move_is_no_loss(watched: Watched) -> None:
    def change() -> None:
        (watched.folder / "0.png").rename(watched.folder / "moved.png")
        inside = watched.folder / "inside"
        inside.mkdir()
        (watched.folder / "1.png").rename(inside / "1.png")
        inside.rename(watched.folder / "renamed")

    watched(change, lambda: watched.films() == ["2.png", "moved.png", "renamed/1.png"])
    assert sum(one.indexed for one in watched.rounds) == 3
    assert sum(one.gone for one in watched.rounds) == 0


def test_what_is_deleted_is_gone_and_what_is_changed_is_another_film(watched: Watched) -> None:
    def change() -> None:
        (watched.folder / "0.png").unlink()
        write_film(watched.folder / "1.png", 11)

    watched(change, lambda: watched.films() == ["1.png", "2.png"] and len(watched.rounds) > 1)
    assert sum(one.gone for one in watched.rounds) == 1
    assert sum(one.indexed for one in watched.rounds) == 4


@pytest.mark.parametrize("poll", [False, True])
def test_an_unmounted_folder_takes_nothing_away(watched: Watched, poll: bool) -> None:
    """The folder gives way to an empty one, and comes back with a film more."""
    away = watched.folder.with_name("away")

    def change() -> None:
        watched.folder.rename(away)
        time.sleep(1.5)
        watched.folder.mkdir()
        time.sleep(2)
        assert len(watched.films()) == 3
        watched.folder.rmdir()
        write_film(away / "3.png", 3)
        away.rename(watched.folder)

    watched(change, lambda: len(watched.films()) == 4, poll=poll)
    assert sum(one.gone for one in watched.rounds) == 0
    assert any("is away" in note for note in watched.notes)
    assert any("is back" in note for note in watched.notes)


def test_while_another_process_writes_films_wait(watched: Watched) -> None:
    def change() -> None:
        with watched.archive.writing("something else"):
            write_film(watched.folder / "3.png", 3)
            time.sleep(2)

    watched(change, lambda: len(watched.films()) == 4)
    assert watched.notes.count("waiting for another process") == 1


def test_a_full_disk_is_named_and_the_run_tried_again(watched: Watched, monkeypatch: pytest.MonkeyPatch) -> None:
    whole, failed = rounds_module.index, threading.Event()

    def index(*args: Any, **options: Any) -> Summary:
        if not failed.is_set():
            failed.set()
            raise OSError(errno.ENOSPC, "No space left on device", "/a/path/of/Anna")
        return whole(*args, **options)

    monkeypatch.setattr(rounds_module, "index", index)
    watched(lambda: None, lambda: len(watched.films()) == 3)
    assert watched.notes == ["the run broke off (No space left on device); it is tried again"]


def test_folders_that_the_system_does_not_watch_are_looked_through(
    watched: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    import watchfiles

    whole = watchfiles.watch

    def events(*folders: Path, **options: Any) -> Iterator[Any]:
        if not options["force_polling"]:
            raise OSError(errno.ENOSPC, "OS file watch limit reached")
        yield from whole(*folders, **options)

    monkeypatch.setattr(watchfiles, "watch", events)
    watched(lambda: write_film(watched.folder / "3.png", 3), lambda: len(watched.films()) == 4)
    assert ["max_user_watches" in note for note in watched.notes] == [True]


@pytest.mark.parametrize("by", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_is_a_clean_end(by: signal.Signals, tmp_path: Path, tiny: Path) -> None:
    write_film(tmp_path / "films" / "0.png", 0)
    with running(tmp_path / "archive", "watch", tmp_path / "films", "--model", tiny, "--workers", 1) as command:
        command.wait_for(lambda: command.counts().get("indexed") == 1)
        write_film(tmp_path / "films" / "1.png", 1)
        command.wait_for(lambda: command.counts().get("indexed") == 2)
        assert command.stop(by) == 0
        assert command.said.splitlines()[-1] == "Stopped. What was indexed is kept."
        assert "Traceback" not in command.said


def test_only_folders_are_watched(terminal: Terminal, tmp_path: Path) -> None:
    terminal("watch", write_film(tmp_path / "film.png", 1))
    assert terminal.code == 1
    assert "only folders are watched" in terminal.err
    terminal("watch", tmp_path / "none")
    assert terminal.code == 1
    assert "nothing to index here" in terminal.err
    assert not terminal.archive.exists()
