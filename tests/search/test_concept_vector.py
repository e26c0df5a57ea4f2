"""Concepts become one vector that ranks as the pairs would."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from filmroom.db.errors import BadInput
from filmroom.search.query.concept_vector import DENIED, query_vector
from filmroom.search.query.parser import parse
from numpy.typing import NDArray

RNG = np.random.default_rng(0)
KNOWN: dict[str, NDArray[np.float32]] = {}


def embed(texts: Sequence[str]) -> NDArray[np.float32]:
    """A made-up text tower: a fixed unit vector for every text."""
    for text in texts:
        if text not in KNOWN:
            vector = RNG.normal(size=16)
            KNOWN[text] = (vector / np.linalg.norm(vector)).astype(np.float32)
    return np.stack([KNOWN[text] for text in texts])


@pytest.mark.parametrize(
    ("text", "weights"),
    [
        ("edema", {"film: edema": 1.0}),
        ("edema without effusion", {"film: edema": 1.0, "film: no effusion": DENIED, "film: effusion": -DENIED}),
        ("-mass", {"film: no mass": 1.0, "film: mass": -1.0}),
        ("-mass -edema", {"film: no mass": 1.0, "film: no edema": 1.0, "film: mass": -1.0, "film: edema": -1.0}),
        ("no acute findings", {"film: no acute findings": 1.0}),
    ],
)
def test_one_vector_ranks_as_the_sum_of_pairs(text: str, weights: dict[str, float]) -> None:
    films = RNG.normal(size=(200, 16)).astype(np.float32)
    films /= np.linalg.norm(films, axis=1, keepdims=True)
    vector = query_vector(parse(text), embed, "film: {}")
    assert vector.dtype == np.float32
    assert np.linalg.norm(vector) == pytest.approx(1.0, abs=1e-6)
    expected = (films @ embed(list(weights)).T) @ np.array(list(weights.values()), np.float32)
    assert np.array_equal(np.argsort(films @ vector), np.argsort(expected))


def test_a_tower_blind_to_no_still_ranks_away() -> None:
    vector = query_vector(parse("no mass"), lambda texts: embed([text.replace("no ", "") for text in texts]))
    assert vector == pytest.approx(-embed(["mass"])[0], abs=1e-6)


def test_braces_in_the_words_are_words() -> None:
    seen: list[str] = []

    def spy(texts: Sequence[str]) -> NDArray[np.float32]:
        seen.extend(texts)
        return embed(texts)

    query_vector(parse("a {0} b {x}"), spy, "film of {}.")
    assert seen == ["film of a {0} b {x}."]


def test_only_filters_rank_nothing() -> None:
    with pytest.raises(BadInput, match="only filters"):
        query_vector(parse("view:AP"), embed)
