"""Recall of what a vehicle must not miss: by height in network pixels, and at the range that stopping requires."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from perception.errors import InputError
from perception.types import Boxes

HEIGHT_EDGES_PX = (4.0, 6.0, 8.0, 10.0, 12.0, 14.0, 16.0, 18.0, 20.0, 24.0, 28.0, 32.0, 40.0, 50.0, 64.0, 90.0, 128.0)
"""Lower edges of the default bins; the last one is open."""
BORDER_PX = 2.0
"""A labelled box this close to the picture's border counts as cut by it."""


def box_iou(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """``(A, B)`` intersection over union of ``(A, 4)`` and ``(B, 4)`` xyxy boxes."""
    low = np.maximum(a[:, None, :2], b[None, :, :2])
    high = np.minimum(a[:, None, 2:], b[None, :, 2:])
    both = np.clip(high - low, 0, None).prod(axis=2)
    areas = [(boxes[:, 2:] - boxes[:, :2]).prod(axis=1) for boxes in (a, b)]
    return both / np.maximum(areas[0][:, None] + areas[1][None] - both, 1e-9)


def found(truth: Boxes, predicted: Boxes | None, min_iou: float = 0.5, min_score: float = 0.3) -> np.ndarray:
    """``(N,)`` bool: for each labelled box, whether a predicted box of any class covers it.

    Args:
        predicted: in pixels of the truth; ``None`` for no answer.
        min_iou: intersection over union of a hit.
        min_score: predictions with a lower score do not count.
    """
    if predicted is None or not len(predicted) or not len(truth):
        return np.zeros(len(truth), bool)
    sure = np.ones(len(predicted), bool) if predicted.scores is None else predicted.scores >= min_score
    return (box_iou(truth.xyxy, predicted.xyxy[sure]) >= min_iou).any(axis=1)


def countable(truth: Boxes, size: tuple[int, int], labels: Sequence[int], min_visibility: float = 0.6) -> np.ndarray:
    """``(N,)`` bool: boxes of the given classes that are whole in the picture and seen well enough to be asked for.

    Args:
        size: ``(height, width)`` of the picture.
        labels: box classes.
        min_visibility: least share of the object in view, where the labels say it.
    """
    height, width = size
    low, high = truth.xyxy[:, :2], truth.xyxy[:, 2:]
    whole = (low > BORDER_PX).all(axis=1) & (high < np.array([width, height]) - BORDER_PX).all(axis=1)
    seen = np.ones(len(truth), bool) if truth.visibility is None else truth.visibility >= min_visibility
    return whole & seen & np.isin(truth.labels, list(labels))


def at_required_range(truth: Boxes, required_m: float, shares: tuple[float, float] = (0.8, 1.0)) -> np.ndarray:
    """``(N,)`` bool: boxes whose distance lies within shares of the range at which they must be seen."""
    if truth.distance_m is None:
        return np.zeros(len(truth), bool)
    with np.errstate(invalid="ignore"):
        return (truth.distance_m >= shares[0] * required_m) & (truth.distance_m <= shares[1] * required_m)


def wilson_lower(hits: int, count: int, z: float = 1.645) -> float:
    """Lower bound of a share after Wilson (1927); one-sided at 95 % by default.

    >>> round(wilson_lower(99, 100), 3)
    0.956
    """
    if count == 0:
        return 0.0
    share, spread = hits / count, z * z / count
    return (share + spread / 2 - z * math.sqrt((share * (1 - share) + spread / 4) / count)) / (1 + spread)


@dataclass(frozen=True)
class RecallCurve:
    """Recall by height in pixels of the network's input.

    Args:
        edges_px: ``(B,)`` lower edges of the bins, increasing; the last bin is open above.
        counts: ``(B,)`` labelled boxes.
        hits: ``(B,)`` of which found.
    """

    edges_px: tuple[float, ...]
    counts: tuple[int, ...]
    hits: tuple[int, ...]

    @property
    def recall(self) -> tuple[float | None, ...]:
        """Per bin; ``None`` for an empty one."""
        return tuple(hits / count if count else None for hits, count in zip(self.hits, self.counts, strict=True))


def recall_curve(
    heights_px: Sequence[float] | np.ndarray,
    hits: Sequence[bool] | np.ndarray,
    edges_px: Sequence[float] = HEIGHT_EDGES_PX,
) -> RecallCurve:
    """Recall by height.

    Args:
        heights_px: ``(N,)`` height of each labelled box in network pixels: in label pixels times the plan's scale.
        hits: ``(N,)`` whether it was found.
        edges_px: lower edges of the bins; lower boxes are left out.

    Raises:
        InputError: for arrays that do not pair or edges that do not increase.
    """
    heights, found_ = np.asarray(heights_px, np.float64), np.asarray(hits, bool)
    edges = np.asarray(edges_px, np.float64)
    if heights.shape != found_.shape or heights.ndim != 1:
        raise InputError(f"{heights.shape} heights but {found_.shape} hits")
    if not len(edges) or not (np.diff(edges) > 0).all():
        raise InputError("edges_px must increase")
    bins = np.searchsorted(edges, heights, side="right") - 1
    inside = bins >= 0
    counts = np.bincount(bins[inside], minlength=len(edges))
    hit = np.bincount(bins[inside], weights=found_[inside], minlength=len(edges))
    return RecallCurve(tuple(edges.tolist()), tuple(int(c) for c in counts), tuple(int(h) for h in hit))


def min_height_px(
    curve: RecallCurve, floor: float = 0.95, lower_bound: bool = False, min_count: int = 20
) -> float | None:
    """The least height from which on recall keeps at or above the floor, in every bin.

    Bins are looked at from the tallest down. One with fewer than ``min_count`` boxes says too little by itself, so it
    is counted together with the next lower ones until they are enough.

    Args:
        floor: least recall.
        lower_bound: ask it of the Wilson lower bound instead of the recall itself.
        min_count: boxes that a bin needs.

    Returns:
        The lower edge of a bin, or ``None`` where even the tallest are not found reliably.
    """
    if not 0 < floor <= 1:
        raise InputError(f"floor {floor:g} is outside 0..1")
    least: float | None = None
    count = hits = 0
    for edge, boxes, hit in reversed(list(zip(curve.edges_px, curve.counts, curve.hits, strict=True))):
        count, hits = count + boxes, hits + hit
        if count < min_count:
            continue
        share = wilson_lower(hits, count) if lower_bound else hits / count
        if share < floor:
            break
        least, count, hits = edge, 0, 0
    return least
