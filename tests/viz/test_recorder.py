"""Key frames, mosaics, and the recorder that feeds them."""

from __future__ import annotations

import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from perception.runtime.loop import FrameResult, Status
from perception.runtime.plan import Plan
from perception.runtime.resolution import Decision
from perception.runtime.source import Frame
from perception.taxonomy import CAMVID
from perception.types import Prediction
from perception.viz.keyframes import KeyFrameCollector
from perception.viz.mosaic import Mosaic
from perception.viz.recorder import Recorder

TINY = np.zeros((4, 4, 3), np.uint8)


@settings(deadline=None, max_examples=60)
@given(st.lists(st.floats(0, 100), min_size=1, max_size=120), st.integers(2, 7))
def test_key_frames_are_spread_and_have_the_slowest(latencies: list[float], count: int) -> None:
    collector = KeyFrameCollector(count)
    for index, latency in enumerate(latencies):
        collector.offer(index, TINY, f"frame {index}", latency)
    chosen = collector.result()
    indices = [shot.index for shot in chosen]
    assert indices == sorted(set(indices))
    assert min(count, len(latencies)) >= len(chosen) >= min(count, len(latencies)) - 1
    slowest = [shot for shot in chosen if shot.caption.endswith("slowest")]
    assert [shot.index for shot in slowest] == [int(np.argmax(latencies))]
    # Pictures are kept every (n - 1) / (count - 1) frames at most and shown every second one; the slowest takes the
    # place of its nearest, so it may lie one further.
    if len(indices) > 1:
        assert max(np.diff(indices)) <= max(1, 3 * (len(latencies) - 1) / (count - 1))


def test_key_frames_are_jpegs_of_bounded_size() -> None:
    collector = KeyFrameCollector(2, max_side=64)
    collector.offer(0, np.full((100, 200, 3), 90, np.uint8), "a", 1.0)
    picture = Image.open(io.BytesIO(collector.result()[0].jpeg))
    assert picture.format == "JPEG"
    assert picture.size == (64, 32)
    assert KeyFrameCollector().result() == []


def test_a_mosaic_keeps_its_places_and_its_rounds() -> None:
    mosaic = Mosaic(["a", "b", "c", "d"], (2, 3))
    assert mosaic.take() is None
    for channel, value in (("a", 10), ("d", 40), ("b", 20)):
        assert not mosaic.round_is_over(channel)
        mosaic.put(channel, np.full((2, 3, 3), value, np.uint8))
    assert mosaic.round_is_over("d")
    grid = mosaic.take()
    assert grid is not None
    assert grid.shape == (4, 9, 3)
    assert grid[0, 0, 0] == 10
    assert grid[0, 3, 0] == 20
    assert grid[2, 0, 0] == 40  # the fourth begins the second row
    assert not mosaic.round_is_over("d")


class FakeVideo:
    def __init__(self) -> None:
        self.pictures: list[np.ndarray] = []

    def write(self, picture: np.ndarray) -> None:
        self.pictures.append(picture)


def result(index: int, channel: str, value: int | None, size: tuple[int, int] = (90, 160)) -> FrameResult:
    image = None if value is None else np.full((*size, 3), value, np.uint8)
    frame = Frame(image, f"f{index}", index * 1000, channel, error=None if value is not None else "broken")
    if value is None:
        return FrameResult(index, frame, Status.SKIPPED, 50.0)
    decision = Decision(Plan("32x64", (32, 64)), "fixed")
    return FrameResult(index, frame, Status.OK, 50.0, decision, Prediction(), 10.0, infer_ms=5.0 + index)


def record(results: list[FrameResult], channels: tuple[str, ...]) -> tuple[list[np.ndarray], list[str]]:
    video, keyframes = FakeVideo(), KeyFrameCollector()
    recorder = Recorder(channels, CAMVID, keyframes, video)  # type: ignore[arg-type]
    for item in results:
        recorder.add(item)
    recorder.finish()
    return video.pictures, [shot.caption for shot in keyframes.result()]


def test_a_skipped_frame_repeats_the_picture_before_it() -> None:
    values = [None, 50, None, 70]
    pictures, captions = record([result(i, "a", value) for i, value in enumerate(values)], ("a",))
    assert [int(picture[-1, 0, 0]) for picture in pictures] == [24, 50, 50, 70]  # nothing to repeat at first
    assert captions == ["frame 1 · 36 km/h · 32x64 · 6.0 ms", "frame 3 · 36 km/h · 32x64 · 8.0 ms · slowest"]


def test_frames_of_another_size_are_drawn_at_the_first_one() -> None:
    pictures, _ = record([result(0, "a", 50), result(1, "a", 60, (30, 40))], ("a",))
    assert [picture.shape for picture in pictures] == [(90, 160, 3)] * 2


def test_wide_frames_are_scaled_down_to_even_sides() -> None:
    pictures, _ = record([result(0, "a", 50, (1215, 2161))], ("a",))
    assert pictures[0].shape == (900, 1600, 3)


def test_cameras_share_a_mosaic_even_when_one_drops_a_frame() -> None:
    order = [("a", 10), ("b", 20), ("a", 11), ("a", 12), ("b", 22)]
    pictures, captions = record([result(i, *entry) for i, entry in enumerate(order)], ("a", "b"))
    seen = [(int(picture[-1, 0, 0]), int(picture[-1, -1, 0])) for picture in pictures]
    assert seen == [(10, 20), (11, 20), (12, 22)]
    assert captions[0] == "frames 0 to 1 · 36 km/h · 32x64 · 6.0 ms (b)"


@pytest.mark.parametrize("values", [[None, None], []])
def test_nothing_but_skipped_frames_draws_nothing(values: list[None]) -> None:
    assert record([result(i, "a", value) for i, value in enumerate(values)], ("a",)) == ([], [])
