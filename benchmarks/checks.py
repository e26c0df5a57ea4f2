"""Are copies of real films found among films that look alike? Recall and precision of `filmroom check duplicates`.

    python benchmarks/checks.py --data DIR [--films 40] [--most 250]

DIR holds cxr-more (`images/dev`, `manifest.csv`). `films` of its films, each of another patient, are changed in seven
ways; the changed ones and `most` of the films are indexed with the bundled model into a folder that is deleted. A pair
is right where both are of one picture; intervals (95 %) are Wilson's, over changed films and over pairs found.
"""

from __future__ import annotations

import argparse
import csv
import io
import tempfile
from pathlib import Path

import numpy as np
from filmroom.db.archive import Archive
from filmroom.db.reads.film_table import film_columns
from filmroom.indexer.models.registry import DEFAULT_MODEL, load_towers
from filmroom.indexer.pipeline import Options, index
from filmroom.search.checks.near_duplicates import near_duplicates
from filmroom.search.index_sources import read_sources
from filmroom.search.searcher import Searcher
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from scipy.stats import binomtest

Grey = NDArray[np.uint8]


def resized(pixels: Grey) -> Grey:
    size = (int(pixels.shape[1] * 0.6), int(pixels.shape[0] * 0.6))
    return np.asarray(Image.fromarray(pixels).resize(size, Image.Resampling.BICUBIC))


def saved_again(pixels: Grey) -> Grey:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "JPEG", quality=40)
    return np.asarray(Image.open(file))


def windowed(pixels: Grey) -> Grey:
    low, high = np.percentile(pixels, (5, 95))
    share = np.clip((pixels - low) / max(1.0, high - low), 0, 1) ** 0.7
    return (255 * share).astype(np.uint8)


def cropped(pixels: Grey) -> Grey:
    """Cut 5 % off two sides."""
    return pixels[int(0.05 * pixels.shape[0]) :, : int(0.95 * pixels.shape[1])]


def annotated(pixels: Grey) -> Grey:
    picture = Image.fromarray(pixels)
    height, width = pixels.shape
    pen = ImageDraw.Draw(picture)
    pen.text((20, 20), "PORTABLE L 12:40", fill=255, font_size=28)
    pen.rectangle((0.3 * width, 0.4 * height, 0.5 * width, 0.55 * height), outline=255, width=3)
    pen.line((0.8 * width, 0.2 * height, 0.6 * width, 0.4 * height), fill=255, width=4)
    return np.asarray(picture)


CHANGES = {
    "resized to 60 %": resized,
    "saved again (JPEG 40)": saved_again,
    "windowed": windowed,
    "cropped by 5 %": cropped,
    "annotated": annotated,
    "inverted": lambda pixels: 255 - pixels,
    "all but inverted": lambda pixels: saved_again(annotated(windowed(cropped(resized(pixels))))),
}


def write_films(data: Path, folder: Path, films: int, most: int) -> None:
    """Write films and their changed copies; a file is named FILM, or FILM~number of the change."""
    with (data / "cxr-more" / "manifest.csv").open(newline="", encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if (row["split"], row["source"]) == ("dev", "nih")]
    rows = list({row["patient_id"]: row for row in rows}.values())[:most]
    for at, row in enumerate(rows):
        with Image.open(data / "cxr-more" / "images" / "dev" / f"{row['image_id']}.jpg") as picture:
            pixels = np.asarray(picture.convert("L"))
        Image.fromarray(pixels).save(folder / f"{row['image_id']}.png")
        for number, change in enumerate(CHANGES.values() if at < films else ()):
            Image.fromarray(np.ascontiguousarray(change(pixels))).save(folder / f"{row['image_id']}~{number}.png")


def report(searcher: Searcher) -> str:
    columns = film_columns(searcher.catalog, ["path"])
    stems = {film: Path(path).stem for film, path in zip(columns["id"], columns["path"], strict=True)}
    pairs = [(stems[pair.one], stems[pair.other]) for pair in near_duplicates(searcher)]
    right = [pair for pair in pairs if pair[0].split("~")[0] == pair[1].split("~")[0]]
    direct = {frozenset(pair) for pair in right}
    lines = ["| change | copies | found | recall |", "| --- | ---: | ---: | --- |"]
    for number, name in enumerate(CHANGES):
        copies = [stem for stem in stems.values() if stem.endswith(f"~{number}")]
        found = sum(frozenset((stem, stem.split("~")[0])) in direct for stem in copies)
        lines.append(f"| {name} | {len(copies)} | {found} | {share(found, len(copies))} |")
    lines.append(
        f"\nPrecision: {len(right)} of {len(pairs)} pairs, {share(len(right), len(pairs))}; {len(stems)} films."
    )
    return "\n".join(lines)


def share(part: int, whole: int) -> str:
    if not whole:
        return "none"
    interval = binomtest(part, whole).proportion_ci(method="wilson")
    return f"{part / whole:.3f} [{interval.low:.3f}, {interval.high:.3f}]"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--films", type=int, default=40)
    parser.add_argument("--most", type=int, default=250)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place, "films")
        folder.mkdir()
        write_films(asked.data, folder, asked.films, asked.most)
        archive = Archive.create(Path(place, "archive"))
        sources = read_sources([str(folder)], None, None, None, None, None, requests_per_second=None, credentials=None)
        index(archive, sources, load_towers(DEFAULT_MODEL), options=Options())
        print(report(Searcher.open(archive.folder)))


if __name__ == "__main__":
    main()
