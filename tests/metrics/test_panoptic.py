"""Panoptic quality against torchmetrics and against cases worked out by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torchmetrics.detection import PanopticQuality as Reference

from perception.metrics.panoptic import PanopticQuality
from perception.types import Segment

THINGS, STUFF = (1, 2), (3, 4)


def random_picture(random: np.random.Generator, size: int = 48) -> tuple[np.ndarray, list[Segment]]:
    """Blocks of segments; the categories are 1..4, of which 3 and 4 are one segment each."""
    numbers = np.zeros((size, size), np.int64)
    labels: dict[int, int] = {}
    for number in range(1, 9):
        top, left = random.integers(0, size - 12, 2)
        label = int(random.integers(1, 5))
        number = label * 100 if label in STUFF else number
        numbers[top : top + 16, left : left + 16] = number
        labels[number] = label
    present = np.unique(numbers)
    return numbers, [Segment(n, label, label in THINGS) for n, label in labels.items() if n in present]


def pixels(numbers: np.ndarray, segments: list[Segment]) -> torch.Tensor:
    """``(H, W, 2)`` category and instance; pixels without a segment have a category that torchmetrics takes as void."""
    category, instance = np.full_like(numbers, 9), np.zeros_like(numbers)
    for segment in segments:
        category[numbers == segment.number] = segment.label
        instance[numbers == segment.number] = segment.number if segment.thing else 0
    return torch.from_numpy(np.stack([category, instance], axis=-1))


def covered(numbers: np.ndarray, segments: list[Segment]) -> tuple[np.ndarray, list[Segment]]:
    """A prediction that leaves no pixel open: torchmetrics, unlike COCO, would leave such pixels out of unions."""
    numbers = np.where(numbers == 0, 400, numbers)
    named = {s.number: s for s in [*segments, Segment(400, 4, False)]}
    return numbers, [s for s in named.values() if (numbers == s.number).any()]


@pytest.mark.parametrize("seed", range(6))
def test_against_torchmetrics(seed: int) -> None:
    random = np.random.default_rng(seed)
    ours = PanopticQuality(5)
    reference = Reference(
        set(THINGS), set(STUFF), allow_unknown_preds_category=True, return_sq_and_rq=True, return_per_class=True
    )
    for _ in range(4):
        truth, true_segments = random_picture(random)
        shifted = (np.roll(truth, (1, 2), axis=(0, 1)), true_segments)
        predicted, segments = covered(*(shifted if random.random() < 0.7 else random_picture(random)))
        ours.update(predicted, segments, truth, true_segments)
        reference.update(pixels(predicted, segments)[None], pixels(truth, true_segments)[None])
    rows = reference.compute().reshape(-1, 3).tolist()
    for row, label in zip(rows, (1, 2, 3, 4), strict=True):
        tally = ours.tallies[label]
        found = [tally.quality, tally.segmentation_quality, tally.recognition_quality]
        assert found == pytest.approx(row, abs=1e-6)
    means = [ours.tallies[label].quality for label in (1, 2, 3, 4) if ours.tallies[label].seen]
    assert ours.compute()["pq"] == pytest.approx(float(np.mean(means)))


def strip(*lengths: tuple[int, int]) -> np.ndarray:
    return np.concatenate([np.full(length, number) for number, length in lengths])[None]


def test_by_hand() -> None:
    metric = PanopticQuality(3)
    car, other, road = Segment(1, 0, True), Segment(2, 0, True), Segment(3, 2, False)
    # A car of 10 pixels, 8 of which are found; a second that is missed; road found but for a false alarm of 6 pixels.
    truth = strip((1, 10), (2, 4), (3, 26))
    predicted = strip((1, 8), (3, 26), (2, 6))
    metric.update(predicted, [car, other, road], truth, [car, other, road])
    cars, roads = metric.tallies[0], metric.tallies[2]
    assert (cars.hits, cars.false_alarms, cars.misses) == (1, 1, 1)
    assert cars.quality == pytest.approx(0.8 / 2)
    assert (roads.hits, roads.false_alarms, roads.misses) == (1, 0, 0)
    assert roads.quality == pytest.approx(20 / 32)
    result = metric.compute()
    assert result["things/pq"] == pytest.approx(0.4)
    assert result["stuff/pq"] == pytest.approx(20 / 32)
    assert result["pq"] == pytest.approx((0.4 + 20 / 32) / 2)


@pytest.mark.parametrize(("inside", "alarms"), [(6, 0), (5, 0), (4, 1)])
def test_what_lies_on_unlabelled_pixels_or_crowds_is_no_false_alarm(inside: int, alarms: int) -> None:
    car, crowd = Segment(1, 0, True), Segment(9, 0, True, crowd=True)
    for number, segments in ((0, []), (9, [crowd])):
        metric = PanopticQuality(2)
        road = Segment(3, 1, False)
        truth = strip((number, inside), (3, 10 - inside), (3, 10))
        predicted = strip((1, 10), (3, 10))
        metric.update(predicted, [car, road], truth, [*segments, road])
        expected = alarms if inside != 5 else 1  # exactly half is not more than half
        assert metric.tallies[0].false_alarms == expected
        assert metric.tallies[0].misses == 0


def test_union_does_not_count_unlabelled_pixels() -> None:
    metric = PanopticQuality(1)
    car = Segment(1, 0, True)
    metric.update(strip((1, 20)), [car], strip((1, 8), (0, 12)), [car])
    assert metric.tallies[0].iou == pytest.approx(1.0)


def test_nothing_seen_is_not_a_number_and_bad_pictures_are_refused() -> None:
    metric = PanopticQuality(2)
    assert all(math.isnan(value) for value in metric.compute().values())
    with pytest.raises(ValueError, match="resize one"):
        metric.update(strip((0, 3)), [], strip((0, 4)), [])
    with pytest.raises(ValueError, match="truth has segment 7"):
        metric.update(strip((0, 3)), [], strip((7, 3)), [])
