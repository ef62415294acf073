"""Detection submissions: all boxes of a split in one JSON file.

Format: nuScenes detection challenge. Paper: nuScenes - arXiv 1903.11027
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from perception.errors import InputError
from perception.files import write_json
from perception.geometry.frames import quaternion_from_rotation, yaw_rotation
from perception.taxonomy import NUSCENES_DETECTION

META_KEYS = ("use_camera", "use_lidar", "use_radar", "use_map", "use_external")
MAX_BOXES = 500
"""Boxes that a sample may have; those with the best scores are written."""
RESULTS = "results_nusc.json"


@dataclass(frozen=True)
class DetectedBox:
    """A 3D box in the global frame.

    Args:
        center: ``(3,)`` metres; ``size``: ``(length, width, height)`` metres; ``yaw``: radians.
        velocity_mps: ``(2,)`` over ground.
        name: of :data:`perception.taxonomy.NUSCENES_DETECTION`.
        attribute: as nuScenes names it, "" for classes without.
    """

    center: np.ndarray
    size: np.ndarray
    yaw: float
    name: str
    score: float
    attribute: str = ""
    velocity_mps: tuple[float, float] = (0.0, 0.0)

    def record(self, sample: str) -> dict[str, Any]:
        """As the format has it: width before length, quaternion w first."""
        length, width, height = (float(side) for side in self.size)
        return {
            "sample_token": sample,
            "translation": [float(value) for value in self.center],
            "size": [width, length, height],
            "rotation": quaternion_from_rotation(yaw_rotation(self.yaw)).tolist(),
            "velocity": [float(value) for value in self.velocity_mps],
            "detection_name": self.name,
            "detection_score": float(self.score),
            "attribute_name": self.attribute,
        }


def write_detections(
    path: str | Path, boxes: Mapping[str, Sequence[DetectedBox]], samples: Sequence[str], used: Iterable[str]
) -> int:
    """Write the boxes of a split; returns how many there are.

    Args:
        boxes: by sample token; a sample that is not there has none.
        samples: tokens of all samples of the split.
        used: of ``camera``, ``lidar``, ``radar``, ``map`` and ``external``.

    Raises:
        InputError: for boxes of a sample outside the split, of an unknown class, or with values that are not finite.
    """
    strangers = sorted(set(boxes) - set(samples))
    if strangers:
        raise InputError(f"sample {strangers[0]!r} is not of the split whose submission is written")
    results: dict[str, list[dict[str, Any]]] = {}
    for sample in samples:
        best = sorted(boxes.get(sample, ()), key=lambda box: -box.score)[:MAX_BOXES]
        for box in best:
            numbers = [*box.center, *box.size, box.yaw, *box.velocity_mps, box.score]
            if box.name not in NUSCENES_DETECTION or not np.isfinite(numbers).all() or min(box.size) <= 0:
                raise InputError(f"a box of sample {sample} cannot be submitted: {box}")
        results[sample] = [box.record(sample) for box in best]
    write_json(path, {"meta": submission_meta(used), "results": results})
    return sum(map(len, results.values()))


def submission_meta(used: Iterable[str]) -> dict[str, bool]:
    """The ``meta`` of a submission.

    >>> submission_meta(["camera"])["use_camera"], submission_meta(["camera"])["use_lidar"]
    (True, False)
    """
    known = {key.removeprefix("use_"): key for key in META_KEYS}
    chosen = set(used)
    if chosen - set(known):
        raise InputError(f"unknown source {sorted(chosen - set(known))[0]!r}; use {', '.join(known)}")
    return {key: name in chosen for name, key in known.items()}


def without_duplicates(boxes: Sequence[DetectedBox], radius: float = 0.5) -> list[DetectedBox]:
    """Boxes without those whose centre lies near a better one of the same class, as where two cameras see one object.

    Args:
        radius: in box lengths, at least 0.5 m.
    """
    kept: list[DetectedBox] = []
    for box in sorted(boxes, key=lambda box: -box.score):
        near = max(radius * float(box.size[0]), 0.5)
        if not any(other.name == box.name and np.hypot(*(other.center[:2] - box.center[:2])) < near for other in kept):
            kept.append(box)
    return kept
