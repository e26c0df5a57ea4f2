"""Measure how many labelled films a finding needs. No image is read again.

Films are split by patient. The learning curve fits on 10, 20, 50 ... all training films, five draws each, and
measures on the same held-out patients.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from filmroom.db.errors import BadInput
from filmroom.db.records import Space
from filmroom.search.classification.linear_probe import Head, Kind, fit_head, pooled
from filmroom.search.evaluation.statistics import Interval, auc
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

SIZES = (10, 20, 50, 100, 200, 400, 1_000, 2_000, 5_000, 10_000)
_DRAWS = 5
_TEST = 0.3
_BINS = 10
_CROSS_VALIDATED = 2_000
_FOLDS = 3
_FEW_FILMS = 0.1
"""The penalty where there are too few films to find one."""
_PENALTIES = {Kind.LINEAR: (1e-3, 1e-2, 1e-1, 1.0), Kind.MLP: (1e-3, 1e-2, 1e-1)}

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True)
class CurvePoint:
    """AUC of heads fitted on `films` training films: mean over the draws, interval over patients and draws."""

    kind: Kind
    films: int
    draws: int
    auc: Interval


@dataclass(frozen=True)
class CalibrationBin:
    """Held-out films whose probability lies in [low, high): their mean probability and how many have it."""

    low: float
    high: float
    films: int
    said: float
    observed: float


@dataclass(frozen=True)
class ProbeReport:
    """What a probe is worth. `brier` and `calibration` are of the linear head fitted on all training films. Penalties
    are chosen on `tune_films` where there are any, else by cross-validation."""

    name: str
    train_films: int
    train_positives: int
    test_films: int
    test_positives: int
    test_patients: int
    curve: tuple[CurvePoint, ...]
    brier: float
    calibration: tuple[CalibrationBin, ...]
    tune_films: int = 0

    def auc(self, kind: Kind = Kind.LINEAR) -> Interval:
        """Return the AUC with all training films."""
        return [point.auc for point in self.curve if point.kind is kind][-1]

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def probe(
    vectors: NDArray[np.floating],
    truth: NDArray[np.floating],
    patients: Sequence[str],
    *,
    name: str,
    space: Space,
    kinds: Sequence[Kind] = (Kind.LINEAR, Kind.MLP),
    parts: NDArray[np.str_] | None = None,
    seed: int = 0,
    on_fit: Callable[[], None] = lambda: None,
) -> tuple[ProbeReport, Head]:
    """Measure heads for one finding, and fit the one to keep (linear, on all labelled films).

    `vectors` (N, T, D), `truth` (N,) 1, 0 or NaN for unknown, `patients` (N,) keys. The report's figures are of
    heads that never saw the held-out patients; the kept head has seen all films, so that no figure is of it.
    With `parts` (N,) of train, tune and test nothing is drawn: films to tune on choose the penalty, and the kept head
    has not seen those to test on. Fits are small: one BLAS thread is faster than several.
    Raises BadInput where one of the two sides of the split would have only one class.
    """
    import scipy.optimize  # type: ignore[import-untyped]  # noqa: F401 (its BLAS must be loaded to be limited)

    with threadpool_limits(1, "blas"):
        return _probe(
            vectors, truth, patients, name=name, space=space, kinds=kinds, parts=parts, seed=seed, on_fit=on_fit
        )


@dataclass(frozen=True)
class _Task:
    """The films whose truth is known, and which of them a probe learns from, tunes on and is tested on."""

    data: Floats
    target: NDArray[Any]
    keys: NDArray[Any]
    train: Ints
    tune: Ints
    test: Ints
    name: str
    space: Space
    seed: int

    def penalty(self, rows: Ints, kind: Kind) -> float:
        """Find the penalty for films to learn from: on those to tune on where they have both classes."""
        if len(np.unique(self.target[self.tune])) == 2:
            return _tuned(self.data, self.target, rows, self.tune, name=self.name, space=self.space, kind=kind)
        return _penalty(
            self.data[rows], self.target[rows], self.keys[rows], name=self.name, space=self.space, kind=kind
        )

    def scores(self, kind: Kind, size: int, on_fit: Callable[[], None]) -> list[Floats]:
        """Return the test films' probabilities by each of several heads fitted on `size` films."""
        scores = []
        strength = 0.0
        for draw in range(_DRAWS if size < len(self.train) else 1):
            chosen = _draw(self.train, self.target, size=size, seed=self.seed + 1000 * draw)
            if draw == 0:  # one search a size: it costs twelve fits
                strength = self.penalty(chosen, kind)
            head = self.fit(chosen, kind, strength, seed=draw)
            scores.append(head.probabilities(self.data[self.test]).astype(np.float64))
            on_fit()
        return scores

    def fit(self, rows: Ints, kind: Kind, strength: float, *, seed: int = 0) -> Head:
        return fit_head(
            self.data[rows], self.target[rows], name=self.name, space=self.space, kind=kind, penalty=strength, seed=seed
        )


