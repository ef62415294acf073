"""The protocol of YOLOP against numpy."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from perception.metrics.yolop import YOLOPProtocol, average_precision
from perception.taxonomy import BDD100K
from perception.types import Batch

CAR, BUS, PERSON = (BDD100K.detection.index(name) for name in ("car", "bus", "pedestrian"))


def batch(**targets: torch.Tensor) -> Batch:
    count = len(next(iter(targets.values())))
    return Batch(image=torch.zeros(count, 3, 8, 8), names=["x"] * count, **targets)


def reference(predicted: np.ndarray, truth: np.ndarray) -> dict[str, float]:
    counted = truth != 255
    p, t = predicted[counted], truth[counted]
    hit, alarm, miss, right = (p & t).sum(), (p & ~t & 1).sum(), (~p & t & 1).sum(), (~p & ~t & 1).sum()

    def share(a: float, b: float) -> float:
        return a / b if b else 0.0

    return {
        "pixel_accuracy": (hit + right) / counted.sum(),
        "iou": share(hit, hit + alarm + miss),
        "miou": (share(hit, hit + alarm + miss) + share(right, right + alarm + miss)) / 2,
        "accuracy": share(hit, hit + miss),
        "balanced_accuracy": (share(hit, hit + miss) + share(right, right + alarm)) / 2,
    }


def test_masks_are_averaged_over_images() -> None:
    random = np.random.default_rng(0)
    truth = (random.random((6, 8, 8)) < np.linspace(0, 0.9, 6)[:, None, None]).astype(np.int64)
    predicted = np.where(random.random(truth.shape) < 0.2, 1 - truth, truth)
    truth[:, 0] = 255
    truth[5] = 255  # an image without labels is no image
    metric = YOLOPProtocol(BDD100K.detection)
    for rows in (slice(0, 2), slice(2, 6)):
        targets = batch(drivable=torch.from_numpy(truth[rows]), lane=torch.from_numpy(truth[rows]))
        decoded = {name: torch.from_numpy(predicted[rows]).to(torch.uint8) for name in ("drivable", "lane")}
        metric.update(decoded, targets)
    rows = [reference(predicted[i], truth[i]) for i in range(5)]
    found = metric.compute()
    assert set(found) == {
        "drivable/pixel_accuracy", "drivable/iou", "drivable/miou",
        "lane/accuracy", "lane/balanced_accuracy", "lane/iou", "lane/miou",
    }  # fmt: skip
    for key, value in found.items():
        assert value == pytest.approx(np.mean([row[key.split("/")[1]] for row in rows])), key
    metric.reset()
    assert metric.compute() == {}


def boxes(*rows: tuple[float, ...]) -> torch.Tensor:
    return torch.tensor(rows, dtype=torch.float32).reshape(1, -1, 4)


def test_vehicles_are_one_class() -> None:
    metric = YOLOPProtocol(BDD100K.detection)
    truth = batch(
        boxes=boxes((0, 0, 10, 10), (20, 0, 30, 10), (40, 0, 50, 10), (0, 0, 0, 0)),
        box_labels=torch.tensor([[CAR, BUS, PERSON, -1]]),
        has_boxes=torch.tensor([True]),
    )
    decoded = {
        # The bus is called a car, which is right here; the second answer on the car goes with the NMS; a person is no
        # vehicle; the last is a false alarm.
        "boxes": boxes((20, 0, 30, 10), (0, 0, 10, 10), (0, 0, 10, 9.5), (40, 0, 50, 10), (60, 0, 70, 10)),
        "scores": torch.tensor([[0.9, 0.8, 0.7, 0.6, 0.95]]),
        "labels": torch.tensor([[CAR, CAR, BUS, PERSON, CAR]]),
    }
    metric.update(decoded, truth)
    found = metric.compute()
    assert found["vehicle/recall"] == 1.0
    # In order of score: false alarm, hit, hit.
    assert found["vehicle/map50"] == pytest.approx(average_precision(np.array([0, 1, 1]), np.array([3, 2, 1]), 2)[0])
    assert found["vehicle/map50"] == pytest.approx(2 / 3, abs=0.01)


def test_average_precision_of_perfect_and_hopeless_answers() -> None:
    scores = np.linspace(1, 0.5, 10)
    assert average_precision(np.ones(10, bool), scores, 10) == (pytest.approx(1.0), 1.0)
    assert average_precision(np.zeros(10, bool), scores, 10)[0] < 0.01
    assert average_precision(np.ones(0, bool), np.ones(0), 4) == (0.0, 0.0)
    half, recall = average_precision(np.ones(5, bool), scores[:5], 10)
    assert (half, recall) == (pytest.approx(0.5, abs=0.01), 0.5)
    # Order of the scores matters, order of the rows does not.
    hits = np.array([1, 0, 1, 0, 0, 1], bool)
    ranks = np.array([0.9, 0.2, 0.8, 0.1, 0.3, 0.7])
    shuffled = np.random.default_rng(0).permutation(6)
    assert average_precision(hits, ranks, 3) == average_precision(hits[shuffled], ranks[shuffled], 3)
    assert average_precision(hits, ranks, 3)[0] > average_precision(hits, -ranks, 3)[0] + 0.2


def test_images_without_box_labels_do_not_count() -> None:
    metric = YOLOPProtocol(BDD100K.detection)
    truth = batch(boxes=torch.zeros(1, 1, 4), box_labels=torch.tensor([[-1]]), has_boxes=torch.tensor([False]))
    decoded = {"boxes": boxes((0, 0, 5, 5)), "scores": torch.ones(1, 1), "labels": torch.tensor([[CAR]])}
    metric.update(decoded, truth)
    assert metric.compute() == {}
