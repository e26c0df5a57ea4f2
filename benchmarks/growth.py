"""What an archive costs as it grows: opening, asking, adding, indexing again unchanged, bytes a film.

    python benchmarks/growth.py [--sizes 1000 10000 100000 1000000] [--files 100000] [--folder DIR] [--plot FILE]

Archives of made vectors. `start` is a new process until its first answer (`filmroom search`). `add` is `filmroom index`
of 1,000 new small films with a tower that costs nothing, less the same run into an empty archive: what grows with the
archive is all that is seen. `again` is `filmroom index` of a folder of `--files` files that have not changed since.
`--folder` keeps the archives, of which copies are measured, for the next time.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from filmroom.db.archive import Archive
from filmroom.db.reads import spaces
from filmroom.db.records import Space
from filmroom.db.vector_index.index import VectorIndex
from filmroom.indexer.models.preprocess import Preprocess
from filmroom.indexer.models.registry import load_towers
from filmroom.indexer.pipeline import index
from filmroom.indexer.sources.folder import list_folder
from filmroom.search.status import status
from made import KEEPING, kept_archive, machine, made_archive, made_queries, median_ms
from numpy.typing import NDArray
from PIL import Image

SPACE = load_towers().space
SMALL = Preprocess(32, (0.5,), (0.5,))
ADDED = 1000


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


def grown(size: int, folder: Path, films: Path, alone: float) -> dict[str, float]:
    """`alone`: the seconds that indexing `films` takes in an empty archive."""
    kept = kept_archive(folder, size, SPACE.dim, SPACE.vectors)
    with tempfile.TemporaryDirectory() as place:
        archive = Archive.open(Path(shutil.copytree(kept.folder, Path(place) / "archive")))
        (held,) = spaces.spaces(archive.catalog)
        with archive.catalog.engine.connect() as connection:
            connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")
        catalog = archive.catalog.path.stat().st_size / size
        opened = seconds(lambda: VectorIndex.open(archive.catalog, held, archive.vectors))
        found = VectorIndex.open(archive.catalog, held, archive.vectors)
        queries = made_queries(16, SPACE.dim)
        query = median_ms(lambda n: found.search(queries[n % 16][None], 24), 9)
        started = min(seconds(lambda: ask(archive.folder)) for _ in range(3))
        told = seconds(lambda: status(archive.folder))
        added = seconds(lambda: index(archive, [films], NoTower())) - alone  # type: ignore[arg-type]
        return {"start s": started, "open s": opened, "query ms": query, "status s": told, "add s": added,
                "bytes a film": catalog}  # fmt: skip


def ask(archive: Path) -> None:
    command = [
        sys.executable,
        "-c",
        "from filmroom.cli import main; main()",
        "search",
        "pleural effusion",
        "--archive",
        str(archive),
    ]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, env=KEEPING)


def again(count: int) -> float:
    """Seconds for a folder of `count` files that is indexed already."""
    with tempfile.TemporaryDirectory() as place:
        films = Path(place) / "archive" / "films"
        for at in range(count):
            path = films / f"ward-{at % 100}" / f"{at}.dcm"
            if at < 100:
                path.parent.mkdir(parents=True)
            path.write_bytes(b"film")
        listed = [(one.path, one.size, one.mtime_ns) for one in list_folder(films)]
        archive = made_archive(Path(place) / "archive", count, SPACE, thumbnail=b"-", listed=listed)
        index(archive, [films], NoTower())  # type: ignore[arg-type]
        started = time.perf_counter()
        done = index(archive, [films], NoTower())  # type: ignore[arg-type]
        spent = time.perf_counter() - started
        assert done.counts.unchanged == count, done.counts
        return spent


def plot(sizes: list[int], found: list[dict[str, float]], path: Path) -> None:
    import matplotlib

    matplotlib.use("agg")
    from matplotlib import pyplot

    names = {
        "start s": "new process to first answer, s", "open s": "open the index, s", "query ms": "exact query, ms",
        "add s": f"add {ADDED:,} films, s", "status s": "status, s", "bytes a film": "catalog, bytes a film",
    }  # fmt: skip
    figure, axes = pyplot.subplots(2, 3, figsize=(10, 5), layout="constrained")
    for axis, (name, title) in zip(axes.flat, names.items(), strict=True):
        values = [one[name] for one in found]
        axis.plot(sizes, values, "o-")
        axis.set(xscale="log", title=title, xlabel="films")
        if name in ("open s", "query ms", "status s"):
            axis.set_yscale("log")
        else:  # hardly grow; what adding takes beyond an empty archive may be less than none
            axis.set_ylim(min(0, *values) * 1.2, max(values) * 1.2)
        axis.grid(alpha=0.3)
    figure.savefig(path, dpi=110)


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--sizes", type=int, nargs="+", default=[1_000, 10_000, 100_000])
    options.add_argument("--files", type=int, default=100_000)
    options.add_argument("--folder", type=Path)
    options.add_argument("--plot", type=Path)
    asked = options.parse_args()
    print(machine())
    with tempfile.TemporaryDirectory() as place:
        films = small_films(Path(place) / "more", ADDED)
        empty = Archive.create(Path(place) / "empty")
        alone = seconds(lambda: index(empty, [films], NoTower()))  # type: ignore[arg-type]
        print(f"{ADDED} films into an empty archive: {alone:.2f} s")
        found = []
        for size in asked.sizes:
            found.append(grown(size, asked.folder or Path(place), films, alone))
            told = ", ".join(f"{name} {value:.3g}" for name, value in found[-1].items())
            print(f"{size:>9,} films: {told}", flush=True)
    if asked.files:
        print(f"{asked.files:,} files unchanged: {again(asked.files):.2f} s")
    if asked.plot:
        plot(asked.sizes, found, asked.plot)


if __name__ == "__main__":
    main()
