"""CamVid for training and evaluation."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from perception.datamodules.base import DrivingDataModule
from perception.datasets.camvid import CamVidDataset
from perception.taxonomy import CAMVID


class CamVidDataModule(DrivingDataModule):
    """CamVid, 11 classes.

    The published val split is a second away from training frames of the same drive, so it flatters. With
    ``hold_out`` a whole drive is kept out of training and takes the place of val, which is how to tune.

    Args:
        root: folder of :class:`CamVidDataset`.
        hold_out: prefix of a training sequence to validate on, such as ``0006R0``.
        test_split: split that ``test`` and ``predict`` read.
        quarantine: ``auto`` leaves out what ``quarantine.json`` of the data folder lists, as ``perception check``
            writes it; a path names another list; ``off`` leaves nothing out.
        options: of :class:`DrivingDataModule`.
    """

    label_set = CAMVID

    def __init__(
        self,
        root: str,
        hold_out: str | None = None,
        test_split: str = "val",
        quarantine: str = "auto",
        size: list[int] | None = None,
        **options: Any,
    ) -> None:
        super().__init__(size=size or [240, 320], **options)
        self.root = Path(root)
        self.hold_out = hold_out
        self.test_split = test_split
        self.quarantine = quarantine

    def build_dataset(self, stage: str) -> CamVidDataset:
        held = [self.hold_out] if self.hold_out else None
        if stage == "train":
            return CamVidDataset(self.root, "train", exclude=held, quarantine=self.quarantine)
        if stage == "val" and held:
            return CamVidDataset(self.root, "train", sequences=held, quarantine=self.quarantine)
        return CamVidDataset(self.root, "val" if stage == "val" else self.test_split, quarantine=self.quarantine)
