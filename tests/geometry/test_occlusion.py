"""What hides what, against ray casting by hand and simulated LiDAR turns."""

from __future__ import annotations

import numpy as np
import pytest
from lidar_turns import CAMERA, CAMERA_FROM_EGO, SIZE, lidar_turn

from perception.geometry.boxes import box_corners, inside_box
from perception.geometry.camera import project
from perception.geometry.frames import apply
from perception.geometry.occlusion import box_depth, enter_box, in_sight, surface_depth, unhidden_shares
from perception.geometry.terrain import GroundHeights, fit_ground, ground_depth
from perception.types import Camera


def test_a_line_of_sight_enters_a_box_where_geometry_says() -> None:
    corners = box_corners(np.array([10.0, 0, 0]), np.array([4.0, 2.0, 2.0]), 0.0)
    directions = np.array([[1.0, 0, 0], [1, 0.05, 0], [1, 0.2, 0], [-1, 0, 0], [0, 1, 0], [0.5, 0, 0]])
    assert enter_box(directions, corners).tolist() == pytest.approx([8, 8, np.inf, np.inf, np.inf, 16])
    assert enter_box(directions[:1], corners - [10.0, 0, 0]).tolist() == [0]
    turned = box_corners(np.array([10.0, 0, 0]), np.array([4.0, 2.0, 2.0]), np.pi / 2)
    assert enter_box(directions[:1], turned)[0] == pytest.approx(9)


def test_points_in_a_box_are_those_within_its_sides() -> None:
    rng = np.random.default_rng(0)
    center, size, yaw = np.array([3.0, -2.0, 1.0]), np.array([4.0, 2.0, 1.5]), 0.7
    local = rng.uniform(-3, 3, (500, 3))
    turn = np.array([[np.cos(yaw), -np.sin(yaw), 0], [np.sin(yaw), np.cos(yaw), 0], [0, 0, 1]])
    found = inside_box(local @ turn.T + center, box_corners(center, size, yaw))
    np.testing.assert_array_equal(found, (np.abs(local) <= size / 2).all(axis=1))
    assert not inside_box(np.full((1, 3), np.nan), box_corners(center, size, yaw)).any()


def test_box_depth_is_that_of_the_nearest_box() -> None:
    near = box_corners(np.array([10.0, 1.0, 1.0]), np.array([2.0, 2.0, 2.0]), 0.0)
    far = box_corners(np.array([20.0, 0.0, 2.0]), np.array([2.0, 8.0, 4.0]), 0.0)
    behind = box_corners(np.array([-5.0, 0.0, 1.0]), np.array([2.0, 2.0, 2.0]), 0.0)
    depth = box_depth(CAMERA, [apply(CAMERA_FROM_EGO, box) for box in (far, near, behind)])
    pixel = project(CAMERA, apply(CAMERA_FROM_EGO, np.array([[9.0, 1.0, 1.0], [19.0, -2.0, 2.0]])))[0].astype(int)
    assert depth[pixel[0, 1], pixel[0, 0]] == pytest.approx(9 - 1.7, abs=1e-6)
    assert depth[pixel[1, 1], pixel[1, 0]] == pytest.approx(19 - 1.7, abs=1e-6)
    assert np.isinf(depth[0, 0])


def test_the_unhidden_share_is_that_of_the_silhouette() -> None:
    back = box_corners(np.array([21.0, 0.0, 1.5]), np.array([0.1, 2.0, 1.0]), 0.0)
    front = box_corners(np.array([11.35, 1.0, 1.5]), np.array([0.1, 2.0, 4.0]), 0.0)  # hides the left half
    aside = box_corners(np.array([11.0, -6.0, 1.5]), np.array([1.0, 1.0, 1.0]), 0.0)
    unseen = box_corners(np.array([-9.0, 0.0, 1.5]), np.array([1.0, 1.0, 1.0]), 0.0)
    boxes = [apply(CAMERA_FROM_EGO, box) for box in (back, front, aside, unseen)]
    share = unhidden_shares(CAMERA, boxes)
    assert share[0] == pytest.approx(0.5, abs=0.09)
    assert share[1:].tolist() == [1, 1, 0]


