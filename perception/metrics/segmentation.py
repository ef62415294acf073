"""Intersection over union from one confusion matrix over the whole data set.

Averaging per image or per batch, as some tools do, weighs an image with three pixels of a class like one with
three thousand and cannot be compared with published figures.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torchmetrics.classification import MulticlassConfusionMatrix

from perception.types import IGNORE_INDEX


def iou_from_confusion(matrix: Tensor) -> Tensor:
    """``(C,)`` intersection over union; NaN for classes that appear neither in the truth nor in the prediction.

    Args:
        matrix: ``(C, C)`` counts, rows truth, columns prediction.

    >>> iou_from_confusion(torch.tensor([[3, 1], [0, 4]]))
    tensor([0.7500, 0.8000])
    """
    matrix = matrix.double()
    hit = matrix.diagonal()
    union = matrix.sum(0) + matrix.sum(1) - hit
    return torch.where(union > 0, hit / union.clamp(min=1), torch.nan).float()


class SemanticIoU(MulticlassConfusionMatrix):
    """Per-class IoU and their mean over the data set.

    Shape:
        - update: predictions and targets ``(B, H, W)`` class indices; target 255 ignored.
        - compute: ``(C,)`` IoU, NaN for classes that never appear.

    Attributes:
        confusion: ``(C, C)`` counts of the last :meth:`compute`, over all processes; rows truth, columns prediction.
    """

    def __init__(self, num_classes: int, **options: Any) -> None:
        super().__init__(num_classes, ignore_index=IGNORE_INDEX, validate_args=False, **options)
        self.confusion: Tensor | None = None

    def update(self, preds: Tensor, target: Tensor) -> None:
        """Count ``(B, H, W)`` predictions against ``(B, H, W)`` targets."""
        super().update(preds.long(), target)

    def compute(self) -> Tensor:
        self.confusion = super().compute()
        return iou_from_confusion(self.confusion)
