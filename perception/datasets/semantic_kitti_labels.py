"""What the labels in SemanticKITTI's files mean: the official learning map and its inverse.

Paper: SemanticKITTI: A Dataset for Semantic Scene Understanding of LiDAR Sequences - arXiv 1904.01416
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from perception.errors import InputError
from perception.taxonomies.reading import read_mapping
from perception.taxonomy import SEMANTIC_KITTI
from perception.types import IGNORE_INDEX

RAW_CLASSES: dict[int, str | None] = {
    0: None,  # unlabeled
    1: None,  # outlier
    10: "car",
    11: "bicycle",
    13: "other-vehicle",  # bus
    15: "motorcycle",
    16: "other-vehicle",  # on rails
    18: "truck",
    20: "other-vehicle",
    30: "person",
    31: "bicyclist",
    32: "motorcyclist",
    40: "road",
    44: "parking",
    48: "sidewalk",
    49: "other-ground",
    50: "building",
    51: "fence",
    52: None,  # other structure
    60: "road",  # lane marking
    70: "vegetation",
    71: "trunk",
    72: "terrain",
    80: "pole",
    81: "traffic-sign",
    99: None,  # other object
    252: "car",  # from here on: moving
    253: "bicyclist",
    254: "person",
    255: "motorcyclist",
    256: "other-vehicle",
    257: "other-vehicle",
    258: "truck",
    259: "other-vehicle",
}
"""Number in a label file to the class of :data:`perception.taxonomy.SEMANTIC_KITTI`, ``None`` for what is ignored."""

WRITTEN = {
    "car": 10, "bicycle": 11, "motorcycle": 15, "truck": 18, "other-vehicle": 20, "person": 30, "bicyclist": 31,
    "motorcyclist": 32, "road": 40, "parking": 44, "sidewalk": 48, "other-ground": 49, "building": 50, "fence": 51,
    "vegetation": 70, "trunk": 71, "terrain": 72, "pole": 80, "traffic-sign": 81,
}  # fmt: skip
"""Class to the number that a submission holds for it."""

RAW_VALUES = 2**16
_UNKNOWN = -1


class KittiLabels:
    """A learning map.

    Args:
        classes: raw number to class index, 255 for what is ignored.
        written: for each class, the raw number that submissions hold.
    """

    def __init__(self, classes: Mapping[int, int], written: Sequence[int]) -> None:
        self._classes = np.full(RAW_VALUES, _UNKNOWN, np.int64)
        for raw, label in classes.items():
            self._classes[raw] = label
        self._written = np.array(written, np.uint32)

    def to_classes(self, raw: np.ndarray) -> np.ndarray:
        """``(N,)`` int64 class indices of ``(N,)`` raw numbers.

        Raises:
            InputError: for a number that the map does not have.
        """
        labels = self._classes[raw]
        unknown = raw[labels == _UNKNOWN]
        if len(unknown):
            raise InputError(
                f"label {unknown.min()} is not in the learning map; pass the data set's semantic-kitti.yaml"
            )
        return labels

    def to_raw(self, labels: np.ndarray) -> np.ndarray:
        """``(N,)`` uint32 raw numbers of ``(N,)`` class indices.

        Raises:
            InputError: for an index that is no class.
        """
        labels = np.asarray(labels)
        if labels.ndim != 1 or not np.issubdtype(labels.dtype, np.integer):
            raise InputError(f"labels must be (N,) integers, got {labels.shape} {labels.dtype}")
        if len(labels) and not (labels.min() >= 0 and labels.max() < len(self._written)):
            raise InputError(f"labels are {labels.min()}..{labels.max()}; classes are 0..{len(self._written) - 1}")
        return self._written[labels]


OFFICIAL = KittiLabels(
    {raw: IGNORE_INDEX if name is None else SEMANTIC_KITTI.index(name) for raw, name in RAW_CLASSES.items()},
    tuple(WRITTEN[name] for name in SEMANTIC_KITTI.classes),
)
"""The map of the single-scan benchmark."""


def read_kitti_labels(path: str | Path) -> KittiLabels:
    """The learning map of a ``semantic-kitti.yaml``: its ``learning_map`` and ``learning_map_inv``.

    There, class 0 is what is ignored and classes 1..19 are those of :data:`perception.taxonomy.SEMANTIC_KITTI`.

    Raises:
        InputError: for a file that is missing or has another form or other classes.
    """
    path = Path(path)
    content = read_mapping(path, "label file", "learning_map and learning_map_inv")
    count = len(SEMANTIC_KITTI.classes)
    forward = _numbers(content, "learning_map", path, RAW_VALUES - 1, count)
    backward = _numbers(content, "learning_map_inv", path, count, RAW_VALUES - 1)
    if missing := sorted(set(range(1, count + 1)) - set(backward)):
        raise InputError(f"{path}: learning_map_inv lacks class {missing[0]}; it needs 1..{count}")
    classes = {raw: IGNORE_INDEX if label == 0 else label - 1 for raw, label in forward.items()}
    return KittiLabels(classes, tuple(backward[label] for label in range(1, count + 1)))


def _numbers(content: dict[str, Any], key: str, path: Path, most_from: int, most_to: int) -> dict[int, int]:
    value = content.get(key)
    if not isinstance(value, dict) or not value:
        raise InputError(f"{path}: {key} must be a mapping of numbers to numbers")
    for source, target in value.items():
        for number, most in ((source, most_from), (target, most_to)):
            if isinstance(number, bool) or not isinstance(number, int) or not 0 <= number <= most:
                raise InputError(f"{path}: {key} has {number!r}; expected a whole number 0..{most}")
    return value
