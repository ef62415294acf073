"""Rigid transforms. ``a_from_b`` maps points of frame b into frame a; ``a_from_b @ b_from_c == a_from_c``."""

from __future__ import annotations

import numpy as np


def rotation_from_quaternion(wxyz: np.ndarray) -> np.ndarray:
    """``(3, 3)`` rotation matrix of a quaternion ``(w, x, y, z)``, normalised first.

    >>> rotation_from_quaternion(np.array([1.0, 0.0, 0.0, 0.0])).tolist() == np.eye(3).tolist()
    True

    Raises:
        ValueError: for a quaternion that is not finite or has no length.
    """
    quaternion = np.asarray(wxyz, dtype=np.float64)
    norm = np.linalg.norm(quaternion)
    if quaternion.shape != (4,) or not np.isfinite(norm) or norm < 1e-9:
        raise ValueError(f"not a rotation quaternion (w, x, y, z): {np.asarray(wxyz).tolist()}")
    w, x, y, z = quaternion / norm
    return np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
            [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
            [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
        ]
    )


def quaternion_from_rotation(rotation: np.ndarray) -> np.ndarray:
    """Quaternion ``(w, x, y, z)`` with ``w >= 0`` of a ``(3, 3)`` rotation matrix."""
    m = np.asarray(rotation, dtype=np.float64)
    # The largest of the four squared components is taken first, which keeps the division well conditioned.
    squares = np.array(
        [
            1 + m[0, 0] + m[1, 1] + m[2, 2],
            1 + m[0, 0] - m[1, 1] - m[2, 2],
            1 - m[0, 0] + m[1, 1] - m[2, 2],
            1 - m[0, 0] - m[1, 1] + m[2, 2],
        ]
    )
    largest = int(np.argmax(squares))
    rows = np.array(
        [
            [squares[0], m[2, 1] - m[1, 2], m[0, 2] - m[2, 0], m[1, 0] - m[0, 1]],
            [m[2, 1] - m[1, 2], squares[1], m[0, 1] + m[1, 0], m[0, 2] + m[2, 0]],
            [m[0, 2] - m[2, 0], m[0, 1] + m[1, 0], squares[2], m[1, 2] + m[2, 1]],
            [m[1, 0] - m[0, 1], m[0, 2] + m[2, 0], m[1, 2] + m[2, 1], squares[3]],
        ]
    )
    quaternion = rows[largest] / (2 * np.sqrt(squares[largest]))
    return quaternion if quaternion[0] >= 0 else -quaternion


def transform(translation: np.ndarray, rotation: np.ndarray) -> np.ndarray:
    """``(4, 4)`` float64 ``target_from_source`` from the source origin in the target frame and a rotation,
    given as a quaternion ``(w, x, y, z)`` or a ``(3, 3)`` matrix."""
    rotation = np.asarray(rotation, dtype=np.float64)
    matrix = np.eye(4)
    matrix[:3, :3] = rotation if rotation.shape == (3, 3) else rotation_from_quaternion(rotation)
    matrix[:3, 3] = translation
    return matrix


def inverse(target_from_source: np.ndarray) -> np.ndarray:
    """``source_from_target`` of a rigid ``(4, 4)`` transform."""
    rotation, translation = target_from_source[:3, :3], target_from_source[:3, 3]
    matrix = np.eye(4)
    matrix[:3, :3] = rotation.T
    matrix[:3, 3] = -rotation.T @ translation
    return matrix


def apply(target_from_source: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Map ``(N, 3)`` points of the source frame to ``(N, 3)`` points of the target frame."""
    return points @ target_from_source[:3, :3].T + target_from_source[:3, 3]


def yaw_rotation(yaw: float | np.ndarray) -> np.ndarray:
    """``(..., 3, 3)`` rotation about z by ``yaw`` radians, counter-clockwise seen from above."""
    cos, sin = np.cos(yaw), np.sin(yaw)
    zero, one = np.zeros_like(cos), np.ones_like(cos)
    rows = [[cos, -sin, zero], [sin, cos, zero], [zero, zero, one]]
    return np.stack([np.stack(row, axis=-1) for row in rows], axis=-2)
