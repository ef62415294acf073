"""Predictions of a LiDAR network as an official nuScenes-lidarseg submission, and its official figures."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch

from perception.console import console, warn
from perception.datasets.nuscenes_lidarseg import NuScenesLidarDataset
from perception.errors import InputError
from perception.files import write_json
from perception.submissions.devkit import evaluate_lidarseg, lidarseg_samples, validate_lidarseg
from perception.submissions.lidarseg import write_lidarseg, write_lidarseg_meta
from perception.submissions.point_labels import rows_to_file
from perception.submissions.show import lidarseg_table
from perception.tasks.lidar import LidarSegmentation
from perception.types import PointBatch


class LidarSubmission(pl.Callback):
    """Writes ``lidarseg/<split>/<token>_lidarseg.bin`` for every sweep, and ``<split>/submission.json``.

    Every row of a sweep's file gets a label: rows that could not be read take the commonest class of their sweep.
    ``perception predict --format nuscenes`` adds this callback for LiDAR networks, and ``perception test --official``
    adds it with ``evaluate``; there every sweep goes through the network a second time.

    Args:
        folder: where to write.
        evaluate: also print the official figures and write them to ``official.json``.
    """

    def __init__(self, folder: str = "submission", evaluate: bool = False) -> None:
        self.folder = Path(folder)
        self.evaluate = evaluate

    def on_predict_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._start(trainer, pl_module, "predict")

    def on_predict_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        outputs: Any,
        batch: PointBatch,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        self._write(batch, outputs["lidar"].cpu().numpy())

    def on_predict_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._finish()

    def on_test_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._start(trainer, pl_module, "test")

    def on_test_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        outputs: Any,
        batch: PointBatch,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        with torch.inference_mode():
            self._write(batch, pl_module.predict_step(batch, batch_idx)["lidar"].cpu().numpy())

    def on_test_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._finish()

    def _start(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        data: Any = getattr(trainer, "datamodule", None)
        dataset = data.datasets[stage].dataset if data is not None and hasattr(data, "datasets") else None
        if not isinstance(dataset, NuScenesLidarDataset) or not isinstance(pl_module, LidarSegmentation):
            raise InputError("LiDAR submissions need data from perception.datamodules.LidarSegDataModule")
        if trainer.world_size > 1:
            raise InputError(f"one process writes nuScenes submissions, not {trainer.world_size}; set devices: 1")
        self.tables, self.split = dataset.tables, data.splits[stage]
        self.samples = [self.tables.get("sample_data", token)["sample_token"] for token in dataset.tokens]

    def _write(self, batch: PointBatch, found: np.ndarray) -> None:
        cloud = batch.cloud.cpu().numpy()
        for index in range(batch.clouds):
            labels = rows_to_file(found[cloud == index], batch.rows[index], batch.file_rows[index])
            token = batch.tokens[index]
            assert token is not None
            write_lidarseg(self.folder, self.split, token, labels + 1)  # the challenge counts from 1

    def _finish(self) -> None:
        write_lidarseg_meta(self.folder, self.split, {"lidar"})
        written = self.folder / "lidarseg" / self.split
        console.print(f"{written}: labels of {len(self.samples)} sweeps", highlight=False, soft_wrap=True)
        labelled = lidarseg_samples(self.tables, self.samples)
        if len(labelled) < len(self.samples):
            warn(f"{len(self.samples) - len(labelled)} of {len(self.samples)} samples have no labels to compare with")
        if labelled:
            validate_lidarseg(self.tables, self.folder, self.split, labelled)
        if not self.evaluate:
            return
        if not labelled:
            raise InputError(f"split {self.split!r} has no truth to evaluate against")
        figures = evaluate_lidarseg(self.tables, self.folder, self.split, labelled)
        console.print(lidarseg_table(figures))
        write_json(self.folder / "official.json", {"split": self.split, "lidarseg": figures})
