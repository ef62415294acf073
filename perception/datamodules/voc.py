"""PASCAL VOC 2012 for training and evaluation."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from perception.datamodules.base import DrivingDataModule
from perception.datasets.voc import VOCDataset
from perception.taxonomy import VOC


class VOCDataModule(DrivingDataModule):
    """PASCAL VOC 2012: 21 semantic classes, 20 box classes.

    Args:
        root: folder of :class:`VOCDataset`.
        train_split: ``train``, ``trainval``, or ``trainaug`` with the masks of SBD.
        val_split: also what ``test`` and ``predict`` read.
        task: ``segmentation`` or ``detection``.
        quarantine: as in :class:`perception.datamodules.CityscapesDataModule`.
        size: ``[height, width]`` of training crops.
        options: of :class:`DrivingDataModule`.
    """

    label_set = VOC

    def __init__(
        self,
        root: str,
        train_split: str = "train",
        val_split: str = "val",
        task: str = "segmentation",
        quarantine: str = "auto",
        size: list[int] | None = None,
        **options: Any,
    ) -> None:
        super().__init__(size=size or [512, 512], **options)
        self.root = Path(root)
        self.train_split, self.val_split = train_split, val_split
        self.task = task
        self.quarantine = quarantine

    def build_dataset(self, stage: str) -> VOCDataset:
        split = self.train_split if stage == "train" else self.val_split
        return VOCDataset(self.root, split, task=self.task, quarantine=self.quarantine)
