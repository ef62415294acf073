"""Moving an old answer by the way that the vehicle has gone since, so that it fits the present picture better.

The road is taken to be the flat ground of the ego frame, and the vehicle to follow an arc: for a pinhole camera that
is the homography induced by a plane (Hartley & Zisserman, "Multiple View Geometry", section 13.1); with lens distortion
the same is done ray by ray. What stands on the road is taken not to move, and is treated like the road where a mask
shows it below the horizon. Above the horizon nothing changes.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from dataclasses import replace

import numpy as np

from perception.geometry.camera import project
from perception.geometry.frames import apply, inverse
from perception.geometry.ground import ground_points
from perception.types import Boxes, Camera, Prediction

MAX_POINTS = 60_000
"""Ground points that are computed for a mask; a larger mask moves in blocks of that many."""
MIN_DEPTH_M = 0.5
_CACHED = 16


class EgoWarp:
    """Warps predictions of the cameras that it has seen, whose ground points it keeps.

    Not safe to be called by several threads at once.
    """

    def __init__(self) -> None:
        self._grounds: OrderedDict[tuple[object, ...], _Ground] = OrderedDict()

    def __call__(
        self, prediction: Prediction, camera: Camera, size: tuple[int, int], distance_m: float, yaw_rad: float = 0.0
    ) -> Prediction:
        """The prediction as it would look ``distance_m`` further on.

        Args:
            camera: that took the picture, at any size.
            size: ``(height, width)`` of the prediction's masks, in whose pixels its boxes are.
            distance_m: travelled since the picture was taken; at least 0.
            yaw_rad: turned since then, to the left positive.
        """
        if not (0 <= distance_m < math.inf and math.isfinite(yaw_rad)) or distance_m == yaw_rad == 0:
            return prediction
        old_from_new = arc(distance_m, yaw_rad)
        ground = self._ground(camera, size)
        moved = {}
        rows_columns = None
        for name in ("semantic", "drivable", "lane"):
            mask = getattr(prediction, name)
            if mask is None:
                continue
            if rows_columns is None:
                rows_columns = ground.sources(old_from_new)
            rows, columns, known = rows_columns
            moved[name] = np.where(known, mask[rows, columns], mask)
        boxes = None if prediction.boxes is None else move_boxes(prediction.boxes, ground.camera, old_from_new)
        return Prediction(**moved, boxes=boxes)

    def _ground(self, camera: Camera, size: tuple[int, int]) -> _Ground:
        key = (
            camera.intrinsics.tobytes(), camera.ego_from_camera.tobytes(), camera.size, camera.model,
            camera.distortion, size,
        )  # fmt: skip
        if key not in self._grounds:
            self._grounds[key] = _Ground(camera.resized(size))
            if len(self._grounds) > _CACHED:
                self._grounds.popitem(last=False)
        self._grounds.move_to_end(key)
        return self._grounds[key]


def arc(distance_m: float, yaw_rad: float = 0.0) -> np.ndarray:
    """``(4, 4)`` ego frame before from ego frame after driving an arc at a steady turn."""
    sine, cosine = math.sin(yaw_rad), math.cos(yaw_rad)
    # sin(a) / a and (1 - cos(a)) / a, which a straight line has as limits 1 and 0.
    ahead, side = (sine / yaw_rad, (1 - cosine) / yaw_rad) if abs(yaw_rad) > 1e-6 else (1.0, yaw_rad / 2)
    return np.array(
        [[cosine, -sine, 0, distance_m * ahead], [sine, cosine, 0, distance_m * side], [0, 0, 1, 0], [0, 0, 0, 1]]
    )


class _Ground:
    """Where each block of pixels of a camera meets the road, in the ego frame."""

    def __init__(self, camera: Camera) -> None:
        height, width = camera.size
        self.camera = camera
        self._step = max(1, math.ceil(math.sqrt(height * width / MAX_POINTS)))
        y = np.arange(self._step / 2, height + self._step / 2, self._step)
        x = np.arange(self._step / 2, width + self._step / 2, self._step)
        self._shape = (len(y), len(x))
        grid = np.stack(np.meshgrid(x, y), axis=2).reshape(-1, 2)
        ground = ground_points(camera, grid)
        self._on_road = np.flatnonzero(np.isfinite(ground).all(axis=1))
        self._pixels = grid[self._on_road]
        self._points = np.concatenate([ground[self._on_road], np.zeros((len(self._on_road), 1))], axis=1)  # (N, 3)
        self._camera_from_ego = inverse(camera.ego_from_camera)

    def sources(self, old_from_new: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """For each pixel of the picture to come, the row and column of the old one that showed the same road.

        Args:
            old_from_new: ``(4, 4)`` motion of the ego frame.

        Returns:
            ``(H, W)`` rows and columns, clipped to the picture, and ``(H, W)`` bool: whether it showed it.
        """
        height, width = self.camera.size
        pixels, depth = project(self.camera, apply(self._camera_from_ego @ old_from_new, self._points))
        shift = np.zeros((self._shape[0] * self._shape[1], 2), np.float32)
        good = np.zeros(len(shift), bool)
        with np.errstate(invalid="ignore"):
            moved = pixels - self._pixels
            seen = (depth > 0) & np.isfinite(moved).all(axis=1) & (np.abs(moved) < max(height, width)).all(axis=1)
        good[self._on_road[seen]] = True
        shift[self._on_road[seen]] = moved[seen]
        y, x = np.arange(height), np.arange(width)
        block = (y // self._step)[:, None] * self._shape[1] + x // self._step  # (H, W) index of each pixel's block
        rows = np.rint(y[:, None] + shift[:, 1][block]).astype(np.int32)
        columns = np.rint(x + shift[:, 0][block]).astype(np.int32)
        known = good[block] & (rows >= 0) & (rows < height) & (columns >= 0) & (columns < width)
        return rows.clip(0, height - 1), columns.clip(0, width - 1), known


def move_boxes(boxes: Boxes, camera: Camera, old_from_new: np.ndarray) -> Boxes:
    """Boxes after a motion of the vehicle: they stay where they stand on the road, and grow as they come nearer.

    A box whose lower edge lies at or above the horizon stays as it is; one that the camera has passed goes away.

    Args:
        boxes: in pixels of the camera's picture.
        old_from_new: ``(4, 4)`` motion of the ego frame.
    """
    if not len(boxes):
        return boxes
    height, width = camera.size
    feet = np.stack([(boxes.xyxy[:, 0] + boxes.xyxy[:, 2]) / 2, boxes.xyxy[:, 3]], axis=1).astype(np.float64)
    ground = ground_points(camera, feet)  # (N, 2)
    on_road = np.isfinite(ground).all(axis=1)
    points = np.concatenate([np.nan_to_num(ground), np.zeros((len(ground), 1))], axis=1)
    camera_from_ego, new_from_old = inverse(camera.ego_from_camera), inverse(old_from_new)
    before, moved_points = apply(camera_from_ego, points), apply(new_from_old, points)
    after = apply(camera_from_ego, moved_points)
    pixels, depth = project(camera, after)
    ahead = depth > MIN_DEPTH_M
    growth = np.where(ahead, before[:, 2] / np.where(ahead, depth, 1.0), 1.0)[:, None]
    xyxy = boxes.xyxy.astype(np.float64)
    moved = np.concatenate([pixels + (xyxy[:, :2] - feet) * growth, pixels + (xyxy[:, 2:] - feet) * growth], axis=1)
    xyxy[on_road] = moved[on_road]
    xyxy = np.clip(np.nan_to_num(xyxy), 0, [width, height, width, height])
    keep = (~on_road | ahead) & (xyxy[:, 2] > xyxy[:, 0]) & (xyxy[:, 3] > xyxy[:, 1])
    distance = None
    if boxes.distance_m is not None:
        nearer = np.linalg.norm(points[:, :2], axis=1) - np.linalg.norm(moved_points[:, :2], axis=1)
        distance = np.maximum(boxes.distance_m - np.where(on_road, nearer, 0), 0)
    return replace(boxes, xyxy=xyxy.astype(np.float32), distance_m=distance)[keep]
