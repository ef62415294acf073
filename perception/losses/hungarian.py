"""Losses of detection with queries: each object is matched to one query, at the least total cost.

Papers: End-to-End Object Detection with Transformers - arXiv 2005.12872 (matching); VarifocalNet - arXiv 2008.13367
(classification by overlap); DETRs Beat YOLOs on Real-time Object Detection - arXiv 2304.08069 (weights).
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from scipy.optimize import linear_sum_assignment
from torch import Tensor
from torchvision.ops import box_convert, generalized_box_iou, generalized_box_iou_loss
from torchvision.ops.boxes import box_iou

CLASS_COST, L1_COST, GIOU_COST = 2.0, 5.0, 2.0
CLASS_WEIGHT, L1_WEIGHT, GIOU_WEIGHT = 1.0, 5.0, 2.0


@torch.no_grad()
def match(logits: Tensor, boxes: Tensor, true_boxes: Tensor, true_labels: Tensor) -> tuple[Tensor, Tensor]:
    """Queries and objects of one image, paired at the least total cost.

    The cost is the focal loss that a query would save by naming the class, plus L1 and GIoU distance of the boxes.

    Args:
        logits: ``(Q, C)``; boxes: ``(Q, 4)`` centre, width and height as shares of the image.
        true_boxes: ``(M, 4)`` in the same form; true_labels: ``(M,)``.

    Returns:
        indices of queries and of objects, each ``(min(Q, M),)``.
    """
    probability = logits.float().sigmoid()[:, true_labels]  # (Q, M)
    found = 0.25 * (1 - probability) ** 2 * -(probability + 1e-8).log()
    missed = 0.75 * probability**2 * -(1 - probability + 1e-8).log()
    boxes = boxes.float()
    distance = torch.cdist(boxes, true_boxes, p=1)
    overlap = generalized_box_iou(box_convert(boxes, "cxcywh", "xyxy"), box_convert(true_boxes, "cxcywh", "xyxy"))
    cost = CLASS_COST * (found - missed) + L1_COST * distance - GIOU_COST * overlap
    # A query that is not a number is matched last, where the assignment would raise.
    rows, columns = linear_sum_assignment(cost.nan_to_num(1e6, 1e6, 1e6).cpu().numpy())
    return torch.as_tensor(rows, device=logits.device), torch.as_tensor(columns, device=logits.device)


def query_loss(
    outputs: dict[str, Tensor],
    boxes: Tensor,
    labels: Tensor,
    has_boxes: Tensor,
    known: Tensor | None = None,
) -> Tensor:
    """Loss of the queries of every decoder layer, each matched anew.

    Args:
        outputs: of :class:`perception.models.heads.detr.DetrHead`.
        boxes: ``(B, M, 4)`` xyxy in pixels; labels: ``(B, M)``, -1 padded.
        has_boxes: ``(B,)`` bool; images without box labels are skipped.
        known: ``(B, C)`` bool, classes whose objects are labelled in the image; ``None``: all are.
    """
    layers = [(outputs["logits"], outputs["boxes"])]
    if "layer_logits" in outputs:
        layers += list(zip(outputs["layer_logits"].unbind(1), outputs["layer_boxes"].unbind(1), strict=True))
    if not has_boxes.any():
        return sum((logits.sum() * 0.0 + found.sum() * 0.0 for logits, found in layers), torch.zeros(()).to(boxes))
    extent = outputs["extent"].flip(0).repeat(2)
    truths = []
    for i in torch.nonzero(has_boxes).flatten().tolist():
        valid = labels[i] >= 0
        truths.append((i, box_convert(boxes[i][valid].float(), "xyxy", "cxcywh") / extent, labels[i][valid]))
    count = max(sum(len(truth) for _, truth, _ in truths), 1)
    total = torch.zeros((), device=boxes.device)
    for logits, found in layers:
        for i, true_boxes, true_labels in truths:
            some = None if known is None else known[i]
            total = total + _image_loss(logits[i].float(), found[i].float(), true_boxes, true_labels, some)
    return total / count


def _image_loss(logits: Tensor, boxes: Tensor, true_boxes: Tensor, true_labels: Tensor, known: Tensor | None) -> Tensor:
    """Sum over the objects of an image; shapes as in :func:`match`."""
    query, thing = match(logits, boxes, true_boxes, true_labels)
    matched = box_convert(boxes[query], "cxcywh", "xyxy")
    truth = box_convert(true_boxes[thing], "cxcywh", "xyxy")
    target = torch.zeros_like(logits)
    target[query, true_labels[thing]] = box_iou(matched.detach(), truth).diagonal()
    positive = torch.zeros_like(logits)
    positive[query, true_labels[thing]] = 1.0
    # Misses weigh by how sure they were, hits by how well the box overlaps.
    weight = 0.75 * logits.detach().sigmoid() ** 2 * (1 - positive) + target
    if known is not None:
        weight = weight * (known | positive.bool())
    classes = F.binary_cross_entropy_with_logits(logits, target, weight, reduction="sum")
    distance = F.l1_loss(boxes[query], true_boxes[thing], reduction="sum")
    overlap = generalized_box_iou_loss(matched, truth, reduction="sum")
    return CLASS_WEIGHT * classes + L1_WEIGHT * distance + GIOU_WEIGHT * overlap
