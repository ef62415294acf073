"""What the official nuScenes submissions of cameras and of LiDAR have in common."""

from __future__ import annotations

from abc import abstractmethod
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch

from perception.console import console, warn
from perception.datasets.nuscenes_lidar import LIDAR
from perception.errors import InputError
from perception.files import write_json
from perception.submissions.devkit import evaluate_lidarseg, lidarseg_samples, validate_lidarseg
from perception.submissions.show import lidarseg_table


class OfficialSubmission(pl.Callback):
    """Collects what ``predict`` or ``test`` says of every batch, and writes and measures it at the end.

    Args:
        folder: where to write.
        evaluate: also print the official figures and write them to ``official.json``.

    Attributes:
        tables, split, samples: the devkit's tables, the split's name and the tokens of its samples; :meth:`start` sets
            them.
    """

    tables: Any
    split: str
    samples: list[str]

    def __init__(self, folder: str = "submission", evaluate: bool = False) -> None:
        self.folder = Path(folder)
        self.evaluate = evaluate

    @abstractmethod
    def start(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Look at the data of ``predict`` or ``test``."""

    @abstractmethod
    def collect(self, batch: Any, decoded: dict[str, Any]) -> None:
        """Take what the task's ``predict_step`` says of a batch."""

    @abstractmethod
    def finish(self) -> dict[str, Any]:
        """Write what is left, and return the official figures by task, where ``evaluate`` asks for them."""

    def on_predict_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._start(trainer, pl_module, "predict")

    def on_predict_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        self.collect(batch, outputs)

    def on_predict_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._finish()

    def on_test_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._start(trainer, pl_module, "test")

    def on_test_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        with torch.inference_mode():
            decoded = pl_module.predict_step(batch, batch_idx)
        self.collect(batch, decoded)

    def on_test_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._finish()

    def _start(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        self.start(trainer, pl_module, stage)
        if trainer.world_size > 1:
            raise InputError(f"one process writes nuScenes submissions, not {trainer.world_size}; set devices: 1")

    def _finish(self) -> None:
        figures = self.finish()
        if self.evaluate:
            if not any(figures.values()):
                raise InputError(f"split {self.split!r} has no truth to evaluate against")
            write_json(self.folder / "official.json", {"split": self.split, **figures})

    def official_lidarseg(self) -> dict[str, Any] | None:
        """Check the written labels and, where asked for, the official figures of those that have a truth."""
        samples = lidarseg_samples(self.tables, self.samples)
        missing = len(self.samples) - len(samples)
        if missing:
            warn(f"{missing} of {len(self.samples)} samples have no LiDAR labels to compare with")
        if samples:
            validate_lidarseg(self.tables, self.folder, self.split, samples)
        with_sweep = [token for token in self.samples if LIDAR in self.tables.get("sample", token)["data"]]
        written = self.folder / "lidarseg" / self.split
        console.print(f"{written}: labels of {len(with_sweep)} sweeps", highlight=False, soft_wrap=True)
        if not self.evaluate or not samples:
            return None
        figures = evaluate_lidarseg(self.tables, self.folder, self.split, samples)
        console.print(lidarseg_table(figures))
        return figures


def dataset_of(trainer: pl.Trainer, stage: str) -> Any:
    """The data set of a stage before its transforms; ``None`` for data modules of another kind."""
    data: Any = getattr(trainer, "datamodule", None)
    return data.datasets[stage].dataset if data is not None and hasattr(data, "datasets") else None
