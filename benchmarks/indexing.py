"""Films a second end to end, against what is possible: the slower of decoding alone and the image tower alone.

    python benchmarks/indexing.py [--films 64] [--side 2048] [--model filmroom-mini] [--formats jpeg png raw ...]

The films are computed phantoms of `--side` pixels, one set for each format; every film is decoded once before, so that
files are in memory. `decode` is the workers alone, `tower` the image tower alone on ready batches, `both` the whole
run with its commits; `limit` is the slower of the first two, when decoding may use the processors that the tower
leaves (on a machine without a GPU they share the same ones: 1 / (1/decode + 1/tower)).
"""

from __future__ import annotations

import argparse
import resource
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
from made import machine
from PIL import Image

from db.archive import Archive
from indexer.phantom import render, sample
from indexer.phantom.dicom import Syntax, write_dicom
from indexer.pipeline import BATCH, index
from indexer.registry import load_towers
from indexer.sources import list_folder
from indexer.workers import process

SYNTAXES = {"raw": Syntax.EXPLICIT, "jpeg-ls": Syntax.JPEG_LS, "jpeg-lossless": Syntax.JPEG_LOSSLESS,
            "jpeg-2000": Syntax.JPEG_2000, "rle": Syntax.RLE}  # fmt: skip
FORMATS = ("jpeg", "png", *SYNTAXES)


def write(seed: int, *, folder: Path, side: int, form: str) -> None:
    phantom = sample(seed)
    if form in SYNTAXES:
        write_dicom(phantom, folder / f"{seed:05}.dcm", size=side, transfer_syntax=SYNTAXES[form])
        return
    pixels = np.rint(render(phantom, side) * 255).astype(np.uint8)
    Image.fromarray(pixels).save(folder / f"{seed:05}.{form}", **({"quality": 92} if form == "jpeg" else {}))


def decoded(folder: Path, towers: Any) -> tuple[float, list[Any]]:
    listed = list(list_folder(folder))
    started = time.perf_counter()
    done = list(process(listed, prepare=towers.preprocess.shrink, side=2 * towers.preprocess.size))  # type: ignore[arg-type]
    return len(done) / (time.perf_counter() - started), [film.prepared for one in done for film in one.films]  # type: ignore[union-attr]


def embedded(prepared: list[Any], towers: Any) -> float:
    batches = [towers.preprocess.batch(prepared[at : at + BATCH]) for at in range(0, len(prepared), BATCH)]
    towers.embed_prepared(batches[0])
    started = time.perf_counter()
    for batch in batches:
        towers.embed_prepared(batch)
    return len(prepared) / (time.perf_counter() - started)


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--films", type=int, default=64)
    options.add_argument("--side", type=int, default=2048)
    options.add_argument("--model", default="filmroom-mini")
    options.add_argument("--weights", type=Path)
    options.add_argument("--formats", nargs="+", choices=FORMATS, default=FORMATS)
    asked = options.parse_args()
    print(f"{machine()}; {asked.films} films of {asked.side} px, {asked.model}; films a second")
    print("format          decode   tower   limit    both  of limit  MB at most (this process, workers)")
    for form in asked.formats:
        with tempfile.TemporaryDirectory() as place:
            folder = Path(place) / "films"
            folder.mkdir()
            with ProcessPoolExecutor(mp_context=get_context("spawn")) as pool:
                list(pool.map(partial(write, folder=folder, side=asked.side, form=form), range(asked.films)))
            towers = load_towers(asked.model, weights=asked.weights)
            decoded(folder, towers)
            reading, prepared = decoded(folder, towers)
            running = embedded(prepared, towers)
            done = index(Archive.create(Path(place) / "archive"), [folder], towers)
            both, limit = done.counts.indexed / done.seconds, 1 / (1 / reading + 1 / running)
            most = [
                resource.getrusage(who).ru_maxrss // 1024 for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
            ]
            print(f"{form:<14} {reading:>7.1f} {running:>7.1f} {limit:>7.1f} {both:>7.1f} {both / limit:>8.0%}  {most}")


if __name__ == "__main__":
    main()
