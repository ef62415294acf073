"""IoU of labelled points as the nuScenes-lidarseg and SemanticKITTI evaluators count it, also by distance.

One confusion matrix over the split; points that the truth ignores are left out; the mean is over the classes that
appear in the truth or in the predictions.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import torch
from torch import Tensor
from torchmetrics import Metric

from perception.errors import InputError
from perception.metrics.segmentation import SemanticIoU
from perception.taxonomy import LabelSet

RANGES_M = (10.0, 20.0, 30.0, 50.0)
"""Borders of the distance bins, from the sensor along the ground."""


class LidarMetrics(Metric):
    """Figures of one evaluation of points.

    Args:
        label_set: names the classes.
        ranges_m: ascending borders of the distance bins; below the first, between them, and beyond the last.

    Shape:
        - update: predictions and labels ``(P,)``, points ``(P, 3+)`` in metres.
        - compute: ``lidar/miou``, ``lidar/iou_<class>`` and ``lidar/miou_<from>_<to>m``; NaN where nothing was seen.
    """

    def __init__(self, label_set: LabelSet, ranges_m: Sequence[float] = RANGES_M) -> None:
        super().__init__()
        if list(ranges_m) != sorted(set(ranges_m)) or not all(border > 0 for border in ranges_m):
            raise InputError(f"distance borders must ascend above 0, got {list(ranges_m)}")
        self.label_set = label_set
        classes = len(label_set.classes)
        self.register_buffer("borders", torch.tensor(list(ranges_m)), persistent=False)
        self.whole = SemanticIoU(classes)
        self.bins = torch.nn.ModuleList(SemanticIoU(classes) for _ in range(len(ranges_m) + 1))
        edges = ["0", *(f"{border:g}" for border in ranges_m), "inf"]
        self.bin_names = [f"{low}_{high}m" for low, high in itertools.pairwise(edges)]

    def update(self, predictions: Tensor, labels: Tensor, points: Tensor) -> None:
        if not len(labels):
            return
        self.whole.update(predictions, labels)
        distance = torch.linalg.vector_norm(points[:, :2].float(), dim=1)
        place = torch.bucketize(distance, self.borders, right=True)  # type: ignore[arg-type]
        for index, metric in enumerate(self.bins):
            chosen = place == index
            if chosen.any():
                metric.update(predictions[chosen], labels[chosen])  # type: ignore[operator]

    def compute(self) -> dict[str, Tensor]:
        iou = self.whole.compute()
        figures = {"lidar/miou": iou.nanmean()}
        figures |= {f"lidar/iou_{name}": value for name, value in zip(self.label_set.classes, iou, strict=True)}
        for name, metric in zip(self.bin_names, self.bins, strict=True):
            figures[f"lidar/miou_{name}"] = metric.compute().nanmean()  # type: ignore[operator]
        return figures

    def reset(self) -> None:
        super().reset()
        self.whole.reset()
        for metric in self.bins:
            metric.reset()  # type: ignore[operator]
