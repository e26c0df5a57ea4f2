"""Measures against values worked out by hand, and what the report must say."""

from __future__ import annotations

import json
from math import log2

import pytest
from filmroom.db.errors import BadInput
from filmroom.search.evaluation.metrics import Gain, Ranked, evaluate, in_order, measure_run
from filmroom.search.evaluation.trec import Topic

QUESTIONS = [Topic("q1", "edema", "finding"), Topic("q2", "left mass", "side"), Topic("q3", "none", "side")]
GRADES = {"q1": {1: 2, 2: 1, 3: 0}, "q2": {4: 1, 1: 0}, "q3": {1: 0}, "q9": {1: 1}}
LISTS = {"edema": [(3, 0.9), (1, 0.8), (5, 0.7), (2, 0.6), (4, 0.5)], "left mass": [(4, 0.9), (1, 0.1)]}


def rank(text: str, k: int | None, within: set[int] | None) -> Ranked:
    return [pair for pair in LISTS[text] if within is None or pair[0] in within][:k]


def test_values_are_those_of_the_definitions() -> None:
    found = evaluate(
        rank, QUESTIONS, GRADES, films=range(1, 6), measures=("nDCG@5", "P@5", "AP", "RR", "R@2", "Judged@5")
    )
    ideal = 2 + 1 / log2(3)
    assert found.queries["q1"] == {
        "nDCG@5": pytest.approx((2 / log2(3) + 1 / log2(5)) / ideal),
        "P@5": pytest.approx(2 / 5),
        "AP": pytest.approx((1 / 2 + 2 / 4) / 2),
        "RR": pytest.approx(1 / 2),
        "R@2": pytest.approx(1 / 2),
        "Judged@5": pytest.approx(3 / 5),
    }
    assert found.mean["nDCG@5"].value == pytest.approx((found.queries["q1"]["nDCG@5"] + 1) / 2)
    assert not found.mean["nDCG@5"].bounded
    assert found.perfect["nDCG@5"] == sum(values["nDCG@5"] == 1 for values in found.queries.values()) == 1
    assert found.groups["side"]["RR"].value == pytest.approx(1.0)
    assert (found.unjudged, found.unasked) == (("q3",), ("q9",))
    assert found.left_out == (
        "Left out (no film here is relevant): q3 (none).",
        "Left out (judged, but not among the queries): q9.",
    )
    assert set(found.baselines) == {"random", "prior"}


def test_exponential_gain_on_request_and_named() -> None:
    found = evaluate(rank, QUESTIONS, GRADES, films=range(1, 6), measures=("nDCG@5", "P@5"), gain=Gain.EXPONENTIAL)
    ideal = 3 + 1 / log2(3)
    assert found.queries["q1"]["nDCG@5"] == pytest.approx((3 / log2(3) + 1 / log2(5)) / ideal)
    assert found.to_json()["settings"]["gain"] == "exponential"


def test_gains_of_one_measure_do_not_leak_into_another() -> None:
    names = ("nDCG(gains={2:9})@5", "nDCG@5", "P@5")
    found = evaluate(rank, QUESTIONS, GRADES, films=range(1, 6), measures=names)
    alone = evaluate(rank, QUESTIONS, GRADES, films=range(1, 6), measures=("nDCG@5",))
    assert found.queries["q1"]["nDCG@5"] == alone.queries["q1"]["nDCG@5"]
    assert found.queries["q1"][names[0]] != found.queries["q1"]["nDCG@5"]


def test_condensed_list_ranks_judged_films_only() -> None:
    found = evaluate(rank, QUESTIONS, GRADES, films=range(1, 6), judged_only=True)
    assert [film for film, _ in found.run["q1"]] == ["3", "1", "2"]
    assert found.mean["Judged@5"].value == 1.0
    assert found.to_json()["settings"]["judged_only"] is True


def test_equal_scores_follow_trec_eval() -> None:
    name = {1: "b", 2: "c", 3: "a"}.__getitem__
    assert [film for film, _ in in_order([(3, 0.5), (1, 0.5), (2, 0.5 + 1e-12)], name=name)] == [2, 1, 3]
    with pytest.raises(BadInput, match="not a number"):
        in_order([(1, float("nan"))])


def test_order_of_baselines_random_and_prior() -> None:
    grades = {f"q{number}": {film: int(film in {1, 2, 3} - {number}) for film in range(60)} for number in (1, 2, 3)}
    questions = [Topic(qid, qid) for qid in grades]
    found = evaluate(
        lambda text, k, within: [(film, -float(film)) for film in range(60)], questions, grades, films=range(60)
    )
    assert found.baselines["random"]["P@5"] == pytest.approx(2 / 60, abs=0.03)
    assert found.baselines["prior"]["P@5"] == pytest.approx(2 / 5)
    again = evaluate(
        lambda text, k, within: [(film, -float(film)) for film in range(60)], questions, grades, films=range(60)
    )
    assert again.baselines == found.baselines


def test_json_has_the_promised_shape() -> None:
    found = json.loads(json.dumps(evaluate(rank, QUESTIONS, GRADES, films=range(1, 6)).to_json()))
    assert set(found["mean"]) == {"nDCG@5", "nDCG@10", "P@5", "AP", "Judged@5"}
    assert set(found["queries"]) == {"q1", "q2"}
    assert found["groups"]["finding"]["queries"] == 1
    assert "document id" in found["settings"]["ties"]


def test_depth_is_what_is_asked_for() -> None:
    asked: list[int | None] = []

    def deep(text: str, k: int | None, within: set[int] | None) -> Ranked:
        asked.append(k)
        return rank(text, k, within)

    evaluate(deep, QUESTIONS, GRADES, films=range(1, 6), depth=2)
    assert asked == [2, 2]


@pytest.mark.parametrize("name", ["foo@5", "nDCG", "nDCG@0", "nDCG@x", "P", "", 'nDCG(dcg="exp-log2")@5', "ERR@5"])
def test_an_unknown_measure_is_named(name: str) -> None:
    if name == "nDCG":
        assert evaluate(rank, QUESTIONS, GRADES, films=range(1, 6), measures=(name,)).mean[name].value > 0
        return
    with pytest.raises(BadInput, match="no such measure"):
        evaluate(rank, QUESTIONS, GRADES, films=range(1, 6), measures=(name,))


def test_nothing_relevant_is_said() -> None:
    with pytest.raises(BadInput, match="No query has a relevant film"):
        evaluate(rank, QUESTIONS, {"q1": {1: 0}}, films=[1])


def test_a_run_from_a_file_counts_absent_queries_as_zero() -> None:
    scores = measure_run({"q1": {"b": 0.5, "a": 0.5}}, {"q1": {"a": 1}, "q2": {"a": 1}}, measures=("RR", "Judged@5"))
    assert scores == {"q1": {"RR": 0.5, "Judged@5": 0.5}, "q2": {"RR": 0.0, "Judged@5": 0.0}}
