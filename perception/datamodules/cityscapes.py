"""Cityscapes for training and evaluation."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from perception.datamodules.base import DrivingDataModule
from perception.datasets.cityscapes import CityscapesDataset
from perception.taxonomy import CITYSCAPES


class CityscapesDataModule(DrivingDataModule):
    """Cityscapes, 19 classes.

    Args:
        root: folder of :class:`CityscapesDataset`.
        train_split: ``train``, or ``train_extra`` with ``labels: coarse``.
        labels: ``fine`` or ``coarse``, of the training images; validation is on fine labels.
        cities: keep only these in training.
        segments: also read the panoptic segments in evaluation, for ``panoptic`` of the task's ``evaluation``.
        test_split: split that ``test`` and ``predict`` read; the labels of ``test`` are not public.
        quarantine: ``auto`` leaves out what ``quarantine.json`` of the data folder lists, as ``perception check``
            writes it; a path names another list; ``off`` leaves nothing out.
        size: ``[height, width]`` of training crops.
        options: of :class:`DrivingDataModule`.
    """

    label_set = CITYSCAPES

    def __init__(
        self,
        root: str,
        train_split: str = "train",
        labels: str = "fine",
        cities: list[str] | None = None,
        segments: bool = False,
        test_split: str = "val",
        quarantine: str = "auto",
        size: list[int] | None = None,
        **options: Any,
    ) -> None:
        super().__init__(size=size or [512, 1024], **options)
        self.root = Path(root)
        self.splits = {"train": train_split, "val": "val", "test": test_split, "predict": test_split}
        self.labels = labels
        self.cities = cities
        self.segments = segments
        self.quarantine = quarantine

    def build_dataset(self, stage: str) -> CityscapesDataset:
        train = stage == "train"
        split = self.splits[stage]
        labels = self.labels if train else "none" if split == "test" else "fine"
        cities = self.cities if train else None
        return CityscapesDataset(
            self.root,
            split,
            cities=cities,
            labels=labels,
            segments=self.segments and not train,
            quarantine=self.quarantine,
        )
