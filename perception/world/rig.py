"""The sensors on the vehicle: six cameras around it and a LiDAR on its roof, placed and timed as those of nuScenes.

Poses and focal lengths are those of a nuScenes vehicle, rounded to centimetres, degrees and tens of pixels; the front
camera keeps its published focal length. Lenses are without distortion, as nuScenes' pictures are rectified.

The LiDAR turns clockwise, 20 times a second. A turn begins and ends behind the left shoulder and has the time of its
end. A camera takes its picture when the beam passes its optical axis, hence up to 43 ms before that.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from perception.errors import InputError
from perception.geometry.frames import transform, yaw_rotation
from perception.types import Camera

FULL_SIZE = (900, 1600)
TURN_S = 0.05
"""Duration of a turn of the LiDAR."""
TURN_START_DEG = 107.0
"""Where a turn begins, degrees to the left of straight ahead."""
LIDAR = "LIDAR_TOP"
LIDAR_POSITION_M = (0.943713, 0.0, 1.84023)
# nuScenes' LiDAR axes are x right, y forward, z up.
EGO_FROM_LIDAR = transform(np.array(LIDAR_POSITION_M), np.array([[0, 1, 0], [-1, 0, 0], [0, 0, 1]], float))
_FORWARD = np.array([[0, 0, 1], [-1, 0, 0], [0, -1, 0]], float)  # ego from a camera that looks ahead


@dataclass(frozen=True)
class Mount:
    """Where a camera sits.

    Args:
        position_m: in the ego frame.
        yaw_deg: where it looks, to the left of straight ahead.
        focal_px: at 1600 x 900.
    """

    position_m: tuple[float, float, float]
    yaw_deg: float
    focal_px: float


CAMERAS = {
    "CAM_FRONT": Mount((1.70, 0.0, 1.51), 0.0, 1266.417),
    "CAM_FRONT_RIGHT": Mount((1.55, -0.49, 1.50), -55.0, 1260.0),
    "CAM_BACK_RIGHT": Mount((1.01, -0.48, 1.56), -110.0, 1260.0),
    "CAM_BACK": Mount((0.03, 0.0, 1.58), 180.0, 809.0),
    "CAM_BACK_LEFT": Mount((1.04, 0.48, 1.59), 110.0, 1260.0),
    "CAM_FRONT_LEFT": Mount((1.52, 0.49, 1.51), 55.0, 1270.0),
}
"""The cameras by channel, clockwise from the front: 65 degrees wide, that at the back 89."""
FRONT = "CAM_FRONT"


def rig_camera(channel: str, size: tuple[int, int]) -> Camera:
    """A camera of the rig, scaled to ``(height, width)``.

    Raises:
        InputError: for an unknown channel.
    """
    if channel not in CAMERAS:
        raise InputError(f"unknown camera {channel!r}; use one of {', '.join(CAMERAS)}")
    mount = CAMERAS[channel]
    height, width = FULL_SIZE
    intrinsics = np.array([[mount.focal_px, 0, width / 2], [0, mount.focal_px, height / 2], [0, 0, 1.0]])
    rotation = _quarter_exact(yaw_rotation(np.radians(mount.yaw_deg))) @ _FORWARD
    return Camera(intrinsics, FULL_SIZE, transform(np.array(mount.position_m), rotation)).resized(size)


def _quarter_exact(rotation: np.ndarray) -> np.ndarray:
    """Without the rounding of pi in turns by whole quarters."""
    return np.where(np.abs(rotation) < 1e-12, 0.0, rotation)


def camera_delay_s(channel: str) -> float:
    """When a camera fires, relative to the end of the LiDAR's turn: from minus :data:`TURN_S` to 0.

    >>> round(camera_delay_s("CAM_FRONT"), 4)
    -0.0351
    """
    swept = (TURN_START_DEG - CAMERAS[channel].yaw_deg) % 360.0
    return float(TURN_S * (swept / 360.0 - 1.0))


def parse_cameras(text: str | Sequence[str]) -> tuple[str, ...]:
    """Channels of ``front``, ``all`` or a comma list, in the order of :data:`CAMERAS`.

    >>> parse_cameras("CAM_BACK,CAM_FRONT")
    ('CAM_FRONT', 'CAM_BACK')

    Raises:
        InputError: for an unknown or repeated camera, or none.
    """
    if text == "front":
        return (FRONT,)
    if text == "all":
        return tuple(CAMERAS)
    names = [name.strip() for name in text.split(",")] if isinstance(text, str) else list(text)
    for name in names:
        if name not in CAMERAS:
            raise InputError(f"unknown camera {name!r}; use front, all, or a comma list of {', '.join(CAMERAS)}")
    if not names or len(set(names)) < len(names):
        raise InputError(f"cameras {', '.join(names) or 'none'} must be named once each; use front, all or a list")
    return tuple(channel for channel in CAMERAS if channel in names)
