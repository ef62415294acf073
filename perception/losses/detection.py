"""Targets and losses of the centre head.

Papers: Objects as Points - arXiv 1904.07850 (heatmap targets and focal loss); FCOS - arXiv 1904.01355 (edge
distances); Generalized Intersection over Union - arXiv 1902.09630.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torchvision.ops import generalized_box_iou_loss


def center_targets(
    boxes: Tensor, labels: Tensor, num_classes: int, size: tuple[int, int], level: int
) -> tuple[Tensor, Tensor, Tensor]:
    """Gaussian heatmaps around box centres.

    The Gaussian's standard deviation is a sixth of each box side (as in TTFNet, arXiv 1909.00700, so that long
    boxes get long peaks), at least half a cell.

    Args:
        boxes: ``(B, M, 4)`` xyxy in pixels.
        labels: ``(B, M)`` int64, -1 where padded.
        size: ``(h, w)`` of the map.
        level: stride of the map.

    Returns:
        heatmap ``(B, num_classes, h, w)`` with exactly 1 at centres, and for every box the row and the column
        of its centre cell, each ``(B, M)``.
    """
    height, width = size
    valid = labels >= 0
    center_x = (boxes[..., 0] + boxes[..., 2]) / 2 / level
    center_y = (boxes[..., 1] + boxes[..., 3]) / 2 / level
    column = center_x.floor().long().clamp(0, width - 1)
    row = center_y.floor().long().clamp(0, height - 1)
    sigma_x = ((boxes[..., 2] - boxes[..., 0]) / level / 6).clamp(min=0.5)
    sigma_y = ((boxes[..., 3] - boxes[..., 1]) / level / 6).clamp(min=0.5)
    xs = torch.arange(width, device=boxes.device)
    ys = torch.arange(height, device=boxes.device)
    across = torch.exp(-((xs - column[..., None]) ** 2) / (2 * sigma_x[..., None] ** 2))  # (B, M, w)
    down = torch.exp(-((ys - row[..., None]) ** 2) / (2 * sigma_y[..., None] ** 2))  # (B, M, h)
    heatmap = boxes.new_zeros((boxes.shape[0], num_classes, height, width))
    for image in range(boxes.shape[0]):
        for name in labels[image][valid[image]].unique().tolist():
            chosen = labels[image] == name
            bumps = down[image, chosen, :, None] * across[image, chosen, None, :]  # (m, h, w)
            heatmap[image, name] = bumps.amax(dim=0)
    return heatmap, row, column


def heatmap_focal(
    logits: Tensor, target: Tensor, known: Tensor | None = None, alpha: float = 2.0, beta: float = 4.0
) -> Tensor:
    """Penalty-reduced focal loss, divided by the number of centres (at least 1).

    Args:
        logits, target: ``(B, C, h, w)``; the target is 1 at centres and falls off around them.
        known: ``(B, C)`` bool; maps of classes whose objects are not labelled count nothing. ``None``: all count.
    """
    logits = logits.float()
    probability = logits.sigmoid()
    centers = target == 1
    log_yes = torch.nn.functional.logsigmoid(logits)
    log_no = torch.nn.functional.logsigmoid(-logits)
    yes = (1 - probability) ** alpha * log_yes * centers
    no = (1 - target) ** beta * probability**alpha * log_no * ~centers
    if known is not None:
        no = no * known[:, :, None, None]
    return -(yes.sum() + no.sum()) / centers.sum().clamp(min=1)


def center_loss(
    outputs: dict[str, Tensor],
    boxes: Tensor,
    labels: Tensor,
    has_boxes: Tensor,
    level: int,
    box_weight: float = 2.0,
    known: Tensor | None = None,
) -> Tensor:
    """Focal loss of the heatmap plus GIoU loss of the boxes at their centres.

    Args:
        outputs: ``heatmap`` ``(B, C, h, w)`` and ``box`` ``(B, 4, h, w)`` of the centre head.
        boxes: ``(B, M, 4)`` xyxy in pixels; labels: ``(B, M)``, -1 padded.
        has_boxes: ``(B,)`` bool; images without box labels are skipped.
        level: stride of the maps.
        known: ``(B, C)`` bool, classes whose objects are labelled in the image; ``None``: all are.
    """
    if not has_boxes.any():
        return outputs["heatmap"].sum() * 0.0 + outputs["box"].sum() * 0.0
    heatmap = outputs["heatmap"][has_boxes]
    edges = outputs["box"][has_boxes].float()
    boxes, labels = boxes[has_boxes].float(), labels[has_boxes]
    target, row, column = center_targets(boxes, labels, heatmap.shape[1], (heatmap.shape[-2], heatmap.shape[-1]), level)
    loss = heatmap_focal(heatmap, target, None if known is None else known[has_boxes])
    image, box = torch.nonzero(labels >= 0, as_tuple=True)
    if not len(image):
        return loss + edges.sum() * 0.0
    row, column = row[image, box], column[image, box]
    left, above, right, below = (level * edges[image, :, row, column].clamp(max=8.0).exp()).unbind(1)
    x, y = (column + 0.5) * level, (row + 0.5) * level
    predicted = torch.stack([x - left, y - above, x + right, y + below], dim=1)
    return loss + box_weight * generalized_box_iou_loss(predicted, boxes[image, box], reduction="mean")
