"""Predictions of a LiDAR network as a SemanticKITTI submission."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytorch_lightning as pl

from perception.callbacks.official import dataset_of
from perception.console import console, warn
from perception.datasets.semantic_kitti import SemanticKittiDataset
from perception.errors import InputError
from perception.submissions.point_labels import labels_of_sweeps
from perception.submissions.semantic_kitti import validate_kitti, write_kitti, zip_kitti
from perception.types import PointBatch


class SemanticKittiSubmission(pl.Callback):
    """Writes ``sequences/XX/predictions/NNNNNN.label`` for every scan that ``predict`` sees, checks that none lacks,
    and packs them as ``submission.zip``.

    Every row of a scan's file gets a label: rows that could not be read take the commonest class of their scan.

    Args:
        folder: where to write.
    """

    def __init__(self, folder: str = "submission") -> None:
        self.folder = Path(folder)

    def on_predict_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        dataset = dataset_of(trainer, "predict")
        if not isinstance(dataset, SemanticKittiDataset):
            raise InputError("SemanticKITTI submissions need data from perception.datamodules.SemanticKittiDataModule")
        if trainer.world_size > 1:
            raise InputError(f"one process writes SemanticKITTI submissions, not {trainer.world_size}; set devices: 1")
        self.dataset = dataset
        self.written: set[str] = set()

    def on_predict_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        outputs: Any,
        batch: PointBatch,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        for _, token, labels in labels_of_sweeps(batch, outputs["lidar"].cpu().numpy()):
            write_kitti(self.folder, token, labels, self.dataset.labels)
            self.written.add(token)

    def on_predict_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if self.written < set(self.dataset.tokens):
            warn(f"{len(self.written)} of {len(self.dataset.tokens)} scans predicted; not packed as a submission")
            return
        sequences = list(self.dataset.drives)
        count = validate_kitti(self.folder, self.dataset.root, sequences)
        archive = zip_kitti(self.folder, self.folder / "submission.zip", sequences)
        console.print(f"{archive}: labels of {count} scans", highlight=False, soft_wrap=True)
