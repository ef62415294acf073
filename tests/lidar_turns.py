"""A camera at the height of a car's mirror and simulated LiDAR turns among boxes on flat ground."""

from __future__ import annotations

import numpy as np

from perception.geometry.frames import inverse, transform
from perception.geometry.occlusion import enter_box
from perception.types import Camera

FORWARD = np.array([[0, 0, 1], [-1, 0, 0], [0, -1, 0]], float)
SIZE = (90, 160)
CAMERA = Camera(
    np.array([[126.6, 0, 80], [0, 126.6, 45], [0, 0, 1]]), SIZE, transform(np.array([1.7, 0, 1.5]), FORWARD)
)
CAMERA_FROM_EGO = inverse(CAMERA.ego_from_camera)


def lidar_turn(boxes: list[np.ndarray], ground: bool = True) -> np.ndarray:
    """Returns of a 32-beam turn from 1.84 m above the ground among boxes of ``(8, 3)`` ego corners."""
    elevation, azimuth = np.meshgrid(np.deg2rad(np.linspace(-30, 10, 32)), np.linspace(-np.pi, np.pi, 1084))
    directions = np.stack(
        [np.cos(elevation) * np.cos(azimuth), np.cos(elevation) * np.sin(azimuth), np.sin(elevation)], axis=-1
    ).reshape(-1, 3)
    origin = np.array([0.94, 0.0, 1.84])
    with np.errstate(divide="ignore"):
        reach = np.where(directions[:, 2] < 0, -origin[2] / directions[:, 2], np.inf) if ground else np.inf
    for corners in boxes:
        reach = np.minimum(reach, enter_box(directions, corners - origin))
    hit = np.isfinite(reach) & (reach < 100)
    return origin + directions[hit] * reach[hit, None]
