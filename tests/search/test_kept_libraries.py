"""What scikit-learn and scipy compute is what Filmroom computed itself, and what it still computes itself is theirs."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from filmroom.db.records import Space
from filmroom.search.classification.learning_curve import calibration
from filmroom.search.classification.linear_probe import Head, Kind, fit_head
from filmroom.search.evaluation.pooling import weighted_kappa
from filmroom.search.evaluation.statistics import auc, auc_interval, bootstrap_mean, paired_randomisation
from scipy.optimize import minimize
from scipy.stats import bootstrap, permutation_test
from sklearn.metrics import cohen_kappa_score, roc_auc_score

SPACE = Space("tiny", "f" * 64, 64, 1)


def films(count: int = 300, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    vectors = rng.normal(size=(count, 64))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors.astype(np.float32), vectors[:, :8].sum(axis=1) + rng.normal(0, 0.2, count) > 0.1


def loss(head: Head, vectors: np.ndarray, truth: np.ndarray, penalty: float) -> float:
    said = np.clip(head.probabilities(vectors).astype(float), 1e-12, 1 - 1e-12)
    each = np.where(truth, np.log(said), np.log(1 - said))
    return float(-each.mean() + penalty / 2 * sum((weights**2).sum() for weights, _ in head.layers))


@pytest.mark.parametrize("penalty", [1e-3, 1e-2, 1e-1, 1.0])
def test_the_linear_head_is_at_the_minimum_that_its_penalty_means(penalty: float) -> None:
    vectors, truth = films()
    head = fit_head(vectors, truth, name="x", space=SPACE, penalty=penalty)
    inputs = (vectors - head.mean) / head.scale

    def objective(flat: np.ndarray) -> float:
        logit = inputs @ flat[:-1] + flat[-1]
        return float(np.mean(np.logaddexp(0, logit) - truth * logit) + penalty / 2 * (flat[:-1] ** 2).sum())

    best = minimize(objective, np.zeros(65), method="L-BFGS-B", options={"maxiter": 3000, "maxfun": 10**6})
    assert loss(head, vectors, truth, penalty) == pytest.approx(best.fun, abs=2e-4)


def test_a_hidden_layer_ranks_unseen_films_as_well_as_the_linear_head() -> None:
    (vectors, truth), (others, really) = films(), films(2000, seed=1)
    area = {
        kind: auc(fit_head(vectors, truth, name="x", space=SPACE, kind=kind, penalty=0.1).probabilities(others), really)
        for kind in Kind
    }
    assert area[Kind.MLP] == pytest.approx(area[Kind.LINEAR], abs=0.01)
    assert area[Kind.LINEAR] > 0.75


def test_intervals_are_those_of_all_versions() -> None:
    values = np.random.default_rng(3).random(63)
    drawn = np.random.default_rng(20240229).integers(0, 63, (2000, 63))
    assert (bootstrap_mean(values).low, bootstrap_mean(values).high) == pytest.approx(
        tuple(np.quantile(values[drawn].mean(axis=1), (0.025, 0.975))), abs=1e-12
    )
    theirs = bootstrap((values,), np.mean, n_resamples=2000, method="percentile", rng=np.random.default_rng(20240229))
    drawn_by_scipy = np.quantile(theirs.bootstrap_distribution, (0.025, 0.975))
    assert (bootstrap_mean(values).low, bootstrap_mean(values).high) == pytest.approx(tuple(drawn_by_scipy), abs=1e-12)
    assert str(bootstrap_mean([0.25])) == "0.250", "of fewer than five there is no interval"
    scores, truth = np.random.default_rng(4).normal(size=80), np.arange(80) % 4 == 0
    rng = np.random.default_rng(20240229)
    areas = [auc(scores[rows], truth[rows]) for rows in (rng.integers(0, 80, 80) for _ in range(1000))]
    interval = auc_interval(scores, truth)
    assert (interval.low, interval.high) == pytest.approx(tuple(np.nanquantile(areas, (0.025, 0.975))), abs=1e-12)


def test_bins_of_calibration_are_half_open() -> None:
    found = calibration(np.array([0.0, 0.05, 0.1, 0.95, 1.0]), np.array([0, 1, 1, 1, 0]))
    assert [(one.low, one.films, one.observed) for one in found] == [
        (pytest.approx(0.0), 2, 0.5), (pytest.approx(0.1), 1, 1.0), (pytest.approx(0.9), 2, 0.5)
    ]  # fmt: skip
    assert found[-1].said == pytest.approx(0.975)


def test_auc_is_scikit_learns() -> None:
    rng = np.random.default_rng(5)
    for count in (5, 50, 500):
        scores, truth = rng.integers(0, 9, count), np.arange(count) % 3 == 0
        assert auc(scores, truth) == pytest.approx(roc_auc_score(truth, scores), abs=1e-12)


def test_kappa_is_scikit_learns() -> None:
    pairs = [(int(a), int(b)) for a, b in np.random.default_rng(6).integers(0, 4, (60, 2))]
    for some in (pairs, pairs[:7], [(0, 3), (3, 3), (1, 0)]):
        expected = cohen_kappa_score(*zip(*some, strict=True), labels=[0, 1, 2, 3], weights="linear")
        assert weighted_kappa(some) == pytest.approx(expected, abs=1e-12)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert weighted_kappa([(2, 2), (2, 2)]) is None


@pytest.mark.parametrize(("count", "tolerance"), [(9, 1e-12), (40, 0.01)])
def test_the_paired_test_is_scipys(count: int, tolerance: float) -> None:
    rng = np.random.default_rng(7)
    a = rng.random(count)
    b = a + rng.normal(0.03, 0.1, count)
    found = permutation_test(
        (b - a,), lambda x, axis=-1: abs(x.mean(axis=axis)), permutation_type="samples", vectorized=True,
        n_resamples=20_000, alternative="greater", rng=rng,
    )  # fmt: skip
    assert paired_randomisation(a, b).p == pytest.approx(found.pvalue, abs=tolerance)
