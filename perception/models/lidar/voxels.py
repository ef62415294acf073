"""Points of one voxel merged into one."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from perception.geometry.voxels import LIMIT
from perception.models.lidar.scatter import scatter_mean, scatter_sum
from perception.types import PointBatch


def merge_voxels(batch: PointBatch, voxel_m: float) -> tuple[PointBatch, Tensor]:
    """The mean point of every voxel that has points, cloud after cloud.

    Args:
        voxel_m: edge of a voxel in metres.

    Returns:
        The merged points, without labels and neighbours, and ``(P,)`` int64 of the row that each point went into.
    """
    cells = (batch.points[:, :3] / voxel_m).floor().clamp(-LIMIT, LIMIT - 1).long() + LIMIT  # (P, 3)
    # Clouds are merged one by one, so that three times 21 bits of a voxel fill one number.
    key = (cells[:, 0] * (2 * LIMIT) + cells[:, 1]) * (2 * LIMIT) + cells[:, 2]
    rows = torch.empty_like(key)
    start, merged, clouds = 0, 0, []
    for number, size in enumerate(torch.bincount(batch.cloud, minlength=batch.clouds).tolist()):
        unique, inverse = torch.unique(key[start : start + size], return_inverse=True)
        rows[start : start + size] = inverse + merged
        clouds.append(torch.full((len(unique),), number, device=key.device))
        start, merged = start + size, merged + len(unique)
    cloud = torch.cat(clouds) if clouds else rows
    points = scatter_mean(batch.points, rows, merged)
    return replace(batch, points=points, cloud=cloud, labels=None, neighbours=None, image=None, pixel=None), rows


def merge_seen(features: Tensor, rows: Tensor, size: int) -> Tensor:
    """Mean of the camera features of each voxel's points that a camera sees; zeros where none does.

    Shape:
        - features: ``(P, C)``, zeros where no camera sees a point; rows: ``(P,)``. Returns ``(size, C)``.
    """
    seen = (features != 0).any(dim=1, keepdim=True).to(features.dtype)
    return scatter_sum(features, rows, size) / scatter_sum(seen, rows, size).clamp(min=1)
