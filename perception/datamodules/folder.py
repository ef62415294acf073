"""Folders of images and masks for training and evaluation."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from perception.datamodules.base import DrivingDataModule
from perception.datasets.folder import FolderDataset
from perception.taxonomies.reading import read_label_set


class FolderDataModule(DrivingDataModule):
    """Images and masks of your own. The task's ``label_set`` is the path of the same class list.

    Args:
        root: folder of :class:`FolderDataset`.
        classes: path of the class list, relative to ``root`` or absolute.
        images, masks, mask_name: patterns, see :class:`FolderDataset`.
        ignored: colours of masks that no class has and that may occur.
        train_split, val_split, test_split: put in the place of ``{split}``; ``predict`` reads the test split.
        quarantine: as in :class:`perception.datamodules.CityscapesDataModule`.
        size: ``[height, width]`` of training crops.
        options: of :class:`DrivingDataModule`.
    """

    def __init__(
        self,
        root: str,
        classes: str = "classes.yaml",
        images: str = "images/{split}",
        masks: str = "masks/{split}",
        mask_name: str = "{stem}.png",
        ignored: list[list[int]] | None = None,
        train_split: str = "train",
        val_split: str = "val",
        test_split: str = "val",
        quarantine: str = "auto",
        size: list[int] | None = None,
        **options: Any,
    ) -> None:
        super().__init__(size=size or [256, 256], **options)
        self.root = Path(root)
        self.classes = classes
        self.images, self.masks, self.mask_name = images, masks, mask_name
        self.ignored = [[0, 0, 0], [255, 255, 255]] if ignored is None else ignored
        self.splits = {"train": train_split, "val": val_split, "test": test_split, "predict": test_split}
        self.quarantine = quarantine

    def setup(self, stage: str) -> None:
        self.label_set = read_label_set(self.root / self.classes)
        super().setup(stage)

    def build_dataset(self, stage: str) -> FolderDataset:
        return FolderDataset(
            self.root,
            self.splits[stage],
            classes=self.classes,
            images=self.images,
            masks=self.masks,
            mask_name=self.mask_name,
            ignored=self.ignored,
            quarantine=self.quarantine,
        )
