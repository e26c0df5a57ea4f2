"""What the checks find: copies of real films among films that look alike, and labels that were turned.

    python benchmarks/checks.py --data DIR [--films 40] [--most 250]
    python benchmarks/checks.py --labels ARCHIVE FINDING...

    python benchmarks/checks.py --made 100000 [--folder DIR]

The second turns 5 % of the labels of an archive in memory, ten times, and ranks the films by doubt.

The third measures how long each check takes, among made films with made labels, facts and grades.

DIR holds cxr-more (`images/dev`, `manifest.csv`). `films` of its films, each of another patient, are changed in seven
ways; the changed ones and `most` of the films are indexed with the bundled model into a folder that is deleted. A pair
is right where both are of one picture; intervals (95 %) are Wilson's, over changed films and over pairs found.
"""

from __future__ import annotations

import argparse
import csv
import io
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from filmroom.db.archive import Archive
from filmroom.db.reads.film_table import film_columns
from filmroom.db.records import Label
from filmroom.db.writes.annotations import Judgement, judge, label_values, put_labels
from filmroom.db.writes.query_sets import put_query_set
from filmroom.indexer.models.registry import DEFAULT_MODEL, load_towers
from filmroom.indexer.pipeline import Options, index
from filmroom.search.checks.labels import doubts, neighbours_of, patients_by_film
from filmroom.search.checks.near_duplicates import SURE_LIKENESS, candidates, near_duplicates
from filmroom.search.checks.neighbours import centred_vectors
from filmroom.search.classification.zero_shot import known_truth
from filmroom.search.evaluation.statistics import bootstrap_mean
from filmroom.search.searcher import Searcher
from filmroom.search.sources.read_sources import read_sources
from made import kept_archive, machine, made_vectors, whole
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


FINDINGS = ("effusion", "cardiomegaly", "pneumothorax", "atelectasis", "infiltration", "nodule", "mass", "pneumonia",
            "consolidation", "edema", "emphysema", "fibrosis", "pleural thickening", "hernia")  # fmt: skip
SHARES = (0.1, 0.03, 0.2, 0.005)
"""Of the films with a finding, in turn."""
CHECKS = (
    ("splits",), ("duplicates",), ("labels", "effusion"), ("labels",), ("slices", "effusion"), ("slices",),
    ("drift", "split:train", "split:test"), ("drift", "year:2004", "year:2005"), ("next", "effusion"),
    ("next", "--query-set", "made"), ("archive",),
)  # fmt: skip
_MEASURED = """
import resource, sys, time
begun = time.time()
from filmroom.cli import main
try:
    main()
finally:
    used = resource.getrusage(resource.RUSAGE_SELF)
    print(f"{used.ru_utime + used.ru_stime:.1f} {time.time() - begun:.1f} {used.ru_maxrss // 1024}", file=sys.stderr)
"""

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
    pairs = [(stems[pair.first], stems[pair.second], pair.likeness) for pair in near_duplicates(searcher)]
    right = [pair for pair in pairs if pair[0].split("~")[0] == pair[1].split("~")[0]]
    direct = {frozenset(pair): alike for *pair, alike in right}
    lines = ["| change | copies | found | recall | to drop |", "| --- | ---: | ---: | --- | ---: |"]
    for number, name in enumerate(CHANGES):
        copies = [stem for stem in stems.values() if stem.endswith(f"~{number}")]
        alike = [direct.get(frozenset((stem, stem.split("~")[0])), 0.0) for stem in copies]
        found, sure = sum(one > 0 for one in alike), sum(one >= SURE_LIKENESS for one in alike)
        lines.append(f"| {name} | {len(copies)} | {found} | {share(found, len(copies))} | {sure} |")
    lines.append(
        f"\nPrecision: {len(right)} of {len(pairs)} pairs, {share(len(right), len(pairs))}; {len(stems)} films."
    )
    return "\n".join(lines)


def turned_labels(searcher: Searcher, finding: str) -> str:
    """Turn 5 % of the labels in ten draws: precision at 50, and recall in the first 10 %."""
    vectors, patients = centred_vectors(searcher), patients_by_film(searcher.catalog)
    truth = known_truth((finding,), label_values(searcher.catalog), vectors.ids.tolist())
    known = np.flatnonzero(~np.isnan(truth))
    target = truth[known] > 0.5
    keys = np.array([patients[int(film)] for film in vectors.ids[known]])
    near = neighbours_of(vectors.rows[known], keys)
    precision, recall = [], []
    for seed in range(10):
        turned = np.random.default_rng(seed).permutation(len(target))[: round(0.05 * len(target))]
        given = target.copy()
        given[turned] ^= True
        order = np.argsort(-doubts(vectors.rows[known], given, keys, near).doubt, kind="stable")
        hit = np.isin(order, turned)
        precision.append(hit[:50].mean())
        recall.append(hit[: 2 * len(turned)].sum() / len(turned))
    return f"| {finding} ({target.sum()} of {len(target)}) | {bootstrap_mean(precision)} | {bootstrap_mean(recall)} |"


