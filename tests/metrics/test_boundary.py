"""Boundary IoU against an independent erosion."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from perception.metrics.boundary import BoundaryIoU, boundary_band, boundary_distance_px


def reference_band(mask: np.ndarray, distance: int) -> np.ndarray:
    inner = ndimage.binary_erosion(mask, np.ones((3, 3)), iterations=distance, border_value=0)
    return mask & ~inner


def reference_iou(preds: np.ndarray, target: np.ndarray, classes: int, distance: int) -> list[float]:
    shared, either = np.zeros(classes), np.zeros(classes)
    for predicted, truth in zip(preds, target, strict=True):
        counted = truth != 255
        for index in range(classes):
            ours = reference_band((predicted == index) & counted, distance)
            theirs = reference_band((truth == index) & counted, distance)
            shared[index] += (ours & theirs).sum()
            either[index] += (ours | theirs).sum()
    with np.errstate(invalid="ignore"):
        return (shared / either).tolist()


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 4), st.integers(1, 20), st.integers(1, 20))
def test_band_is_what_erosion_takes_away(seed: int, distance: int, height: int, width: int) -> None:
    mask = np.random.default_rng(seed).random((height, width)) < 0.8
    band = boundary_band(torch.from_numpy(mask)[None], distance)[0].numpy()
    assert (band == reference_band(mask, distance)).all()


def test_iou_against_the_reference() -> None:
    random = np.random.default_rng(3)
    target = np.stack([ndimage.zoom(random.integers(0, 4, (5, 7)), 8, order=0) for _ in range(3)])
    preds = np.roll(target, 1, axis=2)
    target[:, 10:14] = 255
    distance = boundary_distance_px(target.shape[1:])
    assert distance == 1
    metric = BoundaryIoU(5)
    for i in range(3):
        metric.update(torch.from_numpy(preds[i : i + 1]), torch.from_numpy(target[i : i + 1]))
    found = metric.compute()
    assert found[:4].tolist() == pytest.approx(reference_iou(preds, target, 5, distance)[:4])
    assert found[4].isnan()
    wide = BoundaryIoU(5, dilation=0.06)
    wide.update(torch.from_numpy(preds), torch.from_numpy(target))
    assert wide.compute()[:4].tolist() == pytest.approx(reference_iou(preds, target, 5, 4)[:4])


def test_a_shift_hurts_the_boundary_more_than_the_area() -> None:
    target = torch.zeros(1, 60, 80, dtype=torch.int64)
    target[:, 10:50, 10:70] = 1
    shifted = target.roll(1, dims=2)
    metric = BoundaryIoU(2)
    metric.update(shifted, target)
    area = ((shifted == 1) & (target == 1)).sum() / ((shifted == 1) | (target == 1)).sum()
    assert float(metric.compute()[1]) < float(area) - 0.2
    metric.reset()
    metric.update(target, target)
    assert metric.compute().tolist() == [1, 1]
