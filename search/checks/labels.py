"""Which labels are doubtful? Films whose label a probe that has not seen them, and their neighbours, contradict."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from filmroom.db.catalog import Catalog
from filmroom.db.errors import BadInput
from filmroom.db.reads.film_table import film_columns
from filmroom.db.records import Space
from filmroom.db.writes.annotations import label_values
from filmroom.search.checks.known_labels import labels_meant, labels_of
from filmroom.search.checks.neighbours import Vectors, centred_vectors, check_several
from filmroom.search.checks.result import Pick, Result
from filmroom.search.classification.linear_probe import fit_head
from filmroom.search.classification.zero_shot import known_truth
from filmroom.search.classification.zero_shot_archive import stated_truths
from filmroom.search.searcher import Searcher
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

FOLDS = 5
NEIGHBOURS = 15
LEAST_OF_EACH = 10
"""Films with and without a finding that a check of its labels needs."""
LEAST_DOUBT = 0.8
MOST = 200
"""Films of a finding that are listed."""
_PENALTY = 0.03
_BLOCK = 512
_LOOKED_AT = 64
"""Nearest films among which those of other patients are looked for, before all are."""
_LEAST_WEIGHT = 1e-6

F64 = NDArray[np.float64]


@dataclass(frozen=True)
class Doubts:
    """How much each film's label is contradicted, (N,) in [0, 1]: by the probe, by its neighbours, and by their mean,
    which ranks them."""

    probability: F64
    neighbours: F64
    doubt: F64


@dataclass(frozen=True)
class Neighbours:
    """The nearest films of other patients of each of N films: their places, and how much each counts, (N, K)."""

    places: NDArray[np.int64]
    weights: NDArray[np.float32]

    def share(self, target: NDArray[np.bool_]) -> F64:
        """Return the share (N,) of each film's neighbours that have the finding, weighed."""
        with_it = np.where(target[self.places], self.weights, 0).sum(axis=1, dtype=np.float64)
        return np.asarray(with_it / self.weights.sum(axis=1, dtype=np.float64), np.float64)


def check_labels(
    searcher: Searcher,
    findings: Sequence[str] = (),
    *,
    on_finding: Callable[[int, int], None] = lambda done, total: None,
) -> Result:
    """Rank the films whose label of a finding is doubtful, for the named findings or for all that have enough labels.

    Nothing is changed: the films are for a person to judge. `on_finding` is told how many of how many are done. Raises
    BadInput for a finding that is not labelled, and where no film is labelled.
    """
    values = label_values(searcher.catalog)
    names = labels_meant(findings, values)
    vectors = centred_vectors(searcher)
    patients = patients_by_film(searcher.catalog)
    rows, picks, notes = [], [], []
    compared: NDArray[np.int64] | None = None  # a table of labels mostly says something of the same films each time
    for done, name in enumerate(names):
        on_finding(done, len(names))
        truth = known_truth((name,), values, vectors.ids.tolist())
        known = np.flatnonzero(~np.isnan(truth))
        target = truth[known] > 0.5
        keys = np.array([patients[int(film)] for film in vectors.ids[known]])
        if not _are_enough(target, keys):
            notes.append(f"{name}: too few films or patients with or without it to check.")
            continue
        if compared is None or not np.array_equal(compared, known):
            compared, near = known, neighbours_of(vectors.rows[known], keys)
        film_doubts = doubts(vectors.rows[known], target, keys, near)
        order = np.argsort(-film_doubts.doubt, kind="stable")
        order = order[film_doubts.doubt[order] >= LEAST_DOUBT][:MOST]
        rows.append({"finding": name, "films": len(known), "with it": int(target.sum()), "doubtful": int(order.size)})
        picks += _picks(name, order, known, target, film_doubts, vectors)
    if not rows:
        raise _too_few()
    figures = {"findings checked": len(rows), "doubtful labels": len(picks)}
    return Result("labels", len(vectors), not picks, figures, tuple(picks), notes=tuple(notes), model=searcher.model)


def check_labelled(catalog: Catalog, findings: Sequence[str], films: NDArray[np.int64]) -> None:
    """Raise at once what `check_labels` would end with: BadInput for a finding that is not labelled, and where none has
    enough labels among the `films` (N,), those that have a vector."""
    names = labels_meant(findings, labels_of(catalog))
    check_several(films)
    patients = patients_by_film(catalog)
    for truth in stated_truths(catalog, ([name] for name in names), films):
        known = np.flatnonzero(~np.isnan(truth))
        if _are_enough(truth[known] > 0.5, np.array([patients[film] for film in films[known].tolist()])):
            return
    raise _too_few()


def _are_enough(target: NDArray[np.bool_], patients: NDArray[np.str_]) -> bool:
    return min(target.sum(), (~target).sum()) >= LEAST_OF_EACH and len(np.unique(patients)) >= FOLDS


def _too_few() -> BadInput:
    return BadInput(
        "no finding has enough labelled films",
        fix=f"Label {LEAST_OF_EACH} films with and {LEAST_OF_EACH} without it, of {FOLDS} patients at least.",
    )


