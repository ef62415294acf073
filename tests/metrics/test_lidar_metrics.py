"""IoU of points against the official evaluator."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from perception.errors import InputError
from perception.metrics.lidar import LidarMetrics
from perception.taxonomy import LIDARSEG, SEMANTIC_KITTI

utils = pytest.importorskip("nuscenes.eval.lidarseg.utils")


@settings(max_examples=20)
@given(seed=st.integers(0, 10_000), classes=st.integers(1, 16))
def test_figures_are_those_of_the_official_evaluator(seed: int, classes: int) -> None:
    random = np.random.default_rng(seed)
    ours = LidarMetrics(LIDARSEG)
    official = utils.ConfusionMatrix(17, 0)
    for _ in range(3):
        challenge = random.integers(0, classes + 1, 500)  # 0 is ignored
        predicted = random.integers(1, classes + 1, 500)
        predicted = np.where(random.random(500) < 0.5, np.maximum(challenge, 1), predicted)
        official.update(challenge, predicted)
        labels = np.where(challenge == 0, 255, challenge - 1)
        points = torch.rand(500, 5) * 60
        ours.update(torch.from_numpy(predicted - 1).to(torch.uint8), torch.from_numpy(labels), points)
    figures = ours.compute()
    assert float(figures["lidar/miou"]) == pytest.approx(official.get_mean_iou(), abs=1e-6)
    per_class = official.get_per_class_iou()[1:]
    for name, wanted in zip(LIDARSEG.classes, per_class, strict=True):
        assert float(figures[f"lidar/iou_{name}"]) == pytest.approx(wanted, abs=1e-6, nan_ok=True)


def test_bins_hold_the_points_of_their_distance() -> None:
    metrics = LidarMetrics(SEMANTIC_KITTI, [10.0, 20.0])
    points = torch.tensor([[3.0, 4, 9], [0, 10, 0], [20, 0, 0], [100, 0, 0]])  # 5, 10, 20 and 100 m along the ground
    metrics.update(torch.tensor([0, 1, 2, 3]), torch.tensor([0, 0, 2, 3]), points)
    figures = metrics.compute()
    assert float(figures["lidar/miou_0_10m"]) == 1
    assert float(figures["lidar/miou_10_20m"]) == 0
    assert float(figures["lidar/miou_20_infm"]) == 1
    metrics.reset()
    assert torch.isnan(metrics.compute()["lidar/miou"])
    metrics.update(torch.zeros(0), torch.zeros(0, dtype=torch.int64), torch.zeros(0, 5))
    assert torch.isnan(metrics.compute()["lidar/miou"])


def test_borders_must_ascend() -> None:
    with pytest.raises(InputError, match="ascend"):
        LidarMetrics(LIDARSEG, [20.0, 10.0])
