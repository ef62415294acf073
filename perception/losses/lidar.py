"""Losses of labelled points and of the frustum grid; all skip ignored points.

Papers: The Lovasz-Softmax loss - arXiv 1705.08790; Boundary Loss for Remote Sensing Imagery Semantic Segmentation -
arXiv 1905.07852.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from perception.errors import InputError
from perception.types import IGNORE_INDEX


def point_cross_entropy(logits: Tensor, labels: Tensor, class_weights: Tensor | None = None) -> Tensor:
    """Cross-entropy over labelled points, weighted by class.

    Args:
        logits: ``(P, C)``.
        labels: ``(P,)`` int64, 255 ignored.
        class_weights: ``(C,)``.
    """
    logits = logits.float()
    total = F.cross_entropy(logits, labels, class_weights, ignore_index=IGNORE_INDEX, reduction="sum")
    known = labels[labels != IGNORE_INDEX]
    count = known.numel() if class_weights is None else class_weights[known].sum()
    return total / torch.as_tensor(count, dtype=logits.dtype, device=logits.device).clamp(min=1e-6)


def lovasz_softmax(probability: Tensor, labels: Tensor) -> Tensor:
    """The Lovasz extension of one minus the intersection over union, averaged over the classes that are present.

    Args:
        probability: ``(P, C)`` in 0..1.
        labels: ``(P,)`` int64, 255 ignored.
    """
    known = labels != IGNORE_INDEX
    probability, labels = probability[known], labels[known]
    if not len(labels):
        return probability.sum() * 0.0
    present = labels.unique()
    truth = (labels[:, None] == present).to(probability.dtype)  # (P, K)
    errors = (truth - probability[:, present]).abs()
    errors, order = errors.sort(dim=0, descending=True)
    truth = truth.gather(0, order)
    positives = truth.sum(dim=0)
    intersection = positives - truth.cumsum(dim=0)
    union = positives + (1 - truth).cumsum(dim=0)
    jaccard = 1 - intersection / union
    gradient = torch.cat([jaccard[:1], jaccard[1:] - jaccard[:-1]])
    return (errors * gradient).sum(dim=0).mean()


def boundary_loss(probability: Tensor, labels: Tensor, thickness: int = 3, reach: int = 5) -> Tensor:
    """One minus the F1 score of class boundaries, found by max pooling, averaged over the classes that are present.

    Args:
        probability: ``(B, C, H, W)``, a softmax over C.
        labels: ``(B, H, W)`` int64, 255 ignored.
        thickness: side of the window that finds boundaries; ``reach``: of the one within which they count as found.
    """
    known = labels != IGNORE_INDEX
    classes = probability.shape[1]
    truth = F.one_hot(labels.masked_fill(~known, 0), classes).permute(0, 3, 1, 2).to(probability.dtype)
    truth = truth * known[:, None]
    predicted = probability * known[:, None]
    wanted, found = (_boundary(mask, thickness) for mask in (truth, predicted))
    near_wanted, near_found = (F.max_pool2d(edge, reach, 1, reach // 2) for edge in (wanted, found))
    sums = (0, 2, 3)
    precision = (found * near_wanted).sum(sums) / found.sum(sums).clamp(min=1e-6)
    recall = (near_found * wanted).sum(sums) / wanted.sum(sums).clamp(min=1e-6)
    score = 2 * precision * recall / (precision + recall).clamp(min=1e-6)
    present = wanted.sum(sums) > 0
    return ((1 - score) * present).sum() / present.sum().clamp(min=1)


def _boundary(mask: Tensor, thickness: int) -> Tensor:
    """``(B, C, H, W)``: how much each pixel is inside a class and beside its outside."""
    return F.max_pool2d(1 - mask, thickness, 1, thickness // 2) - (1 - mask)


def point_loss(logits: Tensor, labels: Tensor, class_weights: Tensor | None = None, lovasz: float = 1.0) -> Tensor:
    """Cross-entropy plus ``lovasz`` times :func:`lovasz_softmax` over ``(P, C)`` logits."""
    loss = point_cross_entropy(logits, labels, class_weights)
    return loss + lovasz * lovasz_softmax(logits.float().softmax(dim=1), labels) if lovasz else loss


def grid_loss(
    logits: Tensor, labels: Tensor, class_weights: Tensor | None = None, lovasz: float = 1.5, boundary: float = 1.0
) -> Tensor:
    """FRNet's auxiliary loss of a frustum grid: cross-entropy, Lovasz-softmax and boundary loss.

    Args:
        logits: ``(B, C, h, w)``; at a lower resolution than the labels they are upsampled bilinearly.
        labels: ``(B, H, W)`` int64, 255 ignored.
    """
    size = (labels.shape[-2], labels.shape[-1])
    logits = logits.float()
    if logits.shape[-2:] != size:
        logits = F.interpolate(logits, size=size, mode="bilinear", align_corners=False)
    rows = logits.permute(0, 2, 3, 1).reshape(-1, logits.shape[1])
    loss = point_loss(rows, labels.flatten(), class_weights, lovasz)
    return loss + boundary * boundary_loss(logits.softmax(dim=1), labels) if boundary else loss


class PointLoss(nn.Module):
    """The loss of a LiDAR network: of its points, and of its auxiliary heads on the grid.

    Args:
        classes: number of classes.
        class_weights: weight of each class in the cross-entropy.
        lovasz: weight of the Lovasz-softmax beside the cross-entropy of points.
        aux: weight of the auxiliary heads' losses; within them, ``aux_lovasz`` and ``aux_boundary`` weigh the
            Lovasz-softmax and the boundary loss, which cost as much as the network where that is small.

    Raises:
        InputError: for another number of class weights than classes.
    """

    class_weights: Tensor | None

    def __init__(
        self,
        classes: int,
        class_weights: Sequence[float] | None = None,
        lovasz: float = 1.0,
        aux: float = 1.0,
        aux_lovasz: float = 1.5,
        aux_boundary: float = 1.0,
    ) -> None:
        super().__init__()
        if class_weights is not None and len(class_weights) != classes:
            raise InputError(f"{len(class_weights)} class_weights for {classes} classes of points")
        weights = None if class_weights is None else torch.tensor(list(class_weights))
        self.register_buffer("class_weights", weights, persistent=False)
        self.lovasz, self.aux, self.aux_lovasz, self.aux_boundary = lovasz, aux, aux_lovasz, aux_boundary

    def forward(self, outputs: dict[str, Any], labels: Tensor, grid: Tensor | None = None) -> Tensor:
        """The loss of one pass.

        Args:
            outputs: ``lidar`` ``(P, C)`` and, in training, ``lidar_aux``, a list of ``(B, C, h, w)``.
            labels: ``(P,)`` int64; grid: ``(B, h, w)`` int64 of the auxiliary outputs; 255 ignored.
        """
        loss = point_loss(outputs["lidar"], labels, self.class_weights, self.lovasz)
        auxiliary = outputs.get("lidar_aux", [])
        if grid is None or not auxiliary:
            return loss
        options = (self.class_weights, self.aux_lovasz, self.aux_boundary)
        return loss + self.aux * torch.stack([grid_loss(logits, grid, *options) for logits in auxiliary]).mean()
