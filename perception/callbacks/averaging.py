"""Averaged weights that are useful from the first steps on."""

from __future__ import annotations

from pytorch_lightning.callbacks import WeightAveraging
from torch import Tensor


def ema_update(averaged: Tensor, current: Tensor, num_averaged: Tensor | int, decay: float) -> Tensor:
    """One step of an exponential moving average whose decay warms up as ``(1 + n) / (10 + n)``.

    Without the warm-up the random start still weighs in a short run.
    """
    if not averaged.is_floating_point():
        return current  # counters, such as the number of batches that a batch norm has seen
    count = float(num_averaged)
    return averaged.lerp(current.to(averaged.dtype), 1 - min(decay, (1 + count) / (10 + count)))


class EMA(WeightAveraging):
    """Exponential moving average of weights and batch-norm statistics; validation and checkpoints use it.

    Args:
        decay: at each update, after the warm-up.
        every_n_steps: steps between updates.
    """

    def __init__(self, decay: float = 0.999, every_n_steps: int = 1) -> None:
        if not 0 <= decay < 1 or every_n_steps < 1:
            raise ValueError(f"decay must lie in 0..1 and every_n_steps be positive, got {decay} and {every_n_steps}")
        super().__init__(use_buffers=True, avg_fn=lambda a, c, n: ema_update(a, c, n, decay))
        self.every_n_steps = every_n_steps

    def should_update(self, step_idx: int | None = None, epoch_idx: int | None = None) -> bool:
        return step_idx is not None and step_idx % self.every_n_steps == 0
