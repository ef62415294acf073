"""nuScenes-format data, real or from the procedural world, for training and evaluation."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from torch.utils.data import Dataset

from perception.datamodules.base import DrivingDataModule
from perception.datamodules.paired import PairedDataset, PointOptions, collate_pairs
from perception.datasets.nuscenes import NuScenesDataset
from perception.datasets.nuscenes_labels import LabelSources
from perception.datasets.nuscenes_lidarseg import NuScenesLidarDataset
from perception.datasets.nuscenes_map_labels import MapOptions
from perception.datasets.nuscenes_sync import group_frames
from perception.datasets.nuscenes_tables import Frame
from perception.errors import InputError
from perception.taxonomy import LIDARSEG, ROAD_SCENE
from perception.types import Batch


class NuScenesDataModule(DrivingDataModule):
    """Camera images of a nuScenes-format data set.

    Frames without dense labels train the heads whose targets they have.

    Args:
        root: folder of :class:`NuScenesDataset`.
        version: the tables' folder, such as ``v1.0-mini`` or ``v1.0-trainval``.
        train_split, val_split, test_split: names of splits; ``predict`` reads the test split.
        split_file: YAML or JSON file that maps names of splits to lists of scene names, before ``splits.json`` and
            the official splits.
        cameras: channels to read.
        sweeps: also train on images between keyframes; evaluation reads keyframes.
        group_cameras: yield the images of all cameras of a sample together; ``batch_size`` then counts samples. See
            ``views`` of :class:`perception.types.Batch`. Samples that lack a camera are left out.
        tolerance_us: sweeps of different cameras that are further apart in time do not go together.
        semantic_from: ``auto``, ``dense``, ``lidarseg`` or ``none``.
        drivable_from, lane_from: ``auto``, ``semantic``, ``map`` or ``none``.
        crossing_from: ``auto``, ``map`` or ``none``.
        splat_px: side of the square of pixels that a LiDAR label covers.
        map_options: how the map is laid over an image.
        lidar: also yield the LiDAR cloud of each keyframe, in ``lidar`` of the batch; ``{}`` takes the defaults of
            :class:`perception.datamodules.paired.PointOptions`. Images between keyframes are left out then.
        quarantine: ``auto`` leaves out what ``quarantine.json`` of the data folder lists, as ``perception check``
            writes it; a path names another list; ``off`` leaves nothing out.
        size: ``[height, width]`` of training crops.
        min_visibility: training leaves out boxes of objects of which a smaller share is visible. What little shows of
            an object that others hide often says nothing of its extent.
        options: of :class:`DrivingDataModule`.
    """

    label_set = ROAD_SCENE
    lidar_label_set = LIDARSEG

    def __init__(
        self,
        root: str,
        version: str = "v1.0-mini",
        train_split: str = "train",
        val_split: str = "val",
        test_split: str = "val",
        split_file: str | None = None,
        cameras: list[str] | None = None,
        sweeps: bool = False,
        group_cameras: bool = False,
        tolerance_us: int = 50_000,
        semantic_from: str = "auto",
        drivable_from: str = "auto",
        lane_from: str = "auto",
        crossing_from: str = "none",
        splat_px: int = 1,
        map_options: MapOptions | None = None,
        lidar: PointOptions | None = None,
        quarantine: str = "auto",
        size: list[int] | None = None,
        min_visibility: float = 0.0,
        **options: Any,
    ) -> None:
        super().__init__(size=size or [224, 400], **options)
        self.root = Path(root)
        self.version = version
        self.splits = {"train": train_split, "val": val_split, "test": test_split, "predict": test_split}
        self.cameras = tuple(cameras or ["CAM_FRONT"])
        self.sweeps = sweeps
        self.split_file = split_file
        self.group_cameras = group_cameras
        self.tolerance_us = tolerance_us
        self.lidar = lidar
        self.quarantine = quarantine
        self.min_visibility = min_visibility
        if lidar is not None and sweeps:
            raise InputError("sweeps have images without LiDAR labels; leave out sweeps or lidar")
        self.sources = LabelSources(
            semantic_from, drivable_from, lane_from, crossing_from, splat_px, map_options or MapOptions()
        )

    def build_dataset(self, stage: str) -> NuScenesDataset:
        return NuScenesDataset(
            self.root,
            self.version,
            self.splits[stage],
            self.cameras,
            sweeps=self.sweeps and stage == "train",
            label_set=self.label_set.name,
            sources=self.sources,
            split_file=self.split_file,
            quarantine=self.quarantine,
            min_visibility=self.min_visibility if stage == "train" else 0.0,
        )

    def items(self, stage: str) -> tuple[Dataset[Any], Callable[[Any], Batch]]:
        if self.lidar is None:
            return super().items(stage)
        groups = self.groups(stage)
        assert groups is not None
        frames = self._frames(stage)
        clouds = NuScenesLidarDataset(
            self.root, self.version, self.splits[stage], self.lidar.sweeps,
            split_file=self.split_file, quarantine=self.quarantine,
        )  # fmt: skip
        paired = PairedDataset(
            self.datasets[stage],
            groups,
            clouds,
            [frames[group[0]].sample_token for group in groups],
            self.lidar.transform() if stage == "train" else None,
        )
        return paired, partial(collate_pairs, neighbours=self.lidar.neighbours)

    def _frames(self, stage: str) -> list[Frame]:
        dataset = self.datasets[stage].dataset
        assert isinstance(dataset, NuScenesDataset)
        return dataset.frames

    def groups(self, stage: str) -> list[list[int]] | None:
        if not self.group_cameras:
            if self.lidar is None:
                return None
            return [[i] for i, frame in enumerate(self._frames(stage)) if frame.is_keyframe]
        groups = group_frames(self._frames(stage), self.cameras, self.tolerance_us)
        if not groups:
            raise InputError(
                f"no sample of split {self.splits[stage]!r} has all of the cameras {', '.join(self.cameras)} within "
                f"{self.tolerance_us / 1000:g} ms; name fewer cameras or raise tolerance_us"
            )
        return groups
