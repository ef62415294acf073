from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from perception.errors import InputError
from perception.geometry.size import enlarge
from perception.metrics.segmentation import SemanticIoU, iou_from_confusion
from perception.metrics.streaming import (
    average_precision_50,
    block_sums,
    class_counts,
    iou,
    mean_iou,
    paired_bootstrap,
)
from perception.runtime.fovea import stitch
from perception.runtime.plan import Fovea, Window
from perception.types import Boxes


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 10_000))
def test_counts_agree_with_the_confusion_matrix(seed: int) -> None:
    random = np.random.default_rng(seed)
    truth = random.integers(0, 5, (7, 9)).astype(np.uint8)
    prediction = random.integers(0, 5, (7, 9)).astype(np.uint8)
    truth[random.uniform(size=truth.shape) < 0.2] = 255
    meter = SemanticIoU(5)
    meter.update(torch.from_numpy(prediction)[None], torch.from_numpy(truth).long()[None])
    expected = meter.compute().numpy()
    got = iou(class_counts(prediction, truth, 5))
    there = np.isin(np.arange(5), truth)
    assert np.allclose(got[there], expected[there])
    assert np.isnan(got[~there]).all()
    assert mean_iou(class_counts(prediction, truth, 5)) == pytest.approx(expected[there].mean())


def test_no_answer_misses_everything() -> None:
    truth = np.array([[0, 1, 255], [2, 2, 2]], np.uint8)
    counts = class_counts(None, truth, 3)
    assert counts.tolist() == [[0, 0, 0], [1, 1, 3], [0, 0, 0]]
    assert mean_iou(counts) == 0
    half = counts + class_counts(truth % 255, truth, 3)
    assert iou(half).tolist() == [0.5, 0.5, 0.5]


def test_a_class_that_is_only_predicted_is_a_miss_elsewhere_but_no_term_of_the_mean() -> None:
    truth, prediction = np.zeros((1, 4), np.uint8), np.array([[0, 0, 0, 1]], np.uint8)
    assert mean_iou(class_counts(prediction, truth, 2)) == 0.75
    matrix = torch.tensor([[3, 1], [0, 0]])
    assert iou_from_confusion(matrix).nanmean() == 0.375  # why there is a second rule


@pytest.mark.parametrize(("prediction", "truth"), [([[3]], [[0]]), ([[0]], [[4]])])
def test_classes_out_of_range(prediction, truth) -> None:
    with pytest.raises(InputError, match="beyond"):
        class_counts(np.array(prediction, np.uint8), np.array(truth, np.uint8), 3)
    with pytest.raises(InputError, match="enlarge"):
        class_counts(np.zeros((2, 2), np.uint8), np.zeros((4, 4), np.uint8), 3)


def test_enlarging_agrees_with_the_stitched_fovea() -> None:
    low = np.random.default_rng(0).integers(0, 20, (23, 41)).astype(np.uint8)
    window = Window(0, 0, 32, 32)
    full = enlarge(low, (90, 160))
    assert np.array_equal(full[32:], stitch(low, np.zeros((32, 32), np.uint8), Fovea(window, (90, 160)))[32:])
    assert enlarge(low, (23, 41)) is low


def test_blocks_keep_every_count() -> None:
    counts = np.random.default_rng(0).integers(0, 9, (25, 3, 4))
    times = np.arange(25) / 10 + 7.0
    blocks = block_sums(counts, times.tolist(), 1.0)
    assert blocks.shape == (3, 3, 4)
    assert np.array_equal(blocks[0], counts[:10].sum(0))
    assert np.array_equal(blocks.sum(0), counts.sum(0))
    gap = block_sums(counts, (times + (np.arange(25) > 12) * 50).tolist(), 1.0)
    assert np.array_equal(gap.sum(0), counts.sum(0))


def _drives(quality: float, seed: int, drives: int = 6) -> list[np.ndarray]:
    """Blocks whose hits are a share of the truth, with noise that belongs to the drive (the same for all)."""
    shared, own = np.random.default_rng(seed), np.random.default_rng(seed + 100)
    blocks = []
    for _ in range(drives):
        truth = shared.integers(500, 5000, (10, 3))
        share = np.clip(quality + shared.normal(0, 0.1, (10, 3)) + own.normal(0, 0.002, (10, 3)), 0, 1)
        hits = (truth * share).astype(np.int64)
        blocks.append(np.stack([hits, truth, truth], axis=1))
    return blocks


def test_pairing_finds_a_small_difference() -> None:
    ours, theirs = _drives(0.62, 1), _drives(0.60, 1)
    interval = paired_bootstrap(ours, theirs, 500)
    total = [mean_iou(np.concatenate(side).sum(0)) for side in (ours, theirs)]
    assert interval.value == pytest.approx(total[0] - total[1])
    assert 0 < interval.low < interval.value < interval.high < 0.05
    unpaired = paired_bootstrap(ours, _drives(0.60, 2), 500)
    assert unpaired.high - unpaired.low > 3 * (interval.high - interval.low)
    assert paired_bootstrap(ours, theirs, 500) == interval
    same = paired_bootstrap(ours, ours, 200)
    assert (same.value, same.low, same.high) == (0, 0, 0)


def test_drives_are_drawn_too() -> None:
    """Where all of the difference lies between drives, resampling blocks alone would see none."""
    good, bad = np.array([[90], [100], [100]]), np.array([[50], [100], [100]])
    ours = [np.stack([good] * 8), np.stack([bad] * 8)]
    theirs = [np.stack([bad] * 8), np.stack([good] * 8)]
    interval = paired_bootstrap(ours, theirs, 400)
    assert interval.low < -0.3
    assert interval.high > 0.3
    with pytest.raises(InputError, match="cannot be paired"):
        paired_bootstrap(ours, [ours[0]])
    with pytest.raises(InputError, match="nothing to draw"):
        paired_bootstrap([], [])


def test_average_precision_of_two_images() -> None:
    truth = [Boxes([[0, 0, 10, 10]], [0]), Boxes([[20, 20, 40, 40]], [0])]
    perfect = [Boxes(boxes.xyxy, boxes.labels, [0.9]) for boxes in truth]
    assert average_precision_50(perfect, truth) == pytest.approx(1.0)
    half = average_precision_50([perfect[0], None], truth)
    assert half is not None
    assert 0.45 < half < 0.55
    assert average_precision_50([None, None], truth) == 0.0
    assert average_precision_50([None], [Boxes.empty()]) is None
    false_first = Boxes([[50, 50, 60, 60], [0, 0, 10, 10]], [0, 0], [0.95, 0.9])
    assert average_precision_50([false_first, perfect[1]], truth) == pytest.approx((51 + 50 * 2 / 3) / 101, abs=0.2)
