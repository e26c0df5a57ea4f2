"""Measure the search by sex, age band, view, year, modality, source and maker: for which films is it worse?"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from filmroom.db.catalog import Catalog
from filmroom.db.errors import BadInput, NotFound
from filmroom.db.reads.film_facts import labelled_with
from filmroom.db.reads.films import everyone, select_ids
from filmroom.db.records import Filter
from filmroom.db.writes.annotations import judgements, label_values
from filmroom.db.writes.query_sets import query_sets
from filmroom.search.catalog_names import CatalogNames
from filmroom.search.checks.known_labels import labels_of, no_such_label
from filmroom.search.checks.result import Pick, Result, Value
from filmroom.search.checks.subgroups.facts import KnownFilms, known_films
from filmroom.search.checks.subgroups.figures import (
    LEAST,
    LEAST_QUERIES,
    SPECIFICITY,
    SliceFigure,
    State,
    finding_slices,
    query_slices,
    threshold_of,
    worst_first,
)
from filmroom.search.checks.subgroups.ranking import DEPTH, RankedQuery
from filmroom.search.checks.subgroups.resampling import patient_weights
from filmroom.search.classification.zero_shot import Prompts, prompts_for, truth_of, zero_shot
from filmroom.search.classification.zero_shot_archive import stored_vectors, truths_in
from filmroom.search.cli.counting import counted, some_of
from filmroom.search.evaluation.pooling import to_qrels
from filmroom.search.evaluation.trec import Qrels, Topic, read_qrels, read_queries, resolve
from filmroom.search.searcher import Searcher
from numpy.typing import NDArray

Floats = NDArray[np.float64]
MOST_SCORE = 2
"""The difference of two cosines."""
MOST_PICKS = 50
"""Films of a slice that are picked."""


@dataclass(frozen=True)
class JudgedQueries:
    """Queries, and the grades of films for them by name."""

    topics: Sequence[Topic]
    qrels: Qrels


def read_judged(queries: Path, qrels: Path) -> JudgedQueries:
    """Read queries and judgements as `filmroom evaluate` does. Raises BadInput."""
    return JudgedQueries(read_queries(queries), read_qrels(qrels))


def judged_here(searcher: Searcher, query_set: str | None = None) -> JudgedQueries:
    """Return what was judged in the archive: for all queries, or for those of a set. Raises NotFound for a set that is
    not there."""
    texts = None if query_set is None else queries_of(searcher.catalog, query_set)
    known = [judgement for judgement in judgements(searcher.catalog) if texts is None or judgement.query in texts]
    topics, qrels = to_qrels(known, everyone(searcher.catalog)) if known else ([], {})
    return JudgedQueries(topics, qrels)


def queries_of(catalog: Catalog, query_set: str) -> list[str]:
    """Return the queries of a set. Raises NotFound for one that is not there."""
    sets = query_sets(catalog)
    if query_set.strip() not in sets:
        names = some_of(list(sets)) or "none"
        raise NotFound("there is no query set of this name", where=query_set, fix=f"Query sets: {names}")
    return sets[query_set.strip()]


def check_asked(
    catalog: Catalog,
    findings: Sequence[str],
    threshold: float | None,
    query_set: str | None,
    films: NDArray[np.int64],
) -> None:
    """Raise at once what `check_slices` would end with, where the `films` (N,) have a vector: BadInput for a finding
    that none of them is labelled with, for a threshold that no score can reach and where there is nothing to measure,
    NotFound for a query set that is not there."""
    _check_threshold(threshold)
    texts = None if query_set is None else queries_of(catalog, query_set)
    labels = labels_of(catalog)
    prompts = prompts_for(findings) if findings else []
    unknown = [name for name, truth in truths_in(catalog, prompts, films).items() if np.isnan(truth).all()]
    if unknown:
        raise no_such_label(unknown, labels)
    if findings or any(_is_measured(catalog, label) for label in labels):
        return
    if not any(known.grade and (texts is None or known.query in texts) for known in judgements(catalog)):
        raise _nothing()


def _is_measured(catalog: Catalog, label: str) -> bool:
    """Tell whether films enough have a label, and it is one that can be asked for."""
    try:
        return labelled_with(catalog, [label])[0].size >= LEAST and bool(prompts_for([label]))
    except BadInput:  # a label such as "no pneumothorax" denies a finding
        return False


def _nothing() -> BadInput:
    return BadInput(
        "there is nothing to measure slices by",
        fix="Label films (filmroom label FILE) or judge some queries, and see that facts of them are known.",
    )


def _check_threshold(threshold: float | None) -> None:
    if threshold is not None and not -MOST_SCORE <= threshold <= MOST_SCORE:
        fix = f"It is from -{MOST_SCORE} to {MOST_SCORE}: filmroom zeroshot FINDING --scores FILE writes all of them."
        raise BadInput("no film can have this score", where=f"threshold {threshold:g}", fix=fix)


def check_slices(
    searcher: Searcher,
    findings: Sequence[str] = (),
    *,
    threshold: float | None = None,
    judged: JudgedQueries | None = None,
    on_finding: Callable[[int, int], None] = lambda done, total: None,
) -> Result:
    """Measure the slices of the films whose label or grade is known: zero-shot AUC and sensitivity of the findings, or
    of all that are labelled, and nDCG of the judged queries, or of all that were judged in the archive.

    `on_finding` is told how many findings of how many are done. Raises BadInput for a finding that no film is labelled
    with, for a threshold that no score can reach, and where there is nothing to measure.
    """
    _check_threshold(threshold)
    searcher.index.refresh()
    ids = select_ids(searcher.catalog, Filter())
    films = known_films(searcher.catalog, ids[searcher.index.holds(ids)])
    truths, scores, left_out = _labelled(searcher, findings, films)
    weights = patient_weights(int(films.patients.max()) + 1) if truths else np.zeros((0, 0), np.uint8)
    figures: list[SliceFigure] = []
    thresholds: dict[str, float] = {}
    for done, (name, truth) in enumerate(truths.items()):
        on_finding(done, len(truths) + 1)
        known = ~np.isnan(truth)
        thresholds[name] = threshold_of(scores[name][known], truth[known] > 0.5, threshold)
        figures += finding_slices(name, scores[name], truth, films, weights, threshold=thresholds[name])
    on_finding(len(truths), len(truths) + 1)
    ranked = _ranked(searcher, judged_here(searcher) if judged is None else judged, films)
    figures += query_slices(counted(len(ranked), "query", "queries"), ranked, films) if ranked else ()
    if not figures:
        raise _nothing()
    figures = worst_first(figures)
    worse = [figure for figure in figures if figure.state is State.WORSE]
    measured = sum(figure.state is not State.SMALL for figure in figures)
    return Result(
        check="slices",
        model=searcher.model,
        films=len(films.ids),
        ok=not worse and bool(measured),
        conclusion="" if worse else _conclusion(measured, len(figures)),
        figures=_counts(figures),
        rows=tuple(figure.row for figure in figures),
        picks=tuple(
            pick
            for number, figure in enumerate(worse, 1)
            if figure.of in scores
            for pick in _missed(figure, number, scores[figure.of], truths[figure.of], films, thresholds[figure.of])
        ),
        notes=_notes(films, figures, thresholds, left_out, is_given=threshold is not None),
    )


def _conclusion(measured: int, slices: int) -> str:
    """Say what it means that no slice is worse: of how many it could be told."""
    if not measured:
        return f"Nothing is known: all {counted(slices, 'slice')} are too small to measure."
    of = f"{measured:,} of {slices:,} slices could be measured" if measured < slices else f"{measured:,} were measured"
    return f"No slice is shown to be worse; {of}."


def _counts(figures: Sequence[SliceFigure]) -> dict[str, Value]:
    states = [figure.state for figure in figures]
    return {
        "slices measured": len(states) - states.count(State.SMALL),
        "worse than the other films": states.count(State.WORSE),
        "better": states.count(State.BETTER),
        "too small": states.count(State.SMALL),
    }


def _labelled(
    searcher: Searcher, findings: Sequence[str], films: KnownFilms
) -> tuple[dict[str, Floats], dict[str, Floats], list[str]]:
    """Return what is known of each finding, (N,), the films' zero-shot scores, (N,), and the labels that are left
    out. Raises BadInput for a finding that no film is labelled with."""
    labels = label_values(searcher.catalog)
    prompts, left_out = _prompts(searcher, findings, labels)
    truths = {prompt.finding: truth_of(prompt, labels, films.ids.tolist()) for prompt in prompts}
    unknown = [name for name, truth in truths.items() if np.isnan(truth).all()]
    if unknown:
        raise no_such_label(unknown, labels)
    return truths, _scores(searcher, films.ids, prompts), left_out


def _prompts(
    searcher: Searcher, findings: Sequence[str], labels: Mapping[str, Mapping[int, float]]
) -> tuple[list[Prompts], list[str]]:
    """Return the prompts of the findings that were named, or of the labels that enough films have; and the labels that
    cannot be asked for."""
    if findings:
        return prompts_for(findings, model=searcher.model), []
    prompts, left_out = [], []
    for name, values in sorted(labels.items()):
        if sum(value >= 0.5 for value in values.values()) >= LEAST:
            try:
                prompts += prompts_for([name], model=searcher.model)
            except BadInput:  # a label such as "no pneumothorax" denies a finding
                left_out.append(name)
    return prompts, left_out


def _scores(searcher: Searcher, ids: NDArray[np.int64], prompts: Sequence[Prompts]) -> dict[str, Floats]:
    """Score the films (N,) zero-shot for each finding."""
    if not prompts:
        return {}
    texts = list(dict.fromkeys(text for finding in prompts for text in (*finding.positive, *finding.negative)))
    known = dict(zip(texts, searcher.towers.embed_texts(texts), strict=True))
    parts: dict[str, list[Floats]] = {finding.finding: [] for finding in prompts}
    for _, vectors in stored_vectors(searcher, ids):
        for finding in prompts:
            values = zero_shot(vectors, finding, lambda names: np.stack([known[name] for name in names]))
            parts[finding.finding].append(values.astype(np.float64))
    return {name: np.concatenate(blocks) for name, blocks in parts.items()}


def _ranked(searcher: Searcher, judged: JudgedQueries, films: KnownFilms) -> list[RankedQuery]:
    """Rank all films for each query that has a relevant one; films of which a filter in the query says no come last."""
    if not judged.topics:
        return []
    placed = resolve(judged.qrels, CatalogNames(searcher.catalog))
    ranked = []
    for topic in judged.topics:
        grades = np.zeros(len(films.ids))
        for film, grade in placed.grades.get(topic.qid, {}).items():
            at = int(np.searchsorted(films.ids, film))
            if at < len(films.ids) and films.ids[at] == film:
                grades[at] = grade
        if grades.any():
            best = [film for film, _ in searcher.rank(topic.text)]
            order = np.searchsorted(films.ids, np.array(best, np.int64))
            rest = np.setdiff1d(np.arange(len(films.ids)), order)
            ranked.append(RankedQuery(np.concatenate([order, rest]), grades))
    return ranked


def _missed(
    figure: SliceFigure, number: int, scores: Floats, truth: Floats, films: KnownFilms, threshold: float
) -> list[Pick]:
    """Return the films of a worse slice that have the finding and score under the threshold, the lowest first."""
    groups = next(place for place in films.groups if place.fact == figure.fact)
    at = np.flatnonzero((groups.codes == groups.names.index(figure.name)) & (truth > 0.5) & (scores < threshold))
    at = at[np.argsort(scores[at], kind="stable")][:MOST_PICKS]
    return [
        Pick(
            int(films.ids[place]), "missed in a worse slice", number,
            {"finding": figure.of, "slice": f"{figure.fact} {figure.name}", "score": float(scores[place]),
             "threshold": threshold},
        )
        for place in at
    ]  # fmt: skip


def _notes(
    films: KnownFilms,
    figures: Sequence[SliceFigure],
    thresholds: Mapping[str, float],
    left_out: Sequence[str],
    *,
    is_given: bool,
) -> tuple[str, ...]:
    notes = ["Worse and better are by p after Holm over all slices measured; a slice beside the films outside it."]
    if thresholds:
        default = f"of each finding that {SPECIFICITY:.0%} of the films without it stay under"
        notes.append(f"Sensitivity is at the threshold {'given' if is_given else default}.")
    if any(figure.state is State.SMALL for figure in figures):
        notes.append(
            f"Too small: under {LEAST} films with the finding or without it, in the slice or outside it; of "
            f"nDCG@{DEPTH} under {LEAST_QUERIES} queries with a relevant film in it, or under {LEAST} such films."
        )
    if films.alone:
        notes.append(f"{counted(films.alone, 'film')} without a patient key: each counts as a patient.")
    if left_out:
        notes.append(f"Labels that deny a finding are not measured: {', '.join(left_out)}.")
    return tuple(notes)
