"""Panoptic quality.

Paper: Panoptic Segmentation - arXiv 1801.00868
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np
import torch.nn.functional as F
from torch import Tensor

from perception.errors import InputError
from perception.types import Batch, Segment


@dataclass
class Tally:
    """Matches of one class.

    Args:
        iou: sum over matched segments.
        hits, false_alarms, misses: segments.
    """

    iou: float = 0.0
    hits: int = 0
    false_alarms: int = 0
    misses: int = 0

    @property
    def seen(self) -> bool:
        return self.hits + self.false_alarms + self.misses > 0

    @property
    def segmentation_quality(self) -> float:
        return self.iou / self.hits if self.hits else 0.0

    @property
    def recognition_quality(self) -> float:
        counted = self.hits + (self.false_alarms + self.misses) / 2
        return self.hits / counted if counted else 0.0

    @property
    def quality(self) -> float:
        return self.segmentation_quality * self.recognition_quality


class PanopticQuality:
    """Panoptic quality over a data set, by the rules of the COCO panoptic task.

    A predicted and a true segment of one class match where their IoU is above one half; pixels without a true segment
    are not counted in the union. A predicted segment without a match is no false alarm where more than half of it lies
    on such pixels or on a crowd of its class. Crowds are never missed.

    Args:
        num_classes: number of semantic classes.
    """

    def __init__(self, num_classes: int) -> None:
        self.tallies = [Tally() for _ in range(num_classes)]
        self.things: dict[int, bool] = {}

    def update(
        self, predicted: np.ndarray, segments: Sequence[Segment], truth: np.ndarray, true_segments: Sequence[Segment]
    ) -> None:
        """Count one image.

        Args:
            predicted, truth: ``(H, W)`` segment numbers, 0 where there is none.
            segments, true_segments: what the numbers stand for.

        Raises:
            ValueError: for pictures of different sizes, or numbers that no segment has.
        """
        if predicted.shape != truth.shape:
            raise ValueError(f"prediction is {predicted.shape} but truth is {truth.shape}; resize one of them")
        ours = {segment.number: segment for segment in segments}
        theirs = {segment.number: segment for segment in true_segments}
        pairs, counts = np.unique(
            np.stack([predicted.ravel(), truth.ravel()]).astype(np.int64), axis=1, return_counts=True
        )
        shared = {(int(a), int(b)): int(n) for a, b, n in zip(*pairs, counts, strict=True)}
        area: dict[int, int] = {}
        true_area: dict[int, int] = {}
        for (a, b), count in shared.items():
            area[a] = area.get(a, 0) + count
            true_area[b] = true_area.get(b, 0) + count
        for numbers, known, what in ((area, ours, "prediction"), (true_area, theirs, "truth")):
            if unknown := [number for number in numbers if number and number not in known]:
                raise ValueError(f"{what} has segment {unknown[0]}, which is not among its segments")
        for segment in (*segments, *true_segments):
            self.things[segment.label] = segment.thing
        matched: set[int] = set()
        found: set[int] = set()
        for (a, b), count in shared.items():
            if not a or not b or ours[a].label != theirs[b].label or theirs[b].crowd:
                continue
            union = area[a] + true_area[b] - count - shared.get((a, 0), 0)
            if count / union > 0.5:
                tally = self.tallies[ours[a].label]
                tally.hits += 1
                tally.iou += count / union
                matched.add(a)
                found.add(b)
        for b in true_area:
            if b and b not in found and not theirs[b].crowd:
                self.tallies[theirs[b].label].misses += 1
        for a in area:
            if a and a not in matched:
                crowds = [b for b in true_area if b and theirs[b].crowd and theirs[b].label == ours[a].label]
                excused = shared.get((a, 0), 0) + sum(shared.get((a, b), 0) for b in crowds)
                if excused / area[a] <= 0.5:
                    self.tallies[ours[a].label].false_alarms += 1

    def update_batch(self, decoded: dict[str, Tensor], batch: Batch, things: Collection[int]) -> None:
        """Count the images of a batch that have true segments.

        Args:
            decoded: ``segments`` ``(B, h, w)``, the query of each pixel's segment or -1, and ``segment_labels``
                ``(B, Q)``, the class of each query or -1; resized to the truth where it has another size.
            things: classes that have instances.

        Raises:
            InputError: for a model that gives no segments.
        """
        for i, (truth, true_segments) in enumerate(zip(batch.panoptic, batch.segments, strict=True)):
            if truth is None or true_segments is None:
                continue
            if "segments" not in decoded:
                raise InputError("panoptic quality needs a model that gives segments, such as mask2former_resnet50")
            numbers = decoded["segments"][i].cpu() + 1
            if numbers.shape != truth.shape:
                size = (truth.shape[-2], truth.shape[-1])
                numbers = F.interpolate(numbers[None, None].double(), size=size, mode="nearest-exact")[0, 0].long()
            labels = decoded["segment_labels"][i].tolist()
            segments = [Segment(q + 1, label, label in things) for q, label in enumerate(labels) if label >= 0]
            self.update(numbers.numpy(), segments, truth.numpy(), true_segments)

    def compute(self) -> dict[str, float]:
        """``pq``, ``sq`` and ``rq``, as means over the classes that appeared: of all, ``things/...`` and
        ``stuff/...``; NaN where none did."""
        values: dict[str, float] = {}
        for prefix, kinds in (("", (True, False)), ("things/", (True,)), ("stuff/", (False,))):
            chosen = [t for i, t in enumerate(self.tallies) if t.seen and self.things.get(i) in kinds]
            for key, name in (("pq", "quality"), ("sq", "segmentation_quality"), ("rq", "recognition_quality")):
                numbers = [getattr(tally, name) for tally in chosen]
                values[prefix + key] = float(np.mean(numbers)) if numbers else float("nan")
        return values
