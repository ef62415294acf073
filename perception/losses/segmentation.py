"""Losses of dense heads. All skip ignored pixels, and give a zero with gradients where nothing is labelled.

The semantic losses take log-probabilities, so that they share one softmax: at full resolution it costs as much as a
stage of a small backbone.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from perception.losses.hard_pixels import dice_loss, focal_loss, ohem_cross_entropy
from perception.losses.lidar import lovasz_softmax
from perception.types import IGNORE_INDEX


def cross_entropy(log_probability: Tensor, target: Tensor, class_weights: Tensor | None = None) -> Tensor:
    """Cross-entropy over labelled pixels, weighted by class.

    Args:
        log_probability: ``(B, C, H, W)`` float32, a log-softmax over C.
        target: ``(B, H, W)`` int64 with 255 ignored.
        class_weights: ``(C,)``.
    """
    total = F.nll_loss(log_probability, target, class_weights, ignore_index=IGNORE_INDEX, reduction="sum")
    valid = target != IGNORE_INDEX
    count = valid.sum() if class_weights is None else class_weights[target[valid]].sum()
    return total / count.clamp(min=1e-6)


def soft_jaccard(log_probability: Tensor, target: Tensor) -> Tensor:
    """One minus the soft intersection over union, averaged over the classes that the batch holds.

    The sums run over the whole batch, as the data-set metric's do, so that small classes weigh as much as large
    ones. (Rahman and Wang, Optimizing Intersection-Over-Union in Deep Neural Networks, ISVC 2016.)

    Args:
        log_probability: ``(B, C, H, W)`` float32, a log-softmax over C.
        target: ``(B, H, W)`` int64 with 255 ignored.
    """
    classes = log_probability.shape[1]
    valid = (target != IGNORE_INDEX).float()  # (B, H, W)
    probability = log_probability.exp()
    truth = target.masked_fill(target == IGNORE_INDEX, 0)
    picked = probability.gather(1, truth[:, None])[:, 0] * valid  # (B, H, W), probability of the true class
    index = truth.flatten()
    zeros = torch.zeros(classes, device=target.device)
    intersection = zeros.index_add(0, index, picked.flatten())
    count = zeros.index_add(0, index, valid.flatten())
    predicted = torch.einsum("bchw,bhw->c", probability, valid)
    present = count > 0
    overlap = intersection / (count + predicted - intersection).clamp(min=1e-6)
    return ((1 - overlap) * present).sum() / present.sum().clamp(min=1)


def semantic_loss(
    logits: Tensor,
    target: Tensor,
    class_weights: Tensor | None = None,
    jaccard: float = 0.0,
    kind: str = "cross_entropy",
    dice: float = 0.0,
    lovasz: float = 0.0,
) -> Tensor:
    """A loss of pixels, plus weighted losses of regions: :func:`soft_jaccard`, :func:`dice_loss`, Lovasz-softmax.

    Args:
        logits: ``(B, C, H, W)``.
        target: ``(B, H, W)`` int64 with 255 ignored.
        class_weights: ``(C,)``, in the loss of pixels.
        kind: one of :data:`PIXEL_LOSSES`.
        jaccard, dice, lovasz: weight of each; 0 leaves it out.
    """
    log_probability = logits.float().log_softmax(dim=1)
    loss = PIXEL_LOSSES[kind](log_probability, target, class_weights)
    if jaccard:
        loss = loss + jaccard * soft_jaccard(log_probability, target)
    if dice:
        loss = loss + dice * dice_loss(log_probability, target)
    if lovasz:
        rows = log_probability.permute(0, 2, 3, 1).flatten(0, 2).exp()  # (P, C)
        loss = loss + lovasz * lovasz_softmax(rows, target.flatten())
    return loss


PIXEL_LOSSES: dict[str, Callable[[Tensor, Tensor, Tensor | None], Tensor]] = {
    "cross_entropy": cross_entropy,
    "ohem": ohem_cross_entropy,
    "focal": focal_loss,
}


def binary_dense(logits: Tensor, target: Tensor, positive_weight: float = 1.0) -> Tensor:
    """Binary cross-entropy plus soft Jaccard of the positive class.

    Args:
        logits: ``(B, 1, H, W)``.
        target: ``(B, H, W)`` int64, 1 inside, 0 outside, 255 ignored.
        positive_weight: weight of positive pixels in the cross-entropy, for thin targets such as lanes.
    """
    valid = (target != IGNORE_INDEX).float()
    score = logits[:, 0].float()
    truth = (target == 1).float()
    weight = torch.tensor(positive_weight, device=logits.device)
    entropy = F.binary_cross_entropy_with_logits(score, truth, valid, pos_weight=weight, reduction="sum")
    probability = score.sigmoid() * valid
    intersection = (probability * truth).sum()
    union = probability.sum() + truth.sum() - intersection
    # Without positives the overlap says nothing, and its gradient would only push every score down again.
    overlap = (1 - intersection / union.clamp(min=1e-6)) * (truth.sum() > 0)
    return entropy / valid.sum().clamp(min=1) + overlap
