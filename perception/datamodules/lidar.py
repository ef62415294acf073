"""LiDAR sweeps for training and evaluation of networks that label points."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import torch
from torch.utils.data import DataLoader, Dataset

from perception.datamodules.collate_points import collate_points
from perception.datamodules.loading import STAGES, LoadingDataModule
from perception.datasets.nuscenes_lidarseg import NuScenesLidarDataset
from perception.errors import InputError
from perception.taxonomy import LIDARSEG, LabelSet
from perception.transforms.points import Compose, PointTransform, train_points_transform
from perception.transforms.points_interpolation import RangeInterpolation
from perception.transforms.points_mixing import COPIED, mix_transform
from perception.types import PointBatch, PointCloud


class ReadableClouds(Protocol):
    """A data set that can hand out clouds before their transform."""

    def __len__(self) -> int: ...
    def read(self, index: int) -> PointCloud: ...


class AugmentedClouds(Dataset[PointCloud]):
    """A data set with augmentation, mixing with a second random cloud, and a cache of what was read.

    Args:
        dataset: hands out clouds.
        transform: applied to each cloud before mixing.
        mix: joins a cloud with another one; ``None`` mixes nothing.
        cache: keep clouds in memory; each loader worker holds its own copy of what it has read.
    """

    def __init__(
        self,
        dataset: ReadableClouds,
        transform: Callable[[PointCloud], PointCloud] | None = None,
        mix: Callable[[PointCloud, PointCloud], PointCloud] | None = None,
        cache: bool = False,
    ) -> None:
        self.dataset = dataset
        self.transform = transform
        self.mix = mix
        self.cache: dict[int, PointCloud] | None = {} if cache else None

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, index: int) -> PointCloud:
        cloud = self._cloud(index)
        if self.mix is not None:
            other = int(torch.randint(len(self.dataset), ()).item())
            cloud = self.mix(cloud, self._cloud(other))
        return cloud

    def _cloud(self, index: int) -> PointCloud:
        if self.cache is None:
            cloud = self.dataset.read(index)
        else:
            if index not in self.cache:
                self.cache[index] = self.dataset.read(index)
            cloud = self.cache[index]
        return self.transform(cloud) if self.transform is not None else cloud


class PointDataModule(LoadingDataModule):
    """Base of the data modules of point clouds: subclasses say which data set each split reads.

    Evaluation takes every point as it was measured.

    Args:
        range_interpolation: fills gaps of the range image, in evaluation too, where the new points count for nothing.
        flip: probability of mirroring at each horizontal axis.
        rotation_deg: largest rotation about the vertical axis, either way.
        scale: range of the random scale.
        jitter_m: standard deviation of noise on the coordinates.
        max_points: training clouds with more points lose random ones.
        frustum_mix, polar_mix, laser_mix, instance_copy: probabilities of mixing with another cloud.
        neighbours: nearest points to look up for each point, for networks that embed neighbourhoods; 0 for none.
        batch_size, eval_batch_size: clouds a step.
        num_workers: loader processes.
        cache: keep training clouds in memory.
    """

    label_set: LabelSet
    copied: tuple[int, ...]
    """Classes whose points are copied as objects when clouds are mixed."""

    def __init__(
        self,
        range_interpolation: RangeInterpolation | None = None,
        flip: float = 0.5,
        rotation_deg: float = 180.0,
        scale: tuple[float, float] = (0.95, 1.05),
        jitter_m: float = 0.0,
        max_points: int | None = None,
        frustum_mix: float = 0.0,
        polar_mix: float = 0.0,
        laser_mix: float = 0.0,
        instance_copy: float = 0.0,
        neighbours: int = 0,
        batch_size: int = 4,
        eval_batch_size: int = 1,
        num_workers: int = 2,
        cache: bool = False,
    ) -> None:
        super().__init__(batch_size, eval_batch_size, num_workers)
        if neighbours < 0:
            raise InputError(f"neighbours must not be negative, got {neighbours}")
        self.cache, self.neighbours = cache, neighbours
        self.interpolation = range_interpolation
        self.transform: PointTransform = train_points_transform(flip, rotation_deg, scale, jitter_m, max_points)
        if range_interpolation is not None:
            self.transform = Compose([range_interpolation, self.transform])
        self.mix = mix_transform(frustum_mix, polar_mix, laser_mix, instance_copy, self.copied)
        self.datasets: dict[str, AugmentedClouds] = {}

    @abstractmethod
    def build_dataset(self, stage: str) -> ReadableClouds:
        """The data set of ``train``, ``val``, ``test`` or ``predict``."""

    def setup(self, stage: str) -> None:
        for name in STAGES.get(stage, (stage,)):
            if name in self.datasets:
                continue
            dataset = self.build_dataset(name)
            if name == "train":
                self.datasets[name] = AugmentedClouds(dataset, self.transform, self.mix, self.cache)
            else:
                unlabelled = None if self.interpolation is None else replace(self.interpolation, labelled=False)
                self.datasets[name] = AugmentedClouds(dataset, unlabelled)

    def split_loader(self, stage: str) -> DataLoader[PointBatch]:
        train, dataset = stage == "train", self.datasets[stage]
        if train and len(dataset) < self.batch_size:
            raise InputError(f"{len(dataset)} training clouds are fewer than batch_size {self.batch_size}")
        return self.loader(dataset, train, partial(collate_points, neighbours=self.neighbours))


class LidarSegDataModule(PointDataModule):
    """LiDAR sweeps of a nuScenes-format data set with their lidarseg labels.

    Args:
        root: folder of :class:`NuScenesLidarDataset`.
        version: the tables' folder, such as ``v1.0-mini`` or ``v1.0-trainval``.
        train_split, val_split, test_split: names of splits; ``predict`` reads the test split.
        split_file: YAML or JSON file that maps names of splits to lists of scene names.
        sweeps: how many sweeps a cloud is made of.
        quarantine: ``auto``, ``off`` or a path, see :class:`perception.datamodules.NuScenesDataModule`.
        options: of :class:`PointDataModule`.
    """

    label_set = LIDARSEG
    copied = LIDARSEG.indices(COPIED)

    def __init__(
        self,
        root: str,
        version: str = "v1.0-mini",
        train_split: str = "train",
        val_split: str = "val",
        test_split: str = "val",
        split_file: str | None = None,
        sweeps: int = 1,
        quarantine: str = "auto",
        **options: Any,
    ) -> None:
        super().__init__(**options)
        self.root = Path(root)
        self.version = version
        self.splits = {"train": train_split, "val": val_split, "test": test_split, "predict": test_split}
        self.split_file, self.sweeps, self.quarantine = split_file, sweeps, quarantine

    def build_dataset(self, stage: str) -> NuScenesLidarDataset:
        return NuScenesLidarDataset(
            self.root, self.version, self.splits[stage], self.sweeps,
            split_file=self.split_file, quarantine=self.quarantine,
        )  # fmt: skip
