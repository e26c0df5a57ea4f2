"""Choose the films to label next for a finding, of which a probe is unsure, and those to judge next for queries."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from filmroom.db.errors import BadInput
from filmroom.db.records import Space
from filmroom.db.writes.annotations import judgements, label_values
from filmroom.indexer.radiology.vocabulary import finding_of
from filmroom.search.checks.neighbours import centred_vectors
from filmroom.search.checks.result import Pick, Result
from filmroom.search.checks.subgroups.slices import queries_of
from filmroom.search.classification.linear_probe import fit_head
from filmroom.search.classification.zero_shot import known_truth
from filmroom.search.query.parser import parse
from filmroom.search.searcher import Searcher, without_words
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]
FILMS = 50
"""Films that are listed, where no other number is asked for."""
MOST = 1_000
DEPTH = 10
"""Films of each query's answer that are to be judged: nDCG@10 rests on them."""
PENALTY = 0.03
_CANDIDATES = 2_000
"""Films, the most uncertain ones, among which unlike ones are looked for."""


@dataclass(frozen=True)
class Unsure:
    """The films to label: their rows (M,), in order, and how likely each has the finding (M,)."""

    rows: NDArray[np.int64]
    probability: F64


def check_next(searcher: Searcher, finding: str, *, count: int = FILMS) -> Result:
    """List the films to label next for a finding. Nothing is written.

    Raises BadInput for a number of films that is none.
    """
    _check_count(count)
    name, labels = finding.strip().lower(), label_values(searcher.catalog)
    vectors = centred_vectors(searcher)
    asked_before = finding_of(name) in {finding_of(label) for label in labels}
    truth = np.full(len(vectors), np.nan)  # where nobody has labelled it, other labels say nothing of it
    if asked_before:
        truth = known_truth((name,), labels, vectors.ids.tolist())
    places = {film: place for place, (film, _) in enumerate(searcher.rank(name))}
    prior = np.array([1 - places.get(film, len(vectors)) / len(vectors) for film in vectors.ids.tolist()])
    chosen = unsure(vectors.rows, truth, prior, count)
    known = ~np.isnan(truth)
    with_it = int((truth[known] > 0.5).sum())
    picks = tuple(
        Pick(int(vectors.ids[row]), "its label teaches a probe", evidence={"finding": name, "probability": chance})
        for row, chance in zip(chosen.rows, np.round(chosen.probability, 3).tolist(), strict=True)
    )
    notes = [] if 0 < with_it < known.sum() else ["All labels are alike: the likeliest films by words come first."]
    if not asked_before:
        notes = ["No film has a label of this name: the likeliest films by words come first."]
    return Result(
        check="next",
        model=searcher.model,
        films=len(vectors),
        ok=not picks,
        figures={"labelled films": int(known.sum()), "with the finding": with_it, "films to label": len(picks)},
        picks=picks,
        notes=(*notes, *(["Label some of them, then ask again: other films will teach more."] if picks else ())),
    )


def check_rankable(finding: str) -> None:
    """Raise BadInput for the name of a finding by which no film can be ranked."""
    query = parse(finding.strip().lower())
    if not query.concepts:
        raise without_words(query)


def check_next_judgements(searcher: Searcher, query_set: str, *, count: int = FILMS) -> Result:
    """List the films to judge next for the queries of a set: those without a grade among the first ten of each, by
    their share of the discount of nDCG@10, which is what they could change at most. Nothing is written.

    Raises BadInput for a number of films that is none, NotFound for a set that is not there.
    """
    _check_count(count)
    queries = queries_of(searcher.catalog, query_set)
    graded = {(judgement.query, judgement.film_id) for judgement in judgements(searcher.catalog)}
    shares = 1 / np.log2(np.arange(2, DEPTH + 2))
    shares /= shares.sum()
    ranked = [(query, [film for film, _ in searcher.rank(query, k=DEPTH)]) for query in queries]
    waiting = [
        (float(shares[place]), at, query, film)
        for at, (query, films) in enumerate(ranked)
        for place, film in enumerate(films)
        if (query, film) not in graded
    ]
    judged = sum(len(films) for _, films in ranked) - len(waiting)
    picks = tuple(
        Pick(film, "its grade is not known", evidence={"query": query, "share of nDCG": round(share, 3)})
        for share, _, query, film in sorted(waiting, key=lambda entry: (-entry[0], entry[1]))[:count]
    )
    return Result(
        check="next",
        model=searcher.model,
        films=len(searcher.index),
        ok=not picks,
        figures={"queries": len(queries), "judged of their first ten": judged, "left to judge": len(waiting)},
        picks=picks,
        conclusion="" if picks else f"The first ten films of all {len(queries):,} queries are judged.",
    )


def _check_count(count: int) -> None:
    if not 0 < count <= MOST:
        raise BadInput("not a number of films", where=count, fix=f"1 to {MOST:,}.")


def unsure(rows: F32, truth: F64, prior: F64, count: int) -> Unsure:
    """Choose `count` of the films whose `truth` (N,) is NaN, by their unit vectors `rows` (N, D).

    The probability is that of a probe of the labelled films. Until there are films with and without the finding, it is
    `prior` (N,), a film's place by words in [0, 1], and the likeliest come first.
    """
    known, unlabelled = np.flatnonzero(~np.isnan(truth)), np.flatnonzero(np.isnan(truth))
    target = truth[known] > 0.5
    if target.any() and not target.all():
        space = Space("", "", rows.shape[1])
        with threadpool_limits(1, "blas"):
            head = fit_head(rows[known], target.astype(np.float64), name="next", space=space, penalty=PENALTY)
            chance = head.probabilities(rows[unlabelled]).astype(np.float64)
        doubt = 1 - np.abs(2 * chance - 1)
    else:
        chance = doubt = prior[unlabelled]
    chosen = _unlike(rows[unlabelled], doubt, count)
    return Unsure(unlabelled[chosen], chance[chosen])


def _unlike(rows: F32, doubt: F64, count: int) -> NDArray[np.int64]:
    """Take the most doubtful film, then again and again the one whose doubt, times its distance to the nearest one
    taken, is largest."""
    candidates = np.argsort(-doubt, kind="stable")[: max(_CANDIDATES, count)]
    near = np.full(len(candidates), -1.0)
    places: list[int] = []
    for _ in range(min(count, len(candidates))):
        worth = (doubt[candidates] + 1e-6) * (1 - near)
        worth[places] = -np.inf
        best = int(np.argmax(worth))
        places.append(best)
        near = np.maximum(near, rows[candidates] @ rows[candidates[best]])
    film_rows: NDArray[np.int64] = candidates[places]
    return film_rows
