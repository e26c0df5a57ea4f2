"""The measured part of a model's card, as Markdown: real and synthetic films, zero-shot, and comparisons.

    python benchmarks/model_card.py assets/filmroom-mini --data DIR [--previous MODEL] [--phantoms 480]

DIR holds `manifest.csv`, `images/` and `eval/`. Intervals are 95 % bootstrap intervals over queries (nDCG) or over
patients (AUC). nDCG@5 with linear gains, ties in the order of the files. `judged`: only films judged for the query are
ranked; `all`: every film is, and a film that is not judged counts as a miss.
"""

from __future__ import annotations

import argparse
import csv
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from filmroom.db.records import Tags
from filmroom.indexer.decoding.radiograph import Radiograph
from filmroom.indexer.models.exported.onnx import OnnxTowers
from filmroom.indexer.phantom import Phantom, render, sample
from filmroom.indexer.phantom.judge import grade, read_queries
from filmroom.indexer.training.ranking import ndcg
from filmroom.search.evaluation.statistics import auc_interval, bootstrap_mean
from filmroom.search.query.concept_vector import query_vector
from filmroom.search.query.parser import parse
from numpy.typing import NDArray
from PIL import Image

F32 = NDArray[np.float32]
FIRST_PHANTOM = 900000
_FINDINGS = ("edema", "effusion", "pneumonia", "atelectasis", "infiltration", "consolidation", "cardiomegaly",
             "mass", "nodule", "pleural thickening")  # fmt: skip


@dataclass(frozen=True)
class Dev:
    """The development films: manifest rows, queries, and grades by query and film for both kinds of judgement."""

    rows: list[dict[str, str]]
    queries: list[tuple[str, str]]
    all: dict[str, dict[str, int]]
    judged: dict[str, dict[str, int]]


def read_dev(data: Path) -> Dev:
    with (data / "manifest.csv").open(encoding="utf-8", newline="") as file:
        rows = [r for r in csv.DictReader(file) if r["split"] == "dev"]
    lines = (data / "eval" / "queries.tsv").read_text(encoding="utf-8").splitlines()
    queries = [(qid, text) for qid, text in (line.split("\t") for line in lines)]
    return Dev(rows, queries, _grades(data / "eval" / "qrels.txt"), _grades(data / "eval" / "qrels_judged.txt"))


def _grades(path: Path) -> dict[str, dict[str, int]]:
    found: dict[str, dict[str, int]] = defaultdict(dict)
    for line in path.read_text(encoding="utf-8").splitlines():
        qid, _, film, graded = line.split()
        found[qid][film] = int(graded)
    return found


def film_vectors(towers: OnnxTowers, data: Path, dev: Dev) -> F32:
    """(films, D)."""
    parts = []
    for start in range(0, len(dev.rows), 16):
        batch = []
        for row in dev.rows[start : start + 16]:
            with Image.open(data / "images" / "dev" / f"{row['image_id']}.jpg") as picture:
                batch.append(Radiograph(np.asarray(picture.convert("L"), np.float32) / np.float32(255), Tags()))
        parts.append(towers.embed_images(batch)[:, 0])
    return np.concatenate(parts)


def text_scores(towers: OnnxTowers, films: F32, texts: list[str]) -> F32:
    """(texts, films), each text asked as search asks it: what it denies as a pair."""
    vectors = [query_vector(parse(text), towers.embed_texts, towers.facts.prompt) for text in texts]
    return np.stack(vectors) @ films.T


def per_query(scores: F32, dev: Dev, *, judged: bool, source: str | None = None) -> dict[str, float]:
    """nDCG@5 by query; with `source`, over its films only. Queries with nothing to find are left out."""
    found = {}
    for row, (qid, _) in zip(scores, dev.queries, strict=True):
        grades = (dev.judged if judged else dev.all)[qid]
        keep = [
            n for n, film in enumerate(dev.rows)
            if (not judged or film["image_id"] in grades) and source in (None, film["source"])
        ]  # fmt: skip
        wanted = np.array([grades.get(dev.rows[n]["image_id"], 0) for n in keep], np.float32)
        if wanted.any():
            found[qid] = ndcg(row[keep], wanted)
    return found


def mean(found: dict[str, float]) -> str:
    return str(bootstrap_mean(list(found.values())))


def random_order(dev: Dev, *, judged: bool, draws: int = 200) -> dict[str, float]:
    rng = np.random.default_rng(0)
    shape = (len(dev.queries), len(dev.rows))
    runs = [per_query(rng.random(shape).astype(np.float32), dev, judged=judged) for _ in range(draws)]
    return {qid: float(np.mean([run[qid] for run in runs])) for qid in runs[0]}


