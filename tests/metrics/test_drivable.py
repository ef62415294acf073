"""Drivable-area measures on masks painted from known places on the ground.

The camera here is a level pinhole at a known height, so where a point of the ground appears follows from similar
triangles, written out without the library's geometry.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from perception.metrics.drivable import (
    BAND_EDGES_M,
    band_overlap,
    free_space_m,
    iou,
    iou_of_overlap,
    lateral_free_space_m,
    overlap,
    worst_frames,
)
from perception.types import Camera

SIZE = (240, 400)
FOCAL_PX, HEIGHT_M, AHEAD_M = 300.0, 1.5, 1.7
LEVEL = np.array([[0, 0, 1, AHEAD_M], [-1, 0, 0, 0], [0, -1, 0, HEIGHT_M], [0, 0, 0, 1]], np.float64)
CAMERA = Camera(np.array([[FOCAL_PX, 0, 200], [0, FOCAL_PX, 120], [0, 0, 1]]), SIZE, LEVEL)


def ground() -> tuple[np.ndarray, np.ndarray]:
    """Forward and left metres under each pixel centre by similar triangles; infinite above the horizon."""
    below = np.arange(SIZE[0])[:, None] + 0.5 - 120
    depth = np.where(below > 0, FOCAL_PX * HEIGHT_M / np.where(below > 0, below, 1), np.inf)
    right = np.where(np.isfinite(depth), (np.arange(SIZE[1])[None] + 0.5 - 200) * depth / FOCAL_PX, 0.0)
    return np.broadcast_to(depth + AHEAD_M, SIZE), -right


FORWARD, LEFT = ground()
PLAIN = np.isfinite(FORWARD).astype(np.uint8)
"""Everything below the horizon is drivable."""


def row_spacing_m(distance_m: float) -> float:
    """Metres of ground that one image row covers."""
    return (distance_m - AHEAD_M) ** 2 / (FOCAL_PX * HEIGHT_M)


def masks(ignored: bool) -> st.SearchStrategy[np.ndarray]:
    return hnp.arrays(np.uint8, (7, 9), elements=st.sampled_from([0, 1, 255] if ignored else [0, 1]))


@given(prediction=masks(False), truth=masks(True))
def test_iou_is_that_of_sets_of_pixels(prediction: np.ndarray, truth: np.ndarray) -> None:
    counted = {tuple(p) for p in np.argwhere(truth != 255)}
    first = {tuple(p) for p in np.argwhere(prediction == 1)} & counted
    second = {tuple(p) for p in np.argwhere(truth == 1)}
    assert overlap(prediction, truth) == (len(first & second), len(first | second))
    value = iou(prediction, truth)
    if first | second:
        assert value == pytest.approx(len(first & second) / len(first | second))
    else:
        assert np.isnan(value)


def test_iou_refuses_masks_of_different_shapes() -> None:
    with pytest.raises(ValueError, match=r"prediction is \(2, 3\) but truth is \(3, 3\)"):
        iou(np.zeros((2, 3)), np.zeros((3, 3)))


def test_bands_count_the_ground_at_their_distance() -> None:
    truth = PLAIN * (np.abs(LEFT) < 4)
    prediction = np.where((FORWARD > 20) & (FORWARD < 40), 0, truth)
    counts = band_overlap(prediction, truth, CAMERA)
    for (shared, either), (near, far) in zip(counts, pairwise(BAND_EDGES_M), strict=True):
        pixels = int((truth[(near <= FORWARD) & (far > FORWARD)] == 1).sum())
        assert either == pixels > 0
        assert shared == (0 if near == 20 else pixels)
    np.testing.assert_array_equal(iou_of_overlap(counts), [1, 1, 0, 1])


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_bands_that_cover_all_ground_add_up_to_the_whole(seed: int) -> None:
    random = np.random.default_rng(seed)
    prediction, truth = random.integers(0, 2, (2, *SIZE)) * PLAIN
    truth = np.where(random.random(SIZE) < 0.1, 255, truth)
    total = band_overlap(prediction, truth, CAMERA, (0, 5, 12, 30, 1e9)).sum(axis=0)
    assert tuple(total) == overlap(prediction, truth)


def test_iou_of_an_empty_band_is_nan() -> None:
    values = iou_of_overlap(np.array([[[1, 2], [0, 0]], [[3, 3], [0, 5]]]))
    np.testing.assert_array_equal(values, [[0.5, np.nan], [1, 0]])


@pytest.mark.parametrize("edges", [(0,), (0, 10, 10), (20, 10)])
def test_edges_must_ascend(edges: tuple[float, ...]) -> None:
    with pytest.raises(ValueError, match="ascending"):
        band_overlap(PLAIN, PLAIN, CAMERA, edges)


@given(distance=st.floats(8, 60))
def test_an_obstacle_across_the_road_ends_the_free_space(distance: float) -> None:
    mask = PLAIN * (distance > FORWARD)
    assert free_space_m(mask, CAMERA) == pytest.approx(distance, abs=1.2 * row_spacing_m(distance) + 0.02)


@given(side=st.floats(-6, 6), distance=st.floats(8, 40), width=st.floats(1.5, 4))
def test_only_what_stands_in_the_corridor_counts(side: float, distance: float, width: float) -> None:
    mask = PLAIN.copy()
    mask[(np.abs(LEFT - side) < 0.5) & (np.abs(FORWARD - distance) < 1 + row_spacing_m(distance))] = 0
    free = free_space_m(mask, CAMERA, width_m=width)
    pixel = distance / FOCAL_PX
    if abs(side) > width / 2 + 0.5 + pixel:
        assert free == 80
    elif abs(side) < width / 2 + 0.5 - 2 * pixel:
        assert free < distance


def test_free_space_has_its_ends() -> None:
    assert free_space_m(PLAIN, CAMERA) == 80
    assert free_space_m(PLAIN, CAMERA, max_range_m=30) == 30
    assert free_space_m(np.zeros_like(PLAIN), CAMERA) == 0
    near = PLAIN.copy()
    near[-1, 200] = 0
    assert free_space_m(near, CAMERA) == 0
    beyond = PLAIN * (FORWARD < 50)
    assert free_space_m(beyond, CAMERA, max_range_m=40) == 40


def test_ignored_pixels_neither_block_nor_hide_what_follows() -> None:
    hood = np.where(FORWARD < 7, 255, PLAIN * (FORWARD < 25))
    assert free_space_m(hood, CAMERA) == pytest.approx(25, abs=row_spacing_m(25) * 1.2)
    blocked = np.where(FORWARD < 7, 255, np.zeros_like(PLAIN))
    assert free_space_m(blocked, CAMERA) == 0
    assert free_space_m(np.full(SIZE, 255), CAMERA) == 80


@given(seed=st.integers(0, 2**32 - 1), distance=st.floats(8, 60))
def test_taking_ground_away_never_frees_the_way(seed: int, distance: float) -> None:
    random = np.random.default_rng(seed)
    mask = PLAIN * (random.random(SIZE) > 1e-4)
    fewer = mask * (distance > FORWARD)
    assert free_space_m(fewer, CAMERA) <= free_space_m(mask, CAMERA)
    assert free_space_m(mask, CAMERA, width_m=3) <= free_space_m(mask, CAMERA, width_m=1.5)


def test_free_space_is_the_same_at_another_size_and_mirrored() -> None:
    mask = PLAIN * ((FORWARD < 24) | (LEFT < 0.2))
    small = CAMERA.resized((120, 200))
    assert free_space_m(mask[::2, ::2], small) == pytest.approx(24, abs=3 * row_spacing_m(24))
    flipped = CAMERA.flipped()
    assert free_space_m(mask[:, ::-1], flipped) == pytest.approx(free_space_m(mask, CAMERA))


def test_free_space_refuses_what_it_cannot_measure() -> None:
    with pytest.raises(ValueError, match=r"mask is \(10, 10\) but its camera is \(240, 400\)"):
        free_space_m(np.ones((10, 10)), CAMERA)
    with pytest.raises(ValueError, match="must be positive"):
        free_space_m(PLAIN, CAMERA, width_m=0)
    backwards = np.diag([-1.0, -1.0, 1.0, 1.0]) @ LEVEL
    with pytest.raises(ValueError, match="sees nothing"):
        free_space_m(PLAIN, Camera(CAMERA.intrinsics, SIZE, backwards))


@given(left=st.floats(0.5, 6), right=st.floats(0.5, 6))
def test_the_lateral_profile_is_the_width_of_the_road(left: float, right: float) -> None:
    road = PLAIN * (left > LEFT) * (-right < LEFT)
    profile = lateral_free_space_m(road, CAMERA, [15, 20, 40])
    for (to_left, to_right), distance in zip(profile, [15, 20, 40], strict=True):
        # A row holds ground of other distances than asked for, so its border runs up to half a row's share aside.
        tolerance = 0.06 + distance / FOCAL_PX + max(left, right) * row_spacing_m(distance) / distance
        assert to_left == pytest.approx(left, abs=tolerance)
        assert to_right == pytest.approx(right, abs=tolerance)


def test_the_lateral_profile_ends_at_the_image_and_at_its_limit() -> None:
    # At 10 m, half the image is 200 / 300 * (10 - 1.7) = 5.53 m wide.
    profile = lateral_free_space_m(PLAIN, CAMERA, [10, 40, 2], max_side_m=12)
    assert profile[0] == pytest.approx([5.53, 5.53], abs=0.06)
    assert profile[1] == pytest.approx([12, 12])
    assert np.isnan(profile[2]).all()  # below the image
    assert lateral_free_space_m(np.zeros_like(PLAIN), CAMERA, [20])[0].tolist() == [0, 0]


def test_worst_frames_come_lowest_first() -> None:
    scores = [0.5, np.nan, 0.1, 0.9, 0.1]
    assert worst_frames(scores, 3) == [2, 4, 0]
    assert worst_frames(scores, 10) == [2, 4, 0, 3]
    assert worst_frames([np.nan], 2) == []
