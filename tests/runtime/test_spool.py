"""Predictions on disk: what is read is what was written."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from perception.runtime.spool import PredictionSpool
from perception.types import Boxes, Prediction


@st.composite
def predictions(draw: st.DrawFn) -> Prediction:
    random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    size = draw(st.tuples(st.integers(1, 40), st.integers(1, 40)))
    masks = {
        name: random.integers(0, 12, size, dtype=np.uint8)
        for name in draw(st.sets(st.sampled_from(["semantic", "drivable", "lane"])))
    }
    boxes = None
    if draw(st.booleans()):
        count = draw(st.integers(0, 5))
        scores = random.random(count).astype(np.float32) if draw(st.booleans()) else None
        boxes = Boxes(random.random((count, 4)).astype(np.float32) * 100, random.integers(0, 9, count), scores)
    return Prediction(**masks, boxes=boxes)


@settings(deadline=None)
@given(st.lists(predictions(), max_size=6), st.randoms(use_true_random=False))
def test_predictions_come_back_in_any_order(written: list[Prediction], random: object) -> None:
    with PredictionSpool() as spool:
        places = [spool.append(prediction) for prediction in written]
        assert len(spool) == len(written)
        order = list(zip(places, written, strict=True))
        random.shuffle(order)  # type: ignore[attr-defined]
        for place, expected in order:
            found = spool.read(place)
            for name in ("semantic", "drivable", "lane"):
                was, now = getattr(expected, name), getattr(found, name)
                assert (was is None) == (now is None)
                if was is not None:
                    assert now.dtype == was.dtype
                    assert np.array_equal(now, was)
            assert (found.boxes is None) == (expected.boxes is None)
            if expected.boxes is not None and found.boxes is not None:
                assert np.array_equal(found.boxes.xyxy, expected.boxes.xyxy)
                assert np.array_equal(found.boxes.labels, expected.boxes.labels)
                assert (found.boxes.scores is None) == (expected.boxes.scores is None)


def test_masks_are_small_on_disk_and_the_file_is_gone(tmp_path: Path) -> None:
    mask = np.zeros((360, 640), np.uint8)
    mask[180:] = 3
    with PredictionSpool(tmp_path) as spool:
        for _ in range(10):
            spool.append(Prediction(mask, mask, mask))
        assert spool.size_bytes < 10 * 3 * mask.size / 50
    assert list(tmp_path.iterdir()) == []
