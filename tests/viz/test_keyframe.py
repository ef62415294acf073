from __future__ import annotations

import numpy as np
from lidar_turns import CAMERA

from perception.geometry.boxes import box_corners
from perception.viz.keyframe import Box3D, CameraView, distance_colors, draw_view, draw_views

SIZE = CAMERA.size


def view(points: np.ndarray, boxes: tuple[Box3D, ...] = ()) -> CameraView:
    return CameraView("", np.zeros((*SIZE, 3), np.uint8), CAMERA, points, boxes)


def test_near_is_red_and_far_is_violet() -> None:
    near, middle, far, beyond = distance_colors(np.array([1.0, 11.0, 60.0, 500.0])).astype(int)
    assert near[0] > near[2]
    assert far[2] > far[0]
    assert (far == beyond).all()
    assert np.abs(middle - near).sum() > 0


def test_the_nearer_of_two_points_on_a_pixel_is_seen() -> None:
    points = np.array([[31.7, 0.0, 1.5], [6.7, 0.0, 1.5]])
    picture = draw_view(view(points), SIZE)
    assert (picture[45, 80] == distance_colors(np.array([5.0]))[0]).all()
    assert (picture.any(axis=2)).sum() == 4


def test_a_box_that_passes_the_camera_is_drawn_as_far_as_it_is_ahead() -> None:
    beside = Box3D(box_corners(np.array([2.0, 1.5, 0.5]), np.array([6.0, 1.0, 1.0]), 0.0), 0, "car")
    behind = Box3D(box_corners(np.array([-9.0, 0.0, 0.5]), np.array([2.0, 1.0, 1.0]), 0.0), -1, "ghost")
    picture = draw_view(view(np.zeros((0, 3)), (beside, behind)), SIZE)
    rows, columns = np.nonzero(picture.any(axis=2))
    assert len(rows) > 20
    assert columns.max() < 80  # what is to the left stays on the left
    assert rows.min() > 45  # below the camera's height


def test_views_fill_a_grid() -> None:
    empty = view(np.zeros((0, 3)))
    assert draw_views([empty] * 4, width=160).shape == (180, 480, 3)
    assert draw_views([empty] * 2, width=80).shape == (45, 160, 3)
