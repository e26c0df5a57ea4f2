"""Worker processes: what hangs, crashes or fills memory ends alone; every file comes back once."""

from __future__ import annotations

import contextlib
import hashlib
import io
import multiprocessing
import os
import signal
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pydicom
import pytest
from filmroom.db.errors import FilmroomError, Rejected
from filmroom.indexer.decoding import process_pool
from filmroom.indexer.decoding.cpu_wait import seconds_waited
from filmroom.indexer.decoding.limits import Limits
from filmroom.indexer.decoding.process_pool import run
from filmroom.indexer.decoding.rejections import Failure
from filmroom.indexer.decoding.workers import Processed, process, process_file, thumbnail
from filmroom.indexer.sources.folder import list_folder
from PIL import Image
from pydicom.encaps import encapsulate, generate_frames

from tests.indexer.deeds import EndsBeforeItStarts, act, fail, halve
from tests.indexer.dicom_files import LOSSLESS, dicom, ramp, write

ROOT = Path(__file__).resolve().parents[2]
FAST = Limits(seconds=1.5, memory_bytes=600 << 20)
PATIENT = Limits(seconds=60, memory_bytes=600 << 20)


def within_a_minute(holds: Callable[[], bool]) -> bool:
    """Looks until it holds: on a machine that is busy that takes a while, and what never comes takes them all."""
    end = time.monotonic() + 60
    while not holds():
        if time.monotonic() > end:
            return False
        time.sleep(0.02)
    return True


def ran(items: list[str], *, workers: int = 2, limits: Limits = FAST, ahead: int = 8) -> dict[str, str]:
    done = list(run(items, act, limits=limits, workers=workers, ahead=ahead))
    assert sorted(item for item, _ in done) == sorted(items), "every item comes back once"
    return {item: result.reason if isinstance(result, Rejected) else result for item, result in done}


BAD = {
    "hang": "took longer than the limit",
    "hang in C": "took longer than the limit",
    "crash": "crashed its decoder",
    "abort": "crashed its decoder",
    "killed": "crashed its decoder",
    "exit": "crashed its decoder",
    "memory": "needs more memory than the limit",
    "bug": "crashed its decoder",
}


def test_each_fault_takes_only_its_own_item() -> None:
    good = [f"good {number}" for number in range(20)]
    mixed = good[:]
    for place, bad in enumerate(BAD):
        mixed.insert(2 * place + 1, bad)
    assert ran(mixed) == BAD | {item: item + "!" for item in good}


def test_nothing_but_faults_on_one_worker() -> None:
    assert ran(list(BAD), workers=1) == BAD


def test_what_waits_for_a_cpu_is_not_slow(monkeypatch: pytest.MonkeyPatch) -> None:
    """Half of its time the worker got none: 2.2 s by the clock pass a limit of 1.5, and what hangs still ends."""
    assert ran(["slow"]) == {"slow": "took longer than the limit"}
    monkeypatch.setattr(process_pool, "seconds_waited", lambda pid: time.monotonic() / 2)
    assert ran(["slow", "hang"]) == {"slow": "slow!", "hang": "took longer than the limit"}


@pytest.mark.skipif(not Path("/proc/self/schedstat").exists(), reason="the system does not say")
def test_a_process_waits_where_others_run() -> None:
    assert seconds_waited(os.getpid()) >= 0.0
    assert seconds_waited(None) == 0.0
    spin = "import time\nwhile time.process_time() < 0.5: pass\nprint(flush=True)\ninput()"
    cpu = min(os.sched_getaffinity(0))
    both = [
        subprocess.Popen(
            [sys.executable, "-c", spin],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            preexec_fn=lambda: os.sched_setaffinity(0, {cpu}),
        )
        for _ in range(2)
    ]
    try:
        for each in both:
            assert each.stdout is not None
            each.stdout.readline()
        assert max(seconds_waited(each.pid) for each in both) > 0.2
    finally:
        for each in both:
            each.kill()
            each.communicate()


def test_results_larger_than_a_pipe() -> None:
    assert set(map(len, ran(["big"], workers=1).values())) == {8 << 20}


def test_memory_left_behind_is_not_charged_to_the_next() -> None:
    done = list(run(["leak"] * 5, act, limits=PATIENT, workers=1, ahead=5))  # 200 MB each, 600 allowed
    assert done == [("leak", "leak!")] * 5


@pytest.mark.parametrize(
    "items", [["stuffed"] * 4, ["breaks", "broken by others"], ["good", "exit", "crash", "memory"]]
)
def test_an_item_ends_as_it_would_alone(items: list[str]) -> None:
    """Whatever came before it in the same worker. 440 MB are needed, 120 of them kept, and 600 allowed."""
    alone = [done for item in items for done in run([item], act, limits=PATIENT, workers=1, ahead=1)]
    together = list(run(items, act, limits=PATIENT, workers=1, ahead=4))
    assert sorted(map(str, together)) == sorted(map(str, alone))


