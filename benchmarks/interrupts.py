"""Ctrl-C on a terminal at random instants of `filmroom index`: how each run ended, and whether its archive is sound.

`python benchmarks/interrupts.py [NUMBER] [SEED]`
"""

from __future__ import annotations

import argparse
import os
import pty
import random
import select
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import numpy as np
from filmroom.db import doctor
from filmroom.db.archive import Archive
from filmroom.db.errors import NotFound
from PIL import Image

FILMS, SIDE, LONGEST = 160, 900, 9.0
START = "import sys; sys.argv[0] = 'filmroom'; from filmroom.cli import main; main()"
PROGRAM = [sys.executable, "-P", "-X", "faulthandler", "-c", START]


def write_films(folder: Path) -> Path:
    folder.mkdir()
    for number in range(FILMS):
        coarse = np.random.default_rng(number).integers(0, 255, (9, 9)).astype(np.uint8)
        Image.fromarray(coarse).resize((SIDE, SIDE), Image.Resampling.BICUBIC).save(folder / f"{number}.png")
    return folder


def interrupted(films: Path, archive: Path, seconds: float) -> tuple[int, bytes]:
    """Runs it on a terminal of its own, presses Ctrl-C after so many seconds, and gives its status and what it said."""
    child, terminal = pty.fork()
    if child == 0:
        signal.signal(signal.SIGINT, signal.SIG_DFL)  # a shell's background jobs ignore it
        os.execv(PROGRAM[0], [*PROGRAM, "index", str(films), "--archive", str(archive)])
    said, pressed, begun = b"", False, time.monotonic()
    while True:
        left = begun + seconds - time.monotonic()
        if not pressed and left <= 0:
            os.write(terminal, b"\x03")
            pressed = True
        ready, _, _ = select.select([terminal], [], [], 60 if pressed else max(0.0, left))
        if ready:
            try:
                some = os.read(terminal, 1 << 16)
            except OSError:  # the terminal closes with its last process
                some = b""
            if not some:
                break
            said += some
        elif pressed:
            os.kill(child, signal.SIGABRT)  # it hangs: faulthandler says where
            pressed = False
            seconds = 1e9
    os.close(terminal)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), said


def tries(number: int, seed: int) -> tuple[Counter[str], Counter[str]]:
    """How so many runs ended, and what is to be said of their archives."""
    chance, ends, kept = random.Random(seed), Counter[str](), Counter[str]()
    with tempfile.TemporaryDirectory(prefix="filmroom-") as place:
        films, archive = write_films(Path(place, "films")), Path(place, "archive")
        for _ in range(number):
            seconds = chance.uniform(0.1, LONGEST)
            status, said = interrupted(films, archive, seconds)
            name = f"exit {status}" if status >= 0 else signal.Signals(-status).name
            ends[name] += 1
            kept["tracebacks"] += b"Traceback" in said
            if status not in (0, 130, -signal.SIGINT) or b"Traceback" in said:
                print(f"after {seconds:.2f} s: {name}\n{said.decode(errors='replace')[-3000:]}", file=sys.stderr)
            try:
                opened = Archive.open(archive)
                kept["sound" if doctor.examine(opened).healthy else "faults"] += 1
                opened.catalog.close()
            except NotFound:
                kept["not made yet"] += 1
            if chance.random() < 0.7:  # else the next run goes on
                shutil.rmtree(archive, ignore_errors=True)
    return ends, kept


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("number", type=int, nargs="?", default=200)
    parser.add_argument("seed", type=int, nargs="?", default=1)
    asked = parser.parse_args()
    for counts in tries(asked.number, asked.seed):
        print(dict(counts))


if __name__ == "__main__":
    main()
