"""Nearest neighbours of points."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from scipy.spatial import cKDTree
from torch import Tensor

from perception.errors import InputError

CHUNK = 2048
"""Points whose distances to all others are held at a time where there is no tree."""


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
    return np.concatenate([_itself_first(rows, own), np.repeat(own, count + 1 - found, axis=1)], axis=1)


def batch_neighbours(points: Tensor, cloud: Tensor, clouds: int, count: int) -> Tensor:
    """The same for the clouds of a batch, as rows of the batch: a tree on a CPU, all distances on a GPU.

    Shape:
        - points: ``(P, 3+)``; cloud: ``(P,)`` int64, ascending. Returns ``(P, count + 1)`` int64.
    """
    sizes = torch.bincount(cloud, minlength=clouds).tolist()
    found, start = [], 0
    for size in sizes:
        part = points[start : start + size]
        if points.device.type == "cpu":
            rows = torch.from_numpy(nearest_neighbours(part.detach().float().numpy(), count))
        else:
            rows = neighbours_by_distance(part, count)
        found.append(rows + start)
        start += size
    return torch.cat(found) if found else torch.zeros(0, count + 1, dtype=torch.int64, device=points.device)


def neighbours_by_distance(points: Tensor, count: int) -> Tensor:
    """As :func:`nearest_neighbours`, from the distances of all pairs, on any device.

    Shape:
        - points: ``(N, 3+)``. Returns ``(N, count + 1)`` int64.
    """
    own = torch.arange(len(points), device=points.device)[:, None]
    found = min(count + 1, len(points))
    if found < 2:
        return own.repeat(1, count + 1)
    xyz = points[:, :3].float()
    rows = torch.cat(
        [
            # The exact differences: the faster product form loses millimetres at a hundred metres.
            torch.cdist(part, xyz, compute_mode="donot_use_mm_for_euclid_dist").topk(found, largest=False).indices
            for part in xyz.split(CHUNK)
        ]
    )
    return torch.cat([_itself_first(rows, own), own.repeat(1, count + 1 - found)], dim=1)


def _itself_first(rows: Any, own: Any) -> Any:
    """Put the point itself first where points at the same place came before it."""
    misplaced = (rows[:, :1] != own)[:, 0]
    if misplaced.any():
        fixed = rows[misplaced]
        first, itself = fixed[:, :1], own[misplaced]
        # The one found first takes the place of the point, or is the nearest of those left out at equal distance.
        fixed = _where(fixed == itself, first, fixed)
        fixed[:, :1] = itself
        rows[misplaced] = fixed
    return rows


def _where(condition: Any, chosen: Any, other: Any) -> Any:
    library = torch if isinstance(condition, Tensor) else np
    return library.where(condition, chosen, other)
