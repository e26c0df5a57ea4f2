"""Ctrl-C breaks into no step, comes after it, and leaves nothing behind that the interpreter's end stumbles over."""

from __future__ import annotations

import contextlib
import os
import pty
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from filmroom.db import doctor
from filmroom.db.archive import Archive
from filmroom.indexer.interrupts import between_steps, step


@pytest.fixture(autouse=True)
def _own_handler() -> Iterator[None]:
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def press() -> None:
    os.kill(os.getpid(), signal.SIGINT)


def test_an_interrupt_waits_for_the_end_of_a_step() -> None:
    done: list[str] = []

    def work() -> None:
        with between_steps():
            with step():
                press()
                with step():
                    done.append("inner")
                done.append("outer")
            done.append("after")

    with pytest.raises(KeyboardInterrupt):
        work()
    assert done == ["inner", "outer"]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_outside_of_a_step_it_comes_at_once_and_leaves_no_trace() -> None:
    def work() -> None:
        with between_steps():
            press()
            time.sleep(1)

    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            work()
        with between_steps(), step():
            pass


def test_the_end_of_a_service_is_heard_as_an_interrupt() -> None:
    def work() -> None:
        with between_steps(), step():
            os.kill(os.getpid(), signal.SIGTERM)

    with pytest.raises(KeyboardInterrupt):
        work()
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL


def test_a_handler_of_the_program_stays_its_own() -> None:
    heard: list[int] = []
    signal.signal(signal.SIGINT, lambda number, _: heard.append(number))
    with between_steps(), step():
        press()
    assert heard == [signal.SIGINT]


def test_a_second_one_ends_the_process_at_once() -> None:
    work = (
        "import os, signal, time\n"
        "from filmroom.indexer.interrupts import between_steps, step\n"
        "with between_steps(), step():\n"
        "    os.kill(os.getpid(), signal.SIGINT)\n"
        "    os.kill(os.getpid(), signal.SIGINT)\n"
        "    time.sleep(60)\n"
    )
    ended = subprocess.run([sys.executable, "-c", work], timeout=60, capture_output=True)
    assert ended.returncode == -signal.SIGINT
    assert ended.stderr == b""


def test_one_that_a_finaliser_swallowed_is_raised_before_the_next_step() -> None:
    class Finalised:
        def __del__(self) -> None:
            with contextlib.suppress(KeyboardInterrupt):  # Python drops it there, with a traceback on stderr
                press()

    def work() -> None:
        with between_steps():
            Finalised()
            with step():
                pytest.fail("nobody has heard of the interrupt")

    with pytest.raises(KeyboardInterrupt):
        work()


def test_an_interrupted_program_leaves_at_once_with_all_that_it_said() -> None:
    """What libraries and their threads do at the interpreter's end is where some ended in a segmentation fault."""
    crash = "import atexit, os, signal; atexit.register(lambda: os.kill(os.getpid(), signal.SIGSEGV))\n"
    work = (
        "import sys; sys.argv[:] = ['filmroom', 'status']\n"
        "from filmroom import cli\n"
        "def interrupted():\n    print('said before')\n    raise KeyboardInterrupt\n"
        "cli._with = lambda named: interrupted\n"
        "cli.main()\n"
    )
    ended = subprocess.run([sys.executable, "-c", crash + work], timeout=60, capture_output=True)
    assert (ended.returncode, ended.stdout, ended.stderr) == (130, b"said before\n", b"")


@pytest.mark.parametrize("module", ["typer", "filmroom.search.cli.options"])
def test_a_program_that_is_still_imported_ends_without_a_traceback(module: str) -> None:
    start = (
        "import os, signal, sys\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "sys.argv[:] = ['filmroom', 'status']\n"
        "class Pressed:\n"
        "    def find_spec(self, name, *where):\n"
        f"        if name == {module!r}: os.kill(os.getpid(), signal.SIGINT)\n"
        "sys.meta_path.insert(0, Pressed())\n"
        "import filmroom.cli\n"
    )
    ended = subprocess.run([sys.executable, "-c", start], timeout=60, capture_output=True)
    assert (ended.returncode, ended.stderr) == (-signal.SIGINT, b"")


def test_a_module_of_the_program_leaves_the_handlers_of_another_alone() -> None:
    start = (
        "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); import filmroom.cli\n"
        "assert signal.getsignal(signal.SIGINT) is signal.default_int_handler\n"
    )
    subprocess.run([sys.executable, "-c", start], timeout=60, check=True)


@pytest.mark.slow
def test_runs_on_a_terminal_end_cleanly(films: Callable[..., Path], tmp_path: Path) -> None:
    """benchmarks/interrupts.py does this two hundred times."""
    folder, archive = films(120), tmp_path / "archive"
    start = "import sys; sys.argv[0] = 'filmroom'; from filmroom.cli import main; print('begun', flush=True); main()"
    for seconds in (0.3, 0.9, 1.6, 2.6, 4.0):  # while it imports, loads the model, reads films
        child, terminal = pty.fork()
        if child == 0:
            signal.signal(signal.SIGINT, signal.SIG_DFL)  # a shell's background jobs ignore it
            program = [sys.executable, "-P", "-X", "faulthandler", "-c", start]
            os.execv(program[0], [*program, "index", str(folder), "--archive", str(archive)])
        said = read_until(terminal, b"begun")  # before that it is Python itself that starts
        time.sleep(seconds)
        with contextlib.suppress(OSError):
            os.write(terminal, b"\x03")
        said += read_to_end(terminal)
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        assert code in (0, 130, -signal.SIGINT), said
        assert b"Traceback" not in said
        assert b"Fatal" not in said
        if (archive / "catalog.sqlite").exists():
            opened = Archive.open(archive)
            assert doctor.examine(opened).healthy
            opened.catalog.close()


def read_until(terminal: int, mark: bytes) -> bytes:
    said = b""
    while mark not in said:
        try:
            some = os.read(terminal, 65536)
        except OSError:
            break
        if not some:
            break
        said += some
    return said


def read_to_end(terminal: int) -> bytes:
    said = b""
    while select.select([terminal], [], [], 120)[0]:
        try:
            some = os.read(terminal, 1 << 16)
        except OSError:
            break
        if not some:
            break
        said += some
    os.close(terminal)
    return said
