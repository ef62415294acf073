"""Nearest neighbours of points."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.spatial import cKDTree

from perception.errors import InputError


def nearest_neighbours(points: np.ndarray, count: int) -> np.ndarray:
    """Rows of the nearest points of each point of one cloud, the point itself first and the others by distance.

    A cloud of fewer than ``count + 1`` points repeats the point itself.

    Args:
        points: x, y, z in metres, further columns unread.
        count: neighbours besides the point itself.

    Shape:
        - points: ``(N, 3+)``. Returns ``(N, count + 1)`` int64.

    Raises:
        InputError: for a negative count or points that are not finite.

    >>> nearest_neighbours(np.array([[0.0, 0, 0], [1, 0, 0], [3, 0, 0]]), 2).tolist()
    [[0, 1, 2], [1, 0, 2], [2, 1, 0]]
    """
    if count < 0:
        raise InputError(f"number of neighbours must not be negative, got {count}")
    own = np.arange(len(points))[:, None]
    found = min(count + 1, len(points))
    if found < 2:
        return np.repeat(own, count + 1, axis=1)
    xyz = np.ascontiguousarray(points[:, :3], dtype=np.float64)
    if not np.isfinite(xyz).all():
        raise InputError("neighbours of points need finite coordinates; leave out rows that are not")
    rows = cKDTree(xyz, balanced_tree=False, compact_nodes=False).query(xyz, k=found)[1]
    return np.concatenate([itself_first(rows, own), np.repeat(own, count + 1 - found, axis=1)], axis=1)


def itself_first(rows: Any, own: Any) -> Any:
    """Put the point itself first where points at the same place came before it; arrays or tensors, in place."""
    misplaced = (rows[:, :1] != own)[:, 0]
    if misplaced.any():
        fixed = rows[misplaced]
        first, itself = fixed[:, :1], own[misplaced]
        # The one found first takes the place of the point, or is the nearest of those left out at equal distance.
        here = fixed == itself
        fixed = first * here + fixed * ~here
        fixed[:, :1] = itself
        rows[misplaced] = fixed
    return rows
