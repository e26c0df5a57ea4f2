"""What Ray costs with one worker, and what a second one brings.

    python benchmarks/cluster.py [--films 384] [--few 96] [--side 1024] [--times 2] [--folder DIR]

A worker is a Ray node with one decoder and one image tower, bound to one processor; without Ray it is a program of one
decoder, bound likewise, and `two programs` are two of these, each over half the films at the same time: the most that
two workers can bring on this machine. Each indexes `--few` films and then all: `start` is the time of the few, and
`films/s` and `CPU ms` (processor time of all processes a film, Ray's own among them, which other work on the machine
changes less) are of the films that all has more, so that no start is in them. Taken in turn; the middle of `--times` is
shown. Needs Linux, two processors and the extra `ray`.
"""

from __future__ import annotations

import argparse
import ctypes
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from filmroom.db.archive import Archive
from filmroom.indexer.models.registry import load_towers
from filmroom.indexer.pipeline import Options, index
from indexing import films_in
from made import machine

PROCESSORS = (0, 1)
PR_SET_CHILD_SUBREAPER = 36
ALONE = "without Ray"

Told = dict[str, float]


class Meter:
    """Sums up the processor seconds of everything that this process has started. It looks five times a second and keeps
    what it saw last: Ray waits for none of its workers, so that their time is nowhere when they have ended."""

    def __init__(self) -> None:
        self._seen: dict[tuple[int, float], float] = {}
        threading.Thread(target=self._watch, daemon=True).start()

    def _watch(self) -> None:
        while True:
            self.spent()
            time.sleep(0.2)

    def spent(self) -> float:
        import psutil

        for process in psutil.Process().children(recursive=True):
            with suppress(psutil.Error), process.oneshot():
                times = process.cpu_times()
                self._seen[process.pid, process.create_time()] = times.user + times.system
        return sum(list(self._seen.values()))


def program(archive: Path, folder: Path, *, ray: str | None = None, on: int | None = None) -> Any:
    asked = ["--archive", str(archive), "--of", str(folder), "--workers", "1"]
    asked += ["--ray", ray] if ray else []
    bound = None if on is None else lambda: os.sched_setaffinity(0, {on})
    return subprocess.Popen(
        [sys.executable, __file__, *asked], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, preexec_fn=bound
    )


def timed(meter: Meter, *programs: Callable[[], Any]) -> Told:
    """Run programs at the same time."""
    began, used = time.perf_counter(), meter.spent()
    for process in [start() for start in programs]:
        if process.wait():
            raise SystemExit(f"a program ended with {process.returncode}")
    return {"wall": time.perf_counter() - began, "cpu": meter.spent() - used}


def over_ray(meter: Meter, place: Path, folders: list[Path], workers: int) -> list[Told]:
    """A cluster of a head without workers and a node a worker, each bound to a processor."""
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    from ray.cluster_utils import Cluster

    everywhere = os.sched_getaffinity(0)
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False})
    try:
        for processor in PROCESSORS[:workers]:
            os.sched_setaffinity(0, {processor})
            cluster.add_node(num_cpus=1)
        os.sched_setaffinity(0, everywhere)
        return [timed(meter, partial(program, place / of.name, of, ray=cluster.address)) for of in folders]
    finally:
        os.sched_setaffinity(0, everywhere)
        cluster.shutdown()


def two_programs(meter: Meter, place: Path, folder: Path) -> Told:
    halves = [folder.with_name(f"{folder.name}-half-{number}") for number in range(2)]
    for number, path in enumerate(sorted(folder.iterdir())):
        halves[number % 2].mkdir(exist_ok=True)
        if not (linked := halves[number % 2] / path.name).exists():
            os.link(path, linked)
    return timed(
        meter, *(partial(program, place / of.name, of, on=on) for of, on in zip(halves, PROCESSORS, strict=True))
    )


def taken(meter: Meter, place: Path, folders: list[Path]) -> dict[str, list[Told]]:
    """What each took for the few films, and for all."""
    return {
        ALONE: [timed(meter, partial(program, place / "alone" / of.name, of, on=0)) for of in folders],
        "Ray, one worker": over_ray(meter, place / "one", folders, 1),
        "Ray, two workers": over_ray(meter, place / "two", folders, 2),
        "two programs": [two_programs(meter, place / "pair", of) for of in folders],
    }


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--films", type=int, default=384)
    options.add_argument("--few", type=int, default=96)
    options.add_argument("--side", type=int, default=1024)
    options.add_argument("--times", type=int, default=1)
    options.add_argument("--folder", type=Path)
    for name in ("--archive", "--of"):
        options.add_argument(name, type=Path, help=argparse.SUPPRESS)
    options.add_argument("--workers", type=int, help=argparse.SUPPRESS)
    options.add_argument("--ray", help=argparse.SUPPRESS)
    asked = options.parse_args()
    if asked.of:
        own = Options(workers=asked.workers, ray=asked.ray)
        index(Archive.create(asked.archive), [asked.of], load_towers(), options=own)
        return
    # What the death of its parent leaves behind is counted, too.
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1)
    print(f"{machine()}; {asked.films} JPEG films of {asked.side} px, filmroom-mini, load {os.getloadavg()[0]:.1f}")
    more = asked.films - asked.few
    with tempfile.TemporaryDirectory() as made:
        place = Path(made)
        films = films_in((asked.folder or place) / "films", form="jpeg", side=asked.side, count=asked.films)
        few = place / "few"
        few.mkdir()
        for path in sorted(films.iterdir())[: asked.few]:
            shutil.copy(path, few)
        every: dict[str, list[Told]] = {}
        meter = Meter()
        for time_of in range(asked.times):
            for name, (some, whole) in taken(meter, place / f"time-{time_of}", [few, films]).items():
                every.setdefault(name, []).append(
                    {
                        "start": some["wall"],
                        "rate": more / (whole["wall"] - some["wall"]),
                        "cpu": 1000 * (whole["cpu"] - some["cpu"]) / more,
                    }
                )
            print(f"time {time_of + 1} of {asked.times}, load {os.getloadavg()[0]:.1f}", flush=True)
    table(
        {name: {key: float(np.median([one[key] for one in told])) for key in told[0]} for name, told in every.items()}
    )


def table(told: dict[str, Told]) -> None:
    print(f"{'':<18} start s  films/s  of the first  CPU ms a film  of the first")
    for name, one in told.items():
        rate, cpu = one["rate"] / told[ALONE]["rate"], one["cpu"] / told[ALONE]["cpu"]
        print(f"{name:<18} {one['start']:>7.1f} {one['rate']:>8.2f} {rate:>13.2f} {one['cpu']:>14.1f} {cpu:>13.2f}")


if __name__ == "__main__":
    main()
