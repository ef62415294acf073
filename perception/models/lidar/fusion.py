"""Camera features joined to point features."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class CameraGate(nn.Module):
    """Adds what a camera sees at a point to the point's features, as much as the point's gate lets through.

    A point that no camera sees keeps its features exactly, so a lost camera leaves the LiDAR network as it is. The
    camera's part starts at zero: a trained LiDAR network goes on from what it knows.

    Args:
        point_channels: width of the point features.
        image_channels: width of the camera features.

    Shape:
        - points: ``(P, point_channels)``; image: ``(P, image_channels)``, zeros where no camera sees the point.
        - output: ``(P, point_channels)``.
    """

    def __init__(self, point_channels: int, image_channels: int) -> None:
        super().__init__()
        self.project = nn.Sequential(nn.LayerNorm(image_channels), nn.Linear(image_channels, point_channels))
        self.gate = nn.Linear(2 * point_channels, point_channels)
        nn.init.zeros_(self.project[1].weight)  # type: ignore[arg-type]
        nn.init.zeros_(self.project[1].bias)  # type: ignore[arg-type]

    def forward(self, points: Tensor, image: Tensor) -> Tensor:
        seen = (image != 0).any(dim=1, keepdim=True)
        projected = self.project(image)
        gate = torch.sigmoid(self.gate(torch.cat([points, projected], dim=1)))
        return torch.where(seen, points + gate * projected, points)
