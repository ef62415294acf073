"""How far objects are: from LiDAR points in their boxes, else from where they stand on the ground."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from perception.geometry.camera import in_image, project
from perception.geometry.frames import apply, inverse
from perception.geometry.ground import ground_points
from perception.types import Camera

GAP_M = 1.0
"""Ranges further apart than this belong to different surfaces."""
MIN_POINTS = 3
MIN_SHARE = 0.15
"""A nearer surface with a smaller share of the points in a box is what peeps in from the side."""
GROUND_M = 0.25
"""Points lower than this above the ground are the ground's."""

LIDAR, GROUND, NONE = "lidar", "ground", "none"


@dataclass(frozen=True)
class Distances:
    """Distances of some boxes.

    Shape:
        - distance_m: ``(N,)`` float32 along the ground from the ego origin to the nearest surface that is seen, NaN
          where unknown.
        - source: ``(N,)`` strings: ``lidar``, ``ground`` or ``none``.
    """

    distance_m: np.ndarray
    source: np.ndarray


def estimate_distances(
    xyxy: np.ndarray, camera: Camera, points_ego: np.ndarray | None = None, ground_z: np.ndarray | float = 0.0
) -> Distances:
    """Distances of 2D boxes, labelled or predicted.

    A box's points are those in its middle (a tenth off each side), off the ground. Sorted by distance they fall into
    surfaces; the distance is the median of the nearest surface that holds a fair share of them. Boxes without enough
    points take the ground under the middle of their lower edge. Where that edge is cut off by the image, the object
    is nearer than the ground that the image shows there, so its distance is a bound from above. Boxes that end above
    the horizon have none.

    Args:
        xyxy: ``(N, 4)`` pixels of the camera's image.
        points_ego: ``(M, 3+)`` metres in the ego frame of the image's instant; ``None`` without LiDAR.
        ground_z: height of the ground under each point, ``(M,)`` or one number.
    """
    xyxy = np.asarray(xyxy, dtype=np.float64).reshape(-1, 4)
    foot = np.stack([(xyxy[:, 0] + xyxy[:, 2]) / 2, xyxy[:, 3]], axis=1)
    distance = np.hypot(*ground_points(camera, foot).T)
    source = np.where(np.isfinite(distance), GROUND, NONE)
    if points_ego is not None and len(points_ego):
        points = np.asarray(points_ego, dtype=np.float64)[:, :3]
        standing = np.isfinite(points).all(axis=1) & (points[:, 2] - ground_z > GROUND_M)
        pixels, depth = project(camera, apply(inverse(camera.ego_from_camera), points[standing]))
        seen = in_image(camera, pixels) & (depth > 0.1)
        pixels, ranges = pixels[seen], np.hypot(*points[standing][seen, :2].T)
        margin = 0.1 * (xyxy[:, 2:] - xyxy[:, :2])
        for i, (low, high) in enumerate(zip(xyxy[:, :2] + margin, xyxy[:, 2:] - margin, strict=True)):
            measured = nearest_surface(ranges[((pixels >= low) & (pixels <= high)).all(axis=1)])
            if measured is not None:
                distance[i], source[i] = measured, LIDAR
    return Distances(distance.astype(np.float32), source)


def nearest_surface(ranges: np.ndarray) -> float | None:
    """Median of the nearest cluster of ``(N,)`` ranges in metres; ``None`` where no cluster is large enough.

    >>> nearest_surface(np.array([7.0, 12.1, 12.2, 12.3, 12.2, 12.5, 30.0, 31.0]))
    12.2
    """
    if len(ranges) < MIN_POINTS:
        return None
    ranges = np.sort(ranges)
    for cluster in np.split(ranges, np.flatnonzero(np.diff(ranges) > GAP_M) + 1):
        if len(cluster) >= max(MIN_POINTS, MIN_SHARE * len(ranges)):
            return float(np.median(cluster))
    return None
