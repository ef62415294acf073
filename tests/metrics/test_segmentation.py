from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from perception.metrics.multitask import MultiTaskMetrics
from perception.metrics.segmentation import SemanticIoU
from perception.models.zoo import create_model
from perception.taxonomy import CAMVID
from perception.types import Batch


def numpy_iou(prediction: np.ndarray, truth: np.ndarray, classes: int) -> np.ndarray:
    keep = truth != 255
    prediction, truth = prediction[keep], truth[keep]
    values = []
    for label in range(classes):
        union = ((prediction == label) | (truth == label)).sum()
        values.append(((prediction == label) & (truth == label)).sum() / union if union else np.nan)
    return np.array(values)


@given(st.integers(0, 2**31 - 1), st.integers(1, 4), st.integers(2, 6))
def test_iou_over_batches_equals_numpy_over_all_pixels(seed: int, batches: int, classes: int) -> None:
    random = np.random.default_rng(seed)
    meter = SemanticIoU(classes)
    every = []
    for _ in range(batches):
        prediction = random.integers(0, classes, (2, 5, 7))
        truth = random.choice([*range(classes - 1), 255], (2, 5, 7))
        meter.update(torch.from_numpy(prediction), torch.from_numpy(truth))
        every.append((prediction.ravel(), truth.ravel()))
    expected = numpy_iou(*(np.concatenate(part) for part in zip(*every, strict=True)), classes)
    np.testing.assert_allclose(meter.compute().numpy(), expected, rtol=1e-6)


def test_absent_class_is_nan_and_left_out_of_the_mean() -> None:
    model = create_model("multitask_resnet18_slim", CAMVID, heads=["semantic"])
    metrics = MultiTaskMetrics(model)
    truth = torch.zeros(1, 4, 4, dtype=torch.int64)
    truth[0, 0] = 3
    metrics.update({"semantic": truth.to(torch.uint8)}, Batch(torch.zeros(1, 3, 4, 4), ["a"], semantic=truth))
    values = metrics.compute()
    assert values["semantic/miou"] == 1
    assert set(values) == {"semantic/miou", "semantic/iou_sky", "semantic/iou_road"}
    metrics.reset()
    assert metrics.compute() == {}


def test_all_heads_are_measured_and_missing_targets_skipped() -> None:
    model = create_model("multitask_resnet18_slim", CAMVID, heads=["semantic", "drivable", "detection"])
    metrics = MultiTaskMetrics(model)
    truth = torch.zeros(2, 4, 4, dtype=torch.int64)
    truth[0, :2], truth[1] = 1, 255
    decoded = {
        "semantic": truth.clamp(max=10).to(torch.uint8),
        "drivable": torch.ones(2, 4, 4, dtype=torch.uint8),
        "boxes": torch.tensor([[[0.0, 0, 2, 2]], [[0.0, 0, 4, 4]]]),
        "scores": torch.tensor([[0.9], [0.8]]),
        "labels": torch.tensor([[1], [1]]),
    }
    batch = Batch(
        torch.zeros(2, 3, 4, 4),
        ["a", "b"],
        drivable=truth,
        boxes=torch.tensor([[[0.0, 0, 2, 2]], [[0.0, 0, 0, 0]]]),
        box_labels=torch.tensor([[1], [-1]]),
        has_boxes=torch.tensor([True, False]),
    )
    metrics.update(decoded, batch)
    values = metrics.compute()
    assert "semantic/miou" not in values
    assert values["drivable/iou"] == pytest.approx(0.5)
    assert values["detection/map50"] == pytest.approx(1.0)  # the image without labels counts no false alarm
