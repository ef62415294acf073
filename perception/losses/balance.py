"""How the losses of several tasks become one number."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn


class UncertaintyBalance(nn.Module):
    """Learned homoscedastic uncertainty per task: ``sum exp(-s) * loss + s / 2``.

    Paper: Multi-Task Learning Using Uncertainty to Weigh Losses - arXiv 1705.07115. ``s`` is the logarithm of
    the variance; starting at 0 every task weighs 1. A task without a target in the batch is left out, so that
    its weight does not drift while it learns nothing.
    """

    def __init__(self, tasks: Sequence[str]) -> None:
        super().__init__()
        self.log_variance = nn.ParameterDict({task: nn.Parameter(torch.zeros(())) for task in tasks})

    def forward(self, losses: dict[str, Tensor]) -> Tensor:
        terms = [torch.exp(-self.log_variance[t]) * loss + self.log_variance[t] / 2 for t, loss in losses.items()]
        return torch.stack(terms).sum()

    def weights(self) -> dict[str, float]:
        return {task: float(torch.exp(-value.detach())) for task, value in self.log_variance.items()}


class FixedBalance(nn.Module):
    """A fixed weight per task."""

    def __init__(self, task_weights: dict[str, float]) -> None:
        super().__init__()
        self.task_weights = dict(task_weights)

    def forward(self, losses: dict[str, Tensor]) -> Tensor:
        return torch.stack([self.task_weights[task] * loss for task, loss in losses.items()]).sum()

    def weights(self) -> dict[str, float]:
        return dict(self.task_weights)
