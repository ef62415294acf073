"""Layers of WaffleIron: points mixed on planes with dense convolutions, and channels mixed point by point."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from perception.models.lidar.layers import LayerScale, RowNorm
from perception.models.lidar.scatter import scatter_count, scatter_mean

CHUNK = 4096
"""Points whose neighbourhoods are in memory at a time outside training."""


@dataclass
class PlaneCells:
    """Which cell of a plane each point falls on.

    Args:
        index: ``(P,)`` int64 among all ``clouds * height * width`` cells.
        count: ``(clouds * height * width,)`` points of each cell.
        shape: (clouds, height, width).
    """

    index: Tensor
    count: Tensor
    shape: tuple[int, int, int]


def plane_cells(
    points: Tensor,
    cloud: Tensor,
    clouds: int,
    axes: tuple[int, int],
    low_m: tuple[float, float],
    high_m: tuple[float, float],
    size: tuple[int, int],
) -> PlaneCells:
    """Project points onto the plane of two axes. Points outside the range count to the cells at its border.

    Args:
        axes: columns of the points that span the plane, rows first.
        low_m, high_m: range of the two axes in metres.
        size: (height, width) of the plane in cells.
    """
    cell = []
    for axis, low, high, number in zip(axes, low_m, high_m, size, strict=True):
        position = (points[:, axis] - low) * (number / (high - low))
        cell.append(position.floor().clamp(0, number - 1).long())
    index = (cloud * size[0] + cell[0]) * size[1] + cell[1]
    return PlaneCells(index, scatter_count(index, clouds * size[0] * size[1]), (clouds, *size))


class NeighbourEmbedding(nn.Module):
    """A token for each point, from its own features and from how its neighbours' differ.

    Args:
        in_channels: of the point features; channels: of the tokens.
    """

    def __init__(self, in_channels: int, channels: int) -> None:
        super().__init__()
        self.norm = RowNorm(in_channels)
        self.own = nn.Linear(in_channels, channels)
        self.others = nn.Sequential(
            RowNorm(in_channels),
            nn.Linear(in_channels, channels, bias=False),
            RowNorm(channels),
            nn.ReLU(),
            nn.Linear(channels, channels, bias=False),
        )
        self.join = nn.Linear(2 * channels, channels)

    def forward(self, features: Tensor, neighbours: Tensor) -> Tensor:
        """Tokens ``(P, channels)`` of features ``(P, in_channels)`` and ``(P, K)`` rows, the point itself first."""
        features = self.norm(features)
        if self.training or torch.compiler.is_exporting():  # chunks would fix the number of points
            around = self._around(features, features, neighbours)
        else:
            parts = zip(features.split(CHUNK), neighbours.split(CHUNK), strict=True)
            around = torch.cat([self._around(features, part, rows) for part, rows in parts])
        return self.join(torch.cat([self.own(features), around], dim=1))

    def _around(self, features: Tensor, part: Tensor, neighbours: Tensor) -> Tensor:
        others = neighbours[:, 1:]  # (N, K - 1)
        difference = features.index_select(0, others.reshape(-1)).view(*others.shape, part.shape[1]) - part[:, None]
        embedded = self.others(difference.reshape(-1, part.shape[1]))
        return embedded.view(*others.shape, embedded.shape[1]).amax(dim=1)


class DropPath(nn.Module):
    """Leaves out a residual branch for whole clouds at random, in training.

    Paper: Deep Networks with Stochastic Depth - arXiv 1603.09382.
    """

    def __init__(self, probability: float) -> None:
        super().__init__()
        self.probability = probability

    def forward(self, residual: Tensor, cloud: Tensor, clouds: int) -> Tensor:
        if not self.training or self.probability == 0:
            return residual
        keep = torch.rand(clouds, device=residual.device) >= self.probability
        factor = keep.to(residual.dtype) / (1 - self.probability)
        return residual * factor.index_select(0, cloud)[:, None]


class SpatialMix(nn.Module):
    """Points onto a plane by the mean, two depthwise 3x3 convolutions, and back to the points."""

    def __init__(self, channels: int, drop: float = 0.0) -> None:
        super().__init__()
        self.norm = RowNorm(channels)
        self.convs = nn.Sequential(
            nn.Conv2d(channels, channels, 3, padding=1, groups=channels),
            nn.ReLU(),
            nn.Conv2d(channels, channels, 3, padding=1, groups=channels),
            LayerScale(channels, 4),
        )
        self.drop = DropPath(drop)

    def forward(self, tokens: Tensor, cells: PlaneCells, cloud: Tensor) -> Tensor:
        mean = scatter_mean(self.norm(tokens), cells.index, len(cells.count), cells.count)
        plane = mean.view(*cells.shape, mean.shape[1]).permute(0, 3, 1, 2)  # (B, C, h, w), channels last
        mixed = self.convs(plane).permute(0, 2, 3, 1).reshape(-1, tokens.shape[1])
        return tokens + self.drop(mixed.index_select(0, cells.index), cloud, cells.shape[0])


class ChannelMix(nn.Module):
    """Two linear layers on each point."""

    def __init__(self, channels: int, drop: float = 0.0) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            RowNorm(channels),
            nn.Linear(channels, channels),
            nn.ReLU(),
            nn.Linear(channels, channels),
            LayerScale(channels, 2),
        )
        self.drop = DropPath(drop)

    def forward(self, tokens: Tensor, cloud: Tensor, clouds: int) -> Tensor:
        return tokens + self.drop(self.layers(tokens), cloud, clouds)
