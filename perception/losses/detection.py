"""Targets and losses of the centre head.

Papers: Objects as Points - arXiv 1904.07850 (heatmap targets and focal loss); FCOS - arXiv 1904.01355 (edge
distances); Training-Time-Friendly Network - arXiv 1909.00700 (which cells learn a box); Generalized Intersection over
Union - arXiv 1902.09630.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torchvision.ops import generalized_box_iou_loss


class CenterTargets(NamedTuple):
    """What a centre head's maps are to be.

    Args:
        heatmap: ``(B, num_classes, h, w)``, exactly 1 at centres.
        owner: ``(B, maps, h, w)`` int64 box that a cell's edge distances are trained on, -1 for none.
        weight: ``(B, maps, h, w)`` of a cell in the loss of the boxes; those of one box add up to 1.
    """

    heatmap: Tensor
    owner: Tensor
    weight: Tensor


MIN_BUMP = 0.01
"""Cells where an object's Gaussian is lower than this do not learn its box: that is 3 standard deviations away."""


def center_targets(boxes: Tensor, labels: Tensor, size: tuple[int, int], level: int, box_map: Tensor) -> CenterTargets:
    """Gaussian heatmaps around box centres, and the boxes that the cells around a centre are to give.

    The Gaussian's standard deviation is a sixth of each box side, so that long boxes get long peaks, at least half a
    cell. Boxes are learnt by all cells under the Gaussian and not by the centre alone (as in TTFNet, arXiv 1909.00700):
    a predicted peak is often a cell beside the true centre, and that cell's box is what counts. Of several objects of
    one map over a cell it is the one whose Gaussian by its area is the highest there: a small one's before a large
    one, but of two people side by side the nearer one's, so that centres learn their own boxes. Cells weigh as the
    Gaussian's square root: by the Gaussian itself, the neighbours of a small object's centre would hardly count.

    Args:
        boxes: ``(B, M, 4)`` xyxy in pixels.
        labels: ``(B, M)`` int64, -1 where padded.
        size: ``(h, w)`` of the map.
        level: stride of the map.
        box_map: ``(num_classes,)`` int64, the map that a class has its boxes from, numbered from 0.
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
    heatmap = boxes.new_zeros((boxes.shape[0], len(box_map), height, width))
    owner = torch.full((boxes.shape[0], int(box_map.max()) + 1, height, width), -1, device=boxes.device)
    weight = boxes.new_zeros(owner.shape)
    for image in range(boxes.shape[0]):
        index = valid[image].nonzero()[:, 0]  # (m,)
        if not len(index):
            continue
        bumps = down[image, index, :, None] * across[image, index, None, :]  # (m, h, w)
        for name in labels[image, index].unique().tolist():
            heatmap[image, name] = bumps[labels[image, index] == name].amax(dim=0)
        area = (boxes[image, index, 2:] - boxes[image, index, :2]).prod(dim=1)
        claim = torch.where(bumps >= MIN_BUMP, bumps / area.clamp(min=1e-6)[:, None, None], 0.0)
        own = box_map[labels[image, index]]  # (m,)
        for number in own.unique().tolist():
            highest, chosen = (claim * (own == number)[:, None, None]).max(dim=0)  # (h, w)
            owned = highest > 0
            share = torch.where(owned, bumps.gather(0, chosen[None])[0].sqrt(), 0.0)
            sums = share.new_zeros(len(index)).index_add_(0, chosen.flatten(), share.flatten())
            weight[image, number] = torch.where(owned, share / sums[chosen], 0.0)
            owner[image, number] = torch.where(owned, index[chosen], -1)
    return CenterTargets(heatmap, owner, weight)


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
    box_map: Tensor,
    box_weight: float = 2.0,
    known: Tensor | None = None,
) -> Tensor:
    """Focal loss of the heatmap plus GIoU loss of the boxes at and around their centres.

    Args:
        outputs: ``heatmap`` ``(B, C, h, w)`` and ``box`` ``(B, 4 * maps, h, w)`` of the centre head.
        boxes: ``(B, M, 4)`` xyxy in pixels; labels: ``(B, M)``, -1 padded.
        has_boxes: ``(B,)`` bool; images without box labels are skipped.
        level: stride of the maps.
        box_map: ``(C,)`` int64, the map that a class has its boxes from.
        known: ``(B, C)`` bool, classes whose objects are labelled in the image; ``None``: all are.
    """
    if not has_boxes.any():
        return outputs["heatmap"].sum() * 0.0 + outputs["box"].sum() * 0.0
    heatmap = outputs["heatmap"][has_boxes]
    edges = outputs["box"][has_boxes].float().unflatten(1, (-1, 4))  # (b, maps, 4, h, w)
    boxes, labels = boxes[has_boxes].float(), labels[has_boxes]
    size = (heatmap.shape[-2], heatmap.shape[-1])
    target = center_targets(boxes, labels, size, level, box_map)
    loss = heatmap_focal(heatmap, target.heatmap, None if known is None else known[has_boxes])
    image, number, row, column = torch.nonzero(target.owner >= 0, as_tuple=True)
    if not len(image):
        return loss + edges.sum() * 0.0
    left, above, right, below = (level * edges[image, number, :, row, column].clamp(max=8.0).exp()).unbind(1)
    x, y = (column + 0.5) * level, (row + 0.5) * level
    predicted = torch.stack([x - left, y - above, x + right, y + below], dim=1)
    overlap = generalized_box_iou_loss(predicted, boxes[image, target.owner[image, number, row, column]])
    weight = target.weight[image, number, row, column]
    return loss + box_weight * (weight * overlap).sum() / weight.sum()
