"""Polygons and lines of the ground in a camera image: cut where the camera sees, projected, filled.

A ring is an ``(N, D)`` array of corners, not closed. An area is a set of rings: exteriors counter-clockwise seen from
above and holes clockwise, so that the sum of windings says what lies inside, whatever overlaps.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from perception.geometry.camera import project, rays
from perception.types import Camera

CURVE_PIECES = 16
"""Pieces into which an edge is divided where a lens bends straight lines."""


def clip_half_space(ring: np.ndarray, inside: np.ndarray) -> np.ndarray:
    """The part of an ``(N, D)`` ring where a linear function with ``(N,)`` corner values ``inside`` is not negative.

    This is Sutherland and Hodgman's clipping against one border. The parts of a ring that is not convex stay joined
    by edges along the border, which enclose nothing.

    >>> square = np.array([[0.0, 0.0], [2.0, 0.0], [2.0, 2.0], [0.0, 2.0]])
    >>> clip_half_space(square, 1 - square[:, 0]).tolist()
    [[0.0, 0.0], [1.0, 0.0], [1.0, 2.0], [0.0, 2.0]]
    """
    keep = inside >= 0
    if keep.all():
        return ring
    if not keep.any():
        return ring[:0]
    following = np.roll(inside, -1)
    crosses = keep != (following >= 0)
    share = inside / np.where(crosses, inside - following, 1.0)
    border = ring + share[:, None] * (np.roll(ring, -1, axis=0) - ring)
    both = np.stack([ring, border], axis=1)  # (N, 2, D)
    return both[np.stack([keep, crosses], axis=1)]


def signed_area(ring: np.ndarray) -> float:
    """Area of an ``(N, 2)`` ring, positive where it runs counter-clockwise (x right, y up).

    >>> signed_area(np.array([[0, 0], [2, 0], [2, 1]]))
    1.0
    """
    x, y = (ring - ring[:1]).T
    return float(np.dot(x, np.roll(y, -1)) - np.dot(y, np.roll(x, -1))) / 2


def oriented(ring: np.ndarray, counter_clockwise: bool) -> np.ndarray:
    """The ``(N, 2)`` ring in the given direction."""
    return ring if (signed_area(ring) >= 0) == counter_clockwise else ring[::-1]


def ribbon(line: np.ndarray, width: float) -> list[np.ndarray]:
    """A line of a width as counter-clockwise quadrilaterals ``(4, 2)``, one a segment.

    The corners of neighbours meet on the bisector, so that a bend has neither gap nor overlap; a sharp one is blunt.

    Args:
        line: ``(K, 2)`` points; repeated points are left out.
    """
    line = line[np.concatenate([[True], np.abs(np.diff(line, axis=0)).sum(axis=1) > 1e-9])]
    if len(line) < 2:
        return []
    direction = np.diff(line, axis=0)
    direction /= np.linalg.norm(direction, axis=1, keepdims=True)
    normal = np.stack([-direction[:, 1], direction[:, 0]], axis=1)
    bisector = normal[np.r_[0, np.arange(len(normal))]] + normal[np.r_[np.arange(len(normal)), -1]]
    length2 = np.maximum((bisector**2).sum(axis=1, keepdims=True), 1.0)
    offset = bisector * width / length2
    left, right = line + offset, line - offset
    return list(np.stack([right[:-1], right[1:], left[1:], left[:-1]], axis=1))


def subdivide(ring: np.ndarray, step: float) -> np.ndarray:
    """The same ring with corners added until no edge is longer than ``step``."""
    following = np.roll(ring, -1, axis=0)
    pieces = np.maximum(np.ceil(np.linalg.norm(following - ring, axis=1) / step).astype(np.int64), 1)
    return _divide(ring, following, pieces)


def _divide(ring: np.ndarray, following: np.ndarray, pieces: np.ndarray) -> np.ndarray:
    edge = np.repeat(np.arange(len(ring)), pieces)
    share = (np.arange(len(edge)) - np.repeat(np.cumsum(pieces) - pieces, pieces)) / pieces[edge]
    return ring[edge] + share[:, None] * (following - ring)[edge]


def view_bounds(camera: Camera) -> np.ndarray:
    """``(2, 2)`` lowest and highest x / z and y / z of what the image shows."""
    height, width = camera.size
    x, y = np.linspace(0, width, 17), np.linspace(0, height, 17)
    border = [(a, b) for a in x for b in (0, height)] + [(a, b) for a in (0, width) for b in y]
    slopes = rays(camera, np.array(border, dtype=np.float64))[:, :2]
    return np.stack([slopes.min(axis=0), slopes.max(axis=0)])


def project_rings(camera: Camera, rings: Iterable[np.ndarray], near_m: float = 0.1) -> list[np.ndarray]:
    """Project rings of the camera frame; nothing of them that is out of view is left.

    Each is cut at the near plane and at the borders of the view before the division by depth, so that no corner
    beside or behind the camera is thrown to the other side of the picture.

    Args:
        rings: each ``(N, 3)``, metres, x right, y down, z forward.

    Returns:
        ``(M, 2)`` pixels each; rings that are out of view are left out.
    """
    low, high = view_bounds(camera)
    seen = []
    for ring in rings:
        ring = clip_half_space(ring, ring[:, 2] - near_m)
        for axis in (0, 1):
            if len(ring):
                ring = clip_half_space(ring, ring[:, axis] - low[axis] * ring[:, 2])
            if len(ring):
                ring = clip_half_space(ring, high[axis] * ring[:, 2] - ring[:, axis])
        if len(ring) < 3:
            continue
        if camera.model != "pinhole":
            ring = _divide(ring, np.roll(ring, -1, axis=0), np.full(len(ring), CURVE_PIECES))
        seen.append(project(camera, ring)[0])
    return seen


def fill(rings: Sequence[np.ndarray], size: tuple[int, int], even_odd: bool = False) -> np.ndarray:
    """``(H, W)`` bool: pixels whose centre lies inside rings of pixel corners.

    A line through each row of centres counts the edges that it crosses; edges need not lie inside the image.

    Args:
        rings: each ``(N, 2)`` x, y.
        size: ``(height, width)``.
        even_odd: inside is where the number of crossings is odd; by default, where windings do not cancel.
    """
    height, width = size
    if not rings:
        return np.zeros(size, bool)
    start = np.concatenate(rings)
    end = np.concatenate([np.roll(ring, -1, axis=0) for ring in rings])
    low, high = np.minimum(start[:, 1], end[:, 1]), np.maximum(start[:, 1], end[:, 1])
    first = np.clip(np.ceil(low - 0.5), 0, height).astype(np.int64)
    count = np.clip(np.ceil(high - 0.5), 0, height).astype(np.int64) - first
    edge = np.repeat(np.arange(len(start)), count)
    row = np.arange(len(edge)) - np.repeat(np.cumsum(count) - count, count) + first[edge]
    slope = (end[:, 0] - start[:, 0]) / np.where(count > 0, end[:, 1] - start[:, 1], 1.0)
    x = start[edge, 0] + (row + 0.5 - start[edge, 1]) * slope[edge]
    column = np.clip(np.ceil(x - 0.5), 0, width).astype(np.int64)
    sign = np.where(end[:, 1] > start[:, 1], 1.0, -1.0)[edge]
    steps = np.bincount(row * (width + 1) + column, sign, minlength=height * (width + 1))
    winding = steps.reshape(height, width + 1).cumsum(axis=1)[:, :width].round().astype(np.int64)
    return winding % 2 == 1 if even_odd else winding != 0