def doubts(
    rows: NDArray[np.float32], target: NDArray[np.bool_], patients: NDArray[np.str_], neighbours: Neighbours
) -> Doubts:
    """Measure how much the labels `target` (N,) of films (N, D) are contradicted. No film is judged by its patient.

    The probe is a logistic regression fitted on the other folds, in which the label with fewer films weighs as much as
    the other; its scores are given as their place among the films of either label, so that a rare finding can be
    doubted, too. The neighbours are the nearest films of other patients, weighed alike.
    """
    probe = _by_place(_out_of_fold(rows, target, patients), target)
    near = _by_place(neighbours.share(target), target)
    doubt = 0.5 * (np.where(target, 1 - probe, probe) + np.where(target, 1 - near, near))
    return Doubts(probe, near, doubt)


def neighbours_of(rows: NDArray[np.float32], patients: NDArray[np.str_]) -> Neighbours:
    """Find the nearest films of other patients of each film, exactly: every pair is compared."""
    import faiss

    _, patient = np.unique(patients, return_inverse=True)
    k = min(NEIGHBOURS + int(np.bincount(patient).max()), _LOOKED_AT, len(rows))
    cosines, places = faiss.knn(rows, rows, k, metric=faiss.METRIC_INNER_PRODUCT)
    of_others = patient[places] != patient[:, None]
    of_others &= np.cumsum(of_others, axis=1) <= NEIGHBOURS
    weights = np.where(of_others, np.maximum(cosines, 0) + _LEAST_WEIGHT, 0).astype(np.float32)
    few = np.flatnonzero(of_others.sum(axis=1) < NEIGHBOURS)  # films of its own patient are nearer than many others
    for start in range(0, len(few), _BLOCK):
        block = few[start : start + _BLOCK]
        cosines = rows[block] @ rows.T
        cosines[patient[block][:, None] == patient[None]] = -np.inf
        near = np.argpartition(-cosines, min(NEIGHBOURS, len(rows)) - 1, axis=1)[:, :NEIGHBOURS]
        nearest = np.take_along_axis(cosines, near, axis=1)
        weights[block] = 0
        weights[block, : near.shape[1]] = np.where(np.isinf(nearest), 0, np.maximum(nearest, 0) + _LEAST_WEIGHT)
        places[block, : near.shape[1]] = near
    return Neighbours(places, weights)


def patients_by_film(catalog: Catalog) -> dict[int, str]:
    """Give each present film its patient; a film without a key is a patient of its own."""
    columns = film_columns(catalog, ["patient_key"])
    return {film: key or f"film {film}" for film, key in zip(columns["id"], columns["patient_key"], strict=True)}


def _out_of_fold(rows: NDArray[np.float32], target: NDArray[np.bool_], patients: NDArray[np.str_]) -> F64:
    """Score every film by a probe of the films of other patients."""
    from sklearn.model_selection import StratifiedGroupKFold  # type: ignore[import-untyped]

    scores = np.zeros(len(rows))
    folds = StratifiedGroupKFold(FOLDS, shuffle=True, random_state=0)
    with threadpool_limits(1, "blas"):
        for inside, outside in folds.split(rows, target, patients):
            if target[inside].all() or not target[inside].any():
                continue
            scores[outside] = _fitted(rows[inside], target[inside], rows[outside])
    return scores


def _fitted(rows: NDArray[np.float32], target: NDArray[np.bool_], films: NDArray[np.float32]) -> F64:
    head = fit_head(
        rows, target.astype(np.float64), name="labels", space=Space("", "", rows.shape[1]), penalty=_PENALTY
    )
    return head.probabilities(films).astype(np.float64)


def _by_place(scores: F64, target: NDArray[np.bool_]) -> F64:
    """Give each score's place among the scores of all films with the finding and of all without, both weighing half."""
    with_it, without = np.sort(scores[target]), np.sort(scores[~target])

    def below(values: F64) -> F64:
        ends = np.searchsorted(values, scores, "left") + np.searchsorted(values, scores, "right")
        return np.asarray(ends / (2 * len(values)), np.float64)

    return 0.5 * (below(with_it) + below(without))


def _picks(
    name: str,
    order: NDArray[np.int64],
    known: NDArray[np.int64],
    target: NDArray[np.bool_],
    film_doubts: Doubts,
    vectors: Vectors,
) -> list[Pick]:
    def evidence(at: int) -> Mapping[str, str | float]:
        return {
            "finding": name,
            "label": "present" if target[at] else "absent",
            "doubt": float(film_doubts.doubt[at]),
            "probe": float(film_doubts.probability[at]),
            "neighbours": float(film_doubts.neighbours[at]),
        }

    return [
        Pick(
            int(vectors.ids[known[at]]),
            "with the label, looks like those without" if target[at] else "without the label, looks like those with",
            evidence=evidence(int(at)),
        )
        for at in order
    ]
