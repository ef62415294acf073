from __future__ import annotations

import numpy as np
import pytest

from perception.errors import InputError
from perception.geometry.boxes import box_corners
from perception.taxonomy import LIDARSEG
from perception.viz.keyframe import Box3D
from perception.viz.pointcloud_view import BACKGROUND, PointView, color_by
from perception.viz.topdown import draw_panel, draw_topdown, ring_step_m

CAR, ROAD = LIDARSEG.index("car"), LIDARSEG.index("driveable_surface")
SIDE, RANGE_M = 400, 20.0  # ten pixels a metre


def panel(points: list[list[float]], labels: list[int], boxes: tuple[Box3D, ...] = ()) -> np.ndarray:
    view = PointView(np.array(points, float).reshape(-1, 3), np.zeros(len(points)), labels=np.array(labels, int),
                     boxes=boxes)  # fmt: skip
    return draw_panel(view, color_by(view, "class"), SIDE, RANGE_M)


def where(picture: np.ndarray, color: tuple[int, int, int]) -> np.ndarray:
    """Mean (column, row) of the pixels of a colour."""
    row, column = np.nonzero((np.abs(picture.astype(int) - color) < 30).all(axis=2))
    return np.array([column.mean(), row.mean()])


@pytest.mark.parametrize(("x", "y"), [(12.0, 0.0), (8.0, 6.0), (-9.0, -7.0), (0.5, -15.0)])
def test_ahead_is_up_and_left_is_left(x: float, y: float) -> None:
    found = where(panel([[x, y, 0]], [CAR]), LIDARSEG.colors[CAR])
    assert found == pytest.approx([200 - 10 * y, 200 - 10 * x], abs=1.5)


def test_rare_classes_are_drawn_over_common_ones_and_high_points_over_low_ones() -> None:
    # The car is below the road's points, which are more.
    picture = panel([[10, 0, 5]] * 3 + [[10, 0, 0]], [ROAD] * 3 + [CAR])
    assert (picture[100, 200] == LIDARSEG.colors[CAR]).all()
    view = PointView(np.array([[10, 0, 4.0], [10, 0, -1.0]]), np.zeros(2))
    coloring = color_by(view, "height")
    assert (draw_panel(view, coloring, SIDE, RANGE_M)[100, 200] == coloring.colors[0]).all()


def test_points_outside_are_left_out() -> None:
    assert (panel([[30, 0, 0], [0, -30, 0], [1e9, -1e9, 0]], [CAR] * 3) == panel([], [])).all()


def test_a_box_shows_its_outline_and_heading() -> None:
    corners = box_corners(np.array([10.0, 5, 0.5]), np.array([4.0, 2, 1]), np.pi / 2)
    picture = panel([], [], (Box3D(corners, 0, "car"),))
    mask = (np.abs(picture.astype(int) - LIDARSEG.colors[CAR]) < 40).all(axis=2)
    row, column = np.nonzero(mask)
    assert (column.max(), row.min(), row.max()) == pytest.approx((170, 90, 110), abs=2)  # 4 m along y, 2 m along x
    assert column.min() == pytest.approx(130 - 8, abs=2)  # the line reaches 0.8 m past the front, to the left
    assert (picture[95, 150] == BACKGROUND).all()


def test_panels_stand_side_by_side_over_one_legend() -> None:
    labels = np.array([CAR, ROAD])
    view = PointView(np.array([[5.0, 5, 0], [9, 0, 0]]), np.zeros(2), "frame", labels=labels, predictions=labels[::-1])
    one = draw_topdown(view, ("class",), 200, RANGE_M)
    three = draw_topdown(view, ("class", "prediction", "error"), 200, RANGE_M)
    assert one.shape[1] == 200
    assert three.shape[1] == 600 + 12
    assert three.dtype == np.uint8
    assert one.shape[0] > 200
    column, row = 75, 75
    assert (three[row, column] == LIDARSEG.colors[CAR]).all()
    assert (three[row, column + 206] == LIDARSEG.colors[ROAD]).all()
    assert three[row, column + 412].tolist() == [255, 64, 56]


@pytest.mark.parametrize(("side_px", "range_m"), [(50, 50.0), (900, 0.5), (5000, 50.0), (900, float("nan"))])
def test_sizes_out_of_range_are_said(side_px: int, range_m: float) -> None:
    with pytest.raises(InputError, match="outside"):
        draw_topdown(PointView(np.zeros((0, 3)), np.zeros(0)), ("height",), side_px, range_m)


@pytest.mark.parametrize("range_m", [2, 3.3, 7, 49, 51, 120, 999])
def test_two_to_five_rings_fit(range_m: float) -> None:
    assert 2 <= range_m / ring_step_m(range_m) <= 5 + 1e-9
