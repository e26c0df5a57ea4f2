"""What Ray costs with one worker, and what a second one brings.

    python benchmarks/cluster.py [--films 256] [--side 1024] [--times 2] [--folder DIR]

A worker is a Ray node with one decoder and one image tower, bound to one processor; without Ray it is a program of one
decoder, bound likewise. `start` is the time until the first batch is committed, `films/s` the rate from then on, and
`two programs` are two without Ray, each over half the films at the same time: the most that two workers can bring on
this machine. Taken in turn; the best of `--times` is shown. Needs two processors and the extra `ray`.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from filmroom.db.archive import Archive
from filmroom.indexer.models.registry import load_towers
from filmroom.indexer.pipeline import Options, index
from indexing import films_in
from made import machine

PROCESSORS = (0, 1)


def one_run(archive: Path, folder: Path, ray: str | None, workers: int) -> dict[str, float]:
    """Index in this process, and say when the first batch came and how fast the others."""
    times: list[tuple[float, int]] = []
    began = time.perf_counter()

    def on_progress(counts: Any) -> None:
        if counts.indexed and (not times or times[-1][1] != counts.indexed):
            times.append((time.perf_counter(), counts.indexed))

    options = Options(workers=workers, ray=ray)
    index(Archive.create(archive), [folder], load_towers(), options=options, on_progress=on_progress)
    (first, head), (last, tail) = times[0], times[-1]
    return {"start": first - began, "rate": (tail - head) / (last - first), "whole": time.perf_counter() - began}


def program(archive: Path, folder: Path, *, ray: str | None = None, workers: int = 1, on: int | None = None) -> Any:
    asked = ["--archive", str(archive), "--of", str(folder), "--workers", str(workers)]
    asked += ["--ray", ray] if ray else []
    bound = None if on is None else lambda: os.sched_setaffinity(0, {on})
    return subprocess.Popen(
        [sys.executable, __file__, *asked], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, preexec_fn=bound
    )


def answer(process: Any) -> dict[str, float]:
    out, _ = process.communicate()
    told: dict[str, float] = json.loads(out.splitlines()[-1])
    return told


def over_ray(archive: Path, folder: Path, workers: int) -> dict[str, float]:
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
        return answer(program(archive, folder, ray=cluster.address, workers=workers))
    finally:
        os.sched_setaffinity(0, everywhere)
        cluster.shutdown()


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--films", type=int, default=256)
    options.add_argument("--side", type=int, default=1024)
    options.add_argument("--times", type=int, default=2)
    options.add_argument("--folder", type=Path)
    for name in ("--archive", "--of"):
        options.add_argument(name, type=Path, help=argparse.SUPPRESS)
    options.add_argument("--workers", type=int, help=argparse.SUPPRESS)
    options.add_argument("--ray", help=argparse.SUPPRESS)
    asked = options.parse_args()
    if asked.of:
        print(json.dumps(one_run(asked.archive, asked.of, asked.ray, asked.workers)))
        return
    print(f"{machine()}; {asked.films} JPEG films of {asked.side} px, filmroom-mini, load {os.getloadavg()[0]:.1f}")
    with tempfile.TemporaryDirectory() as made:
        place = Path(made)
        films = films_in((asked.folder or place) / "films", form="jpeg", side=asked.side, count=asked.films)
        halves = [place / "half-0", place / "half-1"]
        for number, path in enumerate(sorted(films.iterdir())):
            halves[number % 2].mkdir(exist_ok=True)
            os.link(path, halves[number % 2] / path.name)
        best: dict[str, dict[str, float]] = {}
        for time_of in range(asked.times):
            archive = place / f"archive-{time_of}"
            taken = {"without Ray": answer(program(archive / "a", films, on=0))}
            taken["Ray, one worker"] = over_ray(archive / "b", films, 1)
            taken["Ray, two workers"] = over_ray(archive / "c", films, 2)
            both = [program(archive / f"d{at}", half, on=at) for at, half in zip(PROCESSORS, halves, strict=True)]
            pair = [answer(one) for one in both]
            taken["two programs"] = {
                "start": max(one["start"] for one in pair),
                "rate": sum(one["rate"] for one in pair),
                "whole": max(one["whole"] for one in pair),
            }
            for name, told in taken.items():
                if name not in best or told["rate"] > best[name]["rate"]:
                    best[name] = told
            print(f"load {os.getloadavg()[0]:.1f}:", {name: round(told["rate"], 2) for name, told in taken.items()})
    print(f"{'':<18} start s  films/s  whole s  of the first")
    for name, told in best.items():
        share = told["rate"] / best["without Ray"]["rate"]
        print(f"{name:<18} {told['start']:>7.1f} {told['rate']:>8.2f} {told['whole']:>8.1f} {share:>13.2f}")


if __name__ == "__main__":
    main()
