"""Intervals and tests against known values."""

from __future__ import annotations

import time

import numpy as np
import pytest
from filmroom.search.evaluation import statistics
from filmroom.search.evaluation.statistics import (
    _WeightedArea,
    auc,
    auc_interval,
    bootstrap_mean,
    holm,
    paired_randomisation,
)
from hypothesis import given
from hypothesis import strategies as st


def test_bootstrap_of_a_mean() -> None:
    values = np.random.default_rng(0).normal(0.5, 0.1, 400)
    interval = bootstrap_mean(values)
    half = 1.96 * values.std() / 20
    assert interval.value == pytest.approx(values.mean())
    assert interval.low == pytest.approx(values.mean() - half, abs=0.002)
    assert interval.high == pytest.approx(values.mean() + half, abs=0.002)
    assert bootstrap_mean(values) == interval
    assert str(bootstrap_mean([0.5] * 5)) == "0.500 [0.500, 0.500]"
    assert str(bootstrap_mean([0.5] * 4)) == "0.500", "four say nothing of others"
    assert np.isnan(bootstrap_mean([]).value)


def test_randomisation_is_exact_for_few_pairs() -> None:
    assert paired_randomisation([0, 0, 0, 0], [1, 1, 1, 1]).p == pytest.approx(2 / 16)
    assert paired_randomisation([1, 2, 3], [1, 2, 3]).p == 1.0
    assert paired_randomisation([0, 0], [0.1, -0.1]).difference.value == pytest.approx(0)
    assert paired_randomisation([], []).n == 0


def test_randomisation_of_many_pairs() -> None:
    rng = np.random.default_rng(1)
    a = rng.random(50)
    assert paired_randomisation(a, a + 0.1).p == pytest.approx(1 / 20_001)
    assert paired_randomisation(a, a + rng.normal(0, 0.1, 50)).p > 0.05


def test_holm_against_the_textbook() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.9, 0.8]) == [1.0, 1.0]
    assert holm([]) == []


@given(st.lists(st.tuples(st.integers(0, 5), st.booleans()), min_size=2, max_size=30))
def test_auc_is_the_chance_of_a_right_order(pairs: list[tuple[int, bool]]) -> None:
    positive = [score for score, truth in pairs if truth]
    negative = [score for score, truth in pairs if not truth]
    value = auc([score for score, _ in pairs], [truth for _, truth in pairs])
    if not positive or not negative:
        assert np.isnan(value)
        return
    wins = sum((p > n) + 0.5 * (p == n) for p in positive for n in negative)
    assert value == pytest.approx(wins / (len(positive) * len(negative)))


def test_auc_interval_is_wider_when_patients_stay_together() -> None:
    rng = np.random.default_rng(2)
    truth = np.repeat(rng.integers(0, 2, 60), 5)
    scores = np.repeat(rng.normal(0, 1, 60), 5) + truth
    alone = auc_interval(scores, truth)
    together = auc_interval(scores, truth, groups=np.repeat(np.arange(60), 5))
    assert alone.value == together.value
    assert together.high - together.low > 1.5 * (alone.high - alone.low)
    assert np.isnan(auc_interval([1, 2], [1, 1]).low)


def test_a_resampled_area_is_that_of_the_films_as_often_as_they_were_drawn() -> None:
    draw = np.random.default_rng(3)
    scores = np.round(draw.normal(size=200), 1)  # with ties
    truth = draw.random(200) < 0.3
    area = _WeightedArea(scores, truth)
    for _ in range(20):
        chosen = draw.integers(0, 200, 200)
        assert area(np.bincount(chosen, minlength=200)) == pytest.approx(auc(scores[chosen], truth[chosen]), abs=1e-12)
    assert np.isnan(area(truth.astype(np.int64)))


def test_the_interval_of_ten_thousand_films_takes_no_time() -> None:
    """A bound that only sorting every sample anew breaks: that takes four seconds."""
    draw = np.random.default_rng(4)
    scores = draw.normal(size=10_000)
    started = time.thread_time()
    interval = auc_interval(scores, scores + draw.normal(size=10_000) > 1)
    assert interval.low < interval.value < interval.high
    assert time.thread_time() - started < 2.5


def test_an_interval_that_is_computed_is_that_of_resampling(monkeypatch: pytest.MonkeyPatch) -> None:
    draw = np.random.default_rng(1)
    patients = draw.integers(0, 900, 3000)
    of_patient = draw.normal(size=900)[patients]
    truth = of_patient + draw.normal(size=3000) > 1.2
    scores = np.round(truth + of_patient + draw.normal(size=3000), 1)  # with ties
    for groups in (None, patients):
        resampled = auc_interval(scores, truth, groups=groups, samples=4000)
        with monkeypatch.context() as patch:
            patch.setattr(statistics, "MANY", 0)
            computed = auc_interval(scores, truth, groups=groups)
        assert computed.value == resampled.value
        assert (computed.low, computed.high) == pytest.approx((resampled.low, resampled.high), abs=0.002)
        assert computed.high - computed.low > 0.02