def print_dev(scores: F32, dev: Dev) -> None:
    judged, everything = (per_query(scores, dev, judged=judged) for judged in (True, False))
    nih = per_query(scores, dev, judged=True, source="nih")
    print("\n| real films, nDCG@5 | queries | judged films only | all films |\n| --- | ---: | --- | --- |")
    print(f"| all sources | {len(judged)} | {mean(judged)} | {mean(everything)} |")
    print(f"| NIH films alone | {len(nih)} | {mean(nih)} | |")
    print(
        f"| random order | {len(judged)} | {mean(random_order(dev, judged=True))} "
        f"| {mean(random_order(dev, judged=False))} |"
    )
    for ending, name in ((".0", "as typed"), (".1", "first paraphrase"), (".2", "second paraphrase")):
        some = [{q: v for q, v in found.items() if q.endswith(ending)} for found in (judged, everything)]
        print(f"| {name} | {len(some[0])} | {mean(some[0])} | {mean(some[1])} |")
    first = [
        dev.judged[qid].get(dev.rows[n]["image_id"])
        for row, (qid, _) in zip(scores, dev.queries, strict=True)
        for n in np.argsort(-row, kind="stable")[:5]
    ]
    hits, unknown = sum(bool(grade) for grade in first), first.count(None)
    print(
        f"\nAmong the first five of all films: {hits} asked for, {len(first) - hits - unknown} not, {unknown} unjudged."
    )
    print("\n| query | judged: typed / paraphrases | all: typed / paraphrases |\n| --- | --- | --- |")
    for label in dict.fromkeys(qid.rsplit(".", 1)[0] for qid, _ in dev.queries):
        cells = [" / ".join(f"{found[f'{label}.{n}']:.2f}" for n in range(3)) for found in (judged, everything)]
        print(f"| {label} | {cells[0]} | {cells[1]} |")


def print_zero_shot(towers: OnnxTowers, films: F32, dev: Dev) -> None:
    nih = [n for n, row in enumerate(dev.rows) if row["source"] == "nih"]
    patients = [dev.rows[n]["patient_id"] for n in nih]
    found = text_scores(towers, films[nih], list(_FINDINGS))
    denied = text_scores(towers, films[nih], [f"no {finding}" for finding in _FINDINGS])
    print(
        "\n| NIH films | with it | AUC of the bare name | AUC of `no ...` for films without |\n"
        "| --- | ---: | --- | --- |"
    )
    for finding, yes, no in zip(_FINDINGS, found, denied, strict=True):
        truth = np.array([finding in dev.rows[n]["labels"].split("|") for n in nih])
        cells = [str(auc_interval(s, t, groups=patients)) for s, t in ((yes, truth), (no, ~truth))]
        print(f"| {finding} | {truth.sum()} | {cells[0]} | {cells[1]} |")


def phantom_vectors(towers: OnnxTowers, phantoms: list[Phantom]) -> F32:
    """(phantoms, D)."""
    parts = [
        towers.embed_images([Radiograph(render(p, 384), Tags()) for p in phantoms[n : n + 16]])[:, 0]
        for n in range(0, len(phantoms), 16)
    ]
    return np.concatenate(parts)


def print_phantoms(towers: OnnxTowers, count: int) -> None:
    phantoms = [sample(FIRST_PHANTOM + n) for n in range(count)]
    films, queries = phantom_vectors(towers, phantoms), read_queries()
    scores = text_scores(towers, films, [query.text for query in queries])
    groups: dict[str, dict[str, float]] = defaultdict(dict)
    for row, query in zip(scores, queries, strict=True):
        grades = np.array([grade(p, query.want) for p in phantoms], np.float32)
        if grades.any():
            groups[query.group][query.qid] = ndcg(row, grades)
    print(f"\n| {count} synthetic films, nDCG@5 | queries | mean |\n| --- | ---: | --- |")
    for group, found in groups.items():
        print(f"| {group} | {len(found)} | {mean(found)} |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--previous", type=Path, help="another model folder to compare with")
    parser.add_argument("--phantoms", type=int, default=480)
    given = parser.parse_args()
    dev, towers = read_dev(given.data), OnnxTowers(given.model)
    films = film_vectors(towers, given.data, dev)
    texts = [text for _, text in dev.queries]
    print_dev(text_scores(towers, films, texts), dev)
    print_zero_shot(towers, films, dev)
    if given.phantoms:
        print_phantoms(towers, given.phantoms)
    if given.previous:
        other = OnnxTowers(given.previous)
        scores = text_scores(other, film_vectors(other, given.data, dev), texts)
        cells = [mean(per_query(scores, dev, judged=judged)) for judged in (True, False)]
        print(f"\n| previous bundled model | judged {cells[0]} | all {cells[1]} |\n| --- | --- | --- |")


if __name__ == "__main__":
    main()
