"""How long a command takes from a cold process: the best and the median of several, wall clock and processor time.

    python benchmarks/cold_start.py [ARCHIVE] [--films 1000] [--times 7]

`ARCHIVE` is any archive; without it one of `--films` films is made, in the space of the bundled model (see `made.py`).
Python itself, and the largest imports alone, are there to compare with. Byte code is read, as it is after
`make install`.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from made import KEEPING, kept_archive, machine

PROGRAM = [sys.executable, "-c", "from filmroom.cli import main; main()"]
IMPORTS = ("typer", "numpy", "sqlalchemy", "onnxruntime", "faiss", "streamlit", "torch")


def spent(command: list[str]) -> tuple[float, float]:
    before, started = os.times(), time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, env=KEEPING)
    wall, after = time.perf_counter() - started, os.times()
    return wall, after.children_user + after.children_system - before.children_user - before.children_system


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("archive", type=Path, nargs="?")
    options.add_argument("--films", type=int, default=1000)
    options.add_argument("--times", type=int, default=7)
    asked = options.parse_args()
    if asked.archive is not None:
        measure(asked.archive, asked.times)
        return
    with tempfile.TemporaryDirectory() as place:
        measure(kept_archive(Path(place), asked.films, 256, 1).folder, asked.times)


def measure(archive: Path, times: int) -> None:
    here = ["--archive", str(archive)]
    commands = {
        "python": [sys.executable, "-c", "pass"],
        "filmroom --help": [*PROGRAM, "--help"],
        "filmroom status": [*PROGRAM, "status", *here],
        "filmroom search": [*PROGRAM, "search", "pleural effusion", *here],
        "with a filter": [*PROGRAM, "search", "pleural effusion view:AP year:2005..", *here],
        **{f"import {name}": [sys.executable, "-c", f"import {name}"] for name in IMPORTS},
    }
    print(machine())
    print("                      wall s: best  median   processor s: best")
    for name, command in commands.items():
        spent(command)  # once, so that what is compiled and read is in the caches
        walls, cpus = zip(*(spent(command) for _ in range(times)), strict=True)
        print(f"{name:<22} {min(walls):>11.2f} {sorted(walls)[len(walls) // 2]:>7.2f} {min(cpus):>19.2f}")


if __name__ == "__main__":
    main()