def test_an_item_that_was_looked_at_again_stays_where_it_belongs() -> None:
    items = ["breaks", *["broken by others", "exit", "breaks", "memory"] * 5]
    done = list(run(items, act, limits=PATIENT, workers=2, ahead=8))
    assert sorted(item for item, _ in done) == sorted(items)
    ended = {(item, result.reason if isinstance(result, Rejected) else result) for item, result in done}
    assert ended == {
        ("breaks", "breaks!"),
        ("broken by others", "broken by others!"),
        ("exit", "crashed its decoder"),
        ("memory", "needs more memory than the limit"),
    }


def test_nothing_that_a_decoder_prints_gets_out(capfd: pytest.CaptureFixture[str]) -> None:
    assert ran(["chatty"]) == {"chatty": "chatty!"}
    assert "CANARY" not in "".join(capfd.readouterr())


def test_no_more_than_ahead_are_taken() -> None:
    taken = 0

    def source() -> Iterator[str]:
        nonlocal taken
        for number in range(50):
            taken += 1
            yield str(number)

    for yielded, _ in enumerate(run(source(), act, limits=PATIENT, workers=2, ahead=5)):
        assert taken - yielded <= 5


def test_workers_go_on_while_the_caller_is_busy(tmp_path: Path) -> None:
    """What hangs ends, another worker comes in its place, and the rest is done, with nobody asking for it."""
    marks = [str(tmp_path / str(number)) for number in range(6)]
    results = run([marks[0], "hang", *marks[1:]], act, limits=FAST, workers=1, ahead=16)
    assert next(results) == (marks[0], "marked")
    assert within_a_minute(lambda: all(map(os.path.exists, marks)))
    assert [item for item, _ in results] == ["hang", *marks[1:]]


def test_closing_ends_the_workers_at_once() -> None:
    before = set(multiprocessing.active_children())
    results = run(["fine", *["hang"] * 4], act, limits=Limits(seconds=3600), workers=2, ahead=5)
    next(results)
    assert set(multiprocessing.active_children()) > before
    results.close()  # type: ignore[attr-defined]
    assert set(multiprocessing.active_children()) <= before


def test_workers_that_cannot_start_are_an_error_and_no_loop() -> None:
    with pytest.raises(FilmroomError, match="the decoding processes cannot be started"):
        list(run(["x"], lambda item: item, limits=FAST, workers=1, ahead=4))
    with pytest.raises(FilmroomError, match="the decoding processes cannot be started"):
        list(run(["x"], EndsBeforeItStarts(), limits=FAST, workers=2, ahead=4))


def test_one_item_at_a_time_is_all_items() -> None:
    assert ran(["a", "b", "c"], workers=1, ahead=1) == {"a": "a!", "b": "b!", "c": "c!"}


def test_no_items_start_nothing() -> None:
    assert list(run([], act, limits=FAST, workers=2, ahead=4)) == []


SCRIPT = """
import os, sys, time
from filmroom.indexer.decoding.limits import Limits
from filmroom.indexer.decoding import process_pool
from filmroom.indexer.decoding.process_pool import run

def work(item):
    with open(sys.argv[1] if len(sys.argv) > 1 else os.environ["PIDS"], "a") as file:
        file.write(f"{os.getpid()}\\n")
    if item == "sleep":
        time.sleep(60)
    return item

if __name__ == "__main__":
    for item, _ in run(["one", "sleep", "sleep"], work, limits=Limits(seconds=1.5), workers=2, ahead=3):
        print(item, flush=True)
        if item == "one":
            time.sleep(60)
"""


@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGINT])
def test_workers_end_with_their_parent(end: signal.Signals, tmp_path: Path) -> None:
    script, pids = tmp_path / "parent.py", tmp_path / "pids"
    # Nobody is forgiven that he waited for a CPU: an orphan has ten times its time otherwise.
    script.write_text(SCRIPT.replace("\ndef work", "\nprocess_pool.MOST = 0\n\ndef work", 1))
    parent = subprocess.Popen(
        [sys.executable, str(script)],
        env={**os.environ, "PIDS": str(pids)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # a shell's background jobs ignore it
    )
    assert parent.stdout is not None
    assert parent.stdout.readline() == "one\n"
    assert within_a_minute(lambda: len(pids.read_text().split()) >= 2)
    parent.send_signal(end)
    parent.communicate(timeout=60)
    workers = pids.read_text().split()
    # A worker that is busy notices its time-out, 1.5 s and 2 s of grace.
    assert within_a_minute(lambda: not any(Path("/proc", pid).exists() for pid in workers))


@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="finds the processes by /proc")
def test_ctrl_c_is_not_for_those_who_help(tmp_path: Path) -> None:
    """A terminal sends it to every process of a run, at whatever moment: none but the first may notice."""
    script = tmp_path / "parent.py"
    script.write_text(SCRIPT.replace("time.sleep(60)", "pass"))
    parent = subprocess.Popen(
        [sys.executable, str(script)],
        env={**os.environ, "PIDS": str(tmp_path / "pids")},
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        text=True,
    )
    tasks = Path("/proc", str(parent.pid), "task")
    while parent.poll() is None:
        for children in tasks.glob("*/children"):
            with contextlib.suppress(OSError):
                for pid in children.read_text().split():
                    os.kill(int(pid), signal.SIGINT)
        time.sleep(0.005)
    assert (parent.communicate()[1], parent.returncode) == ("", 0)


