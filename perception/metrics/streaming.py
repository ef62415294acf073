"""Scores over a drive from counts that add up: each instant is counted once, then instants are summed at will.

IoU of a class needs three counts only, so a drive keeps ``(3, C)`` numbers per instant (hits, pixels of the truth,
pixels of the prediction), from which any policy, any part of a drive and any resample of a bootstrap follow.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from perception.errors import InputError
from perception.types import IGNORE_INDEX, Boxes

HITS, TRUTH, PREDICTED = 0, 1, 2


def class_counts(prediction: np.ndarray | None, truth: np.ndarray, classes: int) -> np.ndarray:
    """``(3, C)`` int64: hits, pixels of the truth, pixels of the prediction, of each class.

    >>> class_counts(np.array([[0, 1]], np.uint8), np.array([[0, 0]], np.uint8), 2).tolist()
    [[1, 0], [2, 0], [1, 1]]

    Args:
        prediction: ``(H, W)`` uint8 class indices; ``None`` where there is no answer: all of the truth is missed.
        truth: ``(H, W)`` uint8 class indices; 255 is ignored.
        classes: at most 254.

    Raises:
        InputError: for shapes that differ, or a class out of range.
    """
    counts = np.zeros((3, classes), np.int64)
    if prediction is None:
        found = np.bincount(truth.ravel(), minlength=256)
        if found[classes:IGNORE_INDEX].any():
            raise InputError(f"a mask has a class beyond 0..{classes - 1}")
        counts[TRUTH] = found[:classes]
        return counts
    if prediction.shape != truth.shape:
        raise InputError(f"prediction is {prediction.shape} but truth is {truth.shape}; enlarge the prediction")
    # One pass: a row of the matrix per class of the truth, one for ignored pixels, and one for wrong labels.
    first = np.full(256, (classes + 1) * classes, np.uint16)
    first[:classes] = np.arange(classes) * classes
    first[IGNORE_INDEX] = classes * classes
    cells = first.take(truth)
    cells += prediction
    rows = np.bincount(cells.ravel(), minlength=(classes + 2) * classes)
    if prediction.max(initial=0) >= classes or rows[(classes + 1) * classes :].any():
        raise InputError(f"a mask has a class beyond 0..{classes - 1}")
    matrix = rows[: classes * classes].reshape(classes, classes)
    counts[HITS], counts[TRUTH], counts[PREDICTED] = matrix.diagonal(), matrix.sum(1), matrix.sum(0)
    return counts


def iou(counts: np.ndarray) -> np.ndarray:
    """``(..., C)`` intersection over union of ``(..., 3, C)`` counts; NaN for classes that the truth does not have.

    A class that is only ever predicted has no IoU of its own, unlike in
    :func:`perception.metrics.segmentation.iou_from_confusion`: its pixels are misses of the classes that are there,
    and the mean of every policy is over the same classes.
    """
    counts = np.asarray(counts, np.float64)
    hits, truth, predicted = (counts[..., row, :] for row in (HITS, TRUTH, PREDICTED))
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(truth > 0, hits / (truth + predicted - hits), np.nan)


def mean_iou(counts: np.ndarray) -> np.ndarray:
    """Mean over the classes of the truth; NaN where it has none.

    >>> float(mean_iou(np.array([[3, 4, 0], [4, 4, 0], [3, 5, 0]])))
    0.775
    """
    values = iou(counts)
    there = ~np.isnan(values)
    with np.errstate(invalid="ignore"):
        return np.where(there, values, 0.0).sum(-1) / there.sum(-1)


@dataclass(frozen=True)
class Interval:
    """A value with its bootstrap interval."""

    value: float
    low: float
    high: float


def block_sums(counts: np.ndarray, times_s: Sequence[float], block_s: float = 1.0) -> np.ndarray:
    """``(B, 3, C)`` sums over blocks of time of ``(N, 3, C)`` counts of one drive; empty blocks are left out."""
    if len(counts) != len(times_s) or not block_s > 0:
        raise InputError(f"{len(counts)} instants with {len(times_s)} times in blocks of {block_s:g} s")
    if not len(counts):
        return np.zeros((0, *counts.shape[1:]), np.int64)
    number = np.floor((np.asarray(times_s) - times_s[0]) / block_s + 1e-9).astype(np.int64)
    _, number = np.unique(number, return_inverse=True)
    sums = np.zeros((number.max() + 1, *counts.shape[1:]), np.int64)
    np.add.at(sums, number, counts)
    return sums


def paired_bootstrap(
    ours: Sequence[np.ndarray],
    theirs: Sequence[np.ndarray],
    resamples: int = 2000,
    confidence: float = 0.95,
    seed: int = 0,
) -> Interval:
    """Difference of mean IoU between two policies on the same drives, with a percentile bootstrap interval.

    Each resample draws drives with replacement and, within each drawn drive, its blocks with replacement; both
    policies get the same draw. Frames that follow each other are alike, so it is blocks, not frames, that are
    drawn.

    Args:
        ours: per drive ``(B, 3, C)`` counts of its blocks, see :func:`block_sums`.
        theirs: the same of the other policy.

    Raises:
        InputError: for nothing to resample, or blocks that do not pair.
    """
    if [block.shape for block in ours] != [block.shape for block in theirs]:
        raise InputError("the policies were scored on different drives or blocks, so they cannot be paired")
    kept = [i for i, blocks in enumerate(ours) if len(blocks)]
    if not kept or resamples < 1 or not 0 < confidence < 1:
        raise InputError(f"{len(kept)} drives with blocks and {resamples} resamples at {confidence:g}: nothing to draw")
    sizes = np.array([len(ours[i]) for i in kept])
    first = np.concatenate([[0], np.cumsum(sizes)[:-1]])
    random = np.random.default_rng(seed)
    weights = np.zeros((resamples, int(sizes.sum())))
    for row in weights:
        for drive in random.integers(len(kept), size=len(kept)):
            blocks = first[drive] + random.integers(sizes[drive], size=sizes[drive])
            np.add.at(row, blocks, 1.0)
    stacked = [np.concatenate([side[i] for i in kept]).astype(np.float64) for side in (ours, theirs)]
    values = [mean_iou(np.tensordot(weights, blocks, axes=(1, 0))) for blocks in stacked]
    tail = (1 - confidence) / 2
    low, high = np.nanquantile(values[0] - values[1], (tail, 1 - tail))
    totals = [float(mean_iou(blocks.sum(0))) for blocks in stacked]
    return Interval(totals[0] - totals[1], float(low), float(high))


def average_precision_50(predicted: Sequence[Boxes | None], truth: Sequence[Boxes]) -> float | None:
    """COCO average precision at IoU 0.5, averaged over the classes of the truth, of a list of images.

    Args:
        predicted: with scores, in pixels of the truth; ``None`` for no answer.

    Returns:
        0 to 1, or ``None`` without a labelled box.
    """
    import torch
    from torchmetrics.detection import MeanAveragePrecision

    if not any(len(boxes) for boxes in truth):
        return None
    meter = MeanAveragePrecision(iou_thresholds=[0.5], backend="pycocotools")
    meter.warn_on_many_detections = False
    for answer, wanted in zip(predicted, truth, strict=True):
        found = Boxes.empty() if answer is None else answer
        scores = np.ones(len(found), np.float32) if found.scores is None else found.scores
        arrays = {"boxes": found.xyxy, "scores": scores, "labels": found.labels}
        labels = {"boxes": wanted.xyxy, "labels": wanted.labels}
        meter.update(
            [{name: torch.as_tensor(value) for name, value in arrays.items()}],
            [{name: torch.as_tensor(value) for name, value in labels.items()}],
        )
    return max(float(meter.compute()["map_50"]), 0.0)
