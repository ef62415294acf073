"""WaffleIron: Using a Waffle Iron for Automotive Point Cloud Semantic Segmentation - arXiv 2301.10100.

Every point keeps a token of its own. Layer after layer, tokens are averaged onto a plane, mixed there by dense
depthwise convolutions, and handed back; the planes take turns: seen from above, from the side and from the front.

Departures from the paper: points outside the range count to the cells at its border instead of being cropped and
filled from their neighbours afterwards, and the points of a voxel are merged into their mean instead of one of them
being drawn.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from perception.errors import InputError
from perception.models.lidar.base import LidarModel
from perception.models.lidar.neighbours import batch_neighbours
from perception.models.lidar.voxels import merge_seen, merge_voxels
from perception.models.lidar.waffleiron_layers import (
    ChannelMix,
    NeighbourEmbedding,
    PlaneCells,
    SpatialMix,
    plane_cells,
)
from perception.taxonomy import LabelSet
from perception.types import PointBatch

PLANES = ((0, 1), (0, 2), (1, 2))
"""Axes of the planes in their order: along z, along y, along x."""


class WaffleIron(LidarModel):
    """The network of planes; the defaults are the published nuScenes form.

    Args:
        label_set: what the outputs mean; ``num_classes`` overrides the number of outputs.
        image_channels: width of the camera features that are gated into the tokens, 0 for none.
        channels, depth: width and number of layers.
        cell_m: edge of a plane's cells. A plane has as many whole ones as fit its range.
        low_m, high_m: range of x, y and z in metres.
        voxel_m: points of a voxel of this edge are merged, and get the same scores; 0 keeps all points.
        neighbours: how many neighbours the embedding of a point looks at. ``PointBatch.neighbours`` are used where
            they are given and voxels are not merged, else they are looked up here.
        intensity_scale: what intensity in 0..1 is multiplied by before the first norm; 255 gives the inputs on
            which nuScenes weights were published.
        age: whether the age of points is an input, for clouds of several sweeps.
        drop: share of residual branches that are left out in training.

    Raises:
        InputError: for an empty range or sizes that are not positive.
    """

    def __init__(
        self,
        label_set: LabelSet,
        image_channels: int = 0,
        num_classes: int | None = None,
        channels: int = 384,
        depth: int = 48,
        cell_m: float = 0.6,
        low_m: Sequence[float] = (-50.0, -50.0, -5.0),
        high_m: Sequence[float] = (50.0, 50.0, 5.0),
        voxel_m: float = 0.1,
        neighbours: int = 16,
        intensity_scale: float = 255.0,
        age: bool = False,
        drop: float = 0.2,
    ) -> None:
        super().__init__(label_set, image_channels)
        if not all(low < high for low, high in zip(low_m, high_m, strict=True)):
            raise InputError(f"range {tuple(low_m)} to {tuple(high_m)} m is empty")
        if min(cell_m, depth, channels, neighbours) <= 0 or voxel_m < 0:
            raise InputError("channels, depth, neighbours and cell_m must be positive, and voxel_m not negative")
        self.low_m, self.high_m = tuple(low_m), tuple(high_m)
        self.sizes = [max(1, int((high - low) / cell_m)) for low, high in zip(low_m, high_m, strict=True)]
        self.voxel_m, self.neighbours = voxel_m, neighbours
        self.intensity_scale, self.age = intensity_scale, age
        self.embed = NeighbourEmbedding(6 if age else 5, channels)
        self.spatial = nn.ModuleList(SpatialMix(channels, drop) for _ in range(depth))
        self.channel = nn.ModuleList(ChannelMix(channels, drop) for _ in range(depth))
        self.classifier = nn.Linear(channels, num_classes or len(label_set.classes))
        self.image_gate = self.build_gate(channels)

    def forward(self, batch: PointBatch, image_features: Tensor | None = None) -> dict[str, Any]:
        if not self.voxel_m:
            return {"lidar": self._scores(batch, image_features)}
        merged, rows = merge_voxels(batch, self.voxel_m)
        if image_features is not None:
            image_features = merge_seen(image_features, rows, len(merged.points))
        return {"lidar": self._scores(merged, image_features).index_select(0, rows)}

    def _scores(self, batch: PointBatch, image_features: Tensor | None) -> Tensor:
        points, cloud, clouds = batch.points, batch.cloud, batch.clouds
        tokens = self.embed(self._inputs(points), self._neighbours(batch))
        tokens = self.gate_images(tokens, image_features)
        planes = [self._plane(batch, axes) for axes in PLANES]
        for i, (spatial, channel) in enumerate(zip(self.spatial, self.channel, strict=True)):
            tokens = spatial(tokens, planes[i % len(planes)], cloud)
            tokens = channel(tokens, cloud, clouds)
        return self.classifier(tokens)

    def _inputs(self, points: Tensor) -> Tensor:
        """``(P, 5)``: intensity, x, y, z and distance, and the age of the point where asked for."""
        xyz = points[:, :3]
        columns = [points[:, 3:4] * self.intensity_scale, xyz, xyz.norm(dim=1, keepdim=True)]
        return torch.cat([*columns, points[:, 4:5]] if self.age else columns, dim=1)

    def _neighbours(self, batch: PointBatch) -> Tensor:
        found = batch.neighbours
        if found is None:
            return batch_neighbours(batch.points, batch.cloud, batch.clouds, self.neighbours)
        if found.shape[1] <= self.neighbours:
            raise InputError(
                f"the loader looked up {found.shape[1] - 1} neighbours of each point, the model needs "
                f"{self.neighbours}; set the data module's neighbours to {self.neighbours}"
            )
        return found[:, : self.neighbours + 1]

    def _plane(self, batch: PointBatch, axes: tuple[int, int]) -> PlaneCells:
        first, second = axes
        low, high = (self.low_m[first], self.low_m[second]), (self.high_m[first], self.high_m[second])
        size = (self.sizes[first], self.sizes[second])
        return plane_cells(batch.points, batch.cloud, batch.clouds, axes, low, high, size)