def test_lidar_surfaces_cover_what_stands_and_leave_the_road_open() -> None:
    car = box_corners(np.array([14.0, 0.0, 0.75]), np.array([4.5, 1.9, 1.5]), 0.0)
    wall = box_corners(np.array([25.0, 8.0, 3.0]), np.array([30.0, 1.0, 6.0]), 0.0)
    truth = box_depth(CAMERA, [apply(CAMERA_FROM_EGO, box) for box in (car, wall)])
    ground = ground_depth(CAMERA)
    below = np.isfinite(ground) & (ground < 60)
    hidden = below & (truth < ground)
    surfaces = surface_depth(CAMERA, lidar_turn([car, wall]))
    found = below & (surfaces < ground - 0.3 - 0.02 * np.where(below, ground, 0))
    assert hidden.sum() > 300
    assert (found & hidden).sum() / hidden.sum() > 0.93
    assert (found & ~hidden).sum() / (below & ~hidden).sum() < 0.02
    known = found & hidden
    assert np.median(np.abs(surfaces[known] - truth[known])) < 0.2


def test_what_hangs_over_the_road_does_not_hide_it() -> None:
    gantry = box_corners(np.array([20.0, 0.0, 6.0]), np.array([1.0, 12.0, 1.0]), 0.0)
    surfaces = surface_depth(CAMERA, lidar_turn([gantry]))
    ground = ground_depth(CAMERA)
    assert not (surfaces < np.where(np.isfinite(ground), ground, -1) - 1).any()
    assert np.isfinite(surface_depth(CAMERA, np.zeros((0, 3)))).sum() == 0


def test_a_point_behind_a_surface_is_out_of_sight() -> None:
    surfaces = np.full(SIZE, 10.0)
    pixels = np.array([[80.0, 45], [80, 45], [80, 45], [-1, 5], [np.nan, np.nan]])
    depth = np.array([9.0, 10.2, 14.0, 3.0, -2.0])
    assert in_sight(pixels, depth, CAMERA, surfaces).tolist() == [True, True, False, False, False]


def test_ground_depth_follows_the_line_of_sight() -> None:
    point = np.array([[17.0, 2.0, 0.0]])
    (pixel,), depth = project(CAMERA, apply(CAMERA_FROM_EGO, point))
    shift = Camera(
        CAMERA.intrinsics + [[0, 0, 0.5 - pixel[0] % 1], [0, 0, 0.5 - pixel[1] % 1], [0, 0, 0]],
        SIZE,
        CAMERA.ego_from_camera,
    )
    row, column = int(pixel[1]), int(pixel[0])
    assert ground_depth(shift)[row, column] == pytest.approx(depth[0], rel=1e-9)
    assert np.isinf(ground_depth(CAMERA)[:45]).all()
    lens = Camera(CAMERA.intrinsics, SIZE, CAMERA.ego_from_camera, "brown_conrady", (0.0, 0.0, 0.0, 0.0))
    np.testing.assert_allclose(ground_depth(lens), ground_depth(CAMERA))


def test_a_slope_is_found_and_a_wall_is_not_ground() -> None:
    rng = np.random.default_rng(0)
    xy = rng.uniform(-50, 50, (20000, 2))
    slope = np.column_stack([xy, 0.04 * xy[:, 0]])
    wall = np.column_stack([rng.uniform(-40, 40, 4000), rng.uniform(20, 22, 4000), rng.uniform(0.5, 6, 4000)])
    heights = fit_ground(np.concatenate([slope[np.abs(slope[:, 1] - 21) > 1], wall]))
    probes = np.array([[30.0, 0.0], [-30.0, 5.0], [10.0, -20.0], [0.0, 30.0]])
    np.testing.assert_allclose(heights.at(probes), 0.04 * probes[:, 0], atol=0.12)
    assert heights.at(np.array([[0.0, 21.0]]))[0] < 0.4


def test_depth_over_heights_meets_them() -> None:
    side = np.arange(-40, 41) * 1.0
    heights = GroundHeights(np.repeat(0.03 * side[:, None], 81, axis=1), 1.0)
    depth = ground_depth(CAMERA, heights)
    row, column = 60, 40
    ray = np.linalg.inv(CAMERA.intrinsics) @ [column + 0.5, row + 0.5, 1.0]
    point = apply(CAMERA.ego_from_camera, (ray * depth[row, column])[None])[0]
    assert point[2] == pytest.approx(0.03 * point[0], abs=0.01)
