"""Drivable area as a driver needs it: how well it is outlined near and far, and how far the way ahead is free.

Everything is measured on the flat ground plane of the ego frame (:mod:`perception.geometry.ground`), so distances
are those of a level road. Distances count from the ego origin, on the ground below the rear axle.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from perception.geometry.camera import in_image, project
from perception.geometry.frames import apply, inverse
from perception.geometry.ground import ground_distance, ground_grid
from perception.types import IGNORE_INDEX, Camera

BAND_EDGES_M = (0.0, 10.0, 20.0, 40.0, 80.0)
"""Edges of the forward-distance bands."""

EGO_WIDTH_M = 2.0
MAX_RANGE_M = 80.0


def overlap(prediction: np.ndarray, truth: np.ndarray, where: np.ndarray | None = None) -> tuple[int, int]:
    """Pixels in the intersection and in the union of two masks.

    Args:
        prediction: ``(H, W)``, 1 inside.
        truth: ``(H, W)``, 1 inside, 0 outside, 255 ignored.
        where: ``(H, W)`` bool, pixels to count; all by default.

    Raises:
        ValueError: for shapes that differ.
    """
    if prediction.shape != truth.shape:
        raise ValueError(f"prediction is {prediction.shape} but truth is {truth.shape}; resize one of them")
    counted = truth != IGNORE_INDEX
    if where is not None:
        counted = counted & where
    inside, expected = prediction == 1, truth == 1
    return int((inside & expected & counted).sum()), int(((inside | expected) & counted).sum())


def iou(prediction: np.ndarray, truth: np.ndarray, where: np.ndarray | None = None) -> float:
    """Intersection over union of one frame; NaN where neither mask has a pixel. Arguments as in :func:`overlap`.

    >>> iou(np.array([[1, 1, 0, 1]]), np.array([[1, 0, 0, 255]]))
    0.5
    """
    shared, either = overlap(prediction, truth, where)
    return shared / either if either else float("nan")


def band_overlap(
    prediction: np.ndarray, truth: np.ndarray, camera: Camera, edges_m: Sequence[float] = BAND_EDGES_M
) -> np.ndarray:
    """Intersection and union by distance of the ground under each pixel.

    Sum the result over frames and give it to :func:`iou_of_overlap` for a figure of a whole drive.

    Args:
        prediction, truth: as in :func:`overlap`, of ``camera.size``.
        edges_m: ascending band edges; a band holds its near edge and not its far one.

    Returns:
        ``(len(edges_m) - 1, 2)`` int64 pixels in the intersection and in the union.

    Raises:
        ValueError: for masks that do not have the camera's size, or edges that do not ascend.
    """
    if len(edges_m) < 2 or not (np.diff(edges_m) > 0).all():
        raise ValueError(f"band edges {list(edges_m)} must be at least two ascending distances in metres")
    _require_size(prediction, camera)
    distance_m = ground_distance(camera)
    bands = [(distance_m >= near) & (distance_m < far) for near, far in pairwise(edges_m)]
    return np.array([overlap(prediction, truth, band) for band in bands], np.int64)


def iou_of_overlap(counts: np.ndarray) -> np.ndarray:
    """``(...)`` float64 IoU of ``(..., 2)`` pixels in the intersection and union; NaN for an empty union.

    >>> iou_of_overlap(np.array([[3, 4], [0, 0]]))
    array([0.75,  nan])
    """
    shared, either = np.moveaxis(np.asarray(counts, np.float64), -1, 0)
    return np.divide(shared, either, out=np.full_like(shared, np.nan), where=either > 0)


def free_space_m(
    drivable: np.ndarray, camera: Camera, width_m: float = EGO_WIDTH_M, max_range_m: float = MAX_RANGE_M
) -> float:
    """Free distance straight ahead: how far a corridor of the ego's width is drivable without a gap.

    The corridor is followed over the ground, from the nearest row of the image that sees it, to the first pixel
    that is not drivable; what lies nearer than the image can see is taken to be free. Ignored pixels neither block
    nor end it. Resolution is that of the image rows: at 225 rows and 1266/4 px focal length 1 m at 20 m, 3 m at 40 m.

    Args:
        drivable: ``(H, W)``, 1 drivable, 0 not, 255 ignored.
        camera: of the same size.
        width_m: corridor width, centred on the ego's x axis.
        max_range_m: where the search ends.

    Returns:
        Metres from the ego origin; 0 where the nearest visible ground is blocked already, ``max_range_m`` where
        nothing blocks.

    Raises:
        ValueError: for a mask that does not have the camera's size, a width or range that is not positive, or a
            camera that sees nothing of the corridor.
    """
    _require_size(drivable, camera)
    if not (width_m > 0 and max_range_m > 0):
        raise ValueError(f"corridor of {width_m} m by {max_range_m} m; width and range must be positive")
    forward, left = np.moveaxis(ground_grid(camera), -1, 0)
    with np.errstate(invalid="ignore"):  # NaN above the horizon
        corridor = (np.abs(left) <= width_m / 2) & (forward > 0) & (forward <= max_range_m)
    if not corridor.any():
        raise ValueError(f"the camera sees nothing of the {width_m} m wide corridor up to {max_range_m} m ahead")
    blocked = corridor & (drivable == 0)
    if not blocked.any():
        return float(max_range_m)
    nearest_row = int(np.flatnonzero((corridor & (drivable != IGNORE_INDEX)).any(axis=1)).max())
    if blocked[nearest_row].any():
        return 0.0
    return float(forward[blocked].min())


def lateral_free_space_m(
    drivable: np.ndarray,
    camera: Camera,
    distances_m: Sequence[float],
    max_side_m: float = 15.0,
    step_m: float = 0.05,
) -> np.ndarray:
    """How far the ground is drivable to the left and to the right of the ego's x axis.

    Args:
        drivable: ``(H, W)``, 1 drivable; anything else ends the free space.
        camera: of the same size.
        distances_m: forward distances at which to look.
        max_side_m: how far to look sideways.
        step_m: spacing of the looks, which bounds the error beside that of the pixels.

    Returns:
        ``(len(distances_m), 2)`` metres to the left and to the right: up to the first pixel that is not drivable,
        the border of the image, or ``max_side_m``. 0 where the axis itself is blocked, NaN where the image does
        not show it.

    Raises:
        ValueError: for a mask that does not have the camera's size.
    """
    _require_size(drivable, camera)
    offsets = np.arange(0.0, max_side_m + step_m / 2, step_m)
    camera_from_ego = inverse(camera.ego_from_camera)
    free = np.zeros((len(distances_m), 2))
    for row, distance in enumerate(distances_m):
        for column, sign in enumerate((1.0, -1.0)):
            ground = np.stack([np.full_like(offsets, distance), sign * offsets, np.zeros_like(offsets)], axis=1)
            values = _look_up(drivable, camera, apply(camera_from_ego, ground))
            if values[0] < 0:
                free[row, column] = np.nan
                continue
            ends = np.flatnonzero(values != 1)
            count = ends[0] if len(ends) else len(offsets)
            free[row, column] = offsets[count - 1] if count else 0.0
    return free


def worst_frames(scores: Sequence[float], count: int = 4) -> list[int]:
    """Indices of the lowest scores, lowest first; NaN scores are left out.

    >>> worst_frames([0.9, float("nan"), 0.2, 0.5], count=2)
    [2, 3]
    """
    values = np.asarray(scores, np.float64)
    order = np.argsort(values, kind="stable")
    return [int(i) for i in order if np.isfinite(values[i])][:count]


def _look_up(mask: np.ndarray, camera: Camera, points_camera: np.ndarray) -> np.ndarray:
    """``(N,)`` mask value under each ``(N, 3)`` point of the camera frame, -1 outside the image."""
    pixels, _ = project(camera, points_camera)
    seen = in_image(camera, pixels)
    values = np.full(len(pixels), -1, np.int64)
    columns, rows = np.floor(pixels[seen]).astype(np.int64).T
    values[seen] = mask[rows, columns]
    return values


def _require_size(mask: np.ndarray, camera: Camera) -> None:
    if mask.shape != camera.size:
        raise ValueError(f"mask is {mask.shape} but its camera is {camera.size}; use camera.resized or resize the mask")
