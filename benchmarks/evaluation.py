"""Measures a model on real films and reports, and writes docs/evaluation.md.

    python benchmarks/evaluation.py --data DIR [--model NAME] [--out docs/evaluation.md]

DIR holds manifest.csv, images/dev, eval/ (queries, qrels) and reports.jsonl. The films are indexed into a temporary
archive; nothing of them is written anywhere else.
"""

from __future__ import annotations

import argparse
import csv
import json
import random
import tempfile
import time
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from filmroom.db.archive import Archive
from filmroom.indexer.models.base import Towers
from filmroom.indexer.models.registry import load_towers
from filmroom.indexer.pipeline import index
from filmroom.search.classification import saved_probes
from filmroom.search.classification.linear_probe import Kind
from filmroom.search.classification.zero_shot_archive import Screening, screen
from filmroom.search.evaluation.contamination import contamination
from filmroom.search.evaluation.evaluator import evaluate_questions
from filmroom.search.evaluation.grading import build_qrels, make_questions
from filmroom.search.evaluation.grounding import Grounding, ground, read_boxes
from filmroom.search.evaluation.metrics import Evaluation, evaluate
from filmroom.search.evaluation.statistics import Interval
from filmroom.search.evaluation.trec import Topic, read_qrels, read_queries
from filmroom.search.exchange.import_labels import import_labels
from filmroom.search.public_sets.open_i import read_open_i
from filmroom.search.query.concept_vector import query_vector
from filmroom.search.query.parser import parse
from filmroom.search.report_document import NOTICE, Table, markdown_table
from filmroom.search.searcher import Searcher

