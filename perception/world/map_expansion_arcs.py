"""Centre lines as the arc-line paths of the nuScenes map expansion."""

from __future__ import annotations

from typing import Any

import numpy as np

TOLERANCE_M = 0.05
"""How far an arc may lie from the centre line."""
TURN_TOLERANCE_RAD = 0.03
STRAIGHT_RADIUS_M = 1e4
"""Arcs of a larger radius are written as straight."""


def arcline_path(centerline: np.ndarray) -> list[dict[str, Any]]:
    """Arcs along a centre line, each as long as it stays within :data:`TOLERANCE_M` of it.

    A path of the format is three pieces, a turn, a turn or a straight, and a turn, of one radius; here only one of
    them has a length. Paths begin on the centre line, in its direction, and end where the next one begins.

    Args:
        centerline: ``(K, 3)`` x, y and heading.
    """
    paths, first = [], 0
    while first < len(centerline) - 1:
        last = first + 1
        best = _arc(centerline[first], centerline[last])
        # Doubling steps, then halving ones: the longest arc that fits, or close to it.
        step = 1
        while step:
            candidate = min(last + step, len(centerline) - 1)
            arc = _arc(centerline[first], centerline[candidate])
            if candidate > last and _fits(arc, centerline[first], centerline[first + 1 : candidate + 1]):
                best, last, step = arc, candidate, step * 2
            else:
                step = step // 2 if candidate > last else 0
        curvature, length = best
        if length > 1e-3:
            paths.append(_record(centerline[first], curvature, length))
        first = last
    return paths


def _arc(start: np.ndarray, end: np.ndarray) -> tuple[float, float]:
    """Curvature and length of the arc that leaves a pose in its direction and meets a point."""
    dx, dy = end[:2] - start[:2]
    cos, sin = np.cos(start[2]), np.sin(start[2])
    x, y = cos * dx + sin * dy, -sin * dx + cos * dy
    chord2 = x * x + y * y
    if chord2 < 1e-12:
        return 0.0, 0.0
    curvature = 2 * y / chord2
    if abs(curvature) < 1 / STRAIGHT_RADIUS_M:
        return 0.0, float(np.sqrt(chord2))
    angle = 2 * np.arctan2(y, x)
    return float(curvature), float(angle / curvature)


def _fits(arc: tuple[float, float], start: np.ndarray, poses: np.ndarray) -> bool:
    """Whether an arc passes the ``(N, 3)`` poses of the centre line, the last of them in its direction."""
    curvature, length = arc
    if length > 1e3 or abs(curvature) * length > np.pi:
        return False
    dx, dy = (poses[:, :2] - start[:2]).T
    cos, sin = np.cos(start[2]), np.sin(start[2])
    x, y = cos * dx + sin * dy, -sin * dx + cos * dy
    away = np.abs(np.hypot(x, y - 1 / curvature) - 1 / abs(curvature)) if curvature else np.abs(y)
    turn = poses[-1, 2] - start[2] - curvature * length
    turn = (turn + np.pi) % (2 * np.pi) - np.pi
    return bool(away.max() < TOLERANCE_M and abs(turn) < TURN_TOLERANCE_RAD)


def _record(start: np.ndarray, curvature: float, length: float) -> dict[str, Any]:
    x, y, heading = start.tolist()
    turn = curvature * length
    if curvature:
        radius = 1 / curvature
        end = [x + radius * (np.sin(heading + turn) - np.sin(heading)),
               y - radius * (np.cos(heading + turn) - np.cos(heading)), heading + turn]  # fmt: skip
        lengths = [length, 0.0, 0.0]
    else:
        end = [x + length * np.cos(heading), y + length * np.sin(heading), heading]
        lengths = [0.0, length, 0.0]
    end[2] = (end[2] + np.pi) % (2 * np.pi) - np.pi
    return {
        "start_pose": [x, y, heading],
        "end_pose": [float(value) for value in end],
        "shape": "RSR" if curvature < 0 else "LSL",
        "radius": abs(1 / curvature) if curvature else 999.999,
        "segment_length": lengths,
    }
