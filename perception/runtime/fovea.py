"""Joining what a low-resolution view of everything and a window at full resolution, or enlarged, say."""

from __future__ import annotations

from dataclasses import fields, replace

import numpy as np

from perception.geometry.size import enlarge
from perception.runtime.plan import Fovea, Plan, Window
from perception.types import Boxes, Prediction

MASKS = ("semantic", "drivable", "lane")
EDGE_PX = 2.0
"""A box that comes this close to the window's edge is taken to be cut by it."""
AS_SURE = 0.5
"""Share of the whole picture's score that the window's box needs to take its place."""


def crop(image: np.ndarray, window: Window) -> np.ndarray:
    """View of ``(H, W, 3)`` pixels."""
    return image[window.top : window.top + window.height, window.left : window.left + window.width]


def fuse(plan: Plan, whole: Prediction, window: Prediction, overlap: float = 0.5) -> Prediction:
    """One prediction in pixels of the whole picture at full resolution.

    Masks of the window lie over the enlarged masks of the whole picture.

    Args:
        whole: at ``plan.size``.
        window: at the size of the plan's fovea, which may be enlarged.
        overlap: boxes of one class that share more than this are the same object.
    """
    assert plan.fovea is not None
    masks = {}
    for name in MASKS:
        low, high = getattr(whole, name), getattr(window, name)
        if low is not None and high is not None:
            masks[name] = stitch(low, high, plan.fovea)
    boxes = None
    if whole.boxes is not None and window.boxes is not None:
        boxes = merge_boxes(whole.boxes, window.boxes, plan, overlap)
    return Prediction(**masks, boxes=boxes)


def stitch(low: np.ndarray, high: np.ndarray, fovea: Fovea) -> np.ndarray:
    """``(h, w)`` enlarged to the picture's size with the fovea's ``(height, width)`` laid over it; both nearest."""
    full = enlarge(low, fovea.native)
    if full is low:
        full = low.copy()
    crop(full, fovea.window)[...] = enlarge(high, (fovea.window.height, fovea.window.width))
    return full


def merge_boxes(whole: Boxes, window: Boxes, plan: Plan, overlap: float = 0.5) -> Boxes:
    """Boxes of both views, each object once, in pixels of the picture at full resolution.

    Of an object that both see, the window's box counts, unless the window's edge cuts it or it is less than
    :data:`AS_SURE` times as sure: then that of the whole picture. Either gets the higher of both scores.

    Args:
        whole: in pixels of ``plan.size``; window: in pixels of the fovea's size. Both with scores.
    """
    assert plan.fovea is not None
    area, (height, width) = plan.fovea.window, plan.fovea.native
    scale = np.array([width / plan.size[1], height / plan.size[0]] * 2, np.float32)
    shown = plan.fovea.size
    smaller = np.array([area.width / shown[1], area.height / shown[0]] * 2, np.float32)
    outer = _moved(whole, whole.xyxy * scale)
    inner = _moved(window, window.xyxy * smaller + np.array([area.left, area.top] * 2, np.float32))
    sides = [  # of the window, where the picture goes on beyond them
        (0, area.left, area.left > 0), (1, area.top, area.top > 0),
        (2, area.left + area.width, area.left + area.width < width),
        (3, area.top + area.height, area.top + area.height < height),
    ]  # fmt: skip
    cut = np.zeros(len(inner), bool)
    for side, edge, open_ended in sides:
        if open_ended:
            cut |= np.abs(inner.xyxy[:, side] - edge) <= EDGE_PX
    unsure = _scores(inner)[:, None] < AS_SURE * _scores(outer)  # (inner, outer)
    weak = ~cut & (unsure & _same(inner, outer, overlap)).any(axis=1)
    kept: list[Boxes] = []
    for group, is_cut in ((inner[~cut & ~weak], False), (outer, False), (inner[weak], False), (inner[cut], True)):
        fresh = np.ones(len(group), bool)
        for number, earlier in enumerate(kept):
            same = _same(group, earlier, overlap, of_smaller=is_cut)
            fresh &= ~same.any(axis=1)
            told = np.where(same, _scores(group)[:, None], 0).max(axis=0, initial=0)
            kept[number] = replace(earlier, scores=np.maximum(_scores(earlier), told))
        kept.append(group[fresh])
    merged = Boxes(
        np.concatenate([boxes.xyxy for boxes in kept]),
        np.concatenate([boxes.labels for boxes in kept]),
        np.concatenate([_scores(boxes) for boxes in kept]),
    )
    return merged[np.argsort(-_scores(merged), kind="stable")]


def _moved(boxes: Boxes, xyxy: np.ndarray) -> Boxes:
    return Boxes(xyxy, **{item.name: getattr(boxes, item.name) for item in fields(boxes) if item.name != "xyxy"})


def _scores(boxes: Boxes) -> np.ndarray:
    return np.ones(len(boxes), np.float32) if boxes.scores is None else boxes.scores


def _same(a: Boxes, b: Boxes, overlap: float, of_smaller: bool = False) -> np.ndarray:
    """``(A, B)`` bool: boxes of one class whose intersection over union, or over the area of the first, is larger."""
    low = np.maximum(a.xyxy[:, None, :2], b.xyxy[None, :, :2])
    high = np.minimum(a.xyxy[:, None, 2:], b.xyxy[None, :, 2:])
    both = np.clip(high - low, 0, None).prod(axis=2)
    area_a = (a.xyxy[:, 2:] - a.xyxy[:, :2]).prod(axis=1)[:, None]
    area_b = (b.xyxy[:, 2:] - b.xyxy[:, :2]).prod(axis=1)[None]
    shared = both / np.maximum(area_a if of_smaller else area_a + area_b - both, 1e-6)
    return (shared > overlap) & (a.labels[:, None] == b.labels)
