"""A LiDAR network as a plain function of one sweep, which exporters can trace."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from perception.errors import InputError
from perception.geometry.neighbours import nearest_neighbours
from perception.geometry.sweep import spinning_sweep
from perception.models.lidar.base import LidarModel
from perception.models.lidar.waffleiron import WaffleIron
from perception.runtime.exported_file import POINTS
from perception.types import PointBatch


class PointExportNetwork(nn.Module):
    """The points of one sweep in, a class of each point out.

    Args:
        model: in eval mode.
        postprocess: ``lidar`` as ``(P,)`` uint8 class indices; without it the ``(P, C)`` logits.

    Shape:
        - points: ``(P, 5)`` float32, see :data:`perception.types.POINT_COLUMNS`; finite.
        - neighbours: ``(P, K)`` int64, the point itself first, for a network that looks at them and does not search
          for them itself; see :meth:`without_search`.

    Raises:
        InputError: for a network that needs cameras.
    """

    def __init__(self, model: LidarModel, postprocess: bool = True) -> None:
        super().__init__()
        if model.image_channels:
            name = model.recipe.get("name", type(model).__name__)
            raise InputError(f"{name} takes camera features beside the points; perception export writes LiDAR alone")
        self.model = model
        self.postprocess = postprocess

    def forward(self, points: Tensor, neighbours: Tensor | None = None) -> dict[str, Tensor]:
        cloud = torch.zeros_like(points[:, 0], dtype=torch.int64)
        scores = self.model(PointBatch(points, cloud, 1, neighbours=neighbours))[POINTS]  # (P, C)
        return {POINTS: scores.argmax(1).to(torch.uint8) if self.postprocess else scores}

    def without_search(self) -> tuple[PointExportNetwork, int, float]:
        """What an exporter can trace: norms are folded, voxels are merged and neighbours found before it.

        Returns:
            The network, and the neighbours and the edge of the voxels that its inputs need; zeros for none.
        """
        folded = self.model.fold()
        if not isinstance(folded, WaffleIron):
            return PointExportNetwork(folded, self.postprocess).eval(), 0, 0.0
        voxel_m, folded.voxel_m = folded.voxel_m, 0.0
        return PointExportNetwork(folded, self.postprocess).eval(), folded.neighbours, voxel_m

    def example(self, points: int, neighbours: int = 0) -> dict[str, Tensor]:
        """A sweep to trace with, by the names of the inputs."""
        sweep = spinning_sweep(points)
        inputs = {"points": torch.from_numpy(sweep)}
        if neighbours:
            inputs["neighbours"] = torch.from_numpy(nearest_neighbours(sweep, neighbours))
        return inputs
