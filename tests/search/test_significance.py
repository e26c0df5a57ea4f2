"""Comparing two evaluations."""

from __future__ import annotations

import json

import numpy as np
import pytest
from filmroom.db.errors import BadInput
from filmroom.search.evaluation.significance import compare


def scores(values: list[float]) -> dict[str, dict[str, float]]:
    return {f"q{index}": {"nDCG@5": value, "RR": 0.5} for index, value in enumerate(values)}


def test_a_real_gain_is_told_from_noise() -> None:
    before = np.random.default_rng(0).uniform(0.2, 0.6, 40)
    found = compare(scores(list(before)), scores(list(before + 0.1)))
    gain, same = found.measures
    assert (gain.measure, gain.better, gain.worse) == ("nDCG@5", 40, 0)
    assert gain.difference.value == pytest.approx(0.1)
    assert gain.p_holm == pytest.approx(2 * gain.p)
    assert gain.p_holm < 0.001
    assert (same.p, same.p_holm) == (1.0, 1.0)


def test_queries_are_listed_from_gain_to_loss_and_strangers_named() -> None:
    found = compare(scores([0.1, 0.9, 0.5, 0.3]), scores([0.2, 0.1, 0.9]), measures=["nDCG@5"])
    assert list(found.queries) == ["q2", "q0", "q1"]
    assert (found.n, found.only_a, found.only_b) == (3, ("q3",), ())
    assert json.loads(json.dumps(found.to_json()))["measures"][0]["difference"]["n"] == 3


def test_what_cannot_be_compared_is_said() -> None:
    with pytest.raises(BadInput, match="share no query"):
        compare({"a": {"RR": 1.0}}, {"b": {"RR": 1.0}})
    with pytest.raises(BadInput, match="not in both") as refused:
        compare(scores([0.1]), scores([0.2]), measures=["AP"])
    assert str(refused.value).startswith("AP: ")
