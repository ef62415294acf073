"""The loop and its record, on a clock that only the fakes move."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from perception.errors import InputError
from perception.runtime.loop import DriveLoop, FrameResult, Status
from perception.runtime.plan import Plan, uniform_plan
from perception.runtime.record import frame_record, quantiles, summarise
from perception.runtime.resolution import FixedPolicy
from perception.runtime.source import Frame
from perception.runtime.speed import ConstantSpeed, PoseSpeed
from perception.taxonomy import CAMVID, LabelSet
from perception.types import Prediction

PICTURE = np.zeros((8, 8, 3), np.uint8)

POLICY = FixedPolicy(uniform_plan((64, 64)))


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


class FakeSource:
    """Frames at 10 Hz; ``False`` marks one that does not decode. Reading takes ``read_s``."""

    name = "fake"
    has_speed = True
    rendered = False

    def __init__(self, clock: Clock, good: list[bool], read_s: float = 0.0, channels: tuple[str, ...] = ("a",)) -> None:
        self.clock, self.good, self.read_s = clock, good, read_s
        self.channels = channels
        self.interval_s = 0.1
        self.total: int | None = len(good)

    def __iter__(self) -> Iterator[Frame]:
        for index, good in enumerate(self.good):
            self.clock.now += self.read_s
            channel = self.channels[index % len(self.channels)]
            error = None if good else "broken"
            yield Frame(PICTURE if good else None, f"f{index}", 5_000_000 + index * 100_000, channel, 3.0, error=error)


class FakeEngine:
    """Takes the given milliseconds, one after the other."""

    labels: LabelSet = CAMVID
    info: dict[str, Any] = {}  # noqa: RUF012

    def __init__(self, clock: Clock, times_ms: list[float]) -> None:
        self.clock, self.times_ms = clock, iter(times_ms)
        self.warmed: list[Plan] = []
        self.sizes: set[tuple[int, int] | None] = set()

    def warm_up(self, plan: Plan, picture_size: tuple[int, int] | None = None) -> None:
        self.warmed.append(plan)
        self.sizes.add(picture_size)
        self.clock.now += 2.0

    def __call__(self, image: np.ndarray, plan: Plan) -> Prediction:
        self.clock.now += next(self.times_ms) / 1e3
        return Prediction()


def drive(times_ms: list[float], good: list[bool], **options: Any) -> list[FrameResult]:
    clock = Clock()
    loop = DriveLoop(
        FakeSource(clock, good, options.pop("read_s", 0.0), options.pop("channels", ("a",))),
        options.pop("speed", PoseSpeed()), POLICY, FakeEngine(clock, times_ms), clock=clock,
        **options,
    )  # fmt: skip
    return list(loop)


def test_deadline_is_the_frame_interval() -> None:
    results = drive([99.0, 101.0, 5.0], [True] * 3, read_s=0.5)
    assert [result.status for result in results] == [Status.OK, Status.DEADLINE_MISSED, Status.OK]
    assert [result.deadline_ms for result in results] == pytest.approx([100] * 3)
    assert [result.latency_ms for result in results] == pytest.approx([99, 101, 5])
    assert [result.wait_ms for result in results] == pytest.approx([500] * 3)  # reading is not the loop's latency
    assert [result.total_ms for result in results] == pytest.approx([599, 601, 505])
    assert [result.age_ms for result in results] == pytest.approx([99, 101, 5])
    assert all(result.speed_mps == 3.0 for result in results)


def test_cameras_share_the_engine_and_so_the_interval() -> None:
    assert drive([1.0], [True], channels=("a", "b", "c", "d"))[0].deadline_ms == pytest.approx(25)


def test_a_skipped_frame_is_told_and_the_last_answer_ages() -> None:
    results = drive([20.0, 30.0], [False, True, False, False, True])
    assert [result.status.value for result in results] == ["SKIPPED", "OK", "SKIPPED", "SKIPPED", "OK"]
    ages = [result.age_ms for result in results]
    assert ages[0] is None
    assert ages[1:] == pytest.approx([20, 120, 220, 30])
    assert results[2].prediction is None
    assert results[2].frame.error == "broken"


def test_warm_up_prepares_every_plan_outside_the_frames() -> None:
    clock = Clock()
    engine = FakeEngine(clock, [10.0])
    policy = POLICY
    loop = DriveLoop(FakeSource(clock, [False, True], read_s=0.25), ConstantSpeed(5), policy, engine, clock=clock)
    loop.warm_up()
    assert engine.warmed == list(policy.plans)
    assert engine.sizes == {(8, 8)}  # of the first picture that can be read
    assert loop.warm_up_ms == pytest.approx(2500)
    results = list(loop)
    assert [result.index for result in results] == [0, 1]
    assert results[1].latency_ms == pytest.approx(10)
    assert [result.wait_ms for result in results] == pytest.approx([250, 250])


@pytest.mark.parametrize("deadline_ms", [0.0, -1.0, float("nan"), float("inf")])
def test_deadlines_that_are_none(deadline_ms: float) -> None:
    with pytest.raises(InputError, match="deadline_ms"):
        drive([1.0], [True], deadline_ms=deadline_ms)


@given(st.lists(st.tuples(st.booleans(), st.floats(0.01, 500)), min_size=1, max_size=40))
def test_the_summary_counts_every_frame_once(frames: list[tuple[bool, float]]) -> None:
    times_ms = [time for good, time in frames if good]
    results = drive(times_ms, [good for good, _ in frames], deadline_ms=100.0)
    records = [frame_record(result) for result in results]
    summary = summarise(records, "pose")
    json.dumps({"summary": summary, "frames": records}, allow_nan=False)
    assert summary["frames"] == len(frames) == sum(summary["status"].values())
    assert summary["answered"] == len(times_ms) == sum(summary["plan"].values())
    assert summary["skipped"] == len(frames) - len(times_ms)
    assert summary["misses"] == sum(record["deadline"]["missed"] for record in records)
    clear = [time for time in times_ms if abs(time - 100) > 1e-3]
    if len(clear) == len(times_ms):
        assert summary["misses"] == sum(time > 100 for time in times_ms)
    if times_ms:
        assert summary["latency"]["max_ms"] == pytest.approx(max(times_ms), abs=1e-3)
        assert summary["fps"] == pytest.approx(1e3 * len(times_ms) / sum(times_ms), rel=1e-2, abs=1e-3)
    for record in records:
        assert {"plan", "deadline", "latency", "speed", "status"} <= record.keys()


@given(st.lists(st.floats(0, 1e4), min_size=1, max_size=200))
def test_quantiles_are_order_statistics(values: list[float]) -> None:
    found = quantiles(values)
    ordered = sorted(values)
    for percent in (50, 90, 99):
        rank = -(-percent * len(values) // 100)  # the smallest value that this share does not exceed
        assert found[f"p{percent}_ms"] == pytest.approx(ordered[rank - 1], abs=1e-4)
    assert found["max_ms"] == pytest.approx(ordered[-1], abs=1e-4)


def test_quantiles_of_nothing_are_unknown() -> None:
    assert set(quantiles([]).values()) == {None}
