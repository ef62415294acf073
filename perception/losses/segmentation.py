"""Losses of dense heads. All skip ignored pixels, and give a zero with gradients where nothing is labelled."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from perception.types import IGNORE_INDEX


def cross_entropy(
    logits: Tensor, target: Tensor, class_weights: Tensor | None = None, label_smoothing: float = 0.0
) -> Tensor:
    """Cross-entropy over labelled pixels.

    Args:
        logits: ``(B, C, H, W)``.
        target: ``(B, H, W)`` int64 with 255 ignored.
        class_weights: ``(C,)``.
    """
    if not (target != IGNORE_INDEX).any():
        return logits.sum() * 0.0
    return F.cross_entropy(
        logits.float(), target, class_weights, ignore_index=IGNORE_INDEX, label_smoothing=label_smoothing
    )


def soft_jaccard(logits: Tensor, target: Tensor) -> Tensor:
    """One minus the soft intersection over union, averaged over the classes that the batch holds.

    The sums run over the whole batch, as the data-set metric's do, so that small classes weigh as much as large
    ones. (Rahman and Wang, Optimizing Intersection-Over-Union in Deep Neural Networks, ISVC 2016.)

    Args:
        logits: ``(B, C, H, W)``.
        target: ``(B, H, W)`` int64 with 255 ignored.
    """
    classes = logits.shape[1]
    valid = target != IGNORE_INDEX  # (B, H, W)
    probability = logits.float().softmax(dim=1) * valid[:, None]  # (B, C, H, W)
    flat = torch.where(valid, target, 0)
    picked = probability.gather(1, flat[:, None])[:, 0]  # (B, H, W), probability of the true class
    index = flat.flatten()
    intersection = torch.zeros(classes, device=logits.device).index_add_(0, index, picked.flatten())
    count = torch.zeros(classes, device=logits.device).index_add_(0, index, valid.flatten().float())
    union = count + probability.sum(dim=(0, 2, 3)) - intersection
    present = count > 0
    if not present.any():
        return logits.sum() * 0.0
    return (1 - intersection / union.clamp(min=1e-6))[present].mean()


def binary_dense(logits: Tensor, target: Tensor, positive_weight: float = 1.0) -> Tensor:
    """Binary cross-entropy plus soft Jaccard of the positive class.

    Args:
        logits: ``(B, 1, H, W)``.
        target: ``(B, H, W)`` int64, 1 inside, 0 outside, 255 ignored.
        positive_weight: weight of positive pixels in the cross-entropy, for thin targets such as lanes.
    """
    valid = target != IGNORE_INDEX
    if not valid.any():
        return logits.sum() * 0.0
    score = logits[:, 0].float()[valid]
    truth = target[valid].float()
    weight = torch.tensor(positive_weight, device=logits.device)
    entropy = F.binary_cross_entropy_with_logits(score, truth, pos_weight=weight)
    probability = score.sigmoid()
    intersection = (probability * truth).sum()
    union = probability.sum() + truth.sum() - intersection
    # Without positives the overlap says nothing, and its gradient would only push every score down again.
    overlap = torch.where(truth.sum() > 0, 1 - intersection / union.clamp(min=1e-6), torch.zeros_like(union))
    return entropy + overlap
