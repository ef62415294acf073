"""Semantic losses that weigh hard pixels and whole regions. All skip ignored pixels.

They take log-probabilities ``(B, C, H, W)`` float32 and targets ``(B, H, W)`` int64 with 255 ignored, and give a zero
with gradients where nothing is labelled.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from perception.types import IGNORE_INDEX


def ohem_cross_entropy(
    log_probability: Tensor,
    target: Tensor,
    class_weights: Tensor | None = None,
    threshold: float = 0.7,
    min_share: float = 1 / 16,
) -> Tensor:
    """Cross-entropy over the pixels that the model is unsure of.

    Paper: Training Region-based Object Detectors with Online Hard Example Mining - arXiv 1604.03540, in the form for
    segmentation: pixels whose true class has a probability below ``threshold``, and at least ``min_share`` of the
    labelled ones, those of the largest loss.

    Args:
        class_weights: ``(C,)``; they weigh the loss and do not choose pixels.
    """
    known = target != IGNORE_INDEX
    count = int(known.sum())
    if not count:
        return log_probability.sum() * 0.0
    loss = F.nll_loss(log_probability, target, ignore_index=IGNORE_INDEX, reduction="none")[known]
    least = max(1, int(count * min_share))
    floor = loss.detach().topk(least).values[-1]
    limit = -torch.log(torch.as_tensor(threshold, dtype=loss.dtype, device=loss.device))
    hard = loss.detach() >= torch.minimum(floor, limit)
    if class_weights is None:
        return loss[hard].mean()
    weight = class_weights[target[known]][hard]
    return (loss[hard] * weight).sum() / weight.sum().clamp(min=1e-6)


def focal_loss(
    log_probability: Tensor, target: Tensor, class_weights: Tensor | None = None, gamma: float = 2.0
) -> Tensor:
    """Cross-entropy times ``(1 - p) ** gamma``, p the probability of the true class.

    Paper: Focal Loss for Dense Object Detection - arXiv 1708.02002, over a softmax.
    """
    known = target != IGNORE_INDEX
    index = target.masked_fill(~known, 0)
    picked = log_probability.gather(1, index[:, None])[:, 0][known]  # (P,)
    # 1 - p loses all digits near p = 1; the clamp keeps the slope of a root finite there
    loss = -picked * (-torch.expm1(picked)).clamp(min=1e-12) ** gamma
    weight = torch.ones_like(loss) if class_weights is None else class_weights[target[known]]
    return (loss * weight).sum() / weight.sum().clamp(min=1e-6)


def dice_loss(log_probability: Tensor, target: Tensor) -> Tensor:
    """One minus the soft Dice coefficient over the batch, averaged over the classes that it holds.

    Paper: V-Net - arXiv 1606.04797, with plain instead of squared sums in the denominator.
    """
    classes = log_probability.shape[1]
    known = target != IGNORE_INDEX
    probability = log_probability.exp().permute(0, 2, 3, 1)[known]  # (P, C)
    truth = F.one_hot(target[known], classes).to(probability.dtype)
    count = truth.sum(dim=0)
    overlap = 2 * (probability * truth).sum(dim=0) / (probability.sum(dim=0) + count).clamp(min=1e-6)
    present = count > 0
    return ((1 - overlap) * present).sum() / present.sum().clamp(min=1)


def balanced_class_weights(counts: Tensor, beta: float = 0.5) -> Tensor:
    """Weights of classes from how many pixels each has: the median count over each class's own, to a power.

    Paper: Predicting Depth, Surface Normals and Semantic Labels with a Common Multi-Scale Convolutional Architecture -
    arXiv 1411.4734 (median frequency balancing), softened by ``beta``.

    Args:
        counts: ``(C,)`` labelled pixels.
        beta: 0 weighs all alike, 1 is the paper's.

    Returns:
        ``(C,)`` float32; classes without pixels get 1.

    >>> balanced_class_weights(torch.tensor([400, 100, 25, 0]), beta=0.5).tolist()
    [0.5, 1.0, 2.0, 1.0]
    """
    present = counts > 0
    if not present.any():
        return torch.ones(len(counts))
    share = counts[present].median().float() / counts.clamp(min=1).float()
    return torch.where(present, share**beta, torch.ones_like(share))
