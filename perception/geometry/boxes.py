"""3D boxes: corners, and their 2D boxes in a camera image."""

from __future__ import annotations

import numpy as np

from perception.geometry.camera import project
from perception.geometry.frames import yaw_rotation
from perception.geometry.polygons import clip_half_space
from perception.types import Camera

# Corner signs along length (x), width (y), height (z); edges join corners that differ in one sign.
_SIGNS = np.array([[x, y, z] for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)], dtype=np.float64)
EDGES = np.array([(a, b) for a in range(8) for b in range(a + 1, 8) if np.abs(_SIGNS[a] - _SIGNS[b]).sum() == 2])
FACES = np.array([[0, 1, 3, 2], [4, 5, 7, 6], [0, 1, 5, 4], [2, 3, 7, 6], [0, 2, 6, 4], [1, 3, 7, 5]])
"""Corners around each face, in order."""


def box_corners(center: np.ndarray, size: np.ndarray, rotation: float | np.ndarray) -> np.ndarray:
    """``(8, 3)`` corners of a box.

    Args:
        center: ``(3,)`` metres.
        size: ``(length, width, height)`` metres, along the box's own x, y and z.
        rotation: yaw in radians, or a ``(3, 3)`` matrix.
    """
    matrix = np.asarray(rotation, dtype=np.float64)
    if matrix.ndim == 0:
        matrix = yaw_rotation(matrix)
    return (_SIGNS * np.asarray(size) / 2) @ matrix.T + center


def inside_box(points: np.ndarray, corners: np.ndarray) -> np.ndarray:
    """``(N,)`` bool: which ``(N, 3)`` points lie in a box, its surface included; NaN is outside.

    Args:
        corners: ``(8, 3)`` in the order of :func:`box_corners`, in the frame of the points.
    """
    edges = np.stack([corners[4] - corners[0], corners[2] - corners[0], corners[1] - corners[0]])
    along = (points - corners[0]) @ edges.T  # (N, 3)
    with np.errstate(invalid="ignore"):
        return ((along >= 0) & (along <= (edges**2).sum(axis=1))).all(axis=1)


def project_box(camera: Camera, corners_camera: np.ndarray, near_m: float = 0.1) -> tuple[np.ndarray, float] | None:
    """The 2D box around the part of a 3D box that is in the image.

    The faces are cut at the near plane and then at the image border, so that an object that reaches past the
    camera gets the box of what is seen of it, not that of its far-flung corners.

    Args:
        corners_camera: ``(8, 3)`` in the camera frame, in the order of :func:`box_corners`.

    Returns:
        ``(4,)`` xyxy inside the image, and the share of the unclipped 2D box's area that this is; ``None``
        where nothing of the box is in view.
    """
    depth = corners_camera[:, 2]
    if (depth < near_m).all():
        return None
    whole = bool((depth >= near_m).all())
    faces = [corners_camera[face] for face in FACES]
    if not whole:
        faces = [clip_half_space(face, face[:, 2] - near_m) for face in faces]
    faces = [project(camera, face)[0] for face in faces if len(face)]
    pixels = np.concatenate(faces)
    low, high = pixels.min(axis=0), pixels.max(axis=0)
    limit = np.array([camera.size[1], camera.size[0]], dtype=np.float64)
    if (high <= 0).any() or (low >= limit).any():
        return None
    unclipped = float(np.prod(high - low))
    if (low < 0).any() or (high > limit).any():
        seen = []
        for polygon in faces:
            for axis in range(2):
                polygon = clip_half_space(polygon, polygon[:, axis])
                polygon = clip_half_space(polygon, limit[axis] - polygon[:, axis])
            seen.append(polygon)
        pixels = np.concatenate(seen)
        if not len(pixels):
            return None
        low, high = pixels.min(axis=0).clip(0, limit), pixels.max(axis=0).clip(0, limit)
    extent = high - low
    if (extent <= 0).any():
        return None
    return np.concatenate([low, high]), float(np.prod(extent)) / max(unclipped, 1e-9)
