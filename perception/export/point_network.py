"""A LiDAR network as a plain function of one sweep, which exporters can trace."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from perception.errors import InputError
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
        - input: ``(P, 5)`` float32, see :data:`perception.types.POINT_COLUMNS`; finite.

    Raises:
        InputError: for a network that no exporter can write, or that needs cameras.
    """

    def __init__(self, model: LidarModel, postprocess: bool = True) -> None:
        super().__init__()
        name = model.recipe.get("name", type(model).__name__)
        if isinstance(model, WaffleIron):
            raise InputError(
                f"{name} cannot be exported: its search for neighbours (scipy.spatial.cKDTree) is no operator of ONNX; "
                "export an frnet model"
            )
        if model.image_channels:
            raise InputError(f"{name} takes camera features beside the points; perception export writes LiDAR alone")
        self.model = model
        self.postprocess = postprocess

    def forward(self, points: Tensor) -> dict[str, Tensor]:
        cloud = torch.zeros_like(points[:, 0], dtype=torch.int64)
        scores = self.model(PointBatch(points, cloud, 1))[POINTS]  # (P, C)
        return {POINTS: scores.argmax(1).to(torch.uint8) if self.postprocess else scores}

    def example(self, points: int) -> Tensor:
        """A sweep to trace with: ``(points, 5)``."""
        return torch.from_numpy(spinning_sweep(points))
