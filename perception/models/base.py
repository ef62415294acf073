"""What every model here is: image in 0..1 in, a dictionary of head outputs out, and one way to decode them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from perception.taxonomy import LabelSet
from perception.types import Batch, Boxes, Prediction

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)

DENSE_HEADS = ("semantic", "drivable", "lane")
HEADS = (*DENSE_HEADS, "detection")


class PerceptionModel(nn.Module, ABC):
    """A camera model with named heads. Normalisation is inside: no caller can forget it.

    Attributes:
        label_set: what its outputs mean.
        recipe: ``{"name": ..., "options": ...}`` that :func:`perception.create_model` rebuilds it from.

    Shape:
        - input: ``(B, 3, H, W)`` float32 in 0..1, RGB, any size.
        - output: ``semantic`` ``(B, C, H, W)`` logits, ``drivable`` and ``lane`` ``(B, 1, H, W)`` logits,
          ``detection`` a dictionary of maps; only the heads that the model has. In training a model may add
          ``semantic_aux``.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, label_set: LabelSet, in_channels: int = 3) -> None:
        super().__init__()
        self.label_set = label_set
        self.recipe: dict[str, Any] = {}
        mean, std = (IMAGENET_MEAN, IMAGENET_STD) if in_channels == 3 else ((0.5,), (0.25,))
        self.register_buffer("mean", torch.tensor(mean).view(1, -1, 1, 1))
        self.register_buffer("std", torch.tensor(std).view(1, -1, 1, 1))

    @property
    @abstractmethod
    def head_names(self) -> tuple[str, ...]:
        """Which of :data:`HEADS` this model has."""

    @abstractmethod
    def parts(self) -> dict[str, nn.Module]:
        """The parts that may be frozen, by name; ``backbone`` is always one."""

    @abstractmethod
    def forward(self, image: Tensor) -> dict[str, Any]: ...

    @property
    def mask_strides(self) -> dict[str, int]:
        """Strides of the dense outputs of :meth:`coarse`; empty for models that have no such outputs."""
        return {}

    def coarse(self, image: Tensor) -> dict[str, Any]:
        """:meth:`forward` without enlarging the dense logits: ``(B, C, h, w)`` at :attr:`mask_strides`, padding kept.

        :func:`perception.runtime.masks.decode_masks` makes the masks of them.
        """
        raise NotImplementedError(f"{type(self).__name__} has no coarse outputs")

    def loss(self, outputs: dict[str, Any], batch: Batch) -> dict[str, Tensor]:
        """Losses that belong to the model, by head; heads without one take the training task's."""
        return {}

    def select_scale(self, scale: float) -> None:
        """Say that the next inputs are at this share of the camera's resolution; most models do not care."""

    def normalise(self, image: Tensor) -> Tensor:
        return (image - self.mean) / self.std

    def decode(self, outputs: dict[str, Any]) -> dict[str, Tensor]:
        """Fixed-shape results: ``semantic``, ``drivable``, ``lane`` ``(B, H, W)`` uint8."""
        decoded: dict[str, Tensor] = {}
        if "semantic" in outputs:
            decoded["semantic"] = outputs["semantic"].argmax(dim=1).to(torch.uint8)
        for name in ("drivable", "lane"):
            if name in outputs:
                decoded[name] = (outputs[name][:, 0] > 0).to(torch.uint8)
        return decoded


def resize_logits(logits: Tensor, size: tuple[int, int], level: int) -> Tensor:
    """Upsample ``(B, C, h, w)`` logits of stride ``level`` bilinearly and cut the padding off, to ``size``."""
    full = (logits.shape[-2] * level, logits.shape[-1] * level)
    logits = F.interpolate(logits, size=full, mode="bilinear", align_corners=False)
    return logits[..., : size[0], : size[1]]


def to_predictions(decoded: dict[str, Tensor], score_threshold: float = 0.3) -> list[Prediction]:
    """Host results of a batch, one :class:`Prediction` per image.

    Args:
        decoded: what ``model.decode`` returned.
        score_threshold: boxes below it are left out.
    """
    arrays: dict[str, np.ndarray] = {name: tensor.detach().cpu().numpy() for name, tensor in decoded.items()}
    predictions = []
    for i in range(len(next(iter(arrays.values())))):
        boxes = None
        if "boxes" in arrays:
            keep = arrays["scores"][i] >= score_threshold
            boxes = Boxes(arrays["boxes"][i][keep], arrays["labels"][i][keep], arrays["scores"][i][keep])
        masks = {name: arrays[name][i] for name in DENSE_HEADS if name in arrays}
        predictions.append(Prediction(boxes=boxes, **masks))
    return predictions
