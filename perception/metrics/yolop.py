"""The protocol by which YOLOP and its successors report BDD100K figures, beside our own.

Paper: YOLOP: You Only Look Once for Panoptic Driving Perception - arXiv 2108.11250

It differs from ours: masks are measured per image and then averaged, which weighs an image with three lane pixels like
one with three thousand; cars, buses, trucks and trains are one class; a class that is absent counts as IoU 0.
``lane/accuracy`` is the recall of lane pixels, as the published code computes it; ``lane/balanced_accuracy`` is the
mean recall of lane and background, which later papers report under the same name. Published code averages over batches
of unstated size, and tests on lanes that are 2 pixels wide in pictures of 384x640; neither is imitated here. Figures
are those of one process.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
from torchvision.ops import box_iou, nms

from perception.types import IGNORE_INDEX, Batch

VEHICLES = ("car", "bus", "truck", "train")
MIN_SCORE, NMS_IOU, MATCH_IOU = 0.001, 0.6, 0.5


def binary_confusion(predicted: Tensor, truth: Tensor) -> Tensor:
    """``(2, 2)`` int64 pixels, rows truth, columns prediction, of ``(H, W)`` masks; truth 255 ignored."""
    counted = truth != IGNORE_INDEX
    code = 2 * truth[counted].long() + predicted[counted].long()
    return torch.bincount(code, minlength=4).reshape(2, 2)


def image_scores(matrix: Tensor) -> dict[str, float]:
    """Scores of one image from its :func:`binary_confusion`.

    >>> image_scores(torch.tensor([[2, 0], [1, 1]]))["iou"]
    0.5
    """
    (right, false_alarm), (missed, hit) = matrix.double().tolist()
    background = _ratio(right, right + false_alarm + missed)
    inside = _ratio(hit, hit + false_alarm + missed)
    recall = _ratio(hit, hit + missed)
    return {
        "pixel_accuracy": _ratio(right + hit, right + hit + false_alarm + missed),
        "iou": inside,
        "miou": (inside + background) / 2,
        "accuracy": recall,
        "balanced_accuracy": (recall + _ratio(right, right + false_alarm)) / 2,
    }


def average_precision(hits: np.ndarray, scores: np.ndarray, truths: int) -> tuple[float, float]:
    """AP by 101 points of the interpolated precision curve, and recall at the lowest score.

    Args:
        hits: ``(N,)`` bool, whether each prediction found an object that none before it had found.
        scores: ``(N,)``.
        truths: number of objects.
    """
    if not truths or not len(hits):
        return 0.0, 0.0
    hit = hits[np.argsort(-scores, kind="stable")].astype(np.float64)
    found = hit.cumsum()
    recall, precision = found / truths, found / np.arange(1, len(hit) + 1)
    curve = np.maximum.accumulate(np.concatenate([[1.0], precision, [0.0]])[::-1])[::-1]
    at = np.concatenate([[0.0], recall, [recall[-1] + 0.01]])
    points = np.linspace(0, 1, 101)
    return float(np.trapz(np.interp(points, at, curve), points)), float(recall[-1])


class YOLOPProtocol:
    """Collects a data set's figures by the protocol.

    Keys of :meth:`compute`, each only where its target came: ``drivable/pixel_accuracy``, ``drivable/iou``,
    ``drivable/miou``, ``lane/accuracy``, ``lane/balanced_accuracy``, ``lane/iou``, ``lane/miou``, ``vehicle/map50``,
    ``vehicle/recall``.

    Args:
        detection: names of the box classes.
    """

    def __init__(self, detection: Sequence[str]) -> None:
        self.vehicles = torch.tensor([label for label, name in enumerate(detection) if name in VEHICLES])
        self.reset()

    def reset(self) -> None:
        self.rows: dict[str, list[dict[str, float]]] = {"drivable": [], "lane": []}
        self.hits: list[np.ndarray] = []
        self.scores: list[np.ndarray] = []
        self.truths = 0
        self.boxes_seen = False

    def update(self, decoded: dict[str, Tensor], batch: Batch) -> None:
        """Count one batch; ``decoded`` is what the model's ``decode`` returned."""
        for name, rows in self.rows.items():
            target = getattr(batch, name)
            if name in decoded and target is not None:
                for predicted, truth in zip(decoded[name], target, strict=True):
                    if (truth != IGNORE_INDEX).any():
                        rows.append(image_scores(binary_confusion(predicted, truth).cpu()))
        if "boxes" in decoded and batch.boxes is not None and len(self.vehicles):
            assert batch.box_labels is not None
            assert batch.has_boxes is not None
            for i in torch.nonzero(batch.has_boxes).flatten().tolist():
                truth = batch.boxes[i][torch.isin(batch.box_labels[i].cpu(), self.vehicles)].cpu().float()
                boxes, scores, labels = (decoded[name][i].cpu().float() for name in ("boxes", "scores", "labels"))
                self._match(boxes, scores, labels, truth)
                self.boxes_seen = True

    def _match(self, boxes: Tensor, scores: Tensor, labels: Tensor, truth: Tensor) -> None:
        chosen = torch.isin(labels.long(), self.vehicles) & (scores > MIN_SCORE)
        boxes, scores = boxes[chosen], scores[chosen]
        kept = nms(boxes, scores, NMS_IOU)  # sorted by score
        boxes, scores = boxes[kept], scores[kept]
        hits = np.zeros(len(boxes), bool)
        if len(boxes) and len(truth):
            best, which = box_iou(boxes, truth).max(dim=1)
            taken: set[int] = set()
            for row, (overlap, index) in enumerate(zip(best.tolist(), which.tolist(), strict=True)):
                if overlap > MATCH_IOU and index not in taken:
                    taken.add(index)
                    hits[row] = True
        self.hits.append(hits)
        self.scores.append(scores.numpy())
        self.truths += len(truth)

    def compute(self) -> dict[str, float]:
        values: dict[str, float] = {}
        keys = {
            "drivable": ("pixel_accuracy", "iou", "miou"),
            "lane": ("accuracy", "balanced_accuracy", "iou", "miou"),
        }
        for name, rows in self.rows.items():
            if rows:
                values |= {f"{name}/{key}": float(np.mean([row[key] for row in rows])) for key in keys[name]}
        if self.boxes_seen:
            precision, recall = average_precision(np.concatenate(self.hits), np.concatenate(self.scores), self.truths)
            values |= {"vehicle/map50": precision, "vehicle/recall": recall}
        return values


def _ratio(part: float, whole: float) -> float:
    return part / whole if whole else 0.0
