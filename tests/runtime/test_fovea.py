"""Stitching masks and merging boxes of a low-resolution view and a window."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from perception.runtime.fovea import fuse, merge_boxes, stitch
from perception.runtime.plan import Fovea, Window, fovea_plan
from perception.types import Boxes, Prediction

NATIVE = (200, 400)
WINDOW = Window(60, 140, 64, 96)
PLAN = fovea_plan((50, 100), Fovea(WINDOW, NATIVE))


def boxes(
    *rows: tuple[float, float, float, float], scores: tuple[float, ...] = (), labels: tuple[int, ...] = ()
) -> Boxes:
    count = len(rows)
    return Boxes(
        np.array(rows, np.float32).reshape(-1, 4),
        np.array(labels or (0,) * count),
        np.array(scores or (0.5,) * count, np.float32),
    )


@given(st.integers(8, 40), st.integers(8, 60), st.integers(0, 2**32 - 1))
def test_stitched_masks_show_the_nearest_low_pixel_and_the_window(height: int, width: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    native = (height * 4 + 1, width * 3 + 2)
    window = Window(1, 2, 32, 32) if min(native) > 40 else Window(0, 0, min(native[0], 32), min(native[1], 32))
    if min(window.height, window.width) < 32:
        return
    low = rng.integers(0, 255, (height, width), dtype=np.uint8)
    high = rng.integers(0, 255, (window.height, window.width), dtype=np.uint8)
    full = stitch(low, high, Fovea(window, native))
    assert full.shape == native
    inside = np.zeros(native, bool)
    inside[window.top : window.top + window.height, window.left : window.left + window.width] = True
    assert np.array_equal(full[inside].reshape(high.shape), high)
    for row, column in zip(*np.nonzero(~inside), strict=True):
        expected = low[int((row + 0.5) * height / native[0]), int((column + 0.5) * width / native[1])]
        assert full[row, column] == expected
        if rng.random() < 0.9:
            break


def test_stitching_leaves_what_it_is_given_alone() -> None:
    low, high = np.zeros(NATIVE, np.uint8), np.ones((WINDOW.height, WINDOW.width), np.uint8)
    assert stitch(low, high, Fovea(WINDOW, NATIVE)).sum() == high.size
    assert not low.any()


def test_an_object_that_both_see_is_kept_once_with_the_windows_box() -> None:
    whole = boxes((40, 20, 50, 26), scores=(0.9,))  # in quarter pixels: 160..200 x 80..104
    window = boxes((21, 21, 59, 43), scores=(0.6,))
    merged = merge_boxes(whole, window, PLAN)
    assert merged.xyxy.tolist() == [[161, 81, 199, 103]]
    assert merged.scores == pytest.approx([0.9])


@pytest.mark.parametrize(("score", "windows"), [(0.44, False), (0.46, True)])
def test_a_window_that_is_far_less_sure_does_not_take_the_place(score: float, windows: bool) -> None:
    whole, window = boxes((40, 20, 50, 26), scores=(0.9,)), boxes((21, 21, 59, 43), scores=(score,))
    merged = merge_boxes(whole, window, PLAN)
    assert merged.xyxy.tolist() == [[161, 81, 199, 103] if windows else [160, 80, 200, 104]]
    assert merged.scores == pytest.approx([0.9])


def test_an_object_cut_by_the_window_keeps_the_whole_pictures_box() -> None:
    whole = boxes((30, 18, 45, 26), scores=(0.4,))  # 120..180 x 72..104
    window = boxes((0, 13, 40, 44), scores=(0.9,))  # 140..180, at the window's left edge
    merged = merge_boxes(whole, window, PLAN)
    assert merged.xyxy.tolist() == [[120, 72, 180, 104]]
    assert merged.scores == pytest.approx([0.9])


def test_a_cut_object_that_only_the_window_sees_is_kept() -> None:
    merged = merge_boxes(boxes(), boxes((0, 13, 40, 44)), PLAN)
    assert merged.xyxy.tolist() == [[140, 73, 180, 104]]


def test_a_window_at_the_pictures_edge_cuts_nothing_there() -> None:
    plan = fovea_plan((50, 100), Fovea(Window(60, 0, 64, 96), NATIVE))
    whole, window = boxes((0, 18, 10, 26), scores=(0.4,)), boxes((0, 13, 38, 44), scores=(0.9,))
    assert merge_boxes(whole, window, plan).xyxy.tolist() == [[0, 73, 38, 104]]


def test_neighbours_of_another_class_both_stay_and_order_is_by_score() -> None:
    whole = boxes((40, 20, 50, 26), (5, 5, 20, 20), scores=(0.3, 0.8), labels=(1, 0))
    window = boxes((21, 21, 59, 43), scores=(0.6,), labels=(0,))
    merged = merge_boxes(whole, window, PLAN)
    assert merged.labels.tolist() == [0, 0, 1]
    assert merged.scores == pytest.approx([0.8, 0.6, 0.3])


@given(
    st.lists(st.tuples(st.integers(0, 80), st.integers(0, 40), st.integers(1, 20), st.integers(1, 10)), max_size=8),
    st.lists(st.tuples(st.integers(0, 80), st.integers(0, 50), st.integers(1, 15), st.integers(1, 12)), max_size=8),
    st.lists(st.floats(0.05, 1), min_size=16, max_size=16),
)
def test_merging_loses_no_object(low: list[tuple[int, ...]], high: list[tuple[int, ...]], sure: list[float]) -> None:
    """Every box of either view, or one that shares more than half of it or of the union, is there and as sure."""
    whole = boxes(*[(x, y, x + w, y + h) for x, y, w, h in low], scores=sure[: len(low)])
    window = boxes(*[(x, y, x + w, y + h) for x, y, w, h in high], scores=sure[8 : 8 + len(high)])
    merged = merge_boxes(whole, window, PLAN)
    assert len(merged) <= len(whole) + len(window)
    everything = [*(whole.xyxy * 4), *(window.xyxy + [140, 60, 140, 60])]
    for box, score in zip(everything, [*whole.scores, *window.scores], strict=True):
        low_corner = np.maximum(merged.xyxy[:, :2], box[:2])
        high_corner = np.minimum(merged.xyxy[:, 2:], box[2:])
        shared = np.clip(high_corner - low_corner, 0, None).prod(axis=1)
        area = (box[2:] - box[:2]).prod()
        there = (shared > 0.5 * area) | (merged.xyxy == box).all(axis=1)
        assert (merged.scores[there] >= score).any()


@given(st.sampled_from([1.25, 1.5, 2.0, 3.0]), st.integers(0, 2**32 - 1))
def test_an_enlarged_window_says_the_same_in_pixels_of_its_own(zoom: float, seed: int) -> None:
    rng = np.random.default_rng(seed)
    plan = fovea_plan((50, 100), Fovea(WINDOW, NATIVE, zoom))
    corners = rng.uniform([0, 0], [60, 40], (4, 2))
    window = boxes(*np.hstack([corners, corners + rng.uniform(4, 30, (4, 2))]).tolist(), scores=(0.9, 0.7, 0.5, 0.2))
    whole = boxes((40, 20, 50, 26), (5, 5, 20, 20), scores=(0.3, 0.8))
    enlarged = Boxes(window.xyxy * np.float32(zoom), window.labels, window.scores)
    plain, merged = merge_boxes(whole, window, PLAN), merge_boxes(whole, enlarged, plan)
    assert merged.xyxy == pytest.approx(plain.xyxy, abs=1e-3)
    assert merged.scores == pytest.approx(plain.scores)
    low = rng.integers(0, 9, (50, 100), dtype=np.uint8)
    shown = Fovea(WINDOW, NATIVE, zoom).size
    high = rng.integers(0, 9, shown, dtype=np.uint8)
    full = stitch(low, high, Fovea(WINDOW, NATIVE, zoom))
    assert full.shape == NATIVE
    for row, column in rng.integers(0, (WINDOW.height, WINDOW.width), (20, 2)).tolist():
        wanted = high[int((row + 0.5) * shown[0] / WINDOW.height), int((column + 0.5) * shown[1] / WINDOW.width)]
        assert full[WINDOW.top + row, WINDOW.left + column] == wanted


def test_heads_that_one_view_lacks_are_left_out() -> None:
    low, high = np.zeros((50, 100), np.uint8), np.ones((64, 96), np.uint8)
    fused = fuse(PLAN, Prediction(semantic=low, drivable=low), Prediction(semantic=high))
    assert fused.semantic is not None
    assert fused.semantic.sum() == 64 * 96
    assert fused.drivable is None
    assert fused.boxes is None
