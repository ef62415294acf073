"""Which pixel of which camera shows a LiDAR point."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from perception.geometry.camera import in_image, project
from perception.geometry.frames import apply, inverse
from perception.types import Camera, PointCloud

NEAREST_M = 0.1
"""Points nearer to the lens than this are seen by no camera."""


def points_in_image(cloud: PointCloud, camera: Camera, global_from_ego: np.ndarray) -> np.ndarray:
    """``(N, 2)`` float32 pixels ``(x, y)`` of the points of a cloud, NaN for those outside of the image.

    The vehicle's own motion between the LiDAR's and the camera's time is taken out; what moved by itself appears
    where the LiDAR saw it. What hides a point from the camera, which sits lower, is not looked for.

    Args:
        cloud: with ``global_from_ego``.
        global_from_ego: ``(4, 4)`` pose of the vehicle when the image was taken.
    """
    if cloud.global_from_ego is None:
        raise ValueError(f"cloud {cloud.name} has no pose, so it cannot be laid over an image")
    camera_from_lidar = inverse(camera.ego_from_camera) @ inverse(global_from_ego)
    camera_from_lidar = camera_from_lidar @ cloud.global_from_ego @ cloud.ego_from_lidar
    pixels, depth = project(camera, apply(camera_from_lidar, cloud.points[:, :3].astype(np.float64)))
    # float32 may round a pixel up to the border
    pixels = pixels.astype(np.float32)
    pixels[~in_image(camera, pixels) | (depth < NEAREST_M)] = np.nan
    return pixels


def choose_views(
    pixels: Sequence[np.ndarray], sizes: Sequence[tuple[int, int]], count: int
) -> tuple[np.ndarray, np.ndarray]:
    """The view that shows each point, and where: of several the one in which it lies nearest to the middle column.

    Args:
        pixels: ``(N, 2)`` float32 of each view, NaN where it does not show the point.
        sizes: (height, width) of each view's image.
        count: N.

    Returns:
        ``(N,)`` int64 index of the view, -1 where none shows the point, and ``(N, 2)`` float32 pixels in it, 0 there.
    """
    view = np.full(count, -1, np.int64)
    place = np.zeros((count, 2), np.float32)
    best = np.full(count, np.inf, np.float32)
    for index, (points, size) in enumerate(zip(pixels, sizes, strict=True)):
        offset = np.abs(points[:, 0] / size[1] - 0.5)
        with np.errstate(invalid="ignore"):
            nearer = offset < best
        view[nearer], place[nearer], best[nearer] = index, points[nearer], offset[nearer]
    return view, place
