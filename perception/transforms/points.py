"""Geometric augmentation of point clouds, one class for each; all leave their input unchanged.

Randomness comes from torch's generator, so that seeded data-loader workers are reproducible.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch

from perception.errors import InputError
from perception.types import PointCloud

PointTransform = Callable[[PointCloud], PointCloud]


def uniform(low: float, high: float) -> float:
    """A random number of torch's generator."""
    return low + (high - low) * float(torch.rand(()))


def moved(cloud: PointCloud, matrix: np.ndarray) -> PointCloud:
    """The cloud with its coordinates multiplied by a ``(3, 3)`` matrix."""
    points = cloud.points.copy()
    points[:, :3] = points[:, :3] @ matrix.T.astype(np.float32)
    return replace(cloud, points=points)


@dataclass(frozen=True)
class Flip:
    """Mirrors x, y, or both, each with a probability."""

    probability: float = 0.5

    def __call__(self, cloud: PointCloud) -> PointCloud:
        signs = [-1.0 if float(torch.rand(())) < self.probability else 1.0 for _ in range(2)]
        return moved(cloud, np.diag([*signs, 1.0]))


@dataclass(frozen=True)
class Rotate:
    """Turns about the vertical axis by up to ``largest_deg`` either way."""

    largest_deg: float = 180.0

    def __call__(self, cloud: PointCloud) -> PointCloud:
        angle = math.radians(uniform(-self.largest_deg, self.largest_deg))
        sine, cosine = math.sin(angle), math.cos(angle)
        return moved(cloud, np.array([[cosine, -sine, 0], [sine, cosine, 0], [0, 0, 1]]))


@dataclass(frozen=True)
class Scale:
    """Scales all coordinates by one random factor."""

    low: float = 0.95
    high: float = 1.05

    def __call__(self, cloud: PointCloud) -> PointCloud:
        return moved(cloud, uniform(self.low, self.high) * np.eye(3))


@dataclass(frozen=True)
class Jitter:
    """Adds Gaussian noise to every coordinate, cut off at three standard deviations."""

    deviation_m: float

    def __call__(self, cloud: PointCloud) -> PointCloud:
        noise = torch.randn(len(cloud), 3).clamp(-3, 3).numpy() * self.deviation_m
        points = cloud.points.copy()
        points[:, :3] += noise.astype(np.float32)
        return replace(cloud, points=points)


@dataclass(frozen=True)
class MaxPoints:
    """Keeps a random ``count`` of the points, in their order, where there are more."""

    count: int

    def __call__(self, cloud: PointCloud) -> PointCloud:
        if len(cloud) <= self.count:
            return cloud
        chosen = torch.randperm(len(cloud))[: self.count].sort().values
        return cloud[chosen.numpy()]


@dataclass(frozen=True)
class Compose:
    """Transforms one after the other."""

    transforms: Sequence[PointTransform]

    def __call__(self, cloud: PointCloud) -> PointCloud:
        for transform in self.transforms:
            cloud = transform(cloud)
        return cloud


def train_points_transform(
    flip: float = 0.5,
    rotation_deg: float = 180.0,
    scale: Sequence[float] = (0.95, 1.05),
    jitter_m: float = 0.0,
    max_points: int | None = None,
) -> Compose:
    """The usual augmentation of a training cloud.

    Args:
        flip: probability of mirroring at each horizontal axis.
        rotation_deg: largest rotation about the vertical axis, either way.
        scale: least and largest factor.
        jitter_m: standard deviation of noise on the coordinates.
        max_points: larger clouds lose random points.

    Raises:
        InputError: for a value outside of its range.
    """
    if not 0 <= flip <= 1:
        raise InputError(f"flip {flip:g} is not a probability; use 0..1")
    if not 0 <= rotation_deg <= 180:
        raise InputError(f"rotation_deg {rotation_deg:g} is outside 0..180")
    if len(scale) != 2 or not 0 < scale[0] <= scale[1] < math.inf:
        raise InputError(f"scale {list(scale)} must be a least and a largest factor above 0")
    if not 0 <= jitter_m < math.inf:
        raise InputError(f"jitter_m {jitter_m:g} must be a number of metres, 0 or more")
    if max_points is not None and max_points < 1:
        raise InputError(f"max_points {max_points} must be at least 1")
    transforms: list[PointTransform] = [Flip(flip), Rotate(rotation_deg), Scale(scale[0], scale[1])]
    if jitter_m:
        transforms.append(Jitter(jitter_m))
    if max_points is not None:
        transforms.append(MaxPoints(max_points))
    return Compose(transforms)
