"""2D boxes to 3D boxes: a weak but honest baseline for models that see boxes in images only.

The direction comes from the middle of the 2D box, the distance from LiDAR points in it, else from the ground under it.
Size and attribute are those of the class in the training annotations. What one image does not show is a choice: the
object heads as the ego does, and stands still.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from perception.geometry.camera import rays
from perception.geometry.distance import estimate_distances
from perception.submissions.detection import DetectedBox
from perception.taxonomy import NUSCENES_DETECTION, NUSCENES_TO_DETECTION
from perception.types import Boxes, Camera


@dataclass(frozen=True)
class ClassPrior:
    """What is typical of a class: ``(length, width, height)`` in metres, and its attribute, "" for none."""

    size: tuple[float, float, float]
    attribute: str


COMMON = {
    "car": ClassPrior((4.6, 1.9, 1.7), "vehicle.parked"),
    "truck": ClassPrior((6.9, 2.5, 2.8), "vehicle.parked"),
    "bus": ClassPrior((11.0, 2.9, 3.5), "vehicle.moving"),
    "trailer": ClassPrior((12.0, 2.9, 3.9), "vehicle.parked"),
    "construction_vehicle": ClassPrior((6.4, 2.8, 3.2), "vehicle.parked"),
    "pedestrian": ClassPrior((0.7, 0.7, 1.8), "pedestrian.moving"),
    "motorcycle": ClassPrior((2.1, 0.8, 1.5), "cycle.without_rider"),
    "bicycle": ClassPrior((1.7, 0.6, 1.3), "cycle.without_rider"),
    "traffic_cone": ClassPrior((0.4, 0.4, 1.1), ""),
    "barrier": ClassPrior((0.5, 2.5, 1.0), ""),
}
"""For classes that the training annotations lack."""


def class_priors(tables: Any, scenes: Sequence[str]) -> dict[str, ClassPrior]:
    """Mean size and most common attribute of each class in the annotations of some scenes.

    Args:
        tables: the devkit's ``NuScenes``; ``scenes``: names, of the training split.
    """
    tokens = {scene["token"] for scene in tables.scene if scene["name"] in set(scenes)}
    samples = {sample["token"] for sample in tables.sample if sample["scene_token"] in tokens}
    names = {row["token"]: row["name"] for row in tables.attribute}
    sizes: dict[str, list[list[float]]] = defaultdict(list)
    attributes: dict[str, Counter[str]] = defaultdict(Counter)
    for row in tables.sample_annotation:
        name = NUSCENES_TO_DETECTION.get(row["category_name"])
        if name is None or row["sample_token"] not in samples:
            continue
        width, length, height = row["size"]
        sizes[name].append([length, width, height])
        attributes[name].update(names[token] for token in row["attribute_tokens"])
    priors = dict(COMMON)
    for name, rows in sizes.items():
        length, width, height = np.mean(rows, axis=0).tolist()
        common = attributes[name].most_common(1)
        priors[name] = ClassPrior((length, width, height), common[0][0] if common else COMMON[name].attribute)
    return priors


def lift_boxes(
    boxes: Boxes,
    camera: Camera,
    global_from_ego: np.ndarray,
    priors: dict[str, ClassPrior],
    points_ego: np.ndarray | None = None,
    names: Sequence[str] = NUSCENES_DETECTION,
) -> list[DetectedBox]:
    """3D boxes of the 2D boxes of an image, those whose distance is not known left out.

    Args:
        boxes: with scores, in pixels of the camera.
        global_from_ego: ``(4, 4)`` pose at the image's instant.
        points_ego: ``(M, 3+)`` LiDAR points in the ego frame of that instant; ``None`` without.
        names: class of each label.
    """
    if not len(boxes):
        return []
    distance = estimate_distances(boxes.xyxy, camera, points_ego).distance_m
    scores = np.ones(len(boxes)) if boxes.scores is None else boxes.scores
    middle = (boxes.xyxy[:, :2] + boxes.xyxy[:, 2:]) / 2
    directions = rays(camera, middle) @ camera.ego_from_camera[:3, :3].T
    heading = float(np.arctan2(global_from_ego[1, 0], global_from_ego[0, 0]))
    lifted = []
    for i in np.flatnonzero(np.isfinite(distance)):
        name = names[boxes.labels[i]]
        prior = priors[name]
        length, width, height = prior.size
        toward = directions[i, :2] / max(float(np.hypot(*directions[i, :2])), 1e-9)
        # The distance is that of the nearest surface; the centre lies half the box behind it.
        with np.errstate(divide="ignore"):
            half = float(np.min(np.array([length, width]) / 2 / np.abs(toward)))
        ground = _at_range(camera.ego_from_camera[:2, 3], toward, float(distance[i])) + half * toward
        center = global_from_ego[:3, :3] @ np.array([*ground, height / 2]) + global_from_ego[:3, 3]
        lifted.append(DetectedBox(center, np.array(prior.size), heading, name, float(scores[i]), prior.attribute))
    return lifted


def _at_range(origin: np.ndarray, toward: np.ndarray, range_m: float) -> np.ndarray:
    """The point of a ray over ground at a distance from the ego origin; the ray's start where that lies nearer."""
    along = float(origin @ toward)
    inner = along**2 - float(origin @ origin) + range_m**2
    return origin + max(-along + np.sqrt(max(inner, 0.0)), 0.0) * toward