MEASURES = ("nDCG@5", "nDCG@10", "P@5", "AP", "Judged@5")
REPORTS = 600
OTHERS = "## Judged films bend the ranking"
"""The section that benchmarks/judged_films.py writes; it stays."""
NIH = (
    "atelectasis", "cardiomegaly", "effusion", "infiltration", "mass", "nodule", "pneumonia", "pneumothorax",
    "consolidation", "edema", "emphysema", "fibrosis", "pleural thickening", "hernia",
)  # fmt: skip
SHOWN = (10, 20, 50, 100)
FEWEST = 10
"""Films with a finding that a probe is measured of."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--model", default="filmroom-mini")
    parser.add_argument("--out", type=Path, default=Path("docs/evaluation.md"))
    args = parser.parse_args()
    started = time.monotonic()
    rows = [row for row in csv.DictReader((args.data / "manifest.csv").open()) if row["split"] == "dev"]
    towers = load_towers(args.model)
    with tempfile.TemporaryDirectory(prefix="filmroom-") as place:
        work = Path(place)
        archive = Archive.create(work / "archive")
        index(archive, [args.data / "images" / "dev"], towers)
        import_labels(archive.catalog, _labels(rows, work / "labels.csv"))
        searcher = Searcher.open(archive.folder)
        lines = _head(searcher, rows)
        lines += _retrieval(searcher, args.data / "eval")
        lines += _zero_shot(screen(searcher, ["nih14"]))
        lines += _probes(searcher, work / "labels.csv")
        lines += _grounding(ground(searcher, read_boxes(_boxes(rows, work / "boxes.csv"))))
    lines += _language(towers, args.data / "reports.jsonl")
    before = args.out.read_text(encoding="utf-8") if args.out.is_file() else ""
    _, heading, section = before.partition(f"\n{OTHERS}\n")
    lines += [heading.strip(), section] if heading else []
    args.out.write_text("\n".join(lines).rstrip() + "\n", encoding="utf-8")
    print(f"{args.out}: {time.monotonic() - started:.0f} s")


def _head(searcher: Searcher, rows: Sequence[dict[str, str]]) -> list[str]:
    space = searcher.held.space
    sources = {name: sum(row["source"] == name for row in rows) for name in sorted({row["source"] for row in rows})}
    patients = len({row["patient_id"] for row in rows})
    return [
        "# How good the bundled model is",
        "",
        str(contamination(space.model, "nih")),
        "",
        f"{NOTICE} Made by `benchmarks/evaluation.py`; model {space.model}, space `{space.fingerprint[:12]}` "
        f"({space.vectors} x {space.dim}).",
        "",
        f"The films are the development part of a set of public films: {len(rows)} films of {patients} patients ("
        + ", ".join(f"{name} {count}" for name, count in sources.items())
        + "), none of a patient of a training film. The films of NIH ChestX-ray14 were drawn from two classes, so that "
        "every abnormal one is also labelled pneumonia; its labels were mined from reports. The other two sources are "
        "labelled with the disease alone, look different, and were never trained on. Few films show most findings: "
        "read the intervals first. All intervals are 95 %. These films were also looked at while the model was made, "
        "and their two classes differ in grey scale: the figures flatter. The model card has those of films of "
        "another origin.",
        "",
    ]


def _retrieval(searcher: Searcher, folder: Path) -> list[str]:
    meta = {row["qid"]: row for row in csv.DictReader((folder / "queries_meta.tsv").open(), delimiter="\t")}

    def grouped(one: Topic) -> Topic:
        of = meta[one.qid]
        kind = "view" if of["label"].startswith("view:") else "finding"
        return Topic(one.qid, one.text, f"{kind}, {'as labelled' if of['kind'] == 'canonical' else 'in other words'}")

    questions = [grouped(one) for one in read_queries(folder / "queries.tsv")]
    everything = evaluate_questions(searcher, questions, read_qrels(folder / "qrels.txt"), measures=MEASURES)
    judged = evaluate_questions(
        searcher, questions, read_qrels(folder / "qrels_judged.txt"), measures=MEASURES, judged_only=True
    )
    settings = everything.evaluation.settings()
    return [
        "## Retrieval",
        "",
        f"{len(questions)} text queries: findings, diseases and views, each in three wordings. Measured with "
        f"{settings['tool']}, {settings['gain']} gain, ties: {settings['ties']}; intervals by bootstrap over queries. "
        "Over all films, a film that nobody judged for a query counts as a miss; over the judged films alone (the "
        "condensed list) it is left out. `prior` ranks by what is often relevant, whatever the query.",
        "",
        *markdown_table(_means("All films ranked", everything.evaluation), level=3),
        *markdown_table(_means("Judged films ranked", judged.evaluation), level=3),
        *markdown_table(_by_label(judged.evaluation, everything.evaluation, meta), level=3),
    ]


def _means(title: str, found: Evaluation) -> Table:
    rows = [("all", str(len(found.queries)), *(str(found.mean[name]) for name in MEASURES))]
    rows += [
        (group, str(values["AP"].n), *(str(values[name]) for name in MEASURES))
        for group, values in found.groups.items()
    ]
    rows += [
        (f"baseline: {name}", str(len(found.queries)), *(f"{values[one]:.3f}" for one in MEASURES))
        for name, values in found.baselines.items()
    ]
    return Table(title, ("queries", "n", *MEASURES), tuple(rows))


def _by_label(judged: Evaluation, everything: Evaluation, meta: dict[str, dict[str, str]]) -> Table:
    labels = dict.fromkeys(meta[qid]["label"] for qid in everything.queries)

    def mean(found: Evaluation, label: str) -> str:
        values = [scores["nDCG@5"] for qid, scores in found.queries.items() if meta[qid]["label"] == label]
        return f"{np.mean(values):.3f}"

    films = {row["label"]: row["positive"] for row in meta.values()}
    rows = [(label, films[label], mean(everything, label), mean(judged, label)) for label in labels]
    return Table(
        "nDCG@5 by label, mean of three wordings", ("label", "films", "all films", "judged films"), tuple(rows)
    )


def _zero_shot(found: Screening) -> list[str]:
    rows = [
        (one.measured.finding, str(one.measured.positives), str(one.measured.negatives), _area(one.measured.auc))
        for one in found.findings
        if one.measured.auc
    ]
    if found.mean is not None:
        rows.append(("mean, five films with it or more", "", "", f"{found.mean:.3f}"))
    return [
        "## Zero-shot classification",
        "",
        "The NIH films alone, where all 14 findings were looked for. The score is the mean similarity to prompts that "
        "say the finding minus that to prompts that deny it (`assets/prompts.toml`); nothing was fitted.",
        "",
        *markdown_table(Table("AUC by finding", ("finding", "with", "without", "AUC"), tuple(rows)), level=3),
    ]


def _probes(searcher: Searcher, table: Path) -> list[str]:
    labelled = saved_probes.labels_of_table(searcher.archive, table)
    often = [name for name, films in labelled.values.items() if sum(films.values()) >= FEWEST]
    found = saved_probes.learn(searcher, labelled, sorted(often))
    rows = []
    for report in found.reports:
        for kind in Kind:
            points = {point.films: point.auc for point in report.curve if point.kind is kind}
            cells = [f"{points[size].value:.3f}" if size in points else "" for size in SHOWN]
            held = f"{report.test_positives} of {report.test_films}"
            rows.append((report.name, held, kind.value, *cells, str(max(points)), _area(report.auc(kind))))
    head = ("finding", "held out with it", "head", *(f"{size} films" for size in SHOWN), "all films", "AUC with all")
    return [
        "## Data-efficient classification",
        "",
        "Heads on the stored vectors, learned from the NIH films of this development part alone and measured on "
        "patients held out of them (30 %). AUC; means of five draws. Findings of at least "
        f"{FEWEST} films.",
        "",
        *markdown_table(Table("Learning curves", head, tuple(rows)), level=3),
    ]


def _grounding(found: Grounding) -> list[str]:
    rows = [
        (one.name, str(one.n), str(one.pointing), *(f"{value:.3f}" for value in (one.random, one.centre, one.fixed)),
         str(one.energy))
        for one in found.rows
    ]  # fmt: skip
    head = ("finding", "n", "pointing game", "random", "centre", "best fixed point", "energy in the boxes")
    return [
        "## Grounding",
        "",
        f"Heat maps of the finding's name against the boxes of NIH ChestX-ray14: {found.rows[0].n} films, which is "
        "too few to tell a good map from a bad one. The fixed point was chosen on these very boxes; `random` is also "
        "the energy of an even map.",
        "",
        *markdown_table(Table("Heat maps and boxes", head, tuple(rows)), level=3),
    ]


def _language(towers: Towers, path: Path) -> list[str]:
    """Reports found by queries: the text tower alone."""
    texts = {}
    for line in path.read_text(encoding="utf-8").splitlines():
        record = json.loads(line)
        texts[record["report_id"]] = f"{record['findings']} {record['impression']}"
    documents = [one for one in read_open_i(path) if one.id in texts]
    documents = random.Random(0).sample(documents, min(REPORTS, len(documents)))
    questions = [one for one in make_questions(documents, at_least=10) if one.group != "view"]
    judged = build_qrels(questions, documents).qrels
    number = {one.id: at for at, one in enumerate(documents)}
    sentences = [_sentences(texts[one.id]) for one in documents]
    flat = list(dict.fromkeys(sentence for some in sentences for sentence in some))
    row = {sentence: at for at, sentence in enumerate(flat)}
    vectors = towers.embed_texts(flat)

    def rank(text: str, k: int | None, within: set[int] | None) -> list[tuple[int, float]]:
        scores = vectors @ query_vector(parse(text), towers.embed_texts)
        best = [max((float(scores[row[one]]) for one in some), default=-1.0) for some in sentences]
        return sorted(enumerate(best), key=lambda pair: -pair[1])[:k]

    grades = {qid: {number[name]: grade for name, grade in part.items()} for qid, part in judged.items()}
    found = evaluate(rank, questions, grades, films=range(len(documents)), measures=MEASURES)
    return [
        "## Language",
        "",
        f"The text tower alone: {len(found.queries)} queries made of the MeSH terms of {len(documents)} reports of the "
        "Indiana University collection (findings, sides, severities, places and denials), asked of the reports' "
        "sentences; a report ranks by its best sentence. Grades are of the MeSH terms (2 with all qualifiers, 1 "
        "without) and, for denials, of the text. No film takes part.",
        "",
        *markdown_table(_means("Reports found by their MeSH terms", found), level=3),
    ]


def _sentences(text: str) -> list[str]:
    return [part for part in (one.strip() for one in text.replace("\n", " ").split(". ")) if len(part) > 3]


def _labels(rows: Iterable[dict[str, str]], path: Path) -> Path:
    """The NIH films with each of the 14 findings stated present or absent; the others state nothing of them."""
    with path.open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerow(["film", "patient", "label", "value"])
        for row in rows:
            if row["source"] == "nih":
                there = set(row["labels"].split("|"))
                table.writerows((row["image_id"], row["patient_id"], name, int(name in there)) for name in NIH)
    return path


def _boxes(rows: Iterable[dict[str, str]], path: Path) -> Path:
    with path.open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerow(["film", "label", "x", "y", "w", "h"])
        for row in rows:
            for box in json.loads(row["boxes"] or "[]"):
                table.writerow([row["image_id"], *(box[name] for name in ("label", "x", "y", "w", "h"))])
    return path


def _area(found: Interval | None) -> str:
    if found is None:
        return ""
    return f"{found.value:.3f}" if np.isnan(found.low) else str(found)


if __name__ == "__main__":
    main()
