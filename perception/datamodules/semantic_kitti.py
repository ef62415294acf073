"""SemanticKITTI for training and evaluation of networks that label points."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from perception.datamodules.lidar import PointDataModule
from perception.datasets.semantic_kitti import SemanticKittiDataset
from perception.taxonomy import SEMANTIC_KITTI
from perception.transforms.points_mixing import COPIED_KITTI


class SemanticKittiDataModule(PointDataModule):
    """SemanticKITTI's scans with their labels.

    Args:
        root: folder of :class:`SemanticKittiDataset`.
        test_split: ``val``, or ``test`` for a submission; ``predict`` reads it too.
        train_sequences, val_sequences, test_sequences: read these instead of the splits', such as ``["00", "04"]``.
        label_file: a ``semantic-kitti.yaml`` with another learning map than the official one.
        options: of :class:`PointDataModule`.
    """

    label_set = SEMANTIC_KITTI
    copied = SEMANTIC_KITTI.indices(COPIED_KITTI)

    def __init__(
        self,
        root: str,
        test_split: str = "val",
        train_sequences: list[str] | None = None,
        val_sequences: list[str] | None = None,
        test_sequences: list[str] | None = None,
        label_file: str | None = None,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        self.root, self.label_file = Path(root), label_file
        self.splits = {"train": "train", "val": "val", "test": test_split, "predict": test_split}
        self.sequences = {
            "train": train_sequences, "val": val_sequences, "test": test_sequences, "predict": test_sequences,
        }  # fmt: skip

    def build_dataset(self, stage: str) -> SemanticKittiDataset:
        return SemanticKittiDataset(self.root, self.splits[stage], self.sequences[stage], self.label_file)
