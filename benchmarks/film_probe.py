"""The film probe of `filmroom check archive`: train it, and measure what it finds on films that it has not seen.

    python benchmarks/film_probe.py --data DIR --others DIR
    python benchmarks/film_probe.py --train DIR --demo ARCHIVE --to film-probe.onnx

DIR holds cxr-more and cxr-real (`images/SPLIT`, `manifest.csv`), `--others` pictures and DICOM files that are no chest
films, ARCHIVE is one that `filmroom demo` made. Films of the dev parts, and all of the sources that nothing was trained
on, are turned and mirrored here. Intervals (95 %) are Wilson's over films.
"""

from __future__ import annotations

import argparse
import csv
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from filmroom.db.archive import Archive
from filmroom.db.reads.film_table import film_columns
from filmroom.db.thumbnails.reading import thumbnails
from filmroom.indexer.decoding.workers import thumbnail
from filmroom.search.checks.thumbnails.contradictions import LEAST_ODDS, NO_FRONTAL, SURE_FRONTAL
from filmroom.search.checks.thumbnails.film_probe import LIES, TURNS, Looks, look
from numpy.typing import NDArray
from PIL import Image
from scipy.stats import binomtest

F32 = NDArray[np.float32]
HELD_OUT = 12
"""Of a hundred patients, those whose films chose the thresholds."""


@dataclass(frozen=True)
class RealFilm:
    """A film of a manifest."""

    path: Path
    set: str
    split: str
    source: str
    patient: str
    view: str

    @property
    def trains(self) -> bool:
        """Whether its owner's terms let it train a model that ships; one is known to lie upside down."""
        free = self.set == "cxr-more" or self.source == "nih"
        return self.split == "train" and free and self.patient != "nih-03490"

    def pixels(self) -> F32:
        with Image.open(self.path) as picture:
            return np.asarray(picture.convert("L"), np.float32) / 255


def real_films(data: Path) -> list[RealFilm]:
    found = []
    for name in ("cxr-more", "cxr-real"):
        with (data / name / "manifest.csv").open(newline="", encoding="utf-8") as file:
            for row in csv.DictReader(file):
                path = data / name / "images" / row["split"] / f"{row['image_id']}.jpg"
                found.append(RealFilm(path, name, row["split"], row["source"], row["patient_id"], row["view"]))
    return found


def other_pictures(folder: Path) -> Iterator[F32]:
    """Read what is no chest film: pictures, and DICOM files whose pixels can be had."""
    import pydicom

    for path in sorted(folder.rglob("*")):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                if path.suffix == ".dcm":
                    array = pydicom.dcmread(path).pixel_array.astype(np.float32)
                    while array.ndim > 2:
                        array = array.mean(-1) if array.shape[-1] in (3, 4) else array[0]
                else:
                    array = np.asarray(Image.open(path).convert("L"), np.float32)
            except Exception:  # no picture, or none that can be read here
                continue
        if min(array.shape) >= 24 and np.ptp(array) > 0:
            yield (array - array.min()) / np.ptp(array)


def seen(pictures: list[F32]) -> Looks:
    scores = np.stack([look(thumbnail(np.ascontiguousarray(one))) for one in pictures]).astype(np.float32)
    scores = scores.reshape(-1, 2, TURNS)
    turn, each = scores[:, 0].argmax(axis=1), np.arange(len(scores))
    return Looks(turn, scores[each, 0, turn] - scores[:, 0, 0], scores[each, 1, turn])


def share(hit: Any) -> str:
    part, whole = int(np.sum(hit)), len(hit)
    interval = binomtest(part, whole).proportion_ci(method="wilson")
    return f"{part} of {whole}: {part / whole:.3f} [{interval.low:.3f}, {interval.high:.3f}]"


CHANGES: dict[str, Callable[[F32], F32]] = {
    "as it is": lambda one: one,
    "upside down": lambda one: np.rot90(one, 2),
    "turned left": lambda one: np.rot90(one, 1),
    "turned right": lambda one: np.rot90(one, 3),
    "mirrored": lambda one: one[:, ::-1],
}


def measure(data: Path, others: Path | None) -> None:
    films = real_films(data)
    groups = {
        "NIH dev": [one for one in films if one.split == "dev" and one.source == "nih"],
        "other sources": [
            one for one in films if one.source in ("covid", "figure1") and one.view not in ("", "LATERAL")
        ],
    }
    for name, some in groups.items():
        pictures = [one.pixels() for one in some]
        for change, turned in CHANGES.items():
            found = seen([turned(one) for one in pictures])
            wrong = (found.turn > 0) & (found.odds >= LEAST_ODDS) & (found.frontal >= NO_FRONTAL)
            mirrored = wrong & np.array([LIES[turn] == "mirrored" for turn in found.turn.tolist()])
            print(f"{name}, {change}: mirrored {share(mirrored)}; turned {share(wrong & ~mirrored)}")
            if change == "as it is":
                print(f"{name}, {change}: no frontal {share(found.frontal < NO_FRONTAL)}")
                print(f"{name}, {change}: sure frontal {share(found.frontal >= SURE_FRONTAL)}")
    lateral = seen([one.pixels() for one in films if one.view == "LATERAL"])
    print(f"lateral films: no frontal {share(lateral.frontal < NO_FRONTAL)}")
    print(f"lateral films: sure frontal {share(lateral.frontal >= SURE_FRONTAL)}")
    if others is not None:
        print(f"no chest films: no frontal {share(seen(list(other_pictures(others))).frontal < NO_FRONTAL)}")


def phantoms(archive: Path, *, lateral: bool) -> list[bytes]:
    """Give the thumbnails of half of the patients of a demo archive."""
    catalog = Archive.open(archive).catalog
    columns = film_columns(catalog, ["view", "patient_key"])
    rows = zip(columns["id"], columns["view"], columns["patient_key"], strict=True)
    wanted = [film for film, view, key in rows if view and (view == "LL") == lateral and _percent(str(key)) < 50]
    return list(thumbnails(catalog, wanted).values())


def _percent(text: str) -> int:
    import hashlib

    return int(hashlib.sha1(text.encode()).hexdigest(), 16) % 100


def train(data: Path, demo: Path, to: Path) -> None:
    from film_probe_training import export, fit

    films = [one for one in real_films(data) if one.trains and _percent(one.patient) >= HELD_OUT]
    frontal = [thumbnail(one.pixels()) for one in films] + phantoms(demo, lateral=False)
    export(fit(frontal, phantoms(demo, lateral=True)), to)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--others", type=Path)
    parser.add_argument("--train", type=Path, metavar="DIR")
    parser.add_argument("--demo", type=Path, metavar="ARCHIVE")
    parser.add_argument("--to", type=Path, metavar="FILE")
    asked = parser.parse_args()
    if asked.train and asked.demo and asked.to:
        train(asked.train, asked.demo, asked.to)
    elif asked.data:
        measure(asked.data, asked.others)
    else:
        parser.error("name --data DIR, or --train DIR, --demo ARCHIVE and --to FILE")


if __name__ == "__main__":
    main()
