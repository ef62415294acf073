"""Predictions of a LiDAR network as an official nuScenes-lidarseg submission, and its official figures."""

from __future__ import annotations

from typing import Any

import pytorch_lightning as pl

from perception.callbacks.official import OfficialSubmission, dataset_of
from perception.datasets.nuscenes_lidarseg import NuScenesLidarDataset
from perception.errors import InputError
from perception.submissions.lidarseg import write_lidarseg, write_lidarseg_meta
from perception.submissions.point_labels import labels_of_sweeps
from perception.tasks.lidar import LidarSegmentation
from perception.types import PointBatch


class LidarSubmission(OfficialSubmission):
    """Writes ``lidarseg/<split>/<token>_lidarseg.bin`` for every sweep, and ``<split>/submission.json``.

    Every row of a sweep's file gets a label: rows that could not be read take the commonest class of their sweep.
    ``perception predict --format nuscenes`` adds this callback for LiDAR networks, and ``perception test --official``
    adds it with ``evaluate``; there every sweep goes through the network a second time.

    Args:
        folder: where to write.
        evaluate: also print the official figures and write them to ``official.json``.
    """

    def start(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        data: Any = getattr(trainer, "datamodule", None)
        dataset = dataset_of(trainer, stage)
        if not isinstance(dataset, NuScenesLidarDataset) or not isinstance(pl_module, LidarSegmentation):
            raise InputError("LiDAR submissions need data from perception.datamodules.LidarSegDataModule")
        self.tables, self.split = dataset.tables, data.splits[stage]
        self.samples = [self.tables.get("sample_data", token)["sample_token"] for token in dataset.tokens]

    def collect(self, batch: PointBatch, decoded: dict[str, Any]) -> None:
        for _, token, labels in labels_of_sweeps(batch, decoded["lidar"].cpu().numpy()):
            write_lidarseg(self.folder, self.split, token, labels + 1)  # the challenge counts from 1

    def finish(self) -> dict[str, Any]:
        write_lidarseg_meta(self.folder, self.split, {"lidar"})
        return {"lidarseg": self.official_lidarseg()}
