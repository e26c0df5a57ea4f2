"""Reciprocal rank fusion."""

from __future__ import annotations

import pytest
from filmroom.search.ranking.fusion import reciprocal_rank_fusion


def test_what_both_lists_like_comes_first() -> None:
    fused = reciprocal_rank_fusion([["a", "b", "c"], ["b", "d"]])
    assert [item for item, _ in fused] == ["b", "a", "d", "c"]
    assert fused[0][1] == pytest.approx(1 / 62 + 1 / 61)


def test_one_list_keeps_its_order_and_empty_lists_do_nothing() -> None:
    assert [item for item, _ in reciprocal_rank_fusion([[3, 1, 2], []])] == [3, 1, 2]
    assert reciprocal_rank_fusion([[], []]) == []


def test_weights_and_repeats() -> None:
    fused = dict(reciprocal_rank_fusion([["a", "a", "b"], ["b"]], weights=[1.0, 0.0]))
    assert fused == {"a": pytest.approx(1 / 61), "b": pytest.approx(1 / 62)}
