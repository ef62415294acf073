"""From points to features of points and of frustums."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from perception.models.lidar.grid import FrustumCells
from perception.models.lidar.layers import RowNorm, linear_norm


class FrustumEncoder(nn.Module):
    """A small network on each point, whose input also says where the point lies among those of its frustum.

    Inputs are x, y, z, intensity (and the age of points, where asked for), distance from the sensor, and the offset
    from the mean of the frustum's points.

    Args:
        channels: widths of the hidden layers, whose features the head reads again.
        embedding: width of the last layer.
        intensity_scale: what intensity in 0..1 is multiplied by before the first norm; 255 gives the inputs on
            which nuScenes weights were published.
        age: whether the age of points is an input, for clouds of several sweeps.
    """

    def __init__(
        self, channels: Sequence[int], embedding: int, intensity_scale: float = 1.0, age: bool = False, **norm: Any
    ) -> None:
        super().__init__()
        self.intensity_scale = intensity_scale
        self.age = age
        width = 9 if age else 8
        self.hidden = nn.ModuleList()
        for i, hidden in enumerate(channels):
            before: list[nn.Module] = [RowNorm(width, **norm)] if i == 0 else []
            self.hidden.append(nn.Sequential(*before, *linear_norm(width, hidden, **norm)))
            width = hidden
        self.embed = nn.Linear(width, embedding)

    def inputs(self, points: Tensor, cells: FrustumCells) -> Tensor:
        """``(P, 8)`` features of points ``(P, 5)``, or ``(P, 9)`` with their age."""
        xyz = points[:, :3]
        columns = [xyz, points[:, 3:4] * self.intensity_scale]
        if self.age:
            columns.append(points[:, 4:5])
        return torch.cat([*columns, xyz.norm(dim=1, keepdim=True), cells.offset_from_mean(xyz)], dim=1)

    def forward(self, points: Tensor, cells: FrustumCells) -> tuple[list[Tensor], Tensor]:
        """Features of the hidden layers, each ``(P, channels[i])``, and the embedding ``(P, embedding)``."""
        features = self.inputs(points, cells)
        hidden = []
        for layer in self.hidden:
            features = layer(features)
            hidden.append(features)
        return hidden, self.embed(features)
