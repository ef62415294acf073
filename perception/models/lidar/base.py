"""What every LiDAR network here is: points in, a class score for every point out."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

from torch import Tensor, nn

from perception.taxonomy import LabelSet
from perception.types import PointBatch


class LidarModel(nn.Module, ABC):
    """A network that gives every point of a LiDAR sweep a class.

    Attributes:
        label_set: what its outputs mean.
        recipe: ``{"name": ..., "options": ...}`` that :func:`perception.create_model` rebuilds it from.
        image_channels: width of the camera features that :meth:`forward` takes beside the points, 0 for none.

    Shape:
        - input: a :class:`PointBatch` of P points; ``image_features`` ``(P, image_channels)`` with zeros where no
          camera sees a point.
        - output: ``{"lidar": (P, C) logits}``; in training a model may add ``"lidar_aux"``, a list of
          ``(B, C, h, w)`` logits on a grid whose labels :meth:`grid_labels` gives.
    """

    def __init__(self, label_set: LabelSet, image_channels: int = 0) -> None:
        super().__init__()
        self.label_set = label_set
        self.image_channels = image_channels
        self.recipe: dict[str, Any] = {}

    @abstractmethod
    def forward(self, batch: PointBatch, image_features: Tensor | None = None) -> dict[str, Any]: ...

    def grid_labels(self, batch: PointBatch) -> Tensor | None:
        """``(B, h, w)`` int64 labels of the auxiliary outputs, 255 where nothing is; ``None`` without such outputs."""
        return None
