"""How well masks of the map agree with dense labels, where a data set has both."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from perception.datasets.nuscenes import NuScenesDataset
from perception.datasets.nuscenes_labels import LabelSources
from perception.datasets.nuscenes_map_labels import MapOptions
from perception.errors import InputError
from perception.types import IGNORE_INDEX


@dataclass
class Agreement:
    """Pixels counted over some images.

    Args:
        both, map_only, truth_only: pixels inside by both, by the map alone, by the dense labels alone.
        ignored: pixels inside by the dense labels on which the map says nothing, which lie beyond its range.
    """

    both: int = 0
    map_only: int = 0
    truth_only: int = 0
    ignored: int = 0

    @property
    def iou(self) -> float:
        """Intersection over union of the counted pixels; NaN where there are none."""
        union = self.both + self.map_only + self.truth_only
        return self.both / union if union else float("nan")

    def add(self, mask: np.ndarray, truth: np.ndarray) -> None:
        """Count one image; both are ``(H, W)``, 1 inside, 0 outside, 255 not counted."""
        counted = (mask != IGNORE_INDEX) & (truth != IGNORE_INDEX)
        self.both += int((counted & (mask == 1) & (truth == 1)).sum())
        self.map_only += int((counted & (mask == 1) & (truth == 0)).sum())
        self.truth_only += int((counted & (mask == 0) & (truth == 1)).sum())
        self.ignored += int(((mask == IGNORE_INDEX) & (truth == 1)).sum())


def map_agreement(
    root: str | Path,
    version: str = "v1.0-mini",
    split: str = "all",
    cameras: Sequence[str] = ("CAM_FRONT",),
    options: MapOptions | None = None,
    target: str = "drivable",
    sweeps: bool = False,
) -> dict[str, Agreement]:
    """Compare the map's masks with the dense labels of a data set.

    Args:
        options: how the map is laid over the images; its occluders must not include the depth images, which are of
            the same making as the dense labels.
        target: ``drivable`` or ``lane``.

    Returns:
        One entry a camera, and ``all``.

    Raises:
        InputError: for a data set without dense labels or without maps.
    """
    options = options or MapOptions()
    if "depth" in options.occlusion:
        raise InputError("depth images are part of the truth; compare with the occluders boxes and lidar")
    by_map = LabelSources(semantic="none", drivable="map", lane="map", map=options)
    by_class = LabelSources(semantic="dense", drivable="semantic", lane="semantic")
    found = NuScenesDataset(root, version, split, cameras, sweeps, sources=by_map)
    truth = NuScenesDataset(root, version, split, cameras, sweeps, sources=by_class)
    counts = {name: Agreement() for name in (*cameras, "all")}
    for i, frame in enumerate(truth.frames):
        expected = getattr(truth.read(i), target)
        if expected is None:
            continue
        mask = getattr(found.read(i), target).numpy()
        for name in (frame.channel, "all"):
            counts[name].add(mask, expected.numpy())
    return counts
