"""What hides what: depth of box silhouettes and of LiDAR surfaces in an image.

Depth is along the optical axis, metres; infinite where there is nothing.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from perception.geometry.boxes import project_box
from perception.geometry.camera import in_image, project, rays
from perception.geometry.frames import apply, inverse
from perception.types import Camera

BEAM_GAP_RAD = np.deg2rad(1.4)
"""Vertical angle between beams of a 32-beam LiDAR, a little over 1.33 degrees."""
AZIMUTH_GAP_RAD = np.deg2rad(0.36)
"""Horizontal angle between firings, a little over 0.33 degrees."""
SAMPLES = 10
"""A box's silhouette is tested on a grid of this many points a side."""


def margin(depth: np.ndarray | float) -> np.ndarray | float:
    """How much nearer a surface must be to hide what lies at ``depth``: 0.3 m and 2 percent."""
    return 0.3 + 0.02 * depth


def enter_box(directions: np.ndarray, corners: np.ndarray) -> np.ndarray:
    """Where lines of sight from the origin enter a box.

    Args:
        directions: ``(N, 3)``.
        corners: ``(8, 3)`` in the order of :func:`perception.geometry.boxes.box_corners`, in the frame of the
            directions.

    Returns:
        ``(N,)`` multiples of the directions, 0 from inside the box, infinite for a miss or a box behind.
    """
    center = corners.mean(axis=0)
    axes = np.stack([corners[4] - corners[0], corners[2] - corners[0], corners[1] - corners[0]])  # (3, 3) x, y, z edges
    half = (axes**2).sum(axis=1) / 2
    slope, start = (
        directions @ axes.T,
        -(axes @ center),
    )  # (N, 3), (3,): coordinates along the edges, times their length
    with np.errstate(divide="ignore", invalid="ignore"):
        a, b = (-half - start) / slope, (half - start) / slope
    parallel = slope == 0
    near = np.where(parallel, np.where(np.abs(start) <= half, -np.inf, np.inf), np.minimum(a, b)).max(axis=1)
    far = np.where(parallel, np.inf, np.maximum(a, b)).min(axis=1)
    return np.where((near <= far) & (far > 0), np.maximum(near, 0.0), np.inf)


def box_depth(camera: Camera, boxes: Sequence[np.ndarray]) -> np.ndarray:
    """``(H, W)`` depth of the nearest box surface in each pixel.

    Args:
        boxes: ``(8, 3)`` corners each, in the camera frame.
    """
    depth = np.full(camera.size, np.inf)
    for corners in boxes:
        seen = project_box(camera, corners)
        if seen is None:
            continue
        x0, y0 = np.floor(seen[0][:2]).astype(int)
        x1, y1 = np.ceil(seen[0][2:]).astype(int)
        x, y = np.meshgrid(np.arange(x0, x1) + 0.5, np.arange(y0, y1) + 0.5)
        directions = rays(camera, np.stack([x.ravel(), y.ravel()], axis=1))
        window = depth[y0:y1, x0:x1]
        np.minimum(window, enter_box(directions, corners).reshape(window.shape), out=window)
    return depth


def unhidden_shares(camera: Camera, boxes: Sequence[np.ndarray]) -> np.ndarray:
    """``(N,)`` share of each box's silhouette inside the image that no nearer box hides; 0 for a box out of view.

    Args:
        boxes: ``(8, 3)`` corners each, in the camera frame.
    """
    seen = [project_box(camera, corners) for corners in boxes]
    share = np.zeros(len(boxes))
    nearest = [corners[:, 2].min() for corners in boxes]
    for i, (corners, view) in enumerate(zip(boxes, seen, strict=True)):
        if view is None:
            continue
        x0, y0, x1, y1 = view[0]
        steps = (np.arange(SAMPLES) + 0.5) / SAMPLES
        x, y = np.meshgrid(x0 + (x1 - x0) * steps, y0 + (y1 - y0) * steps)
        directions = rays(camera, np.stack([x.ravel(), y.ravel()], axis=1))
        own = enter_box(directions, corners)
        directions, own = directions[np.isfinite(own)], own[np.isfinite(own)]
        if not len(own):
            share[i] = 1.0
            continue
        hidden = np.zeros(len(own), bool)
        for j, (other, other_view) in enumerate(zip(boxes, seen, strict=True)):
            if j == i or other_view is None or nearest[j] >= corners[:, 2].max():
                continue
            a0, b0, a1, b1 = other_view[0]
            if a0 < x1 and a1 > x0 and b0 < y1 and b1 > y0:
                hidden |= enter_box(directions, other) < own
        share[i] = 1 - hidden.mean()
    return share


