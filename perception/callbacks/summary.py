"""What a training did, printed when it ends."""

from __future__ import annotations

import time

import pytorch_lightning as pl
from rich.table import Table

from perception.console import console
from perception.types import Batch


class TrainingSummary(pl.Callback):
    """Prints steps, images per second (validation not counted) and the last validation's measures."""

    def __init__(self) -> None:
        self.images = 0
        self.training_s = 0.0
        self._since: float | None = None

    def _pause(self) -> None:
        if self._since is not None:
            self.training_s += time.monotonic() - self._since
            self._since = None

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Batch, batch_idx: int
    ) -> None:
        if self._since is None:
            self._since = time.monotonic()

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: object, batch: Batch, batch_idx: int
    ) -> None:
        self.images += len(batch) * trainer.world_size

    def on_validation_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._pause()

    def on_fit_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._pause()
        if not trainer.is_global_zero:
            return
        parameters = sum(parameter.numel() for parameter in pl_module.parameters())
        rate = self.images / max(self.training_s, 1e-9)
        console.print(
            f"{parameters / 1e6:.2f} M parameters, {trainer.global_step} steps, {self.images} images in "
            f"{self.training_s:.0f} s of training: {rate:.1f} images per second"
        )
        values = {key: float(value) for key, value in trainer.callback_metrics.items() if key.startswith("val/")}
        if values:
            console.print(metrics_table(values))


def metrics_table(values: dict[str, float]) -> Table:
    """Metrics by key, summaries first, per-class values below them."""
    table = Table("measure", "value")
    for key in sorted(values, key=lambda name: ("/iou_" in name, name)):
        table.add_row(key, f"{values[key]:.4f}")
    return table
