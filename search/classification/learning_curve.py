"""Data-efficient classification: how many labelled films does a finding need? No image is read again.

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
    """What a probe is worth. `brier` and `calibration` are of the linear head fitted on all training films."""

    name: str
    train_films: int
    train_positives: int
    test_films: int
    test_positives: int
    test_patients: int
    curve: tuple[CurvePoint, ...]
    brier: float
    calibration: tuple[CalibrationBin, ...]

    def auc(self, kind: Kind = Kind.LINEAR) -> Interval:
        """With all training films."""
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
    seed: int = 0,
    on_fit: Callable[[], None] = lambda: None,
) -> tuple[ProbeReport, Head]:
    """Measure heads for one finding, and fit the one to keep (linear, on all labelled films).

    `vectors` (N, T, D), `truth` (N,) 1, 0 or NaN for unknown, `patients` (N,) keys. The report's figures are of
    heads that never saw the held-out patients; the kept head has seen all films, so that no figure is of it.
    Raises BadInput where one of the two sides of the split would have only one class.
    """
    known = ~np.isnan(truth)
    data, target = pooled(np.asarray(vectors)[known]), np.asarray(truth)[known] > 0.5
    keys = np.asarray(patients)[known]
    train, test = split_patients(keys, target, seed=seed)
    if len(np.unique(target[train])) < 2 or len(np.unique(target[test])) < 2:
        raise BadInput(
            f"Too few patients: {int(target.sum())} films with and {int((~target).sum())} without the finding",
            where=name,
            fix="Label films of at least four patients with and four without it",
        )
    points: list[CurvePoint] = []
    final = np.zeros(len(test))
    for kind in kinds:
        for size in [size for size in SIZES if size < len(train)] + [len(train)]:
            scores = []
            strength = 0.0
            for draw in range(_DRAWS if size < len(train) else 1):
                chosen = _draw(train, target, size=size, seed=seed + 1000 * draw)
                if draw == 0:  # one search a size: it costs twelve fits
                    strength = _penalty(data[chosen], target[chosen], keys[chosen], name=name, space=space, kind=kind)
                head = fit_head(
                    data[chosen], target[chosen], name=name, space=space, kind=kind, penalty=strength, seed=draw
                )
                scores.append(head.probabilities(data[test]).astype(np.float64))
                on_fit()
            points.append(CurvePoint(kind, size, len(scores), _curve_auc(scores, target[test], keys[test])))
            if size == len(train) and kind is kinds[0]:
                final = scores[0]
    kept = fit_head(data, target, name=name, space=space, penalty=_penalty(data, target, keys, name=name, space=space))
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
    )
    return report, kept


def split_patients(patients: NDArray[Any], truth: NDArray[Any], *, seed: int = 0) -> tuple[Ints, Ints]:
    """(train, test) positions: about 30 % of the patients with the finding and of those without are held out."""
    rng = np.random.default_rng(seed)
    unique, inverse = np.unique(patients, return_inverse=True)
    positive = np.bincount(inverse, weights=np.asarray(truth, dtype=float)) > 0
    held = np.zeros(len(unique), dtype=bool)
    for group in (np.flatnonzero(positive), np.flatnonzero(~positive)):
        if len(group) > 1:
            held[rng.permutation(group)[: max(1, round(len(group) * _TEST))]] = True
    return np.flatnonzero(~held[inverse]), np.flatnonzero(held[inverse])


def calibration(probabilities: Floats, truth: NDArray[Any], *, bins: int = _BINS) -> tuple[CalibrationBin, ...]:
    """Equal-width bins that have a film in them."""
    from scipy.stats import binned_statistic  # type: ignore[import-untyped]

    values = [np.asarray(probabilities, float), np.asarray(truth, float)]
    means, edges, index = binned_statistic(values[0], values, "mean", bins=bins, range=(0, 1))
    return tuple(
        CalibrationBin(
            low=float(edges[one]),
            high=float(edges[one + 1]),
            films=int((index == one + 1).sum()),
            said=float(means[0, one]),
            observed=float(means[1, one]),
        )
        for one in range(bins)
        if (index == one + 1).any()
    )


def _draw(train: Ints, truth: NDArray[np.bool_], *, size: int, seed: int) -> Ints:
    """`size` random training films, with one of each class at least."""
    rng = np.random.default_rng(seed)
    chosen = rng.permutation(train)[:size]
    for wanted in (True, False):
        if not (truth[chosen] == wanted).any():
            chosen[-1] = rng.choice(train[truth[train] == wanted])
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
    """The penalty with the best cross-validated log loss, folds by patient; 0.1 for few films."""
    from sklearn.metrics import log_loss  # type: ignore[import-untyped]
    from sklearn.model_selection import GroupKFold  # type: ignore[import-untyped]

    some = np.random.default_rng(0).permutation(len(data))[:_CROSS_VALIDATED]
    data, truth, patients = data[some], truth[some], patients[some]
    if len(data) < 40 or len(np.unique(patients)) < _FOLDS:
        return _FEW_FILMS
    folds = list(GroupKFold(_FOLDS, shuffle=True, random_state=0).split(data, truth, patients))
    if any(len(np.unique(truth[inside])) < 2 for inside, _ in folds):
        return _FEW_FILMS
    losses = []
    for strength in _PENALTIES[kind]:
        said = np.empty(len(data))
        for inside, outside in folds:
            head = fit_head(data[inside], truth[inside], name=name, space=space, kind=kind, penalty=strength)
            said[outside] = head.probabilities(data[outside])
        losses.append(log_loss(truth, np.clip(said, 1e-6, 1 - 1e-6), labels=[False, True]))
    return _PENALTIES[kind][int(np.argmin(losses))]


def _curve_auc(scores: Sequence[Floats], truth: NDArray[np.bool_], patients: NDArray[Any]) -> Interval:
    rng = np.random.default_rng(20240229)
    unique, inverse = np.unique(patients, return_inverse=True)
    members = [np.flatnonzero(inverse == one) for one in range(len(unique))]
    drawn = []
    for _ in range(500):
        films = np.concatenate([members[one] for one in rng.integers(0, len(members), len(members))])
        drawn.append(auc(scores[int(rng.integers(len(scores)))][films], truth[films]))
    low, high = np.nanquantile(drawn, (0.025, 0.975))
    mean = float(np.mean([auc(one, truth) for one in scores]))
    return Interval(mean, float(low), float(high), len(truth))
