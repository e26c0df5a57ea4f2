"""Judged films bend a query's vector: when, how far, and never without both kinds."""

from __future__ import annotations

import numpy as np
import pytest
from filmroom.search.evaluation.statistics import auc
from filmroom.search.query.relevance_feedback import CHECKED, HALF, MOST, ridge, teach
from numpy.typing import NDArray

DIM = 24


def archive(count: int, *, seed: int = 0) -> tuple[NDArray[np.float32], NDArray[np.bool_], NDArray[np.float32]]:
    """Unit vectors, which of them show it (along two directions), and words that know one of the two."""
    rng = np.random.default_rng(seed)
    vectors = rng.normal(size=(count, DIM)) + 2
    shows = vectors[:, 0] + vectors[:, 1] > 5
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    words = np.zeros(DIM, np.float32)
    words[0] = 1
    return vectors.astype(np.float32), shows, words


@pytest.mark.parametrize("judged", [60, 200])
def test_judged_films_rank_the_others_better(judged: int) -> None:
    vectors, shows, words = archive(800)
    patients = [str(n) for n in range(judged)]
    bent, learned = teach(words, vectors[:judged], shows[:judged], patients, vectors)
    m = min(learned.show, learned.lack)
    assert learned.weight == MOST * m / (m + HALF)
    assert np.linalg.norm(bent) == pytest.approx(1, abs=1e-5)
    rest = slice(judged, None)
    assert auc(vectors[rest] @ bent, shows[rest]) > auc(vectors[rest] @ words, shows[rest]) + 0.02
    assert f"{learned.show:,} show it" in learned.sentence


@pytest.mark.parametrize("kind", [True, False])
def test_one_kind_alone_teaches_nothing(kind: bool) -> None:
    vectors, shows, words = archive(100)
    some = vectors[shows == kind][:5]
    bent, learned = teach(words, some, np.full(len(some), kind), ["p"] * len(some), vectors)
    assert bent.tolist() == words.tolist()
    assert learned.weight == 0
    assert "The words alone rank" in learned.sentence


def test_without_judged_films_the_words_rank() -> None:
    vectors, _, words = archive(10)
    bent, learned = teach(words, vectors[:0], np.zeros(0, bool), [], vectors)
    assert bent.tolist() == words.tolist()
    assert (learned.show, learned.lack) == (0, 0)


def test_judgements_that_do_not_hold_out_of_fold_count_nothing() -> None:
    vectors, shows, words = archive(400)
    judged = np.flatnonzero(np.arange(400) < 60)
    noise = np.random.default_rng(3).random(60) < 0.4
    noise |= vectors[judged, 0] > np.quantile(vectors[judged, 0], 0.6)  # what the words say, and noise besides
    bent, learned = teach(words, vectors[judged], noise, [str(n) for n in judged], vectors)
    assert min(learned.show, learned.lack) >= CHECKED
    assert learned.auc_words is not None
    assert learned.auc_blend is not None
    if learned.auc_blend < learned.auc_words:
        assert learned.weight == 0
        assert bent.tolist() == words.tolist()
        assert "out-of-fold" in learned.sentence
    reversed_words, wrong = teach(words, vectors[judged], ~shows[judged], ["one patient"] * 60, vectors)
    assert wrong.auc_blend is None, "films of one patient cannot be held out"
    assert reversed_words.tolist() != words.tolist()


def test_the_kinds_weigh_the_same_and_both_forms_of_the_solution_agree() -> None:
    vectors, shows, _ = archive(40)
    few, many = vectors[:20].astype(float), vectors.astype(float)
    assert ridge(few, shows[:20]).shape == (DIM,)
    twice = np.concatenate([many, many[~shows]])
    again = np.concatenate([shows, np.zeros((~shows).sum(), bool)])
    assert ridge(twice, again) == pytest.approx(ridge(many, shows))
