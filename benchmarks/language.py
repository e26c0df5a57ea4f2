"""How well a text tower understands reports: MeSH terms given by readers against the sentences of the reports.

    python benchmarks/language.py assets/filmroom-mini --reports reports.jsonl

`reports.jsonl` holds one report a line with `findings`, `impression` and `mesh` (Indiana University Chest X-ray
Collection, Kohli and Rosenman). A term is asked in plain words; a report scores the cosine of its nearest sentence.
AUC: reports with the term against those without; 95 % bootstrap intervals over reports. `named` ranks reports by
whether the words stand in them, which is what a search of words does: most findings are named to be denied. `denied`:
among the reports that name it, those with the term against those without.
"""

from __future__ import annotations

import argparse
import json
import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from filmroom.indexer.models.exported.onnx import OnnxTowers
from filmroom.search.evaluation.statistics import Interval, auc_interval
from numpy.typing import NDArray

F32 = NDArray[np.float32]
# MeSH heading, the words a person types, and the stem by which a report names it.
_TERMS = (
    ("normal", "normal chest x-ray", "normal"),
    ("pleural effusion", "pleural effusion", "effusion"),
    ("pneumothorax", "pneumothorax", "pneumothora"),
    ("cardiomegaly", "enlarged heart", "cardiomegaly|enlarged"),
    ("pulmonary edema", "pulmonary edema", "edema"),
    ("pulmonary atelectasis", "atelectasis", "atelecta"),
    ("consolidation", "consolidation", "consolidation"),
    ("infiltrate", "infiltrate", "infiltrate"),
    ("pneumonia", "pneumonia", "pneumonia"),
    ("opacity", "opacity", "opaci"),
    ("nodule", "lung nodule", "nodul"),
    ("mass", "lung mass", "mass"),
    ("emphysema", "emphysema", "emphysema"),
    ("calcified granuloma", "calcified granuloma", "granuloma"),
    ("fractures, bone", "rib fracture", "fracture"),
    ("scoliosis", "scoliosis", "scolio"),
    ("hernia, hiatal", "hiatal hernia", "hernia"),
    ("catheters, indwelling", "central venous catheter", "catheter"),
)


@dataclass(frozen=True)
class Report:
    sentences: tuple[str, ...]
    terms: frozenset[str]


def read(path: Path) -> list[Report]:
    found = []
    for line in path.read_text(encoding="utf-8").splitlines():
        said = json.loads(line)
        text = " ".join(said[part] for part in ("findings", "impression"))
        sentences = tuple(s.strip() for s in re.split(r"(?<=[.!?])\s+|\n", text) if len(s.strip()) > 3)
        terms = frozenset(term.split("/")[0].strip().lower() for term in said["mesh"])
        if sentences and terms:
            found.append(Report(sentences, terms))
    return found


def nearest(towers: OnnxTowers, reports: list[Report], queries: F32) -> F32:
    """(queries, reports): the cosine of each report's nearest sentence."""
    distinct = sorted({s for report in reports for s in report.sentences})
    vectors = np.concatenate([towers.embed_texts(distinct[n : n + 64]) for n in range(0, len(distinct), 64)])
    place = {sentence: n for n, sentence in enumerate(distinct)}
    scores = queries @ vectors.T
    return np.stack([scores[:, [place[s] for s in report.sentences]].max(axis=1) for report in reports], axis=1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("--reports", type=Path, required=True)
    given = parser.parse_args()
    towers, reports = OnnxTowers(given.model), read(given.reports)
    found = nearest(towers, reports, towers.embed_texts([words for _, words, _ in _TERMS]))
    print(f"| {len(reports)} reports: asked | with it | AUC | named | denied |\n| --- | ---: | --- | --- | --- |")
    means = []
    for scores, (term, words, stem) in zip(found, _TERMS, strict=True):
        truth = np.array([term in report.terms for report in reports])
        named = np.array([bool(re.search(stem, " ".join(report.sentences).lower())) for report in reports])
        cells = [auc_interval(s, truth) for s in (scores, named.astype(np.float32))]
        means.append([cell.value for cell in cells])
        print(f"| {words} | {truth.sum()} | {cells[0]} | {cells[1].value:.3f} | {_denied(scores, truth, named)} |")
    middle = np.mean(means, axis=0)
    print(f"| mean | | {middle[0]:.3f} | {middle[1]:.3f} | |")


def _denied(scores: F32, truth: NDArray[np.bool_], named: NDArray[np.bool_]) -> Interval | str:
    """AUC among the reports that name it; a dash where fewer than ten of them do not mean it."""
    if (truth & named).sum() < 5 or (~truth & named).sum() < 10:
        return "-"
    return auc_interval(scores[named], truth[named])


if __name__ == "__main__":
    main()
