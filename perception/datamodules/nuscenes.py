"""nuScenes-format data, real or from the procedural world, for training and evaluation."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from perception.datamodules.base import DrivingDataModule
from perception.datasets.nuscenes import NuScenesDataset
from perception.taxonomy import ROAD_SCENE


class NuScenesDataModule(DrivingDataModule):
    """Camera images of a nuScenes-format data set.

    Frames without dense labels train the heads whose targets they have.

    Args:
        root: folder of :class:`NuScenesDataset`.
        version: the tables' folder, such as ``v1.0-mini`` or ``v1.0-trainval``.
        train_split, val_split, test_split: names of splits; ``predict`` reads the test split.
        cameras: channels to read.
        sweeps: also train on images between keyframes; evaluation reads keyframes.
        size: ``[height, width]`` of training crops.
        options: of :class:`DrivingDataModule`.
    """

    label_set = ROAD_SCENE

    def __init__(
        self,
        root: str,
        version: str = "v1.0-mini",
        train_split: str = "train",
        val_split: str = "val",
        test_split: str = "val",
        cameras: list[str] | None = None,
        sweeps: bool = False,
        size: list[int] | None = None,
        **options: Any,
    ) -> None:
        super().__init__(size=size or [224, 400], **options)
        self.root = Path(root)
        self.version = version
        self.splits = {"train": train_split, "val": val_split, "test": test_split, "predict": test_split}
        self.cameras = tuple(cameras or ["CAM_FRONT"])
        self.sweeps = sweeps

    def build_dataset(self, stage: str) -> NuScenesDataset:
        sweeps = self.sweeps and stage == "train"
        return NuScenesDataset(
            self.root, self.version, self.splits[stage], self.cameras, sweeps, label_set=self.label_set.name
        )
