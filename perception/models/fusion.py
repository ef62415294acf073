"""Cameras and LiDAR on one network: the point branch borrows the features of the shared camera backbone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from perception.errors import InputError
from perception.models.lidar.base import LidarModel
from perception.models.multitask import MultiTaskModel
from perception.taxonomy import LIDARSEG, LabelSet, get_label_set
from perception.types import PointBatch

LIDAR_PART = "lidar"
"""The point branch among the parts and in the state dict; all other names are those of the camera model alone."""


class FusionModel(MultiTaskModel):
    """A :class:`MultiTaskModel` with a LiDAR network beside its heads.

    Each point takes the feature of the pyramid's finest map at the pixel that shows it, and a gate in the LiDAR
    network joins it to the point's own; see :class:`perception.models.lidar.fusion.CameraGate`. A point that no camera
    shows, or whose camera is lost, keeps what LiDAR alone says. The camera heads read no LiDAR, so a lost LiDAR leaves
    them as they are.

    The camera part has the names of a camera model, so that its checkpoints start one of these with ``init_from``, and
    an image alone goes through it as through a camera model.

    Args:
        label_set: of the camera heads.
        backbone: timm name.
        lidar: builds the LiDAR network from a label set and options.
        lidar_label_set: of the points: a name, or a :class:`LabelSet`.
        lidar_options: further options of the LiDAR network.
        fusion: whether points take camera features; without, both parts only share the training.
        detach: keep the losses of the points from training the camera part.
        options: of :class:`MultiTaskModel`.

    Shape:
        - input: ``(B, 3, H, W)`` images and, in training on both, a :class:`PointBatch` that says which image shows
          each point.
        - output: those of the camera model, and with points ``lidar`` ``(P, C)`` logits.
    """

    def __init__(
        self,
        label_set: LabelSet,
        backbone: str,
        lidar: Callable[..., LidarModel],
        lidar_label_set: str | LabelSet = LIDARSEG,
        lidar_options: dict[str, Any] | None = None,
        fusion: bool = True,
        detach: bool = False,
        **options: Any,
    ) -> None:
        super().__init__(label_set, backbone, **options)
        if self.scales is not None:
            raise InputError("a network of cameras and LiDAR has one set of norms; leave out scales")
        width = self.neck.channels if fusion else 0
        labels = get_label_set(lidar_label_set) if isinstance(lidar_label_set, str) else lidar_label_set
        self.lidar = lidar(labels, image_channels=width, **(lidar_options or {}))
        self.detach = detach

    def parts(self) -> dict[str, nn.Module]:
        return {**super().parts(), LIDAR_PART: self.lidar}

    def forward(self, image: Tensor, lidar: PointBatch | None = None, heads: bool = True) -> dict[str, Any]:
        """Outputs of the camera heads, unless they are left out, and of the points."""
        maps = self.pyramid(image)
        outputs = self.predict(maps, (image.shape[-2], image.shape[-1])) if heads else {}
        if lidar is not None:
            features = None
            if self.lidar.image_channels and lidar.image is not None:
                level = min(maps.shared)
                shown = maps.shared[level]
                features = sample_features(shown.detach() if self.detach else shown, level, lidar)
            outputs |= self.lidar(lidar, features)
        return outputs

    def decode(self, outputs: dict[str, Any]) -> dict[str, Tensor]:
        decoded = super().decode(outputs)
        if "lidar" in outputs:
            decoded["lidar"] = outputs["lidar"].argmax(dim=1).to(torch.uint8)
        return decoded


def sample_features(features: Tensor, stride: int, lidar: PointBatch) -> Tensor:
    """Camera features at the pixels that show the points, between the four nearest cells of the map.

    Args:
        features: ``(B, C, h, w)`` map of ``stride``.
        lidar: with ``image`` and ``pixel``.

    Returns:
        ``(P, C)``; zeros for points that no camera shows, and for those whose features are not finite, as a broken
        image leaves them.
    """
    assert lidar.image is not None
    assert lidar.pixel is not None
    height, width = features.shape[-2:]
    rows = features.permute(0, 2, 3, 1).reshape(-1, features.shape[1])
    seen = lidar.image >= 0
    first = lidar.image.clamp(min=0) * (height * width)
    # the centre of a cell is half a stride from its edge
    place = lidar.pixel / stride - 0.5
    x = place[:, 0].clamp(0, width - 1)
    y = place[:, 1].clamp(0, height - 1)
    left, top = x.floor(), y.floor()
    across, down = (x - left)[:, None].to(rows.dtype), (y - top)[:, None].to(rows.dtype)
    columns = left.long(), (left.long() + 1).clamp(max=width - 1)
    lines = top.long(), (top.long() + 1).clamp(max=height - 1)

    def cell(line: Tensor, column: Tensor) -> Tensor:
        return rows.index_select(0, first + line * width + column)

    above = torch.lerp(cell(lines[0], columns[0]), cell(lines[0], columns[1]), across)
    below = torch.lerp(cell(lines[1], columns[0]), cell(lines[1], columns[1]), across)
    found = torch.lerp(above, below, down)
    usable = seen & torch.isfinite(found).all(dim=1)
    return torch.where(usable[:, None], found, torch.zeros_like(found))


def without_cameras(lidar: PointBatch, lost: Tensor) -> PointBatch:
    """The points as if some clouds had no cameras.

    Args:
        lost: ``(clouds,)`` bool.
    """
    if lidar.image is None:
        return lidar
    return replace(lidar, image=torch.where(lost[lidar.cloud], -1, lidar.image))
