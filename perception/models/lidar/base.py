"""What every LiDAR network here is: points in, a class score for every point out."""

from __future__ import annotations

from abc import ABC, abstractmethod
from copy import deepcopy
from typing import Any, Self

from torch import Tensor, nn

from perception.errors import InputError
from perception.models.lidar.fold import fold
from perception.models.lidar.fusion import CameraGate
from perception.taxonomy import LabelSet
from perception.types import PointBatch


class LidarModel(nn.Module, ABC):
    """A network that gives every point of a LiDAR sweep a class.

    Attributes:
        label_set: what its outputs mean.
        recipe: ``{"name": ..., "options": ...}`` that :func:`perception.create_model` rebuilds it from.
        image_channels: width of the camera features that :meth:`forward` takes beside the points, 0 for none.
        image_gate: what joins them to the point features; ``None`` without camera features.

    Shape:
        - input: a :class:`PointBatch` of P points; ``image_features`` ``(P, image_channels)`` with zeros where no
          camera sees a point.
        - output: ``{"lidar": (P, C) logits}``; in training a model may add ``"lidar_aux"``, a list of
          ``(B, C, h, w)`` logits on a grid whose labels :meth:`grid_labels` gives.
    """

    image_gate: nn.Module | None

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

    def build_gate(self, channels: int) -> nn.Module | None:
        """The gate of camera features into point features of a width; ``None`` for a model without cameras."""
        return CameraGate(channels, self.image_channels) if self.image_channels else None

    def gate_images(self, features: Tensor, image_features: Tensor | None) -> Tensor:
        """Point features with those of the cameras joined to them; unchanged where no camera features are given.

        Raises:
            InputError: for camera features that the model was built without.
        """
        if image_features is None:
            return features
        if self.image_gate is None:
            raise InputError(
                f"this LiDAR model takes no camera features, got {image_features.shape[1]} channels; "
                "build it with image_channels"
            )
        return self.image_gate(features, image_features)

    def fold(self) -> Self:
        """A copy in eval mode for inference, with norms and layer scales merged into the layers beside them.

        It gives the same outputs with fewer steps. It cannot be trained or saved: save the model that it came from.
        """
        folded = deepcopy(self).eval()
        fold(folded)
        folded.recipe = {}
        return folded
