"""Smooth ways between two places, for vehicles that turn and for the lanes of a map."""

from __future__ import annotations

import numpy as np

from perception.world.road import Curve

STEP_M = 0.4


def turn(start: np.ndarray, start_heading: float, end: np.ndarray, end_heading: float) -> np.ndarray:
    """``(N, 2)`` points from one place and heading to another: straight, an arc, straight where the headings meet at a
    corner, else a smooth S.

    Args:
        start, end: ``(2,)`` metres.
    """
    h0 = np.array([np.cos(start_heading), np.sin(start_heading)])
    h1 = np.array([np.cos(end_heading), np.sin(end_heading)])
    sine = h0[0] * h1[1] - h0[1] * h1[0]
    gap = end - start
    if abs(sine) > 0.3:
        a = (gap[0] * h1[1] - gap[1] * h1[0]) / sine  # from start to the corner
        b = (h0[0] * gap[1] - h0[1] * gap[0]) / sine  # from the corner to the end
        tangent = min(a, b)
        if tangent > 0.5:
            angle = np.arctan2(sine, h0 @ h1)
            radius = tangent / np.tan(abs(angle) / 2)
            count = max(4, int(np.ceil(radius * abs(angle) / STEP_M)) + 1)
            swing = np.linspace(0, angle, count)
            first = start + (a - tangent) * h0
            normal = np.array([-h0[1], h0[0]]) * np.sign(angle)
            arc = first + radius * (np.sin(np.abs(swing))[:, None] * h0 + (1 - np.cos(swing))[:, None] * normal)
            return _distinct(np.concatenate([_line(start, first), arc, _line(arc[-1], end)]))
    length = float(np.linalg.norm(gap))
    t = np.linspace(0, 1, max(4, int(np.ceil(length / STEP_M)) + 1))[:, None]
    return (
        (2 * t**3 - 3 * t**2 + 1) * start
        + (t**3 - 2 * t**2 + t) * length * h0
        + (-2 * t**3 + 3 * t**2) * end
        + (t**3 - t**2) * length * h1
    )


def _line(start: np.ndarray, end: np.ndarray) -> np.ndarray:
    count = int(np.linalg.norm(end - start) / STEP_M) + 2
    return start + np.linspace(0, 1, count)[:, None] * (end - start)


def _distinct(points: np.ndarray) -> np.ndarray:
    """Points without those that lie on the one before them."""
    return points[np.concatenate([[True], np.linalg.norm(np.diff(points, axis=0), axis=1) > 1e-3])]


def path(points: np.ndarray, s: np.ndarray | None = None) -> Curve:
    """A curve through ``(N, 2)`` points.

    Args:
        s: ``(N,)`` what the curve's ``s`` is at the points; by default the distance from the first.
    """
    length = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(points, axis=0), axis=1))])
    s = length if s is None else s
    keep = np.concatenate([[True], np.diff(length) > 1e-3])
    points, s = points[keep], s[keep]
    even = np.arange(s[0], s[-1], STEP_M)
    x, y = np.interp(even, s, points[:, 0]), np.interp(even, s, points[:, 1])
    heading = np.unwrap(np.arctan2(np.gradient(y), np.gradient(x)))
    return Curve(even, x, y, heading, np.gradient(heading, STEP_M))


def with_heading(points: np.ndarray) -> np.ndarray:
    """``(K, 3)`` x, y and heading in radians of ``(K, 2)`` points."""
    forward = np.gradient(points, axis=0)
    return np.concatenate([points, np.arctan2(forward[:, 1], forward[:, 0])[:, None]], axis=1)
