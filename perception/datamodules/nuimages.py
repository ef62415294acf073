"""nuImages for training and evaluation."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from perception.datamodules.base import DrivingDataModule
from perception.datasets.nuimages import NuImagesDataset
from perception.taxonomy import ROAD_SCENE


class NuImagesDataModule(DrivingDataModule):
    """Annotated keyframes of nuImages: objects and drivable surface.

    Args:
        root: folder of :class:`NuImagesDataset`.
        train_version, val_version, test_version: folders of the tables, which are the official splits; ``predict``
            reads the test version. Where training and validation name the same version, such as ``v1.0-mini``, every
            fifth log of it is held out for validation.
        cameras: channels to read; all by default.
        quarantine: as in :class:`perception.datamodules.NuScenesDataModule`.
        size: ``[height, width]`` of training crops.
        options: of :class:`DrivingDataModule`.
    """

    label_set = ROAD_SCENE

    def __init__(
        self,
        root: str,
        train_version: str = "v1.0-train",
        val_version: str = "v1.0-val",
        test_version: str = "v1.0-val",
        cameras: list[str] | None = None,
        quarantine: str = "auto",
        size: list[int] | None = None,
        **options: Any,
    ) -> None:
        super().__init__(size=size or [224, 400], **options)
        self.root = Path(root)
        self.versions = {"train": train_version, "val": val_version, "test": test_version, "predict": test_version}
        self.cameras = cameras
        self.quarantine = quarantine

    def build_dataset(self, stage: str) -> NuImagesDataset:
        version, shared = self.versions[stage], self.versions["val"]
        split = "all"
        if self.versions["train"] == shared == version:
            split = "train" if stage == "train" else "val"
        return NuImagesDataset(
            self.root, version, split, self.cameras, label_set=self.label_set.name, quarantine=self.quarantine
        )