def _probe(
    vectors: NDArray[np.floating],
    truth: NDArray[np.floating],
    patients: Sequence[str],
    *,
    name: str,
    space: Space,
    kinds: Sequence[Kind],
    parts: NDArray[np.str_] | None,
    seed: int,
    on_fit: Callable[[], None],
) -> tuple[ProbeReport, Head]:
    known = ~np.isnan(truth)
    data, target = pooled(np.asarray(vectors)[known]), np.asarray(truth)[known] > 0.5
    keys = np.asarray(patients)[known]
    tune = np.empty(0, np.int64)
    if parts is None:
        train, test = split_patients(keys, target, seed=seed)
    else:
        train, tune, test = (np.flatnonzero(parts[known] == part) for part in ("train", "tune", "test"))
    if len(np.unique(target[train])) < 2 or len(np.unique(target[test])) < 2:
        raise BadInput(
            f"Too few patients: {int(target.sum())} films with and {int((~target).sum())} without the finding",
            where=name,
            fix="Label films of at least four patients with and four without it",
        )
    task = _Task(data, target, keys, train, tune, test, name, space, seed)
    points, final = _curve(task, kinds, on_fit)
    learned = np.arange(len(data)) if parts is None else np.concatenate([train, tune])
    strength = task.penalty(learned if parts is None else train, Kind.LINEAR)
    report = ProbeReport(
        name=name,
        train_films=len(train),
        train_positives=int(target[train].sum()),
        test_films=len(test),
        test_positives=int(target[test].sum()),
        test_patients=len(np.unique(keys[test])),
        curve=tuple(points),
        brier=float(np.mean((final - target[test]) ** 2)),
        calibration=calibration(final, target[test]),
        tune_films=len(tune),
    )
    return report, task.fit(learned, Kind.LINEAR, strength)


def _curve(task: _Task, kinds: Sequence[Kind], on_fit: Callable[[], None]) -> tuple[list[CurvePoint], Floats]:
    """Return the points of the learning curve, and the probabilities by the first kind of head fitted on all films."""
    points: list[CurvePoint] = []
    final = np.zeros(len(task.test))
    target, keys = task.target[task.test], task.keys[task.test]
    for kind in kinds:
        for size in [size for size in SIZES if size < len(task.train)] + [len(task.train)]:
            scores = task.scores(kind, size, on_fit)
            points.append(CurvePoint(kind, size, len(scores), _curve_auc(scores, target, keys)))
            if size == len(task.train) and kind is kinds[0]:
                final = scores[0]
    return points, final


def split_patients(patients: NDArray[Any], truth: NDArray[Any], *, seed: int = 0) -> tuple[Ints, Ints]:
    """Return (train, test) positions: about 30 % of the patients with the finding and of those without are held out."""
    rng = np.random.default_rng(seed)
    unique, inverse = np.unique(patients, return_inverse=True)
    positive = np.bincount(inverse, weights=np.asarray(truth, dtype=float)) > 0
    held_out = np.zeros(len(unique), dtype=bool)
    for group in (np.flatnonzero(positive), np.flatnonzero(~positive)):
        if len(group) > 1:
            held_out[rng.permutation(group)[: max(1, round(len(group) * _TEST))]] = True
    return np.flatnonzero(~held_out[inverse]), np.flatnonzero(held_out[inverse])


