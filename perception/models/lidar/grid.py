"""Frustums: the cells of a grid over azimuth and elevation, and moving features between points and their cells."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from perception.errors import InputError
from perception.models.lidar.scatter import scatter_max, scatter_mean
from perception.types import IGNORE_INDEX


@dataclass(frozen=True)
class FrustumGrid:
    """A grid of frustums around the sensor: rows over elevation from the top, columns over azimuth.

    The first column begins at azimuth +180 degrees (the sensor's -x axis), and azimuth falls from column to column.
    Points above or below the field of view count to the top or bottom row, so that every point has a cell.

    Args:
        size: (height, width) in cells.
        elevation_deg: upper and lower end of the field of view, such as ``(10, -30)``.

    Raises:
        InputError: for a grid without cells or a field of view that is empty.
    """

    size: tuple[int, int]
    elevation_deg: tuple[float, float]

    def __post_init__(self) -> None:
        height, width = self.size
        upper, lower = self.elevation_deg
        if height < 1 or width < 1:
            raise InputError(f"a frustum grid needs at least one cell, got {height}x{width}")
        if not -90 <= lower < upper <= 90:
            raise InputError(f"elevation {upper}..{lower} degrees must fall and lie within 90..-90")

    def locate(self, points: Tensor, cloud: Tensor, clouds: int) -> FrustumCells:
        """The cell of every point.

        Shape:
            - points: ``(P, 3+)`` x, y, z in metres in the sensor's frame; cloud: ``(P,)`` int64.
        """
        height, width = self.size
        upper, lower = (math.radians(angle) for angle in self.elevation_deg)
        x, y, z = points[:, 0], points[:, 1], points[:, 2]
        elevation = torch.atan2(z, torch.hypot(x, y))  # 0, not NaN, for a point at the origin
        row = ((upper - elevation) / (upper - lower) * height).floor().clamp(0, height - 1).long()
        column = (0.5 * (1 - torch.atan2(y, x) / math.pi) * width).floor().clamp(0, width - 1).long()
        return FrustumCells(row, column, cloud, clouds, self.size)


class FrustumCells:
    """Which cell each point of a batch lies in, at any stride of the grid.

    Args:
        row, column, cloud: ``(P,)`` int64 of each point.
        clouds: number of clouds.
        size: (height, width) of the grid at stride 1.
    """

    def __init__(self, row: Tensor, column: Tensor, cloud: Tensor, clouds: int, size: tuple[int, int]) -> None:
        self.row, self.column, self.cloud = row, column, cloud
        self.clouds = clouds
        self.size = size
        self._index: dict[int, Tensor] = {}

    def size_at(self, stride: int) -> tuple[int, int]:
        return self.size[0] // stride, self.size[1] // stride

    def index(self, stride: int = 1) -> Tensor:
        """``(P,)`` int64 position of each point's cell among all ``clouds * height * width`` cells at a stride."""
        if stride not in self._index:
            height, width = self.size_at(stride)
            self._index[stride] = (self.cloud * height + self.row // stride) * width + self.column // stride
        return self._index[stride]

    def count(self, stride: int = 1) -> int:
        height, width = self.size_at(stride)
        return self.clouds * height * width

    def occupied(self) -> Tensor:
        """``(B * h * w,)`` float32: 1 for cells that have a point, 0 for empty ones."""
        cells = torch.zeros(self.count(), device=self.row.device)
        return cells.index_fill_(0, self.index(), 1.0)

    def to_pixels(self, rows: Tensor, stride: int = 1) -> Tensor:
        """Maximum over the points of each cell, 0 in empty ones: ``(P, C)`` to ``(B, C, h, w)``, channels last."""
        return self.as_pixels(scatter_max(rows, self.index(stride), self.count(stride)), stride)

    def as_pixels(self, cells: Tensor, stride: int = 1) -> Tensor:
        """Rows of cells seen as a picture, without a copy: ``(B * h * w, C)`` to ``(B, C, h, w)``."""
        return cells.view(self.clouds, *self.size_at(stride), cells.shape[1]).permute(0, 3, 1, 2)

    def to_points(self, pixels: Tensor, stride: int = 1) -> Tensor:
        """Each point's cell: ``(B, C, h, w)`` to ``(P, C)``."""
        cells = pixels.permute(0, 2, 3, 1).reshape(-1, pixels.shape[1])
        return cells.index_select(0, self.index(stride))

    def offset_from_mean(self, xyz: Tensor) -> Tensor:
        """``(P, 3)`` distance of each point from the mean of its cell's points."""
        mean = scatter_mean(xyz, self.index(), self.count())
        return xyz - mean.index_select(0, self.index())

    def majority(self, labels: Tensor, classes: int) -> Tensor:
        """The class that most labelled points of each cell have: ``(B, h, w)`` int64, 255 without labelled points.

        Of equally frequent classes the one with the lower index wins.

        Shape:
            - labels: ``(P,)`` int64 in 0..classes-1 or 255.

        Note:
            The paper lets unlabelled points vote as a class of their own; here they do not, since in a cloud of
            several sweeps they would outvote the sweep that has labels.
        """
        known = labels != IGNORE_INDEX
        votes = torch.bincount(self.index()[known] * classes + labels[known], minlength=self.count() * classes).view(
            -1, classes
        )
        most, winner = votes.max(dim=1)
        return torch.where(most > 0, winner, IGNORE_INDEX).view(self.clouds, *self.size)
