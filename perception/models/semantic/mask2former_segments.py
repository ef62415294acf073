"""Queries with masks to instances and to panoptic segments.

Paper: Per-Pixel Classification is Not All You Need for Semantic Segmentation - arXiv 2107.06278.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Instances:
    """Objects of one image.

    Shape:
        - masks: ``(N, H, W)`` bool.
        - labels: ``(N,)`` int64 class index; scores: ``(N,)`` float32, falling.
    """

    masks: Tensor
    labels: Tensor
    scores: Tensor


def instances(class_logits: Tensor, mask_logits: Tensor, things: Sequence[int], top_k: int = 100) -> Instances:
    """The ``top_k`` best pairs of a query and a class; a query may stand for several classes.

    A score is the class's probability times the mean probability inside the mask. Empty masks are left out.

    Args:
        class_logits: ``(Q, C + 1)``, the last for no object.
        mask_logits: ``(Q, H, W)``.
        things: classes that have instances.
    """
    probability = class_logits.float().softmax(dim=-1)[:, list(things)]  # (Q, T)
    scores, index = probability.flatten().topk(min(top_k, probability.numel()))
    query = index // len(things)
    labels = torch.as_tensor(list(things), device=index.device)[index - query * len(things)]
    chosen = mask_logits[query]
    masks = chosen > 0
    area = masks.flatten(1).sum(dim=1)
    inside = (chosen.sigmoid() * masks).flatten(1).sum(dim=1) / area.clamp(min=1)
    scores = scores * inside
    order = scores.argsort(descending=True, stable=True)
    order = order[area[order] > 0]
    return Instances(masks[order], labels[order], scores[order])


def panoptic(
    class_logits: Tensor, mask_logits: Tensor, things: Sequence[int], score: float = 0.8, overlap: float = 0.8
) -> tuple[Tensor, Tensor, Tensor]:
    """Every pixel to at most one segment.

    Certain queries compete for pixels with probability times mask; a query that keeps too little of its own mask is
    dropped, and its pixels belong to nobody. Segments of a class that is not a thing are joined under the first one.

    Args:
        class_logits: ``(Q, C + 1)``, the last for no object.
        mask_logits: ``(Q, H, W)``.
        things: classes that have instances.
        score: probability that a query must exceed.
        overlap: share of its own mask that a query must keep.

    Returns:
        the query of each pixel's segment ``(H, W)`` int64 or -1, and for each query its class, or -1 where it has no
        segment of its own, ``(Q,)`` int64, and its probability ``(Q,)`` float32, 0 there.
    """
    queries, (height, width) = len(class_logits), mask_logits.shape[-2:]
    device = mask_logits.device
    segments = torch.full((height, width), -1, dtype=torch.int64, device=device)
    labels = torch.full((queries,), -1, dtype=torch.int64, device=device)
    scores = torch.zeros(queries, device=device)
    probability, classes = class_logits.float().softmax(dim=-1).max(dim=-1)
    kept = torch.nonzero((classes != class_logits.shape[-1] - 1) & (probability > score)).flatten()
    if not len(kept):
        return segments, labels, scores
    masks = mask_logits[kept].float().sigmoid()  # (K, H, W)
    owner = (masks * probability[kept, None, None]).argmax(dim=0)
    first_of: dict[int, int] = {}
    for i, query in enumerate(kept.tolist()):
        own = masks[i] >= 0.5
        won = (owner == i) & own
        if not won.any() or won.sum() < overlap * own.sum():
            continue
        name = int(classes[query])
        target = query if name in things else first_of.setdefault(name, query)
        segments[won] = target
        if target == query:
            labels[query], scores[query] = name, probability[query]
    return segments, labels, scores
