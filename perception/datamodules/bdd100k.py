"""BDD100K for training and evaluation."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from perception.datamodules.base import DrivingDataModule
from perception.datasets.bdd100k import LANES, BDD100KDataset
from perception.taxonomy import BDD100K


class BDD100KDataModule(DrivingDataModule):
    """BDD100K: boxes, drivable area and lanes of the 100k images, or semantic masks of the 10k images.

    Args:
        root: folder of :class:`BDD100KDataset`.
        images: ``100k`` or ``10k``.
        alternative: count alternative lanes as drivable.
        lanes: categories of markings that are ``lane``; by default all but crosswalks and road curbs.
        across: count markings that run across the lane, too.
        attributes: keep only frames whose attribute is one of these, such as ``{timeofday: [night]}``.
        test_split: split that ``test`` and ``predict`` read; the labels of ``test`` are not public.
        quarantine: as in :class:`perception.datamodules.CityscapesDataModule`.
        size: ``[height, width]`` of training crops.
        options: of :class:`DrivingDataModule`.
    """

    label_set = BDD100K

    def __init__(
        self,
        root: str,
        images: str = "100k",
        alternative: bool = True,
        lanes: list[str] | None = None,
        across: bool = True,
        attributes: dict[str, list[str]] | None = None,
        test_split: str = "val",
        quarantine: str = "auto",
        size: list[int] | None = None,
        **options: Any,
    ) -> None:
        super().__init__(size=size or [384, 640], **options)
        self.root = Path(root)
        self.splits = {"train": "train", "val": "val", "test": test_split, "predict": test_split}
        self.images = images
        self.alternative, self.across = alternative, across
        self.lanes = LANES if lanes is None else tuple(lanes)
        self.attributes = attributes
        self.quarantine = quarantine

    def build_dataset(self, stage: str) -> BDD100KDataset:
        return BDD100KDataset(
            self.root,
            self.splits[stage],
            images=self.images,
            alternative=self.alternative,
            lanes=self.lanes,
            across=self.across,
            attributes=self.attributes,
            quarantine=self.quarantine,
        )
