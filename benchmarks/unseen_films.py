"""What a model finds on real films of other patients and another origin, beside guesses that see less, as Markdown.

    python benchmarks/unseen_films.py assets/filmroom-mini --data DIR [--previous MODEL] [--flatters DIR] [--probe]
        [--write assets/filmroom-mini/measured.json]

DIR holds `manifest.csv`, `images/` and `eval/` with `queries.tsv`, `qrels.txt` (positives) and, where present,
`qrels_abnormal.txt` (films with some finding alone: telling normal from abnormal earns nothing there). Findings and
views are told apart, because views are easy and lift a mean. Intervals are 95 % bootstrap intervals: of nDCG over
queries, of AUC over patients. `--flatters` names a second folder whose classes differ in views and greys.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from blind_guesses import grey_statistics, imagenet_features, probe_scores, train_films
from filmroom.db.records import Tags
from filmroom.indexer.decoding.radiograph import Radiograph
from filmroom.indexer.models.exported.onnx import OnnxTowers
from filmroom.indexer.models.measured import FindingMeasured, ModelMeasured
from filmroom.indexer.training.ranking import ndcg
from filmroom.search.evaluation.statistics import Interval, auc_interval, bootstrap_mean
from model_card import Dev, _grades, film_vectors, read_dev, text_scores
from numpy.typing import NDArray
from PIL import Image

F32 = NDArray[np.float32]
FINDINGS = (
    "atelectasis", "cardiomegaly", "consolidation", "edema", "effusion", "emphysema", "fibrosis", "infiltration",
    "mass", "nodule", "pleural thickening", "pneumonia", "pneumothorax",
)  # fmt: skip
Score = Callable[[str, str], F32]
"""(query's label, its text) -> a score for each film of the split."""


def label_of(qid: str) -> str:
    """Return `pleural thickening` for `pleural-thickening.2`."""
    return qid.rpartition(".")[0].replace("-", " ")


def scores_by_query(dev: Dev, score: Score) -> dict[str, F32]:
    """Ask every query once."""
    return {qid: score(label_of(qid), text) for qid, text in dev.queries}


def ndcg_of(dev: Dev, scores: dict[str, F32], grades: dict[str, dict[str, int]], *, judged: bool) -> dict[str, float]:
    """Return nDCG@5 by query; with `judged`, films without a grade are left out of the ranking."""
    values = {}
    names = [row["image_id"] for row in dev.rows]
    for qid, row in scores.items():
        known = grades.get(qid, {})
        keep = [n for n, name in enumerate(names) if not judged or name in known]
        wanted = np.array([known.get(names[n], 0) for n in keep], np.float32)
        if wanted.any():
            values[qid] = ndcg(row[keep], wanted)
    return values


def part(values: dict[str, float], wanted: Callable[[str], bool]) -> Interval:
    """Return the mean over the queries whose label is wanted."""
    return bootstrap_mean([value for qid, value in values.items() if wanted(label_of(qid))])


def truth_of(dev: Dev, finding: str) -> NDArray[np.bool_]:
    """Return (films,) whether the finding is among the labels."""
    return np.array([finding in row["labels"].split("|") for row in dev.rows])


def aucs(dev: Dev, score: Score, rows: Sequence[int] | None = None) -> dict[str, Interval]:
    """Return the AUC of each finding's bare name, over the NIH films among `rows`; five with it at least."""
    # Films of other collections are labelled with the disease alone: nobody knows whether they lack a finding.
    rows = [n for n in (range(len(dev.rows)) if rows is None else rows) if dev.rows[n]["source"] == "nih"]
    texts = {label_of(qid): text for qid, text in dev.queries if qid.endswith(".0")}
    patients = [dev.rows[n]["patient_id"] for n in rows]
    values = {}
    for finding in FINDINGS:
        truth = truth_of(dev, finding)[rows]
        if finding in texts and truth.sum() >= 5 and not truth.all():
            values[finding] = auc_interval(score(finding, texts[finding])[rows], truth, groups=patients)
    return values


def mean_auc(values: dict[str, Interval]) -> float:
    """Return the mean over the findings, NaN for none."""
    return float(np.mean([value.value for value in values.values()])) if values else float("nan")


def pointing(towers: OnnxTowers, data: Path, dev: Dev) -> tuple[Interval, Interval, Interval, Interval]:
    """Return hits of the heat map, of one point a finding chosen with the boxes in sight, of the centre, and the heat
    map's without the heart. One pair a film and finding with boxes."""
    pairs: list[tuple[str, tuple[float, float], NDArray[np.bool_]]] = []
    texts = {label_of(qid): text for qid, text in dev.queries if qid.endswith(".0")}
    for row in dev.rows:
        boxes = json.loads(row["boxes"]) if row["boxes"] else []
        if not boxes:
            continue
        with Image.open(data / "images" / "dev" / f"{row['image_id']}.jpg") as picture:
            film = Radiograph(np.asarray(picture.convert("L"), np.float32) / np.float32(255), Tags())
        patches = towers.patch_vectors(film)
        height, width = film.pixels.shape
        for finding in sorted({box["label"] for box in boxes} & set(texts)):
            heat = patches @ towers.embed_texts([texts[finding]])[0]
            down, across = np.unravel_index(int(heat.argmax()), heat.shape)
            side, cells = max(height, width), len(heat)
            point = (
                ((float(across) + 0.5) / cells * side - (side - width) / 2) / width,
                ((float(down) + 0.5) / cells * side - (side - height) / 2) / height,
            )
            mask = np.zeros((64, 64), bool)
            for box in (b for b in boxes if b["label"] == finding):
                top, left = box["y"] / height * 64, box["x"] / width * 64
                mask[
                    int(top) : int(np.ceil(top + box["h"] / height * 64)),
                    int(left) : int(np.ceil(left + box["w"] / width * 64)),
                ] = True
            pairs.append((finding, point, mask))

    def hit(mask: NDArray[np.bool_], x: float, y: float) -> float:
        return float(0 <= x < 1 and 0 <= y < 1 and mask[int(y * 64), int(x * 64)])

    best = {f: np.sum([m for g, _, m in pairs if g == f], axis=0).argmax() for f in {p[0] for p in pairs}}
    maps = [hit(m, *at) for _, at, m in pairs]
    fixed = [float(m.flat[best[f]]) for f, _, m in pairs]
    middle = [hit(m, 0.5, 0.5) for _, _, m in pairs]
    rest = [h for h, (f, _, _) in zip(maps, pairs, strict=True) if f != "cardiomegaly"]
    return bootstrap_mean(maps), bootstrap_mean(fixed), bootstrap_mean(middle), bootstrap_mean(rest)


def strata(dev: Dev) -> dict[str, list[int]]:
    """Return film numbers by sex, age and view."""
    kinds: dict[str, list[int]] = {}
    for n, row in enumerate(dev.rows):
        names = [f"sex {row['sex']}" if row["sex"] else "", f"view {row['view'][:2]}" if row["view"] else ""]
        if row["age"]:
            names.append("age under 60" if float(row["age"]) < 60 else "age 60 and over")
        for name in filter(None, names):
            kinds.setdefault(name, []).append(n)
    return dict(sorted(kinds.items()))


def print_table(data: Path, dev: Dev, systems: dict[str, Score]) -> None:
    """One line a system: findings, findings among abnormal films, normal, views, mean AUC."""
    path = data / "eval" / "qrels_abnormal.txt"
    abnormal = _grades(path) if path.is_file() else {}
    print("\n| system | nDCG@5 findings | among films with a finding | normal | views | mean AUC |")
    print("| --- | --- | --- | --- | --- | --- |")
    for name, score in systems.items():
        asked = scores_by_query(dev, score)
        everything = ndcg_of(dev, asked, dev.all, judged=False)
        some = ndcg_of(dev, asked, abnormal, judged=True)
        cells = [part(everything, lambda q: q in FINDINGS), part(some, lambda q: q in FINDINGS)]
        cells += [part(everything, lambda q: q == "no finding"), part(everything, lambda q: q.startswith("view"))]
        shown = [str(cell) if cell.n else "-" for cell in cells]
        print(f"| {name} | {' | '.join(shown)} | {mean_auc(aucs(dev, score)):.3f} |", flush=True)


def print_findings(dev: Dev, systems: dict[str, Score]) -> None:
    """AUC of each finding by system, and nDCG@5 of the first."""
    tables = {name: aucs(dev, score) for name, score in systems.items()}
    first = next(iter(systems))
    asked = ndcg_of(dev, scores_by_query(dev, systems[first]), dev.all, judged=False)
    print(f"\n| finding | films | nDCG@5 of {first} | {' | '.join(f'AUC of {name}' for name in tables)} |")
    print(f"| --- | ---: | --- |{' --- |' * len(tables)}")
    for finding in tables[first]:
        cells = [str(table.get(finding, "-")) for table in tables.values()]
        typed = " / ".join(f"{v:.2f}" for q, v in asked.items() if label_of(q) == finding)
        print(f"| {finding} | {int(truth_of(dev, finding).sum())} | {typed} | {' | '.join(cells)} |")


def write_measured(path: Path, towers: OnnxTowers, dev: Dev, score: Score) -> None:
    """Write what the search says of a model's findings: AUC of the bare name, mean nDCG@5 of the wordings."""
    asked = ndcg_of(dev, scores_by_query(dev, score), dev.all, judged=False)
    found = [
        FindingMeasured(
            finding,
            int(truth_of(dev, finding).sum()),
            round(auc.value, 3),
            round(auc.low, 3),
            round(auc.high, 3),
            round(float(np.mean([value for qid, value in asked.items() if label_of(qid) == finding])), 3),
        )
        for finding, auc in aucs(dev, score).items()
    ]
    sources = "/".join(sorted({row["source"].upper() for row in dev.rows}))
    data = f"{len(dev.rows)} {sources} films of patients that it was not taught with"
    content = ModelMeasured(towers.space.fingerprint, data, tuple(found)).to_json()
    path.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def words(towers: OnnxTowers, films: F32) -> Score:
    """Score films by a model's words, asked as search asks them."""
    return lambda _, text: text_scores(towers, films, [text])[0]


def random_order(dev: Dev) -> Score:
    """Score films by chance, anew for every text; one draw."""
    rng = np.random.default_rng(0)
    drawn = {text: rng.random(len(dev.rows)).astype(np.float32) for _, text in dev.queries}
    return lambda _, text: drawn[text]


def by_label(dev: Dev, scores: dict[str, F32]) -> Score:
    """Score films by a probe of the query's label; nothing where there is none, as for views."""
    nothing = np.zeros(len(dev.rows), np.float32)
    return lambda label, _: scores.get(label, nothing)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--flatters", type=Path, help="a set whose classes differ in more than findings")
    parser.add_argument("--previous", type=Path, help="another model folder to compare with")
    parser.add_argument("--probe", action="store_true", help="linear probes on frozen features and grey statistics too")
    parser.add_argument("--write", type=Path, help="write the figures that the search quotes: MODEL/measured.json")
    given = parser.parse_args()
    models = {given.model.name: OnnxTowers(given.model)}
    if given.previous:
        models["previous model"] = OnnxTowers(given.previous)
    for data in filter(None, (given.data, given.flatters)):
        dev = read_dev(data)
        systems = {name: words(towers, film_vectors(towers, data, dev)) for name, towers in models.items()}
        if given.write and data == given.data:
            write_measured(given.write, models[given.model.name], dev, systems[given.model.name])
        systems["random order"] = random_order(dev)
        if given.probe:
            train = train_films([given.data, *([given.flatters] if given.flatters else [])])
            for name, features in (
                ("17 grey statistics, probe", grey_statistics),
                ("the same of the tower's input", lambda films: grey_statistics(films, models[given.model.name])),
                ("ImageNet features, probe", imagenet_features),
            ):
                systems[name] = by_label(dev, probe_scores(train, data, dev, FINDINGS, features))
        print(f"\n### {data.name}, {len(dev.rows)} films" + (" (flatters)" if data == given.flatters else ""))
        print_table(data, dev, systems)
        print_findings(dev, {name: systems[name] for name in models})
        if data != given.data:
            continue
        print("\n| films | number | mean AUC |\n| --- | ---: | --- |")
        for name, rows in strata(dev).items():
            print(f"| {name} | {len(rows)} | {mean_auc(aucs(dev, systems[given.model.name], rows)):.3f} |")
        print("\n| pointing game | hits |\n| --- | --- |")
        for name, towers in models.items():
            heat, fixed, middle, rest = pointing(towers, data, dev)
            print(f"| {name} | {heat} |\n| {name}, without the heart | {rest} |", flush=True)
        print(f"| one point a finding, chosen with the boxes in sight | {fixed} |\n| centre | {middle} |")


if __name__ == "__main__":
    main()
