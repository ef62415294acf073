from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from lidar_turns import CAMERA, CAMERA_FROM_EGO, lidar_turn

from perception.geometry.boxes import box_corners, project_box
from perception.geometry.distance import estimate_distances, nearest_surface
from perception.geometry.frames import apply


def box_2d(center: list[float], size: list[float]) -> tuple[np.ndarray, np.ndarray]:
    """Ego corners of an upright box, and its 2D box."""
    corners = box_corners(np.array(center), np.array(size), 0.0)
    seen = project_box(CAMERA, apply(CAMERA_FROM_EGO, corners))
    assert seen is not None
    return corners, seen[0]


def test_lidar_measures_the_near_side_behind_a_pole_and_before_a_wall() -> None:
    car, xyxy = box_2d([21.0, 0.0, 0.75], [4.5, 1.9, 1.5])
    pole, _ = box_2d([12.0, 0.35, 1.5], [0.1, 0.1, 3.0])
    wall, _ = box_2d([40.0, 0.0, 3.0], [1.0, 40.0, 6.0])
    found = estimate_distances(xyxy[None], CAMERA, lidar_turn([car, pole, wall]))
    assert found.source.tolist() == ["lidar"]
    assert found.distance_m[0] == pytest.approx(21 - 2.25, abs=0.3)


def test_without_points_the_foot_of_the_box_says_how_far() -> None:
    _, xyxy = box_2d([30.0, 3.0, 0.9], [0.6, 0.6, 1.8])
    expected = np.hypot(30 - 0.3, 3)
    for points in (None, np.zeros((0, 3)), lidar_turn([], ground=True)):
        found = estimate_distances(xyxy[None], CAMERA, points)
        assert found.source.tolist() == ["ground"]
        assert found.distance_m[0] == pytest.approx(expected, rel=0.02)


def test_a_box_above_the_horizon_has_no_foot() -> None:
    found = estimate_distances(np.array([[10.0, 5, 30, 40]]), CAMERA)
    assert np.isnan(found.distance_m).all()
    assert found.source.tolist() == ["none"]
    assert len(estimate_distances(np.zeros((0, 4)), CAMERA, np.ones((5, 3))).distance_m) == 0


def test_points_that_are_not_finite_do_not_count() -> None:
    _, xyxy = box_2d([10.0, 0.0, 1.0], [1.0, 1.0, 2.0])
    points = np.array([[10.0, 0.0, 1.0]] * 3 + [[np.nan] * 3] * 50)
    assert estimate_distances(xyxy[None], CAMERA, points).distance_m[0] == pytest.approx(10)


@given(st.lists(st.floats(0, 200), max_size=60))
def test_the_nearest_surface_lies_within_the_ranges(ranges: list[float]) -> None:
    found = nearest_surface(np.array(ranges))
    if found is not None:
        assert min(ranges) <= found <= max(ranges)
        assert len(ranges) >= 3
