from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from perception.errors import InputError
from perception.metrics.recall import (
    at_required_range,
    box_iou,
    countable,
    found,
    min_height_px,
    recall_curve,
    wilson_lower,
)
from perception.types import Boxes


def test_iou_of_hand_made_boxes() -> None:
    a = np.array([[0, 0, 10, 10], [100, 100, 110, 110]], float)
    b = np.array([[5, 0, 15, 10], [0, 0, 10, 10]], float)
    assert box_iou(a, b) == pytest.approx(np.array([[1 / 3, 1.0], [0.0, 0.0]]))


def test_a_hit_needs_overlap_and_score() -> None:
    truth = Boxes([[0, 0, 10, 10], [50, 50, 60, 60]], [0, 5])
    predicted = Boxes([[0, 0, 10, 12], [50, 50, 60, 60]], [3, 5], [0.9, 0.2])
    assert found(truth, predicted).tolist() == [True, False]
    assert found(truth, predicted, min_score=0.1).tolist() == [True, True]
    assert found(truth, predicted, min_iou=0.9).tolist() == [False, False]
    assert found(truth, None).tolist() == [False, False]
    assert found(truth, Boxes.empty()).tolist() == [False, False]


def test_boxes_that_are_cut_hidden_or_of_other_classes_are_not_asked_for() -> None:
    boxes = Boxes(
        [[10, 10, 20, 20], [0, 10, 20, 20], [10, 10, 160, 20], [10, 10, 20, 20], [10, 10, 20, 20]],
        [0, 0, 0, 0, 9],
        visibility=[0.9, 0.9, 0.9, 0.2, 0.9],
        distance_m=[50, 50, 50, 50, 50],
    )
    assert countable(boxes, (90, 160), (0, 1)).tolist() == [True, False, False, False, False]
    near = Boxes([[0, 0, 1, 1]] * 5, [0] * 5, distance_m=[79, 80, 90, 100, np.nan])
    assert at_required_range(near, 100.0).tolist() == [False, True, True, True, False]
    assert not at_required_range(Boxes([[0, 0, 1, 1]], [0]), 100.0).any()
    assert not at_required_range(near, np.inf).any()


@settings(deadline=None, max_examples=60)
@given(st.integers(1, 500), st.data())
def test_wilson_agrees_with_scipy(count: int, data) -> None:
    hits = data.draw(st.integers(0, count))
    expected = stats.binomtest(hits, count, alternative="greater").proportion_ci(0.95, "wilson").low
    assert wilson_lower(hits, count, stats.norm.ppf(0.95)) == pytest.approx(max(expected, 0.0), abs=1e-9)


def test_a_known_detector_gives_its_threshold() -> None:
    random = np.random.default_rng(0)
    heights = random.uniform(3, 150, 40_000)
    hits = random.uniform(size=len(heights)) < np.where(heights < 18, 0.6, 0.985)
    curve = recall_curve(heights, hits)
    assert sum(curve.counts) == np.count_nonzero(heights >= 4)
    assert curve.recall[0] == pytest.approx(0.6, abs=0.1)
    assert min_height_px(curve) == 18.0
    assert min_height_px(curve, floor=0.999) is None
    assert min_height_px(curve, floor=0.5) == 4.0


def test_a_dip_above_counts() -> None:
    """Recall must keep up from there on: a good bin below a bad one does not help."""
    edges = (10.0, 20.0, 30.0, 40.0)
    heights = np.repeat([12, 22, 32, 42], 100)
    hits = np.r_[np.ones(100), np.arange(100) >= 10, np.ones(100), np.ones(100)].astype(bool)
    assert min_height_px(recall_curve(heights, hits, edges)) == 30.0


def test_the_lower_bound_asks_for_more() -> None:
    edges = (10.0, 20.0)
    heights = np.repeat([15, 25], [30, 300])
    curve = recall_curve(heights, np.ones(330, bool), edges)
    assert min_height_px(curve) == 10.0
    assert min_height_px(curve, lower_bound=True) == 20.0  # 30 of 30 leave room for 92 %


def test_sparse_bins_wait_for_company() -> None:
    edges = (10.0, 20.0, 30.0)
    curve = recall_curve([35.0, *[25.0] * 60], [False, *[True] * 60], edges)
    assert min_height_px(curve) == 20.0  # 60 of 61, though the tallest by itself was missed
    assert min_height_px(recall_curve([35.0], [True], edges)) is None


@pytest.mark.parametrize(("heights", "hits", "edges"), [([1.0], [], (1.0,)), ([1.0], [True], (2.0, 1.0))])
def test_bad_curves(heights, hits, edges) -> None:
    with pytest.raises(InputError):
        recall_curve(heights, hits, edges)
