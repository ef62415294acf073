"""COCO for training and evaluation."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from perception.datamodules.base import DrivingDataModule
from perception.datasets.coco import COCODataset
from perception.taxonomy import COCO, COCO_STUFF


class COCODataModule(DrivingDataModule):
    """COCO: 80 box classes, and semantic masks of 133 panoptic classes or the 171 of COCO-Stuff.

    Args:
        root: folder of :class:`COCODataset`.
        train_split, val_split: names of the splits; ``test`` and ``predict`` read the validation split.
        semantic_from: ``panoptic``, ``stuff`` or ``none``.
        boxes: read boxes.
        segments: also read the panoptic segments in evaluation, for ``panoptic`` of the task's ``evaluation``.
        quarantine: as in :class:`perception.datamodules.CityscapesDataModule`.
        size: ``[height, width]`` of training crops.
        options: of :class:`DrivingDataModule`.
    """

    def __init__(
        self,
        root: str,
        train_split: str = "train2017",
        val_split: str = "val2017",
        semantic_from: str = "panoptic",
        boxes: bool = True,
        segments: bool = False,
        quarantine: str = "auto",
        size: list[int] | None = None,
        **options: Any,
    ) -> None:
        super().__init__(size=size or [512, 512], **options)
        self.root = Path(root)
        self.train_split, self.val_split = train_split, val_split
        self.semantic_from, self.boxes, self.segments = semantic_from, boxes, segments
        self.label_set = COCO_STUFF if semantic_from == "stuff" else COCO
        self.quarantine = quarantine

    def build_dataset(self, stage: str) -> COCODataset:
        split = self.train_split if stage == "train" else self.val_split
        return COCODataset(
            self.root,
            split,
            semantic_from=self.semantic_from,
            boxes=self.boxes,
            segments=self.segments and stage != "train",
            quarantine=self.quarantine,
        )
