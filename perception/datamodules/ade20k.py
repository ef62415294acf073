"""ADE20K for training and evaluation."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from perception.datamodules.base import DrivingDataModule
from perception.datasets.ade20k import ADE20KDataset
from perception.taxonomy import ADE20K


class ADE20KDataModule(DrivingDataModule):
    """ADE20K, 150 classes; ``test`` and ``predict`` read the validation split.

    Args:
        root: folder of :class:`ADE20KDataset`.
        quarantine: as in :class:`perception.datamodules.CityscapesDataModule`.
        size: ``[height, width]`` of training crops.
        options: of :class:`DrivingDataModule`.
    """

    label_set = ADE20K

    def __init__(self, root: str, quarantine: str = "auto", size: list[int] | None = None, **options: Any) -> None:
        super().__init__(size=size or [512, 512], **options)
        self.root = Path(root)
        self.quarantine = quarantine

    def build_dataset(self, stage: str) -> ADE20KDataset:
        return ADE20KDataset(self.root, "train" if stage == "train" else "val", quarantine=self.quarantine)