def test_a_folder_of_all_sorts(tmp_path: Path) -> None:
    film = dicom(ramp(64, 48), PatientID="7", NumberOfFrames=1)
    (tmp_path / "film.dcm").write_bytes(film)
    (tmp_path / "two.dcm").write_bytes(dicom(np.stack([ramp(), ramp()]), Modality="XA"))
    (tmp_path / "cut.dcm").write_bytes(film[:-500])
    (tmp_path / "note.dcm").write_bytes(b"Dear colleague")
    (tmp_path / "empty.png").write_bytes(b"")
    items = [item for item in list_folder(tmp_path) if not item.rejected]
    results = {(one.listed.path): one for one in process(items, prepare=halve, workers=2, key=b"k")}
    assert {path: one.error.reason for path, one in results.items() if isinstance(one, Failure)} == {
        "cut.dcm": "truncated or damaged pixels",
        "note.dcm": "not an image",
        "empty.png": "empty file",
    }
    one = results["film.dcm"]
    assert isinstance(one, Processed)
    assert one.sha256 == hashlib.sha256(film).hexdigest()
    (only,) = one.films
    assert only.prepared.shape == (32, 24)
    assert only.prepared.dtype == np.uint8
    assert only.tags.patient_key
    assert Image.open(io.BytesIO(only.thumbnail)).size == (48, 64)
    two = results["two.dcm"]
    assert isinstance(two, Processed)
    assert [film.frame for film in two.films] == [0, 1]


def test_one_file_for_a_query(tmp_path: Path) -> None:
    (tmp_path / "film.dcm").write_bytes(dicom(ramp()))
    assert process_file(tmp_path / "film.dcm", prepare=halve).films[0].prepared.shape == (16, 24)
    with pytest.raises(Rejected, match="cannot be read"):
        process_file(tmp_path / "gone.dcm", prepare=halve)
    with pytest.raises(Rejected, match="made ready for the model"):
        process_file(tmp_path / "film.dcm", prepare=fail)


def test_what_a_file_may_have_is_not_what_is_taken_for_it(tmp_path: Path) -> None:
    (tmp_path / "film.dcm").write_bytes(dicom(ramp()))
    (item,) = [item for item in list_folder(tmp_path) if not item.rejected]
    limits = Limits(max_bytes=8 << 30, memory_bytes=300 << 20)
    (one,) = process([item], prepare=halve, limits=limits, workers=1)
    assert isinstance(one, Processed), one


@pytest.mark.parametrize(("shape", "size"), [((1024, 512), (128, 256)), ((40, 30), (30, 40)), ((3, 9000), (256, 1))])
def test_thumbnail(shape: tuple[int, int], size: tuple[int, int]) -> None:
    small = Image.open(io.BytesIO(thumbnail(np.full(shape, 0.5, np.float32))))
    assert small.format == "WEBP"
    assert small.size == size
    assert abs(float(np.asarray(small.convert("L")).mean()) - 128) < 3


def bomb(syntax: str, folder: Path) -> bytes:
    """A film of 32 x 48 whose stream says 65,500 x 65,500."""
    film = pydicom.dcmread(io.BytesIO(write(ramp(), folder, syntax=LOSSLESS[syntax])))
    stream = bytearray(next(generate_frames(film.PixelData, number_of_frames=1)))
    if syntax == "JPEG 2000":
        size = stream.index(b"\xff\x51")  # SIZ: the grid at 6, the tile at 22 (ISO/IEC 15444-1 A.5.1)
        stream[size + 6 : size + 14] = stream[size + 22 : size + 30] = struct.pack(">II", 65500, 65500)
    else:
        frame = stream.index({"JPEG-LS": b"\xff\xf7", "JPEG lossless": b"\xff\xc3"}[syntax])  # SOF
        stream[frame + 5 : frame + 9] = struct.pack(">HH", 65500, 65500)
    film.PixelData = encapsulate([bytes(stream)])
    out = io.BytesIO()
    film.save_as(out)
    return out.getvalue()


def test_streams_that_promise_more_than_the_header(tmp_path: Path) -> None:
    folder = tmp_path / "films"
    folder.mkdir()
    for syntax in ("JPEG 2000", "JPEG-LS", "JPEG lossless"):
        (folder / syntax).write_bytes(bomb(syntax, tmp_path))
    (folder / "good").write_bytes(dicom(ramp()))
    items = [item for item in list_folder(folder) if not item.rejected]
    results = process(items, prepare=halve, limits=Limits(memory_bytes=300 << 20), workers=1)
    ended = {one.listed.path: isinstance(one, Processed) for one in results}
    assert ended == {"JPEG 2000": False, "JPEG-LS": False, "JPEG lossless": False, "good": True}
