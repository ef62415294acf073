"""Camera images together with the LiDAR cloud of their keyframe."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch
from torch.utils.data import Dataset

from perception.datamodules.base import TransformedDataset
from perception.datamodules.collate import collate_groups
from perception.datamodules.collate_points import collate_points
from perception.datasets.nuscenes_lidarseg import NuScenesLidarDataset
from perception.errors import InputError
from perception.geometry.pairing import choose_views, points_in_image
from perception.transforms.points import Compose, train_points_transform
from perception.types import Batch, PointCloud, Sample

Pair = tuple[list[Sample], PointCloud]


@dataclass(frozen=True)
class PointOptions:
    """How the LiDAR cloud of a keyframe is read beside its images. Points keep the pixels that show them.

    Args:
        sweeps: how many sweeps a cloud is made of.
        flip: probability of mirroring at each horizontal axis, in training, as all that follows.
        rotation_deg: largest rotation about the vertical axis, either way.
        scale: range of the random scale.
        jitter_m: standard deviation of noise on the coordinates.
        max_points: clouds with more points lose random ones.
        neighbours: nearest points to look up for each point, for networks that embed neighbourhoods; 0 for none.
    """

    sweeps: int = 1
    flip: float = 0.5
    rotation_deg: float = 180.0
    scale: tuple[float, float] = (0.95, 1.05)
    jitter_m: float = 0.0
    max_points: int | None = None
    neighbours: int = 0

    def __post_init__(self) -> None:
        if self.neighbours < 0:
            raise InputError(f"neighbours must not be negative, got {self.neighbours}")
        self.transform()

    def transform(self) -> Compose:
        return train_points_transform(self.flip, self.rotation_deg, self.scale, self.jitter_m, self.max_points)


class PairedDataset(Dataset[Pair]):
    """The views of each group, and the cloud of their keyframe with the pixel that shows each point.

    Args:
        views: images of keyframes.
        groups: indices into it, one list a keyframe.
        clouds: of the same keyframes.
        transform: applied to each cloud after it was laid over the images.
    """

    def __init__(
        self,
        views: TransformedDataset,
        groups: Sequence[Sequence[int]],
        clouds: NuScenesLidarDataset,
        sample_tokens: Sequence[str],
        transform: Callable[[PointCloud], PointCloud] | None = None,
    ) -> None:
        self.views, self.clouds, self.transform = views, clouds, transform
        places = clouds.places()
        self.items = [
            (list(group), places[token]) for group, token in zip(groups, sample_tokens, strict=True) if token in places
        ]

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, index: int) -> Pair:
        group, place = self.items[index]
        cloud = self.clouds.read(place)
        samples = [self._view(i, cloud) for i in group]
        pixels = [sample.points_px for sample in samples if sample.points_px is not None]
        sizes = [(int(sample.image.shape[-2]), int(sample.image.shape[-1])) for sample in samples]
        view, pixel = choose_views(pixels, sizes, len(cloud))
        cloud = replace(cloud, view=view, pixel=pixel)
        return samples, cloud if self.transform is None else self.transform(cloud)

    def _view(self, index: int, cloud: PointCloud) -> Sample:
        sample = self.views.read(index)
        assert sample.camera is not None
        assert sample.global_from_ego is not None
        points_px = points_in_image(cloud, sample.camera, sample.global_from_ego)
        return self.views.transform(replace(sample, points_px=points_px))


def collate_pairs(pairs: Sequence[Pair], neighbours: int = 0) -> Batch:
    """Batch of the views of several samples and, in ``lidar``, of their clouds; see :func:`collate_groups`."""
    batch = collate_groups([samples for samples, _ in pairs])
    lidar = collate_points([cloud for _, cloud in pairs], neighbours)
    assert lidar.image is not None
    first = lidar.cloud * batch.views
    lidar.image = torch.where(lidar.image < 0, lidar.image, lidar.image + first)
    batch.lidar = lidar
    return batch
