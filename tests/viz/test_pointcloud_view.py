from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from perception.errors import InputError
from perception.geometry.boxes import box_corners
from perception.taxonomy import LIDARSEG
from perception.viz.keyframe import Box3D
from perception.viz.pointcloud_legend import draw_legend
from perception.viz.pointcloud_view import (
    BOX,
    GROUND,
    OWN,
    REST,
    RIGHT,
    WRONG,
    PointView,
    box_rgb,
    check_sanity,
    color_by,
    visible,
)

CAR, ROAD = LIDARSEG.index("car"), LIDARSEG.index("driveable_surface")


def view_of(points: list[list[float]], **values: object) -> PointView:
    array = np.array(points, np.float64).reshape(-1, 3)
    return PointView(array, np.linspace(0, 1, len(array)), "test", **values)  # type: ignore[arg-type]


@given(st.tuples(*[st.integers(0, 255)] * 3))
def test_lightened_colours_stand_out_and_bright_ones_stay(color: tuple[int, int, int]) -> None:
    lighter = visible(color)
    luma = np.dot(lighter, (0.299, 0.587, 0.114))
    assert luma >= 94
    if np.dot(color, (0.299, 0.587, 0.114)) >= 95:
        assert lighter == color


def test_classes_have_their_colours_and_shares() -> None:
    view = view_of([[5, 0, 0]] * 4, labels=np.array([ROAD, ROAD, CAR, 255], np.uint8))
    coloring = color_by(view, "class")
    assert coloring.colors.tolist() == [list(LIDARSEG.colors[i]) for i in (ROAD, ROAD, CAR)] + [list(REST)]
    assert {entry.name: entry.share for entry in coloring.legend} == {
        "car": 0.25, "driveable_surface": 0.5, "no label": 0.25,
    }  # fmt: skip
    assert coloring.priority[2] > coloring.priority[0] > coloring.priority[3]


def test_errors_are_red_and_points_without_a_label_are_none() -> None:
    labels, guesses = np.array([CAR, CAR, ROAD, 255]), np.array([CAR, ROAD, ROAD, CAR])
    coloring = color_by(view_of([[5, 0, 0]] * 4, labels=labels, predictions=guesses), "error")
    assert coloring.colors.tolist() == [list(c) for c in (RIGHT, WRONG, RIGHT, REST)]
    assert "66.7% right" in coloring.title
    assert [entry.share for entry in coloring.legend] == [0.5, 0.25, 0.25]


def test_ramps_are_clipped_at_their_ends() -> None:
    low, below, high, above = color_by(view_of([[0, 0, z] for z in (-1, -9, 5, 99)]), "height").colors.tolist()
    assert low == below != high == above


def test_points_in_boxes_own_returns_and_ground_are_told_apart() -> None:
    box = Box3D(box_corners(np.array([10.0, 0, 1]), np.array([4.0, 2, 2]), 0.0), 0, "car")
    other = Box3D(box_corners(np.array([11.0, 0, 1]), np.array([4.0, 2, 2]), 0.0), -1, "ghost")
    angle = np.linspace(0, 2 * np.pi, 400)
    floor = [[r * np.cos(a), r * np.sin(a), 0.02] for r in (4, 7, 14, 20) for a in angle]
    view = view_of([[9, 0, 1], [10.5, 0, 1], [12.5, 0, 1], [1, 0, 1.5], [15, 15, 3], *floor], boxes=[box, other])
    found = check_sanity(view)
    assert found.counts.tolist() == [2, 3]
    assert found.box[:5].tolist() == [0, 0, 1, -1, -1]
    assert found.own.nonzero()[0].tolist() == [3]
    assert found.ground[5:].mean() > 0.99
    assert not found.ground[:5].any()
    colors = color_by(view, "sanity").colors
    assert colors[:6].tolist() == [
        list(c) for c in (LIDARSEG.colors[CAR], LIDARSEG.colors[CAR], (190,) * 3, OWN, REST, GROUND)
    ]
    assert sum(entry.share or 0 for entry in color_by(view, "sanity").legend) == pytest.approx(1)


def test_boxes_take_the_colour_of_their_class() -> None:
    corners = box_corners(np.zeros(3), np.ones(3), 0.0)
    assert box_rgb(Box3D(corners, 0, "car"), LIDARSEG) == LIDARSEG.colors[CAR]
    assert box_rgb(Box3D(corners, -1, "stroller"), LIDARSEG) == (190, 190, 190)
    labels = np.array([CAR])
    view = view_of([[5, 0, 0]], labels=labels, predictions=labels)
    assert color_by(view, "class").box(Box3D(corners, 0, "car"), LIDARSEG) == LIDARSEG.colors[CAR]
    assert color_by(view, "error").box(Box3D(corners, 0, "car"), LIDARSEG) == BOX  # red is for errors alone


def test_missing_labels_and_unknown_colourings_are_said() -> None:
    with pytest.raises(InputError, match="has no labels"):
        color_by(view_of([[0, 0, 0]]), "class")
    with pytest.raises(InputError, match="has no predictions"):
        color_by(view_of([[0, 0, 0]], labels=np.array([0])), "error")
    with pytest.raises(InputError, match="unknown colouring 'hue'; use one of class"):
        color_by(view_of([]), "hue")


def test_an_empty_cloud_has_no_colours() -> None:
    view = view_of([], labels=np.zeros(0, np.uint8), predictions=np.zeros(0, np.uint8))
    for color in ("class", "prediction", "error", "intensity", "height", "sanity"):
        assert color_by(view, color).colors.shape == (0, 3)


def test_the_legend_grows_with_its_names_and_says_a_name_once() -> None:
    labels = np.arange(16)
    truth = color_by(view_of([[5, 0, 0]] * 16, labels=labels, predictions=labels), "class")
    guess = color_by(view_of([[5, 0, 0]] * 16, labels=labels, predictions=labels), "prediction")
    narrow, wide = draw_legend(300, [truth]), draw_legend(1600, [truth])
    assert narrow.shape[0] > wide.shape[0]
    assert draw_legend(1600, [truth, guess]).shape[0] <= 2 * wide.shape[0]
    for color in LIDARSEG.colors:
        assert (narrow == visible(color)).all(axis=2).any()
