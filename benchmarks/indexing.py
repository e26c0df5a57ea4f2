"""Films a second end to end, against what is possible: decoding alone and the image tower alone.

    python benchmarks/indexing.py [--films 96] [--side 2048] [--formats jpeg png raw ...] [--model NAME] [--folder DIR]

The films are computed phantoms of `--side` pixels, 16 different ones for each format and copies of them that count as
other films; they are in memory before anything is timed. `decode` is the workers alone, once each has given a film
(`start s` is the time until then); `tower` is the image tower alone on ready batches; `run` is a whole run with its
commits, without that start. Where the tower runs on the processors that decode, `limit` is
1 / (1/decode + 1/tower). `--model` with `--random` is an open_clip architecture with random weights.
`--folder` keeps the films and the weights for the next time, so that what is exported of a model is found again, too.
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
from filmroom.db.archive import Archive
from filmroom.indexer.decoding.workers import process, usable_cpus
from filmroom.indexer.models.registry import load_towers
from filmroom.indexer.phantom import render, sample
from filmroom.indexer.phantom.dicom import Syntax, write_dicom
from filmroom.indexer.pipeline import BATCH, index
from filmroom.indexer.sources.folder import list_folder
from made import checkpoint, machine, whole
from PIL import Image
from pydicom import dcmread
from pydicom.uid import UID

SYNTAXES = {"raw": Syntax.EXPLICIT, "jpeg-ls": Syntax.JPEG_LS, "jpeg-lossless": Syntax.JPEG_LOSSLESS,
            "jpeg-2000": Syntax.JPEG_2000, "rle": Syntax.RLE}  # fmt: skip
FORMATS = ("jpeg", "png", *SYNTAXES)
USUAL = ("jpeg", "png", "raw", "jpeg-ls", "jpeg-2000")
DIFFERENT = 16
SETTLING = 10
"""Seconds after which a tower has made up its mind about the fastest way to compute."""


def films_in(folder: Path, *, form: str, side: int, count: int) -> Path:
    """`count` files of the format in `folder`, where they are not there already."""
    made = min(count, DIFFERENT)
    with whole(folder) as aside:
        if aside is not None:
            with ProcessPoolExecutor(mp_context=get_context("spawn")) as pool:
                list(pool.map(partial(write, folder=aside, side=side, form=form), range(made)))
            for number in range(made, count):
                copy(path_of(aside, number % made, form), path_of(aside, number, form), number)
    return folder


def path_of(folder: Path, number: int, form: str) -> Path:
    return folder / f"{number:05}.{'dcm' if form in SYNTAXES else form}"


def write(seed: int, *, folder: Path, side: int, form: str) -> None:
    phantom, path = sample(seed), path_of(folder, seed, form)
    if form in SYNTAXES:
        write_dicom(phantom, path, size=side, transfer_syntax=SYNTAXES[form])
        return
    pixels = np.rint(render(phantom, side) * 255).astype(np.uint8)
    Image.fromarray(pixels).save(path, quality=92)  # which means nothing to PNG


def copy(first: Path, path: Path, number: int) -> None:
    """The same pixels as another film: another UID, or a number behind the picture's end."""
    if path.suffix != ".dcm":
        path.write_bytes(first.read_bytes() + number.to_bytes(4))
        return
    film = dcmread(first)
    film.SOPInstanceUID = film.file_meta.MediaStorageSOPInstanceUID = UID(f"2.25.{number}")
    film.save_as(path, enforce_file_format=True)


def decoded(folder: Path, towers: Any) -> tuple[float, float, list[Any]]:
    """Films a second once every worker has given one, the seconds until then, and the films."""
    listed, times, prepared = list(list_folder(folder)), [], []
    began = time.perf_counter()
    for one in process(listed, prepare=towers.preprocess.shrink, side=2 * towers.preprocess.size):
        prepared += [film.prepared for film in one.films]  # type: ignore[union-attr]
        times.append(time.perf_counter())
    first = usable_cpus() - 1
    return (len(times) - first - 1) / (times[-1] - times[first]), times[first] - began, prepared


def embedded(prepared: list[Any], towers: Any) -> float:
    batches = [towers.preprocess.batch(prepared[at : at + BATCH]) for at in range(0, len(prepared), BATCH)]
    warm = time.perf_counter() + SETTLING
    while time.perf_counter() < warm:
        towers.embed_prepared(batches[0])
    started = time.perf_counter()
    for batch in batches:
        towers.embed_prepared(batch)
    return len(prepared) / (time.perf_counter() - started)


def random_weights(architecture: str, folder: Path) -> Path:
    with whole(folder / f"random-{architecture}") as aside:
        if aside is not None:
            checkpoint(architecture, aside / "weights.pt")
    return folder / f"random-{architecture}" / "weights.pt"


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--films", type=int, default=96)
    options.add_argument("--side", type=int, default=2048)
    options.add_argument("--model", default="filmroom-mini")
    options.add_argument("--random", action="store_true")
    options.add_argument("--formats", nargs="+", choices=FORMATS, default=USUAL)
    options.add_argument("--folder", type=Path)
    asked = options.parse_args()
    print(f"{machine()}; {asked.films} films of {asked.side} px, {asked.model}; films a second")
    print("format          decode   tower   limit     run  of limit  start s  MB at most (this process, a worker)")
    with tempfile.TemporaryDirectory() as place:
        weights = random_weights(asked.model, asked.folder or Path(place)) if asked.random else None
        for form in asked.formats:
            named = f"{form}-{asked.side}-{asked.films}"
            folder = films_in((asked.folder or Path(place)) / named, form=form, side=asked.side, count=asked.films)
            for path in folder.iterdir():
                path.read_bytes()
            towers = load_towers(asked.model, weights=weights)
            reading, start, prepared = decoded(folder, towers)
            running = embedded(prepared, towers)
            done = index(Archive.create(Path(place) / f"archive-{form}"), [folder], towers)
            whole = done.counts.indexed / (done.seconds - start)
            limit = 1 / (1 / reading + 1 / running)
            most = [
                resource.getrusage(who).ru_maxrss // 1024 for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
            ]
            print(
                f"{form:<14} {reading:>7.1f} {running:>7.1f} {limit:>7.1f} {whole:>7.1f} "
                f"{whole / limit:>8.0%} {start:>8.1f}  {most}",
                flush=True,
            )


if __name__ == "__main__":
    main()
