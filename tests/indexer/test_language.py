"""What the text tower is taught: the codes of phrases."""

from __future__ import annotations

import random
from dataclasses import replace

import numpy as np
import pytest
from filmroom.indexer.radiology.captions import Claim
from filmroom.indexer.training.data.corpus import Meaning, meaning, mistyped, phrases
from filmroom.indexer.training.language import codes

EFFUSION = Claim("effusion")


def likeness(*meanings: Meaning) -> np.ndarray[tuple[int, int], np.dtype[np.float32]]:
    rows = codes(meanings)
    return rows @ rows.T


@pytest.mark.parametrize("ends", [{"side": ("left", "right")}, {"severity": ("small", "large")}])
def test_two_ends_are_further_from_each_other_than_from_what_names_neither(ends: dict[str, tuple[str, str]]) -> None:
    [(quality, (one, other))] = ends.items()
    of = [EFFUSION, replace(EFFUSION, **{quality: one}), replace(EFFUSION, **{quality: other})]
    alike = likeness(*map(meaning, of))
    assert min(alike[0, 1], alike[0, 2]) > 0.7
    assert alike[1, 2] < min(alike[0, 1], alike[0, 2]) - 0.2
    assert alike[0, 1] == pytest.approx(alike[0, 2], abs=0.2)


def test_a_denied_finding_points_away_from_it_and_findings_stand_apart() -> None:
    alike = likeness(meaning(EFFUSION), meaning(replace(EFFUSION, absent=True)), meaning(Claim("pneumothorax")))
    assert alike[0, 1] < -0.5
    assert abs(alike[0, 2]) < 0.3


def test_codes_are_unit_and_the_same_every_time() -> None:
    said = [phrase.meaning for phrase in phrases(40, random.Random(0))]
    first = codes(said)
    assert np.linalg.norm(first, axis=1) == pytest.approx(1, abs=1e-5)
    np.testing.assert_array_equal(first, codes(said))
    np.testing.assert_allclose(first[7:9], codes(said[7:9]), atol=1e-6)


def test_every_idea_is_said_and_typing_errors_keep_most_letters() -> None:
    rng = random.Random(1)
    said = list(phrases(400, rng))
    assert len({next(iter(phrase.meaning)) for phrase in said}) > 50
    assert all(abs(len(mistyped(p.text, rng)) - len(p.text)) <= 1 for p in said)