def checked_archive(folder: Path, count: int) -> Archive:
    """Make an archive of made films with all that checks look at but pictures: labels that go with the vectors, two
    sources, a split, makers, and grades of fifty films for each of twenty queries."""
    with whole(folder / f"{count}-films-to-check") as aside:
        if aside is not None:
            made = kept_archive(folder, count, 256, 1)
            made.catalog.close()
            shutil.copytree(made.folder, aside, dirs_exist_ok=True)
            archive = Archive.open(aside)
            rng = np.random.default_rng(3)
            rows = made_vectors(count, 256, seed=5)[:, 0]
            with archive.catalog.write() as connection:
                connection.exec_driver_sql("INSERT INTO root (id, path) VALUES (2, '/archive/other')")
                connection.exec_driver_sql("UPDATE file SET root_id = 2 WHERE id % 3 = 0")
                connection.exec_driver_sql("UPDATE film SET maker = CASE id % 4 WHEN 0 THEN 'GE' ELSE 'PHILIPS' END")
                connection.exec_driver_sql(
                    "INSERT INTO fact (film_id, name, value, source, overrides) SELECT id, 'split', "
                    "CASE WHEN id % 10 < 7 THEN 'train' ELSE 'test' END, 'made', 0 FROM film"
                )
            for at, finding in enumerate(FINDINGS):
                leaning = rows @ rng.normal(size=256).astype(np.float32) / 4 + rng.normal(size=count)
                least = np.quantile(leaning, 1 - SHARES[at % len(SHARES)])
                put_labels(archive.catalog, [(at, Label(finding, float(x > least))) for at, x in enumerate(leaning, 1)])
            queries = [f"{side} {finding}" for finding in FINDINGS[:10] for side in ("left", "right")]
            put_query_set(archive.catalog, "made", queries)
            for query in queries:
                for film in rng.choice(count, 50, replace=False).tolist():
                    judge(archive.catalog, Judgement(query, film + 1, "made", film % 4))
            archive.catalog.close()
    return Archive.open(folder / f"{count}-films-to-check")


def speed(folder: Path, count: int) -> None:
    """Print the seconds of processor time and by the clock, and the most memory, of each check; the thumbnails are not
    there, so that nothing is read of pictures. Each is a process of its own."""
    archive = checked_archive(folder, count)
    print(machine(), f"{count:,} made films, filmroom check ... --json")
    print("| check | processor, s | clock, s | memory, MB |")
    print("| --- | ---: | ---: | ---: |")
    for asked in CHECKS:
        command = [sys.executable, "-c", _MEASURED, "check", *asked, "--archive", str(archive.folder), "--json"]
        done = subprocess.run(command, check=False, capture_output=True, text=True)  # 1: there is something to look at
        if done.returncode not in (0, 1):
            raise SystemExit(done.stderr)
        spent, clock, most = done.stderr.split()[-3:]
        print(f"| {' '.join(asked)} | {spent} | {clock} | {most} |", flush=True)
    print(candidates_of_made(count))


def candidates_of_made(count: int) -> str:
    """Find the candidates among made vectors of 3,000 kinds: seconds of a processor."""
    rng = np.random.default_rng(0)
    lines = []
    for name, dim, opposite in (("vectors", 256, False), ("sketches", 400, True)):
        kinds = rng.normal(size=(3_000, dim)).astype(np.float32)
        rows = 0.8 * kinds[rng.integers(0, len(kinds), count)] + rng.normal(size=(count, dim)).astype(np.float32)
        rows /= np.linalg.norm(rows, axis=1, keepdims=True)
        begun = time.process_time()
        candidates(np.arange(1, count + 1), rows, opposite=opposite)
        lines.append(f"{count:,} {name}: {time.process_time() - begun:.1f} s of a processor")
    return "\n".join(lines)


def share(part: int, whole: int) -> str:
    if not whole:
        return "none"
    interval = binomtest(part, whole).proportion_ci(method="wilson")
    return f"{part / whole:.3f} [{interval.low:.3f}, {interval.high:.3f}]"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--labels", nargs="+", metavar=("ARCHIVE", "FINDING"))
    parser.add_argument("--films", type=int, default=40)
    parser.add_argument("--most", type=int, default=250)
    parser.add_argument("--made", type=int, metavar="FILMS")
    parser.add_argument("--folder", type=Path, help="where made archives are kept")
    asked = parser.parse_args()
    if asked.made:
        with tempfile.TemporaryDirectory() as place:
            speed(asked.folder or Path(place), asked.made)
        return
    if asked.labels:
        searcher = Searcher.open(Path(asked.labels[0]))
        for finding in asked.labels[1:]:
            print(turned_labels(searcher, finding))
        return
    if asked.data is None:
        parser.error("name --data DIR, --labels ARCHIVE FINDING..., or --made FILMS")
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place, "films")
        folder.mkdir()
        write_films(asked.data, folder, asked.films, asked.most)
        archive = Archive.create(Path(place, "archive"))
        sources = read_sources([str(folder)])
        index(archive, sources, load_towers(DEFAULT_MODEL), options=Options())
        print(report(Searcher.open(archive.folder)))


if __name__ == "__main__":
    main()
