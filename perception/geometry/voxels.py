"""Points of one voxel merged into one."""

from __future__ import annotations

import numpy as np

LIMIT = 2**20
"""Voxels on either side of the sensor that can be told apart; points farther out share the outermost."""


def voxel_means(points: np.ndarray, voxel_m: float) -> tuple[np.ndarray, np.ndarray]:
    """The mean point of every voxel of one cloud that has points.

    Args:
        points: x, y, z in metres first.
        voxel_m: edge of a voxel in metres.

    Shape:
        - points: ``(P, 3+)``. Returns ``(V, 3+)`` float32, and ``(P,)`` int64 of the row that each point went into.

    >>> means, rows = voxel_means(np.float32([[0.25, 0, 0], [0.75, 0, 0], [1.5, 0, 0]]), 1.0)
    >>> means[:, 0].tolist(), rows.tolist()
    ([0.5, 1.5], [0, 0, 1])
    """
    cells = np.floor(points[:, :3] / np.float32(voxel_m)).clip(-LIMIT, LIMIT - 1).astype(np.int64) + LIMIT
    key = (cells[:, 0] * (2 * LIMIT) + cells[:, 1]) * (2 * LIMIT) + cells[:, 2]
    unique, rows = np.unique(key, return_inverse=True)
    count = np.bincount(rows, minlength=len(unique))
    sums = [np.bincount(rows, weights=column, minlength=len(unique)) for column in points.T]
    means = np.stack([total / count for total in sums], axis=1) if len(unique) else points[:0]
    return means.astype(np.float32), rows