def calibration(probabilities: Floats, truth: NDArray[Any], *, bins: int = _BINS) -> tuple[CalibrationBin, ...]:
    """Return the equal-width bins that have a film in them."""
    from scipy.stats import binned_statistic  # type: ignore[import-untyped]

    values = [np.asarray(probabilities, float), np.asarray(truth, float)]
    means, edges, index = binned_statistic(values[0], values, "mean", bins=bins, range=(0, 1))
    return tuple(
        CalibrationBin(
            low=float(edges[place]),
            high=float(edges[place + 1]),
            films=int((index == place + 1).sum()),
            said=float(means[0, place]),
            observed=float(means[1, place]),
        )
        for place in range(bins)
        if (index == place + 1).any()
    )


def _draw(train: Ints, truth: NDArray[np.bool_], *, size: int, seed: int) -> Ints:
    """Return `size` random training films, with one of each class at least."""
    rng = np.random.default_rng(seed)
    chosen = rng.permutation(train)[:size]
    for value in (True, False):
        if not (truth[chosen] == value).any():
            chosen[-1] = rng.choice(train[truth[train] == value])
    return chosen


def _penalty(
    data: Floats,
    truth: NDArray[np.bool_],
    patients: NDArray[Any],
    *,
    name: str,
    space: Space,
    kind: Kind = Kind.LINEAR,
) -> float:
    """Return the penalty with the best cross-validated log loss, folds by patient; 0.1 for few films."""
    from sklearn.metrics import log_loss  # type: ignore[import-untyped]
    from sklearn.model_selection import GroupKFold  # type: ignore[import-untyped]

    sample = np.random.default_rng(0).permutation(len(data))[:_CROSS_VALIDATED]
    data, truth, patients = data[sample], truth[sample], patients[sample]
    if len(data) < 40 or len(np.unique(patients)) < _FOLDS:
        return _FEW_FILMS
    folds = list(GroupKFold(_FOLDS, shuffle=True, random_state=0).split(data, truth, patients))
    if any(len(np.unique(truth[inside])) < 2 for inside, _ in folds):
        return _FEW_FILMS
    losses = []
    for strength in _PENALTIES[kind]:
        probabilities = np.empty(len(data))
        for inside, outside in folds:
            head = fit_head(data[inside], truth[inside], name=name, space=space, kind=kind, penalty=strength)
            probabilities[outside] = head.probabilities(data[outside])
        losses.append(log_loss(truth, np.clip(probabilities, 1e-6, 1 - 1e-6), labels=[False, True]))
    return _PENALTIES[kind][int(np.argmin(losses))]


def _tuned(data: Floats, truth: NDArray[Any], rows: Ints, tune: Ints, *, name: str, space: Space, kind: Kind) -> float:
    """Return the penalty with the best log loss on the films to tune on."""
    from sklearn.metrics import log_loss

    losses = []
    for strength in _PENALTIES[kind]:
        head = fit_head(data[rows], truth[rows], name=name, space=space, kind=kind, penalty=strength)
        probabilities = np.clip(head.probabilities(data[tune]), 1e-6, 1 - 1e-6)
        losses.append(log_loss(truth[tune], probabilities, labels=[False, True]))
    return _PENALTIES[kind][int(np.argmin(losses))]


def _curve_auc(scores: Sequence[Floats], truth: NDArray[np.bool_], patients: NDArray[Any]) -> Interval:
    rng = np.random.default_rng(20240229)
    unique, inverse = np.unique(patients, return_inverse=True)
    members = [np.flatnonzero(inverse == patient) for patient in range(len(unique))]
    drawn = []
    for _ in range(500):
        films = np.concatenate([members[patient] for patient in rng.integers(0, len(members), len(members))])
        drawn.append(auc(scores[int(rng.integers(len(scores)))][films], truth[films]))
    low, high = np.nanquantile(drawn, (0.025, 0.975))
    mean = float(np.mean([auc(score, truth) for score in scores]))
    return Interval(mean, float(low), float(high), len(truth))
