"""Measures against values worked out by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from tasks.evaluate.intervals import mean
from tasks.evaluate.metrics import measured


def test_one_gold_page_at_rank_three() -> None:
    found = measured([3])
    assert [found[f"hit@{k}"] for k in (1, 3, 5, 10)] == [0, 1, 1, 1]
    assert found["mrr@10"] == pytest.approx(1 / 3)
    assert found["ndcg@10"] == pytest.approx(1 / math.log2(4))


def test_several_gold_pages() -> None:
    found = measured([None, 2, 7])
    assert (found["hit@1"], found["hit@3"]) == (0, 1)
    assert found["recall@5"] == pytest.approx(1 / 3)
    assert found["recall@10"] == pytest.approx(2 / 3)
    ideal = 1 + 1 / math.log2(3) + 1 / math.log2(4)
    assert found["ndcg@10"] == pytest.approx((1 / math.log2(3) + 1 / math.log2(8)) / ideal)


def test_beyond_the_depth_counts_nothing() -> None:
    assert set(measured([11]).values()) == {0.0}
    assert set(measured([1]).values()) == {1.0}


def test_the_interval_holds_the_mean_and_narrows_with_more_values() -> None:
    values = np.random.default_rng(1).random(400) < 0.3
    few, many = mean(values[:20].astype(float).tolist()), mean(values.astype(float).tolist())
    assert few.low <= few.value <= few.high
    assert many.high - many.low < 0.5 * (few.high - few.low)
    assert many.low < 0.3 < many.high
    assert mean([0.25] * 5).low == mean([0.25] * 5).high == 0.25


def test_the_interval_covers_about_as_often_as_it_says() -> None:
    random = np.random.default_rng(2)
    found = [mean((random.random(60) < 0.4).astype(float).tolist()) for _ in range(100)]
    assert 85 <= sum(each.low <= 0.4 <= each.high for each in found) <= 100
