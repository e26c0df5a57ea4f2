"""Films a second that the phantom maker draws: `python benchmarks/phantom.py [--size 384] [--films 120]`.

Prints one process and one process per core, each drawing different random films (all views, with findings).
"""

from __future__ import annotations

import argparse
import os
import time
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context

from filmroom.indexer.phantom import render, sample


def draw(seed: int, *, size: int) -> float:
    """Draw one film; its mean brightness, so that nothing is left undone."""
    return float(render(sample(seed), size).mean())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", type=int, default=384, help="pixels of the long side")
    parser.add_argument("--films", type=int, default=120)
    said = parser.parse_args()
    job = partial(draw, size=said.size)
    job(0)
    began, cpu = time.perf_counter(), time.process_time()
    for seed in range(said.films):
        job(seed)
    wall, cpu = time.perf_counter() - began, time.process_time() - cpu
    print(f"one process: {said.films / wall:.1f} films a second ({said.films / cpu:.1f} a second of processor time)")
    # One process for every core: each does its linear algebra in one thread, as the demo's processes do.
    os.environ.update(dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1"))
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    with ProcessPoolExecutor(cores, mp_context=get_context("spawn")) as pool:
        list(pool.map(job, range(2 * cores)))
        began = time.perf_counter()
        list(pool.map(job, range(said.films), chunksize=2))
        wall = time.perf_counter() - began
    print(f"{cores} processes: {said.films / wall:.1f} films a second at {said.size} px")


if __name__ == "__main__":
    main()
