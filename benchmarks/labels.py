"""Processor time and memory of `filmroom label` for a table with a row for every film of an archive.

`python benchmarks/labels.py [COUNT ...] [--folder DIR]`, archives of made films. The memory is the most that the
process held, with all its libraries; not what this one held when it began the other. Rows name films by path and by UID
in turn, in no order.
"""

from __future__ import annotations

import argparse
import random
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from made import kept_archive, machine

DIM = 8

_MEASURED = """
import resource, sys
from filmroom.cli import main
try:
    main()
finally:
    used = resource.getrusage(resource.RUSAGE_SELF)
    (most,) = [line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM")]
    print(used.ru_utime + used.ru_stime, int(most) // 1024, file=sys.stderr)
"""


def write_table(path: Path, count: int) -> None:
    """Name films as `made_archive` calls them."""
    numbers = list(range(1, count + 1))
    random.Random(count).shuffle(numbers)
    with path.open("w") as out:
        out.write("film,label,value\n")
        for at, number in enumerate(numbers):
            name = f"set/ward-{number % 97}/film-{number}.dcm" if at % 2 else f"2.25.{number:030}"
            out.write(f"{name},{('effusion', 'mass', 'edema')[at % 3]},{at % 2}\n")


def label(archive: Path, table: Path) -> tuple[float, int]:
    """Return seconds of processor time, and MB."""
    command = [sys.executable, "-c", _MEASURED, "label", str(table), "--archive", str(archive), "--json"]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    spent, most = done.stderr.split()[-2:]
    return float(spent), int(most)


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("counts", type=int, nargs="*", default=[10_000, 100_000, 1_000_000])
    options.add_argument("--folder", type=Path)
    asked = options.parse_args()
    print(machine())
    print("| rows and films | processor, s | microseconds a row | memory, MB |")
    print("| --- | --- | --- | --- |")
    with tempfile.TemporaryDirectory(prefix="filmroom-") as place:
        for count in asked.counts:
            kept = kept_archive(asked.folder or Path(place), count, DIM, 1)
            archive = Path(shutil.copytree(kept.folder, Path(place, f"archive-{count}")))
            table = Path(place, f"{count}.csv")
            write_table(table, count)
            spent, most = label(archive, table)
            shutil.rmtree(archive)
            print(f"| {count:,} | {spent:.1f} | {1e6 * spent / count:.0f} | {most} |", flush=True)


if __name__ == "__main__":
    main()
