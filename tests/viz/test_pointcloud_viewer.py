from __future__ import annotations

import numpy as np
import pytest

from perception.errors import InputError, MissingExtra
from perception.geometry.boxes import box_corners
from perception.viz.keyframe import Box3D
from perception.viz.pointcloud_view import COLORINGS, PointView
from perception.viz.pointcloud_viewer import KEYS, _wires, open_viewer, usable_colors
from perception.world.raycast import open3d

VIEW = PointView(
    np.zeros((3, 3)), np.zeros(3), boxes=[Box3D(box_corners(np.array([9.0, 1, 1]), np.ones(3), 0.5), 0, "car")]
)


def test_without_a_display_it_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.platform", "linux")
    for name in ("DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(InputError, match="needs a display"):
        open_viewer(VIEW, "height")


def test_only_colourings_with_labels_can_be_chosen() -> None:
    assert usable_colors(VIEW) == ["intensity", "height", "sanity"]
    labelled = PointView(VIEW.points, VIEW.intensity, labels=np.zeros(3, int), predictions=np.zeros(3, int))
    assert usable_colors(labelled) == list(COLORINGS)
    assert f"1-{len(COLORINGS)}" in KEYS


def test_boxes_become_lines() -> None:
    try:
        o3d = open3d()
    except MissingExtra as error:
        pytest.skip(str(error))
    wires = _wires(o3d, VIEW)
    points, lines = np.asarray(wires.points), np.asarray(wires.lines)
    assert points[:8] == pytest.approx(VIEW.boxes[0].corners)
    assert lines.shape == (24, 2)
    assert np.asarray(wires.colors)[0] == pytest.approx(np.array([255, 158, 0]) / 255)
    lengths = np.linalg.norm(points[lines[:12, 0]] - points[lines[:12, 1]], axis=1)
    assert lengths == pytest.approx(np.ones(12))
