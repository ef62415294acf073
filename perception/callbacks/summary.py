"""What a run did and measured, printed when it ends and kept as JSON."""

from __future__ import annotations

import math
import time
from pathlib import Path

import pytorch_lightning as pl
from rich.table import Table

from perception.console import console
from perception.files import write_json
from perception.types import Batch


class RunSummary(pl.Callback):
    """Prints the measures of the last validation or test, and after training steps and images per second.

    The time of validations is not counted in images per second.

    Args:
        folder: where ``metrics_fit.json``, ``metrics_validate.json`` or ``metrics_test.json`` is written;
            ``None`` writes none.
    """

    def __init__(self, folder: str | None = None) -> None:
        self.folder = None if folder is None else Path(folder)
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
        rate = self.images / max(self.training_s, 1e-9)
        facts = {"steps": trainer.global_step, "images": self.images, "images_per_second": round(rate, 2)}
        if trainer.is_global_zero:
            parameters = sum(parameter.numel() for parameter in pl_module.parameters())
            console.print(
                f"{parameters / 1e6:.2f} M parameters, {trainer.global_step} steps, {self.images} images in "
                f"{self.training_s:.0f} s of training: {rate:.1f} images per second",
                soft_wrap=True,
            )
        self._report(trainer, "fit", facts)

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if trainer.state.fn == "validate":
            self._report(trainer, "validate", {})

    def on_test_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._report(trainer, "test", {})

    def _report(self, trainer: pl.Trainer, stage: str, facts: dict[str, float]) -> None:
        if not trainer.is_global_zero:
            return
        measured = {k: float(v) for k, v in trainer.callback_metrics.items() if k.startswith(("val/", "test/"))}
        values = {key: value for key, value in measured.items() if math.isfinite(value)}
        if values:
            console.print(metrics_table(values))
        if self.folder is not None:
            write_json(self.folder / f"metrics_{stage}.json", facts | {k: round(v, 6) for k, v in values.items()})


def metrics_table(values: dict[str, float]) -> Table:
    """Metrics by key, summaries first, per-class values below them."""
    table = Table("measure", "value")
    for key in sorted(values, key=lambda name: ("/iou_" in name, name)):
        table.add_row(key, f"{values[key]:.4f}")
    return table