def surface_depth(
    camera: Camera,
    points_ego: np.ndarray,
    ground_z: np.ndarray | float = 0.0,
    floor_m: np.ndarray | float = 0.0,
    min_height_m: float = 0.3,
    self_radius_m: float = 2.2,
) -> np.ndarray:
    """``(H, W)`` depth of the surfaces that stand above the ground, closed between LiDAR points.

    Beams leave gaps of tens of pixels. In each column of the picture, one firing wide, neighbouring points above the
    ground are joined, unless the ground was measured between them or one lies far behind the other. The lowest point
    of a surface is joined with the ground below it where the next beam down would have met the ground, and each
    surface reaches up by half a gap. What hangs high over the road, such as a crown, stays open below. A column
    without points takes the farther of its neighbours where these are alike.

    Args:
        points_ego: ``(N, 3)`` metres in the ego frame, all returns of a turn.
        ground_z: ``(N,)`` height of the ground under each point.
        floor_m: ``(N,)`` height above the ground at which what a point lies on ends, such as a car's underside.
        min_height_m: points lower than this above the ground belong to the ground.
        self_radius_m: points nearer than this to the middle of the vehicle are its own.
    """
    size = camera.size
    points = np.asarray(points_ego, dtype=np.float64)[:, :3]
    height = points[:, 2] - ground_z
    pixels, depth = project(camera, apply(inverse(camera.ego_from_camera), points))
    # Points above and below the picture bound surfaces that reach into it.
    near = (depth > 0.1) & (pixels[:, 0] >= 0) & (pixels[:, 0] < size[1])
    near &= np.hypot(points[:, 0] - 1.0, points[:, 1]) > self_radius_m
    height_over_floor = (height - floor_m)[near]
    points, height, pixels, depth = points[near], height[near], pixels[near], depth[near]
    step = max(1, round(camera.focal_px * AZIMUTH_GAP_RAD))
    buffer = np.full((size[0], -(-size[1] // step)), np.inf)
    if len(depth):
        feet = points - np.array([0.0, 0.0, 1.0]) * height_over_floor[:, None]
        foot = project(camera, apply(inverse(camera.ego_from_camera), feet))[0][:, 1]
        column = (pixels[:, 0] / step).astype(np.int64)
        order = np.lexsort((-pixels[:, 1], column))  # upwards within each column: the next is the next one above
        column, row, depth, height, foot = (v[order] for v in (column, pixels[:, 1], depth, height, foot))
        standing = height > min_height_m
        gap_px = camera.intrinsics[1, 1] * BEAM_GAP_RAD
        joined = standing[:-1] & standing[1:] & (column[1:] == column[:-1]) & (row[:-1] - row[1:] < 2.5 * gap_px)
        joined &= np.abs(depth[1:] - depth[:-1]) < 0.5 + 0.2 * depth[:-1]
        top = row - gap_px / 2
        top[:-1][joined] = row[1:][joined]
        bottom = np.where(height < min_height_m + 1.5 * depth * BEAM_GAP_RAD, foot, row + gap_px / 2)
        _paint(buffer, *(v[standing] for v in (column, top, bottom, depth)))
    for reach in (1, 2):
        _bridge(buffer, reach)
    return np.repeat(buffer, step, axis=1)[:, : size[1]]


def _bridge(buffer: np.ndarray, reach: int) -> None:
    """Close gaps of up to ``reach`` columns between columns of like depth."""
    for left in range(1, reach + 1):
        right = reach + 1 - left
        a, b = buffer[:, : -(left + right)], buffer[:, left + right :]
        gap = buffer[:, left:-right]
        farther, nearer = np.maximum(a, b), np.minimum(a, b)
        alike = np.isinf(gap) & np.isfinite(farther)
        alike[alike] = farther[alike] - nearer[alike] < 0.5 + 0.1 * nearer[alike]
        gap[alike] = farther[alike]


def _paint(buffer: np.ndarray, column: np.ndarray, top: np.ndarray, bottom: np.ndarray, depth: np.ndarray) -> None:
    """Lower ``buffer`` to ``depth`` on the rows ``top`` to ``bottom`` of each segment's column."""
    rows = len(buffer)
    first = np.clip(np.floor(np.nan_to_num(top, nan=0.0)), 0, rows).astype(np.int64)
    last = np.clip(np.ceil(np.nan_to_num(bottom, nan=rows)), 0, rows).astype(np.int64)
    count = np.maximum(last - first, 0)
    segment = np.repeat(np.arange(len(column)), count)
    row = np.arange(len(segment)) - np.repeat(np.cumsum(count) - count, count) + first[segment]
    np.minimum.at(buffer, (row, column[segment]), depth[segment])


def in_sight(pixels: np.ndarray, depth: np.ndarray, camera: Camera, surfaces: np.ndarray) -> np.ndarray:
    """``(N,)`` bool: points inside the image that no surface hides.

    Args:
        pixels: ``(N, 2)`` x, y of the points; ``depth``: ``(N,)`` metres.
        surfaces: ``(H, W)`` depth, such as :func:`surface_depth` gives.
    """
    seen = in_image(camera, pixels) & (depth > 0)
    column, row = pixels[seen].astype(np.int64).T
    seen[seen] = surfaces[row, column] > depth[seen] - margin(depth[seen])
    return seen
