"""How many labels does `filmroom check next` save? Simulated on films whose labels are all known.

    python benchmarks/judging_order.py ARCHIVE effusion cardiomegaly pneumothorax

Hides the labels of an archive, gives them back in the order of `check next`, by rank (as a pool is made) and at random,
from ten random ones on, and measures the AUC of a probe on a third of the patients.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from filmroom.db.records import Space
from filmroom.db.writes.annotations import label_values
from filmroom.search.checks.labels import patients_by_film
from filmroom.search.checks.neighbours import centred_vectors
from filmroom.search.checks.next_films import PENALTY, unsure
from filmroom.search.classification.linear_probe import fit_head
from filmroom.search.classification.zero_shot import known_truth
from filmroom.search.evaluation.statistics import auc, bootstrap_mean
from filmroom.search.searcher import Searcher
from numpy.typing import NDArray
from scipy.stats import rankdata

F64 = NDArray[np.float64]
ORDERS = ("check next", "by rank", "at random")
DRAWS = 6


def curve(rows: NDArray[np.float32], truth: F64, prior: F64, test: NDArray[np.bool_], order: str, seed: int) -> F64:
    """Give the AUC on the test films after 10, 20, 40, 80 and 160 labels."""
    rng = np.random.default_rng(seed)
    pool = np.flatnonzero(~test)
    known = np.full(len(rows), np.nan)
    known[pool[rng.permutation(len(pool))[:10]]] = 0
    known[~np.isnan(known)] = truth[~np.isnan(known)]
    by_rank = pool[np.argsort(-prior[pool], kind="stable")]
    by_chance = pool[rng.permutation(len(pool))]
    found = []
    for most in (10, 20, 40, 80, 160):
        while (left := most - int((~np.isnan(known)).sum())) > 0:
            if order == "check next":
                chosen = pool[unsure(rows[pool], known[pool], prior[pool], min(10, left)).rows]
            else:
                some = by_rank if order == "by rank" else by_chance
                chosen = some[np.isnan(known[some])][:left]
            known[chosen] = truth[chosen]
        found.append(_auc(rows, known, truth, test))
    return np.array(found)


def _auc(rows: NDArray[np.float32], known: F64, truth: F64, test: NDArray[np.bool_]) -> float:
    given = np.flatnonzero(~np.isnan(known))
    if known[given].all() or not known[given].any():
        return 0.5
    space = Space("", "", rows.shape[1])
    head = fit_head(rows[given], known[given], name="next", space=space, penalty=PENALTY)
    return auc(head.probabilities(rows[test]), truth[test])


def report_labels(searcher: Searcher, findings: list[str]) -> None:
    vectors, patients = centred_vectors(searcher), patients_by_film(searcher.catalog)
    keys = np.array([patients[int(film)] for film in vectors.ids])
    labels = label_values(searcher.catalog)
    for finding in findings:
        truth = known_truth((finding,), labels, vectors.ids.tolist())
        some = np.flatnonzero(~np.isnan(truth))
        scores = dict(searcher.rank(finding))
        prior = rankdata([scores.get(int(film), -1.0) for film in vectors.ids[some]]) / len(some)
        for order in ORDERS:
            curves = []
            for seed in range(DRAWS):
                every = np.unique(keys[some])
                apart = np.random.default_rng(seed).permutation(every)[: len(every) // 3]
                test = np.isin(keys[some], apart)
                curves.append(curve(vectors.rows[some], truth[some], prior, test, order, seed))
            told = "; ".join(str(bootstrap_mean(column)) for column in np.array(curves).T)
            print(f"{finding}, {order}: {told}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("archive", type=Path)
    parser.add_argument("findings", nargs="+")
    asked = parser.parse_args()
    report_labels(Searcher.open(asked.archive), asked.findings)


if __name__ == "__main__":
    main()
