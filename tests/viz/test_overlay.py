"""What is drawn where."""

from __future__ import annotations

import numpy as np
import pytest

from perception.taxonomy import CAMVID
from perception.types import Boxes, Prediction
from perception.viz.overlay import (
    DRIVABLE,
    DRIVABLE_OPACITY,
    LANE,
    LANE_OPACITY,
    STATUS_COLORS,
    TINT,
    Hud,
    box_color,
    draw_hud,
    draw_overlay,
)

GRAY = np.full((90, 160, 3), 100, np.uint8)


def blend(color: tuple[int, int, int], opacity: float) -> np.ndarray:
    return np.array(color) * opacity + 100 * (1 - opacity)


def test_masks_are_blended_in_order_and_void_is_left_alone() -> None:
    semantic = np.full((45, 80), 3, np.uint8)
    semantic[:10] = 255
    drivable = np.zeros((45, 80), np.uint8)
    drivable[30:] = 1
    lane = np.zeros((45, 80), np.uint8)
    lane[40:] = 1
    drawn = draw_overlay(GRAY, Prediction(semantic, drivable, lane), CAMVID)
    assert drawn.shape == GRAY.shape
    assert (drawn[:18] == 100).all()
    assert drawn[50, 80] == pytest.approx(blend(CAMVID.colors[3], TINT), abs=2)
    assert drawn[70, 80] == pytest.approx(blend(DRIVABLE, DRIVABLE_OPACITY), abs=2)
    assert drawn[85, 80] == pytest.approx(blend(LANE, LANE_OPACITY), abs=2)


def test_the_picture_given_is_not_changed() -> None:
    image = GRAY.copy()
    draw_overlay(image, Prediction(np.zeros((90, 160), np.uint8)), CAMVID)
    draw_hud(image, Hud(10, "p", 5, "OK"))
    assert np.array_equal(image, GRAY)


@pytest.mark.parametrize("with_mask", [False, True])
def test_boxes_are_scaled_from_the_prediction_to_the_picture(with_mask: bool) -> None:
    boxes = Boxes(np.array([[20.0, 20, 40, 35]]), np.array([2]), np.array([0.75]))
    mask = np.full((45, 80), 255, np.uint8) if with_mask else None
    drawn = draw_overlay(GRAY, Prediction(mask, boxes=boxes), CAMVID, prediction_size=None if with_mask else (45, 80))
    for y, x in ((70, 60), (55, 40), (55, 80)):  # bottom, left and right edge at twice the coordinates
        assert tuple(drawn[y, x]) == box_color(2)
    assert (drawn[60, 60] == 100).all()  # nothing inside
    larger = draw_overlay(GRAY, Prediction(mask, boxes=boxes), CAMVID, (180, 320), (45, 80))
    assert larger.shape == (180, 320, 3)
    assert tuple(larger[140, 120]) == box_color(2)


def test_boxes_outside_or_empty_or_of_unknown_class_do_no_harm() -> None:
    boxes = Boxes(
        np.array([[-50.0, -50, -10, -10], [5, 5, 5, 5], [-20, 10, 500, 500], [30, 30, 20, 20]]),
        np.array([0, 1, 99, 3]),
        np.array([0.5, 0.5, 0.5, 0.5]),
    )
    drawn = draw_overlay(GRAY, Prediction(boxes=boxes), CAMVID)
    assert drawn.shape == GRAY.shape
    assert tuple(drawn[50, 0]) == box_color(99)  # the large one is clipped to the picture


def test_nothing_predicted_is_the_picture() -> None:
    assert np.array_equal(draw_overlay(GRAY, None, CAMVID), GRAY)
    assert np.array_equal(draw_overlay(GRAY, Prediction(boxes=Boxes.empty()), CAMVID), GRAY)


@pytest.mark.parametrize("size", [(225, 400), (360, 480), (900, 1600), (60, 90)])
@pytest.mark.parametrize("status", ["OK", "DEADLINE_MISSED", "SKIPPED"])
def test_the_head_up_line_shows_the_status_in_its_colour(size: tuple[int, int], status: str) -> None:
    drawn = draw_hud(np.full((*size, 3), 200, np.uint8), Hud(13.9, "360x640", 34.5, status, "CAM_FRONT_RIGHT"))
    assert drawn.shape == (*size, 3)
    chip = (drawn[: size[0] // 4] == STATUS_COLORS[status]).all(axis=2)
    assert chip.sum() > 40
    assert not chip[:, : size[1] // 4].any()  # it stands at the right
    assert (drawn[size[0] // 2 :] == 200).all()


def test_the_head_up_line_says_what_is_known() -> None:
    assert Hud(13.9, "360x640", 34.5, "OK", "CAM").texts() == ["CAM", "50 km/h", "360x640", "34 ms"]
    assert Hud(None, None, None, "SKIPPED").texts() == ["speed unknown"]
