"""Nearest neighbours of the points of a batch."""

from __future__ import annotations

import torch
from torch import Tensor

from perception.geometry.neighbours import itself_first, nearest_neighbours

CHUNK = 2048
"""Points whose distances to all others are held at a time where there is no tree."""


def batch_neighbours(points: Tensor, cloud: Tensor, clouds: int, count: int) -> Tensor:
    """Nearest neighbours of each point among its cloud, as rows of the batch: a tree on a CPU, all distances on a GPU.

    See :func:`perception.geometry.neighbours.nearest_neighbours`.

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
    return torch.cat([itself_first(rows, own), own.repeat(1, count + 1 - found)], dim=1)
