"""How often do `filmroom check slices` and `check drift` find what is not there, and what was put there?

    python benchmarks/subgroups.py ARCHIVE FINDING... [--draws 15] [--only slices|drift]

ARCHIVE holds films with labels, patients and views. Slices: the patients are thrown at random into two and into six
groups, so that no slice is worse; the findings are measured, and asked for as queries (a labelled film is relevant).
Drift: sides that were thrown at random, and sides of so many films of as many patients with a share of PA films each.
Intervals (95 %) are Wilson's over the draws.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

import numpy as np
from filmroom.db.reads.films import select_ids
from filmroom.db.records import Filter
from filmroom.db.writes.annotations import label_values
from filmroom.search.checks.neighbours import centred_vectors
from filmroom.search.checks.subgroups.facts import MORE_FACTS, Groups, KnownFilms, known_films
from filmroom.search.checks.subgroups.figures import (
    ALPHA,
    SliceFigure,
    finding_slices,
    query_slices,
    threshold_of,
    worst_first,
)
from filmroom.search.checks.subgroups.moved_facts import moved_facts
from filmroom.search.checks.subgroups.ranking import RankedQuery
from filmroom.search.checks.subgroups.resampling import patient_weights
from filmroom.search.checks.subgroups.two_sample import permuted_sides, two_sample
from filmroom.search.classification.zero_shot import known_truth
from filmroom.search.searcher import Searcher
from numpy.typing import NDArray
from scipy.stats import binomtest

PLANTED = ((200, 0.5, 0.5), (200, 0.3, 0.7), (60, 0.1, 0.9))
"""Films a side, and the share of PA films of either side."""


def share(part: int, whole: int) -> str:
    interval = binomtest(part, whole).proportion_ci(method="wilson")
    return f"{part} of {whole}: {part / whole:.3f} [{interval.low:.3f}, {interval.high:.3f}]"


def thrown(films: KnownFilms, groups: int, rng: np.random.Generator) -> KnownFilms:
    """Throw the patients into so many groups, in place of all facts."""
    codes = rng.integers(groups, size=int(films.patients.max()) + 1)[films.patients]
    return replace(films, groups=(Groups("group", tuple("ABCDEF"[:groups]), codes),))


def slices(searcher: Searcher, findings: list[str], draws: int) -> None:
    films = known_films(searcher.catalog, select_ids(searcher.catalog, Filter()))
    labels, weights = label_values(searcher.catalog), patient_weights(int(films.patients.max()) + 1)
    asked: list[tuple[str, NDArray[np.float64], NDArray[np.float64]]] = []
    queries = []
    for finding in findings:
        truth = known_truth((finding,), labels, films.ids.tolist())
        by_film = dict(searcher.rank(finding))
        scores = np.array([by_film[film] for film in films.ids.tolist()])
        asked.append((finding, scores, truth))
        queries.append(RankedQuery(np.argsort(-scores, kind="stable"), np.nan_to_num(truth)))
    under, tests, named = 0, 0, 0
    for draw in range(draws):
        for groups in (2, 6):
            some = thrown(films, groups, np.random.default_rng([draw, groups]))
            figures: list[SliceFigure] = []
            for finding, scores, truth in asked:
                known = ~np.isnan(truth)
                threshold = threshold_of(scores[known], truth[known] > 0.5, None)
                figures += finding_slices(finding, scores, truth, some, weights, threshold=threshold)
            figures += query_slices("queries", queries, some)
            measured = [figure.p for figure in figures if not np.isnan(figure.p)]
            tests, under = tests + len(measured), under + sum(p < ALPHA for p in measured)
            named += any(figure.p < ALPHA for figure in worst_first(figures))
    print(f"slices, no difference: p before Holm under .05 in {under:,} of {tests:,} tests ({under / tests:.3f})")
    print(f"slices, no difference: tables that name one after Holm: {share(named, 2 * draws)}", flush=True)


def drift(searcher: Searcher, draws: int) -> None:
    vectors = centred_vectors(searcher)
    films = known_films(searcher.catalog, vectors.ids, MORE_FACTS)
    found, moved = 0, 0
    for draw in range(draws):
        second = np.random.default_rng(draw).random(int(films.patients.max()) + 1)[films.patients] < 0.5
        permuted = permuted_sides(second, films.patients)
        found += two_sample(vectors.rows, second, films.patients, permuted).p < ALPHA
        weights = patient_weights(int(films.patients.max()) + 1)
        facts = moved_facts(searcher.catalog, films, second, permuted, weights, but=frozenset())
        moved += any(fact.moved for fact in facts)
    print(f"drift, halves at random: found in {share(found, draws)}; a fact that moved in {share(moved, draws)}")
    view = next(groups for groups in films.groups if groups.fact == "view")
    first = np.unique(films.patients, return_index=True)[1]
    pa, other = (first[(view.codes[first] == view.names.index(name))] for name in ("PA", "AP"))
    for count, *shares in PLANTED:
        tests = []
        for draw in range(draws):
            rng = np.random.default_rng([draw, count])
            upright, bedside = rng.permutation(pa).tolist(), rng.permutation(other).tolist()
            sides: list[int] = []
            for part in shares:
                few = round(part * count)
                sides += [upright.pop() for _ in range(few)] + [bedside.pop() for _ in range(count - few)]
            at = np.array(sides)
            second, patients = np.arange(len(at)) >= count, np.unique(films.patients[at], return_inverse=True)[1]
            tests.append(two_sample(vectors.rows[at], second, patients, permuted_sides(second, patients)))
        found = sum(test.p < ALPHA for test in tests)
        mean = np.mean([test.auc for test in tests])
        told = " and ".join(f"{part:.0%}" for part in shares)
        print(
            f"drift, {count} films a side, {told} PA: found in {share(found, draws)}, mean AUC {mean:.2f}", flush=True
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("archive", type=Path)
    parser.add_argument("findings", nargs="+")
    parser.add_argument("--draws", type=int, default=15)
    parser.add_argument("--only", choices=("slices", "drift"))
    asked = parser.parse_args()
    searcher = Searcher.open(asked.archive)
    if asked.only != "drift":
        slices(searcher, asked.findings, asked.draws)
    if asked.only != "slices":
        drift(searcher, asked.draws)


if __name__ == "__main__":
    main()
