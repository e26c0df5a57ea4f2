"""How well reports are read: present, denied and uncertain findings against what readers indexed and what was drawn.

    python benchmarks/report_reading.py --reports reports.jsonl --demo demo

`reports.jsonl` holds one report a line with `findings`, `impression` and `mesh` (Indiana University Chest X-ray
Collection, Kohli and Rosenman). MeSH lists what is there and not what is denied, and a sign is often indexed under
another heading: precision is a lower bound. `denied` counts reports that deny a finding, `wrong` those of them whose
MeSH has it. The reports of a demo archive are written from known findings, present and absent.
"""

from __future__ import annotations

import argparse
import csv
import json
from collections.abc import Iterable
from pathlib import Path

from filmroom.search.exchange.read_reports import assertions

_NOT_DRAWN = ("infiltration", "pneumonia", "scoliosis", "fracture", "granuloma")
# Finding, and the MeSH headings that stand for it.
_HEADINGS = {
    "effusion": ("pleural effusion",),
    "pneumothorax": ("pneumothorax", "hydropneumothorax"),
    "cardiomegaly": ("cardiomegaly",),
    "edema": ("pulmonary edema",),
    "atelectasis": ("pulmonary atelectasis",),
    "consolidation": ("consolidation",),
    "infiltration": ("infiltrate",),
    "pneumonia": ("pneumonia",),
    "emphysema": ("emphysema", "pulmonary emphysema", "pulmonary disease, chronic obstructive"),
    "nodule": ("nodule",),
    "mass": ("mass",),
    "hernia": ("hernia, hiatal",),
    "scoliosis": ("scoliosis",),
    "fracture": ("fractures, bone",),
    "granuloma": ("granuloma", "calcified granuloma", "granulomatous disease"),
}
_DRAWN = (*(name for name in _HEADINGS if name not in _NOT_DRAWN), "pacemaker", "chest tube")


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--reports", type=Path)
    options.add_argument("--demo", type=Path, help="What `filmroom demo` wrote.")
    chosen = options.parse_args()
    if chosen.reports:
        rows = [json.loads(line) for line in chosen.reports.read_text(encoding="utf-8").splitlines()]
        texts = [f"{row['findings']}\n{row['impression']}" for row in rows]
        present = [_indexed(row["mesh"]) for row in rows]
        _table(f"{len(rows):,} reports against MeSH", texts, present, _HEADINGS)
    if chosen.demo:
        labels: dict[str, set[str]] = {}
        for row in _rows(chosen.demo / "labels.csv"):
            labels.setdefault(row["film"], set()).update([row["label"]] if float(row["value"]) >= 0.5 else [])
        reports = {row["film"]: row["report"] for row in _rows(chosen.demo / "reports.csv")}
        _table(
            f"{len(reports):,} reports of phantoms", list(reports.values()), [labels[film] for film in reports], _DRAWN
        )


def _rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def _indexed(mesh: Iterable[str]) -> set[str]:
    heads = {term.split("/")[0].lower() for term in mesh}
    return {finding for finding, headings in _HEADINGS.items() if heads.intersection(headings)}


def _table(title: str, texts: list[str], present: list[set[str]], findings: Iterable[str]) -> None:
    read = [{(one.finding, one.assertion) for one in assertions(text)} for text in texts]
    print(f"\n{title}\n{'':16}  there  precision  recall  recall+uncertain  denied  wrong")
    for finding in findings:
        there = [finding in one for one in present]
        said = [(finding, "present") in one for one in read]
        open_ = [(finding, "uncertain") in one for one in read]
        denied = [(finding, "absent") in one and not a and not b for one, a, b in zip(read, said, open_, strict=True)]
        right = sum(a and b for a, b in zip(there, said, strict=True))
        either = sum(a and (b or c) for a, b, c in zip(there, said, open_, strict=True))
        wrong = sum(a and b for a, b in zip(there, denied, strict=True))
        print(
            f"{finding:16} {sum(there):6} {right / max(1, sum(said)):10.2f} {right / max(1, sum(there)):7.2f} "
            f"{either / max(1, sum(there)):17.2f} {sum(denied):7} {wrong:6}"
        )


if __name__ == "__main__":
    main()
