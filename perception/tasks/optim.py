"""Optimiser groups and the learning-rate schedule."""

from __future__ import annotations

import math
from typing import Any

from pytorch_lightning.callbacks import Timer
from torch import nn

from perception.models.base import PerceptionModel

DEPTH_STEPS = 12
"""Layer-wise rates change in this many steps over the backbone, which keeps the groups few."""


def parameter_groups(
    model: PerceptionModel, extra: nn.Module, lr: float, weight_decay: float, stem_lr_scale: float = 1.0
) -> list[dict[str, Any]]:
    """AdamW groups: no decay on norms and biases, and smaller rates towards the stem of the backbone.

    A parameter's depth is its position among the backbone's parameters, 0 at the stem and 1 at the end; its rate
    is ``lr * stem_lr_scale ** (1 - depth)``. Frozen parameters are left out.

    Args:
        extra: further trained parameters at the full rate without decay, such as task weights.
        stem_lr_scale: rate of the first layer relative to ``lr``; 1 trains all layers alike.
    """
    order = {id(parameter): i for i, parameter in enumerate(model.parts()["backbone"].parameters())}
    last = max(len(order) - 1, 1)
    groups: dict[tuple[float, float], list[nn.Parameter]] = {}
    for parameter in model.parameters():
        if not parameter.requires_grad:
            continue
        depth = order.get(id(parameter), last) / last
        scale = stem_lr_scale ** (1 - round(depth * DEPTH_STEPS) / DEPTH_STEPS)
        decay = weight_decay if parameter.ndim > 1 else 0.0
        groups.setdefault((scale, decay), []).append(parameter)
    trained = [parameter for parameter in extra.parameters() if parameter.requires_grad]
    if trained:
        groups.setdefault((1.0, 0.0), []).extend(trained)
    return [{"params": p, "lr": lr * scale, "weight_decay": decay} for (scale, decay), p in groups.items()]


def training_progress(trainer: Any) -> float:
    """Share of the training that is done, by steps or by the clock, whichever is further.

    With ``trainer.max_time`` the schedule ends when the time does, on any machine (budgeted training,
    arXiv 1905.04753).
    """
    shares = [0.0]
    if trainer.max_steps > 0 or (trainer.max_epochs or -1) > 0:
        shares.append(trainer.global_step / max(float(trainer.estimated_stepping_batches), 1.0))
    for callback in trainer.callbacks:
        if isinstance(callback, Timer) and callback.time_remaining() is not None:
            spent, left = callback.time_elapsed(), callback.time_remaining()
            shares.append(spent / max(spent + (left or 0.0), 1e-9))
    return max(shares)


def warmup_cosine(progress: float, warmup: float) -> float:
    """Learning-rate factor at ``progress`` in 0..1 of the training: linear warm-up, then half a cosine to 0.

    >>> warmup_cosine(0.05, 0.1), warmup_cosine(0.1, 0.1), warmup_cosine(1.0, 0.1)
    (0.5, 1.0, 0.0)
    """
    progress = min(max(progress, 0.0), 1.0)
    if progress < warmup:
        return progress / warmup
    return 0.5 * (1 + math.cos(math.pi * (progress - warmup) / max(1 - warmup, 1e-9)))
