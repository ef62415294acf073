"""Boundary IoU: how well the outlines of classes fit.

Paper: Boundary IoU: Improving Object-Centric Image Segmentation Evaluation - arXiv 2103.16562. The paper measures
objects; here the mask of a class in an image takes the place of an object, and intersections and unions are summed over
the data set. Ignored pixels are no class in truth and prediction alike, and are not counted.
"""

from __future__ import annotations

import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torchmetrics import Metric

from perception.types import IGNORE_INDEX

DILATION = 0.02
"""Width of the band inside the outline as a share of the image's diagonal, as in the paper."""


def boundary_distance_px(size: tuple[int, int], dilation: float = DILATION) -> int:
    """Width of the band in pixels, at least 1.

    >>> boundary_distance_px((1024, 2048))
    46
    """
    return max(1, round(dilation * math.hypot(*size)))


def boundary_band(masks: Tensor, distance_px: int) -> Tensor:
    """Pixels of masks that are at most so far from what is outside of them; the image's border counts as outside.

    Args:
        masks: ``(N, H, W)`` bool.
        distance_px: chessboard distance.

    Returns:
        ``(N, H, W)`` bool.
    """
    outside = F.pad(~masks, [distance_px] * 4, value=True).int()
    sums = outside.cumsum(-1, dtype=torch.int32).cumsum(-2, dtype=torch.int32)
    total = F.pad(sums, [1, 0, 1, 0])  # sums of all pixels above and to the left
    side = 2 * distance_px + 1
    below, above = total[:, side:], total[:, :-side]
    around = below[..., side:] - below[..., :-side] - above[..., side:] + above[..., :-side]
    return masks & (around > 0)


class BoundaryIoU(Metric):
    """Per-class boundary IoU over the data set.

    Shape:
        - update: predictions and targets ``(B, H, W)`` class indices; target 255 ignored.
        - compute: ``(C,)`` IoU, NaN for classes that never appear.
    """

    intersection: Tensor
    union: Tensor

    def __init__(self, num_classes: int, dilation: float = DILATION, **options: Any) -> None:
        super().__init__(**options)
        self.num_classes = num_classes
        self.dilation = dilation
        for name in ("intersection", "union"):
            self.add_state(name, torch.zeros(num_classes, dtype=torch.int64), dist_reduce_fx="sum")

    def update(self, preds: Tensor, target: Tensor) -> None:
        """Count ``(B, H, W)`` predictions against ``(B, H, W)`` targets."""
        distance = boundary_distance_px((target.shape[-2], target.shape[-1]), self.dilation)
        for predicted, truth in zip(preds.long(), target, strict=True):
            counted = truth != IGNORE_INDEX
            classes = torch.unique(torch.cat([predicted[counted], truth[counted]]))
            classes = classes[classes < self.num_classes]
            for index in classes.tolist():  # one at a time: a stack of all would not fit into memory
                both = torch.stack([(predicted == index) & counted, (truth == index) & counted])
                rows = torch.nonzero(both.any(dim=2).any(dim=0)).flatten()
                columns = torch.nonzero(both.any(dim=1).any(dim=0)).flatten()
                # All beyond the rectangle around the class is outside of it, and so is all beyond a cut-out.
                both = both[:, int(rows[0]) : int(rows[-1]) + 1, int(columns[0]) : int(columns[-1]) + 1]
                ours, theirs = boundary_band(both, distance)
                self.intersection[index] += (ours & theirs).sum()
                self.union[index] += (ours | theirs).sum()

    def compute(self) -> Tensor:
        share = self.intersection.double() / self.union.clamp(min=1)
        return torch.where(self.union > 0, share, torch.nan).float()
