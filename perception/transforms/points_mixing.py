"""Training clouds made of two: sectors of one replaced by those of the other.

Papers: FRNet - arXiv 2312.04484 (FrustumMix, InstanceCopy); LaserMix - arXiv 2207.00026; PolarMix - arXiv 2208.00223.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch

from perception.errors import InputError
from perception.types import IGNORE_INDEX, PointCloud

Mix = Callable[[PointCloud, PointCloud], PointCloud]

STRIPS = (3, 4, 5, 6)
"""Numbers of strips to choose from."""
OUTERMOST = 0.01
"""Share of the points at either end of the range of inclination that the strips do not divide."""
COPIED = (
    "barrier", "bicycle", "bus", "car", "construction_vehicle", "motorcycle", "pedestrian", "traffic_cone", "trailer",
    "truck",
)  # fmt: skip
"""Classes of :data:`perception.taxonomy.LIDARSEG` that FRNet copies: all that are objects."""
COPIED_KITTI = (
    "bicycle", "motorcycle", "truck", "other-vehicle", "person", "bicyclist", "motorcyclist", "other-ground", "trunk",
    "pole", "traffic-sign",
)  # fmt: skip
"""Classes of :data:`perception.taxonomy.SEMANTIC_KITTI` that FRNet copies: those that are rare or thin."""


def azimuth(cloud: PointCloud) -> np.ndarray:
    """``(N,)`` radians in -pi..pi."""
    return np.arctan2(cloud.points[:, 1], cloud.points[:, 0])


def inclination(cloud: PointCloud) -> np.ndarray:
    """``(N,)`` radians above the sensor's horizon."""
    return np.arctan2(cloud.points[:, 2], np.hypot(cloud.points[:, 0], cloud.points[:, 1]))


def joined(cloud: PointCloud, other: PointCloud) -> PointCloud:
    """Both clouds' points; those of ``other`` are seen by no camera and belong to no row of the file.

    Where only one of them has labels or instances, the other's points count as unlabelled. Objects of ``other`` get
    numbers above those of ``cloud``.
    """
    count = len(other)
    points = np.concatenate([cloud.points, other.points])
    values: dict[str, Any] = {"rows": np.concatenate([cloud.rows, np.full(count, -1)])}
    for name, missing in (("labels", IGNORE_INDEX), ("instances", 0)):
        both = [getattr(cloud, name), getattr(other, name)]
        if any(value is not None for value in both):
            filled = [
                np.full(len(part), missing) if value is None else value
                for part, value in zip((cloud, other), both, strict=True)
            ]
            if name == "instances" and len(filled[0]):
                filled[1] = np.where(filled[1] > 0, filled[1] + filled[0].max(), 0)
            values[name] = np.concatenate(filled).astype(np.int64)
    if cloud.view is not None:
        values["view"] = np.concatenate([cloud.view, np.full(count, -1)])
    if cloud.pixel is not None:
        values["pixel"] = np.concatenate([cloud.pixel, np.zeros((count, 2), np.float32)])
    return replace(cloud, points=points, **values)


def swapped_strips(cloud: PointCloud, other: PointCloud) -> PointCloud:
    """Every second of a random number of equal strips of inclination from the other cloud, from a random first one.

    The strips divide the range of inclination that both clouds cover but for its outermost share, which holds what
    no sensor was built to see, such as hits on the vehicle itself; those points belong to the first and last strip.
    """
    own, theirs = inclination(cloud), inclination(other)
    every = np.concatenate([own, theirs])
    if not len(every):
        return cloud
    low, high = np.quantile(every, [OUTERMOST, 1 - OUTERMOST])
    strips = STRIPS[int(torch.randint(len(STRIPS), ()))]
    first = int(torch.randint(2, ()))

    def parity(values: np.ndarray) -> np.ndarray:
        share = (values - low) / max(high - low, 1e-9)
        return (np.clip(np.floor(share * strips), 0, strips - 1).astype(np.int64) + first) % 2

    return joined(cloud[parity(own) == 0], other[parity(theirs) == 1])


def swapped_half(cloud: PointCloud, other: PointCloud) -> PointCloud:
    """A half turn of azimuth, from a random direction on, from the other cloud."""
    start = 2 * math.pi * float(torch.rand(()))
    own, theirs = (np.mod(azimuth(part) - start, 2 * math.pi) < math.pi for part in (cloud, other))
    return joined(cloud[~own], other[theirs])


def frustum_mix(cloud: PointCloud, other: PointCloud) -> PointCloud:
    """Strips of inclination or a half turn of azimuth (FRNet)."""
    return swapped_strips(cloud, other) if float(torch.rand(())) < 0.5 else swapped_half(cloud, other)


def laser_mix(cloud: PointCloud, other: PointCloud) -> PointCloud:
    """Strips of inclination (LaserMix)."""
    return swapped_strips(cloud, other)


def polar_mix(cloud: PointCloud, other: PointCloud, classes: Sequence[int]) -> PointCloud:
    """A half turn of azimuth from the other cloud, and its objects pasted at three turns (PolarMix)."""
    mixed = swapped_half(cloud, other)
    if other.labels is None or not classes:
        return mixed
    objects = other[np.isin(other.labels, classes)]
    for third in range(3):
        turn = 2 * math.pi * (third + float(torch.rand(()))) / 3
        sine, cosine = math.sin(turn), math.cos(turn)
        points = objects.points.copy()
        points[:, :2] = points[:, :2] @ np.array([[cosine, sine], [-sine, cosine]], np.float32)
        mixed = joined(mixed, replace(objects, points=points))
    return mixed


def instance_copy(cloud: PointCloud, other: PointCloud, classes: Sequence[int]) -> PointCloud:
    """The other cloud's points of some classes, where they are (InstanceCopy)."""
    if other.labels is None:
        return cloud
    return joined(cloud, other[np.isin(other.labels, classes)])


@dataclass(frozen=True)
class RandomMix:
    """Applies each kind of mixing with its own probability, one after the other.

    Args:
        probabilities: of ``frustum_mix``, ``polar_mix``, ``laser_mix`` and ``instance_copy``.
        classes: indices of the classes whose points are copied as objects.
    """

    probabilities: tuple[float, float, float, float]
    classes: tuple[int, ...]

    def __call__(self, cloud: PointCloud, other: PointCloud) -> PointCloud:
        frustum, polar, laser, copy = (float(torch.rand(())) < chance for chance in self.probabilities)
        if frustum:
            cloud = frustum_mix(cloud, other)
        if polar:
            cloud = polar_mix(cloud, other, self.classes)
        if laser:
            cloud = laser_mix(cloud, other)
        if copy:
            cloud = instance_copy(cloud, other, self.classes)
        return cloud


def mix_transform(
    frustum_mix: float = 0.0,
    polar_mix: float = 0.0,
    laser_mix: float = 0.0,
    instance_copy: float = 0.0,
    classes: Sequence[int] = (),
) -> RandomMix | None:
    """Mixing with the given probabilities; ``None`` where all are 0.

    Args:
        classes: indices of the classes whose points are copied as objects.

    Raises:
        InputError: for a value that is not a probability.
    """
    chances = (frustum_mix, polar_mix, laser_mix, instance_copy)
    for name, chance in zip(("frustum_mix", "polar_mix", "laser_mix", "instance_copy"), chances, strict=True):
        if not 0 <= chance <= 1:
            raise InputError(f"{name} {chance:g} is not a probability; use 0..1")
    return RandomMix(chances, tuple(classes)) if any(chances) else None
