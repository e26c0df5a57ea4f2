"""How well words burned into a film are noticed: phantoms and real films, as they are and with words drawn on them.

    python benchmarks/burned_in.py [--data DIR]

Prints Markdown tables: of phantoms, and of the films in DIR (`images/dev`). Nothing is written.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
from filmroom.indexer.decoding.burned_in_text import looks_written
from filmroom.indexer.decoding.decode import decode
from filmroom.indexer.phantom import render, sample
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

Pixels = NDArray[np.float32]
WORDS = ("DOE^JANE 03.04.1961", "PAT 12345678", "MUSTERMANN ERIKA", "ST ELSEWHERE 14:05", "AP PORTABLE", "SUPINE")
HEIGHTS = (0.012, 0.016, 0.02, 0.03, 0.05, 0.08)
INKS = {"white": (1.0, None), "light grey": (0.75, None), "black on white": (0.0, 1.0)}


def written(film: Pixels, words: str, *, height: float, ink: str, seed: int) -> Pixels:
    """The film with a line of words, `height` of its longer side, somewhere along its top or its bottom."""
    rng = np.random.default_rng(seed)
    grey, ground = INKS[ink]
    rows, columns = film.shape
    font = ImageFont.load_default(max(6.0, height * max(film.shape)))
    left, top, right, bottom = (round(edge) for edge in font.getbbox(words))
    size = min(right - left + 4, columns), bottom - top + 4
    stamp = Image.new("L", size)
    ImageDraw.Draw(stamp).text((2 - left, 2 - top), words, fill=255, font=font)
    mask = np.asarray(stamp, np.float32) / 255
    y = int(rng.uniform(0.01, 0.06) * rows)
    y = rows - size[1] - y if rng.random() < 0.5 else y
    x = int(rng.uniform(0, columns - size[0]))
    out = film.copy()
    under = out[y : y + size[1], x : x + size[0]]
    paper = under if ground is None else np.full_like(under, ground)
    out[y : y + size[1], x : x + size[0]] = paper * (1 - mask) + grey * mask
    return out


def phantoms(count: int) -> Iterator[Pixels]:
    """Of all sizes that films of today have, from a thumbnail's to a detector's."""
    for seed in range(count):
        yield render(sample(seed), (512, 1024, 2048)[seed % 3])


def real_films(folder: Path) -> Iterator[Pixels]:
    for path in sorted(folder.iterdir()):
        (film,) = decode(path)
        yield film.pixels


def share(films: Iterable[Pixels]) -> str:
    seen = [looks_written(film) for film in films]
    return f"{sum(seen)} of {len(seen)} ({100 * np.mean(seen):.0f} %)"


def table(name: str, films: list[Pixels]) -> None:
    print(f"\n| {name}, {len(films)} films | flagged |\n| --- | --- |")
    print(f"| as they are | {share(films)} |")
    clean = [film for film in films if not looks_written(film)]
    for ink in INKS:
        for height in HEIGHTS:
            drawn = (
                written(film, WORDS[at % len(WORDS)], height=height, ink=ink, seed=at) for at, film in enumerate(clean)
            )
            print(f"| one line, {ink}, {100 * height:g} % of the longer side | {share(drawn)} |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, metavar="DIR")
    data = parser.parse_args().data
    table("Phantoms", list(phantoms(60)))
    if data is not None:
        table("Real films", list(real_films(data / "images" / "dev")))


if __name__ == "__main__":
    main()
