"""What an archive costs as it grows: opening, adding, indexing again unchanged, bytes a film. Also as pictures.

    python benchmarks/growth.py [--sizes 1000 10000 100000 1000000] [--files 100000] [--plots docs/images]

Archives of made vectors. `add` is `filmroom index` of 200 new small films into the archive, with a tower that costs
nothing, so that what grows with the archive is all that is seen. `again` is `filmroom index` of a folder of `--files`
files that have not changed since.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from made import machine, made_archive, made_queries, median_ms
from numpy.typing import NDArray
from PIL import Image

from db import spaces
from db.records import Space
from db.vectors import VectorIndex
from indexer.pipeline import index
from indexer.preprocess import Preprocess
from indexer.sources import list_folder
from search.overview import status

SPACE = Space("made", "0" * 64, 256)
SMALL = Preprocess(32, (0.5,), (0.5,))
ADDED = 200


@dataclass(frozen=True)
class NoTower:
    """Gives each film a vector of its first pixels: next to no work."""

    space: Space = SPACE
    preprocess: Preprocess = SMALL

    def embed_prepared(self, batch: NDArray[np.float32]) -> NDArray[np.float32]:
        rows = batch.reshape(len(batch), 1, -1)[:, :, : self.space.dim]
        return rows / np.linalg.norm(rows, axis=2, keepdims=True)


def small_films(folder: Path, count: int) -> Path:
    rng = np.random.default_rng(5)
    folder.mkdir(parents=True)
    for number in range(count):
        Image.fromarray(rng.integers(0, 255, (48, 48), np.uint8)).save(folder / f"{number}.png")
    return folder


def seconds(call: Any) -> float:
    started = time.perf_counter()
    call()
    return time.perf_counter() - started


def grown(size: int) -> dict[str, float]:
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        archive = made_archive(folder / "archive", size, SPACE)
        (held,) = spaces.spaces(archive.catalog)
        VectorIndex.open(archive.catalog, held, archive.vectors).save()
        with archive.catalog.engine.connect() as connection:
            connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")
        catalog = archive.catalog.path.stat().st_size / size
        opened = seconds(lambda: VectorIndex.open(archive.catalog, held, archive.vectors))
        found = VectorIndex.open(archive.catalog, held, archive.vectors)
        queries = made_queries(16, SPACE.dim)
        query = median_ms(lambda n: found.search(queries[n % 16][None], 24), 9)
        more = small_films(folder / "more", ADDED)
        added = seconds(lambda: index(archive, [more], NoTower()))  # type: ignore[arg-type]
        told = seconds(lambda: status(archive.folder))
        return {"open s": opened, "query ms": query, "add s": added, "status s": told, "bytes a film": catalog}


def again(count: int) -> float:
    """Seconds for a folder of `count` files that is indexed already."""
    with tempfile.TemporaryDirectory() as place:
        films = Path(place) / "archive" / "films"
        for at in range(count):
            path = films / f"ward-{at % 100}" / f"{at}.dcm"
            if at < 100:
                path.parent.mkdir(parents=True)
            path.touch()
        listed = [(one.path, one.size, one.mtime_ns) for one in list_folder(films)]  # type: ignore[union-attr]
        archive = made_archive(Path(place) / "archive", count, SPACE, listed=listed)
        index(archive, [films], NoTower())  # type: ignore[arg-type]
        started = time.perf_counter()
        done = index(archive, [films], NoTower())  # type: ignore[arg-type]
        spent = time.perf_counter() - started
        assert done.counts.unchanged == count, done.counts
        return spent


def plot(sizes: list[int], found: list[dict[str, float]], folder: Path) -> None:
    import matplotlib

    matplotlib.use("svg")
    matplotlib.rcParams["svg.hashsalt"] = "filmroom"
    from matplotlib import pyplot

    names = {"open s": "open the index, s", "query ms": "query, exact, ms", "add s": f"add {ADDED} films, s"}
    figure, axes = pyplot.subplots(1, 3, figsize=(9, 2.6), layout="constrained")
    for axis, (name, title) in zip(axes, names.items(), strict=True):
        axis.plot(sizes, [one[name] for one in found], "o-")
        axis.set(xscale="log", yscale="log", title=title, xlabel="films")
        axis.grid(alpha=0.3)
    figure.savefig(folder / "growth.svg", metadata={"Date": None})


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--sizes", type=int, nargs="+", default=[1_000, 10_000, 100_000])
    options.add_argument("--files", type=int, default=100_000)
    options.add_argument("--plots", type=Path)
    asked = options.parse_args()
    print(machine())
    found = []
    for size in asked.sizes:
        found.append(grown(size))
        print(f"{size:>9,} films: " + ", ".join(f"{name} {value:.3g}" for name, value in found[-1].items()), flush=True)
    if asked.files:
        print(f"{asked.files:,} files unchanged: {again(asked.files):.2f} s")
    if asked.plots:
        plot(asked.sizes, found, asked.plots)


if __name__ == "__main__":
    main()
