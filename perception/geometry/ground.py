"""The flat ground plane z = 0 of the ego frame, seen by a camera."""

from __future__ import annotations

import numpy as np

from perception.geometry.camera import rays
from perception.types import Camera


def ground_points(camera: Camera, pixels: np.ndarray) -> np.ndarray:
    """Where the line of sight of each pixel meets the ground.

    Args:
        pixels: ``(N, 2)`` float (x, y).

    Returns:
        ``(N, 2)`` x (forward) and y (left) in the ego frame, metres; NaN at or above the horizon.
    """
    directions = rays(camera, pixels) @ camera.ego_from_camera[:3, :3].T
    origin = camera.ego_from_camera[:3, 3]
    downward = directions[:, 2] < -1e-9
    scale = np.full(len(directions), np.nan)
    scale[downward] = -origin[2] / directions[downward, 2]
    return origin[:2] + scale[:, None] * directions[:, :2]


def ground_grid(camera: Camera) -> np.ndarray:
    """``(H, W, 2)`` ground point x (forward) and y (left) in metres under each pixel centre; NaN at or above the
    horizon."""
    height, width = camera.size
    x, y = np.meshgrid(np.arange(width) + 0.5, np.arange(height) + 0.5)
    return ground_points(camera, np.stack([x.ravel(), y.ravel()], axis=1)).reshape(height, width, 2)


def ground_distance(camera: Camera) -> np.ndarray:
    """``(H, W)`` forward distance in metres from the ego origin to the ground under each pixel centre;
    infinite at or above the horizon."""
    return np.nan_to_num(ground_grid(camera)[..., 0], nan=np.inf)
