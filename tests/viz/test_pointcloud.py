from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from perception.errors import InputError
from perception.geometry.boxes import box_corners
from perception.viz.keyframe import Box3D
from perception.viz.pointcloud import FOV_DEG, VIEWPOINTS, Canvas, Viewpoint, draw_perspective, viewpoint
from perception.viz.pointcloud_view import PointView

LEVEL = Viewpoint((0.0, 0.0, 0.0), (1.0, 0.0, 0.0))
RED, BLUE = np.array([250, 0, 0], np.uint8), np.array([0, 0, 250], np.uint8)


def test_points_project_as_in_a_pinhole() -> None:
    canvas = Canvas(100, 200, LEVEL)
    focal = 100 / np.tan(np.deg2rad(FOV_DEG / 2))
    pixels, depth = canvas.project(np.array([[10.0, 2.0, -1.0]]))
    assert pixels[0] == pytest.approx([100 - focal * 0.2, 50 + focal * 0.1])  # left is left, low is low
    assert depth[0] == pytest.approx(10)


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_near_points_hide_far_ones(order: tuple[int, int]) -> None:
    canvas = Canvas(100, 100, LEVEL)
    points, colors = np.array([[5.0, 0, 0], [50.0, 0, 0]]), np.stack([RED, BLUE])
    canvas.points(points[list(order)], colors[list(order)])
    assert (canvas.rgb[50, 50] == RED).all()
    assert canvas.depth[50, 50] == 5
    assert np.isinf(canvas.depth[0, 0])
    canvas.points(np.array([[50.0, 0, 0]]), BLUE[None])  # drawn later, still behind
    assert (canvas.rgb[50, 50] == RED).all()


def test_discs_grow_towards_the_viewer() -> None:
    areas = []
    for distance in (3.0, 6.0, 12.0, 200.0):
        canvas = Canvas(200, 200, LEVEL)
        canvas.points(np.array([[distance, 0, 0]]), RED[None])
        areas.append(int(np.isfinite(canvas.depth).sum()))
    assert areas[0] > areas[1] > areas[2] >= areas[3] >= 1


def test_points_behind_the_viewer_or_beside_the_picture_are_left_out() -> None:
    canvas = Canvas(60, 60, LEVEL)
    canvas.points(np.array([[-5.0, 0, 0], [0.1, 0, 0], [5, 50, 0], [5, 0, -50]]), np.tile(RED, (4, 1)))
    assert np.isinf(canvas.depth).all()


def test_edges_of_depth_are_darkened_and_flat_faces_are_not() -> None:
    canvas = Canvas(60, 60, LEVEL)
    canvas.rgb[:] = 200
    canvas.depth[:] = 40.0
    canvas.depth[:, :30] = 10.0
    canvas.shade()
    assert (canvas.rgb[30, 5] == 200).all()
    assert (canvas.rgb[30, 29] == 200).all()  # the near side of the edge
    assert canvas.rgb[30, 30].max() < 160  # the far side
    assert (canvas.rgb[30, 50] == 200).all()


def test_lines_behind_points_are_faint() -> None:
    canvas = Canvas(60, 60, LEVEL)
    canvas.rgb[:] = 0
    canvas.depth[:, :30] = 5.0
    canvas.lines(np.array([[10.0, 5, 0]]), np.array([[10.0, -5, 0]]), (200, 200, 200))
    assert canvas.rgb[30, 10].tolist() == [70, 70, 70]
    assert canvas.rgb[30, 50].tolist() == [200, 200, 200]


def test_a_line_through_the_viewer_is_cut() -> None:
    canvas = Canvas(60, 60, Viewpoint((0.0, 0.0, 1.0), (10.0, 0.0, 1.0)))
    before = canvas.rgb.copy()
    canvas.lines(np.array([[-5.0, 0, 0]]), np.array([[20.0, 0, 0]]), (200, 200, 200))
    drawn = (canvas.rgb != before).any(axis=2)
    assert drawn[45:, 30].all()  # from the picture's lower edge, where the line comes into view
    assert not drawn[:30].any()  # never above the horizon


@given(st.floats(-360, 360), st.floats(-90, 90), st.floats(1, 1000))
def test_orbits_look_at_the_vehicle_from_the_distance(azimuth: float, elevation: float, distance: float) -> None:
    seen_from = viewpoint(f"{azimuth!r},{elevation!r},{distance!r}")
    assert np.linalg.norm(seen_from.eye) == pytest.approx(distance)
    rotation = seen_from.rotation()
    assert rotation @ rotation.T == pytest.approx(np.eye(3), abs=1e-6)
    assert np.linalg.det(rotation) == pytest.approx(1)
    assert rotation @ -np.array(seen_from.eye) == pytest.approx([0, 0, distance], abs=1e-6 * distance)


@pytest.mark.parametrize("text", ["above", "1,2", "0,0,0", "0,95,10", "nan,0,10", ""])
def test_unknown_viewpoints_are_said(text: str) -> None:
    with pytest.raises(InputError, match="use behind, front"):
        viewpoint(text)


@pytest.mark.parametrize("name", [*VIEWPOINTS, "0,90,60"])
def test_every_view_shows_the_points_and_the_box(name: str) -> None:
    random = np.random.default_rng(0)
    points = random.uniform((-5, -5, 0), (15, 5, 2), (500, 3))
    box = Box3D(box_corners(np.array([8.0, 2, 1]), np.array([4.0, 2, 2]), 0.3), 5, "pedestrian")
    view = PointView(points, random.uniform(0, 1, 500), boxes=[box])
    picture = draw_perspective(view, ("height", "intensity"), viewpoint(name), (160, 240))
    assert picture.shape[1] == 2 * 240 + 6
    empty = draw_perspective(PointView(points[:0], np.zeros(0)), ("height",), viewpoint(name), (160, 240))
    assert (picture[:160, :240] != empty[:160]).any(axis=2).sum() > 300
    with pytest.raises(InputError, match="outside 120"):
        draw_perspective(view, size=(10, 240))
