"""What is published when: the real-time loop's logic on an event clock, against what the deadlines ask for."""

from __future__ import annotations

import math
import os
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from simulated_drive import Clock, Simulation, TimedEngine, frames_at

from perception.runtime.answer import Answerer
from perception.runtime.plan import Plan, uniform_plan
from perception.runtime.publisher import Publisher, Substitute
from perception.runtime.queues import Captured, NewestFrames
from perception.runtime.resolution import Decision, FixedPolicy, VehicleState
from perception.runtime.result import FrameResult, Status
from perception.runtime.sight import assumed_camera
from perception.runtime.source import Frame
from perception.runtime.speed import PoseSpeed
from perception.types import Prediction

PLAN = uniform_plan((64, 64))


class DeadlinePolicy:
    """One plan, with the given deadlines one after the other; every third decision is degraded."""

    name = "deadlines"
    plans = (PLAN,)

    def __init__(self, deadlines_ms: list[float]) -> None:
        self.deadlines_ms, self.asked = deadlines_ms, 0

    def choose(self, state: VehicleState) -> Decision:
        deadline_ms = self.deadlines_ms[self.asked % len(self.deadlines_ms)]
        self.asked += 1
        return Decision(PLAN, "", deadline_ms=deadline_ms, degraded=self.asked % 3 == 0)


class Log:
    def __init__(self, latencies_ms: list[float], deadlines_ms: list[float], readable: list[bool], stale_ms: float,
                 channels: tuple[str, ...] = ("a",), interval_s: float = 0.1) -> None:  # fmt: skip
        clock = Clock()
        engine = TimedEngine(clock, lambda call, plan: latencies_ms[call % len(latencies_ms)])
        policy = DeadlinePolicy(deadlines_ms)
        answerer = Answerer(engine, dict.fromkeys(channels, policy), PoseSpeed(), None, interval_s * 1e3, None, clock)
        self.results: list[tuple[float, FrameResult]] = []
        self.substitutes: list[tuple[float, Substitute]] = []
        self.publisher = Publisher(interval_s * 1e3, stale_ms)
        self.waiting = NewestFrames(channels)
        simulation = Simulation(
            clock, answerer, self.publisher, self.waiting, lambda t, r: self.results.append((t, r)),
            lambda t, s: self.substitutes.append((t, s)),
        )  # fmt: skip
        simulation.run(frames_at(interval_s, len(readable), lambda index: readable[index], channels))
        self.most_held = simulation.most_held


DRIVES = {  # fractions that never meet, so that nothing ends exactly at a deadline
    "latencies_ms": st.lists(st.integers(1, 900).map(lambda n: n + 0.25), min_size=1, max_size=8),
    "deadlines_ms": st.lists(st.integers(20, 500).map(lambda n: n + 0.6), min_size=1, max_size=5),
    "readable": st.lists(st.booleans() | st.just(True), min_size=1, max_size=40),
    "stale_ms": st.integers(100, 2000).map(lambda n: n + 0.1),
}


@settings(deadline=None, max_examples=200)
@given(**DRIVES)
def test_every_deadline_is_served(
    latencies_ms: list[float], deadlines_ms: list[float], readable: list[bool], stale_ms: float
) -> None:
    log = Log(latencies_ms, deadlines_ms, readable, stale_ms)
    results = {result.index: (time_s, result) for time_s, result in log.results}
    # Each frame is answered, skipped, or dropped, once.
    assert len(results) == len(log.results)
    assert len(results) + log.waiting.dropped == len(readable)
    assert sum(result.drops for _, result in log.results) == log.waiting.dropped
    assert [r.index for _, r in log.results if not readable[r.index]] == [
        i for i, good in enumerate(readable) if not good
    ]
    for index, (time_s, result) in results.items():
        if not readable[index]:
            assert result.status is Status.SKIPPED
            continue
        late_ms = (time_s - index * 0.1) * 1e3
        assert result.published_ms == pytest.approx(late_ms)
        late = late_ms > result.deadline_ms
        assert result.missed == late
        assert result.decision is not None
        assert result.status == (
            Status.DEADLINE_MISSED if late else Status.DEGRADED if result.decision.degraded else Status.OK
        )
    answered = sorted((time_s, index) for index, (time_s, result) in results.items() if result.prediction is not None)
    # A substitute is the newest answer there was, never older than allowed, never for a frame that was answered.
    for time_s, substitute in log.substitutes:
        before = [index for answer_s, index in answered if answer_s <= time_s]
        assert substitute.answer.index == before[-1] < substitute.index
        assert substitute.age_ms <= stale_ms + 1e-6
        assert substitute.age_ms == pytest.approx((time_s - substitute.answer.index * 0.1) * 1e3)
        assert substitute.distance_m is None  # no camera
    assert max(Counter(substitute.index for _, substitute in log.substitutes).values(), default=1) == 1
    # A late answer was preceded by a substitute wherever there was one to give.
    replaced = {substitute.index: substitute for _, substitute in log.substitutes}
    for index, (_, result) in results.items():
        if result.prediction is not None and index in replaced:
            assert result.substitute_age_ms == pytest.approx(replaced[index].age_ms)
        else:
            assert result.substitute_age_ms is None
    for index, (time_s, result) in results.items():
        if not result.missed:
            continue
        # Until the frame is decided, its deadline is reckoned to be that of a frame before it.
        soonest = index * 0.1 + min(*deadlines_ms, 100) / 1e3
        latest = max(index * 0.1 + result.deadline_ms / 1e3, time_s - result.infer_ms / 1e3)
        there = [i for answer_s, i in answered if answer_s < soonest]
        fresh = there and latest - there[-1] * 0.1 <= stale_ms / 1e3 - 1e-6
        if fresh:
            assert index in replaced
    assert log.most_held <= 2 * (max(stale_ms, max(deadlines_ms)) / 100 + 2)


def test_a_stall_is_bridged_at_every_camera_frame_until_the_answer_is_too_old() -> None:
    log = Log([10, 1000, *[10] * 20], [80.0], [True] * 16, stale_ms=500)
    times = [(round(time_s, 3), s.index, round(s.age_ms)) for time_s, s in log.substitutes]
    assert times == [(0.18, 1, 180), (0.28, 2, 280), (0.38, 3, 380), (0.48, 4, 480)]
    assert log.waiting.dropped == 9  # of ten that came meanwhile, the newest was taken
    late = next(result for _, result in log.results if result.index == 1)
    assert late.status is Status.DEADLINE_MISSED
    assert late.substitute_age_ms == pytest.approx(180)


def test_the_way_since_follows_from_speed_turn_and_age() -> None:
    image = np.zeros((32, 64, 3), np.uint8)
    frames = [
        Frame(image, "", index * 100_000, "a", camera=assumed_camera((32, 64)), yaw_rate_radps=rate)
        for index, rate in enumerate((0.1, 0.2, math.nan))
    ]
    publisher = Publisher(50.0, 1000.0)
    items = [Captured(index, frame, index * 0.1, index * 0.1) for index, frame in enumerate(frames)]
    publisher.captured(items[0])
    publisher.decided(items[0], 50.0, 10.0)
    result = FrameResult(0, frames[0], Status.OK, 50.0, Decision(PLAN, ""), Prediction())
    publisher.answered(result, 0.0, 0.02, stale=False)
    ways = []
    for item, speed_mps in ((items[1], 20.0), (items[2], 20.0)):
        publisher.captured(item)
        publisher.decided(item, 50.0, speed_mps)
        (substitute,) = publisher.due(item.captured_s + 0.06)
        ways.append((substitute.distance_m, substitute.yaw_rad))
    assert ways == [(pytest.approx(20 * 0.16), pytest.approx(0.2 * 0.16)), (None, 0.0)]
    assert (publisher.substituted, publisher.warped) == (2, 1)


def test_unreadable_frames_are_bridged_too() -> None:
    log = Log([10], [50.0], [True, False, False, True], stale_ms=1000)
    assert [(s.index, round(s.age_ms)) for _, s in log.substitutes] == [(1, 150), (2, 250)]


def test_cameras_do_not_stand_in_for_each_other() -> None:
    log = Log([10, 10, 400, 10], [150.0], [True] * 12, stale_ms=1000, channels=("a", "b"))
    assert log.substitutes
    for _, substitute in log.substitutes:
        assert substitute.answer.index % 2 == substitute.index % 2 == (0 if substitute.channel == "a" else 1)


@pytest.mark.slow
def test_a_million_frames_need_no_more_memory_than_ten_thousand() -> None:
    """A day of driving at 12 Hz: stalls, unreadable frames and plans that come and go, on an event clock."""

    def resident_mib() -> float:
        return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20

    clock = Clock()

    def latency_ms(call: int, plan: Plan) -> float:
        return 2000.0 if call % 10_007 == 0 else 200.0 if call % 97 == 0 else 20.0 + call % 50

    counts: Counter[Status] = Counter()
    drops, last, marks = 0, -1, []

    def on_result(time_s: float, result: FrameResult) -> None:
        nonlocal drops, last
        assert result.index > last
        last, drops = result.index, drops + result.drops
        counts[result.status] += 1
        if sum(counts.values()) % 100_000 == 10_000:
            marks.append(resident_mib())

    engine = TimedEngine(clock, latency_ms)
    answerer = Answerer(engine, {"a": FixedPolicy(PLAN)}, PoseSpeed(), 100.0, 1e3 / 12, None, clock)
    publisher, waiting = Publisher(100.0, 1000.0), NewestFrames(("a",))
    simulation = Simulation(clock, answerer, publisher, waiting, on_result)
    simulation.run(frames_at(1 / 12, 1_000_000, lambda index: index % 1013 != 0))
    assert sum(counts.values()) + waiting.dropped == 1_000_000
    assert drops == waiting.dropped > 1000
    assert counts[Status.SKIPPED] == len(range(0, 1_000_000, 1013))
    assert counts[Status.DEADLINE_MISSED] > 5000
    assert publisher.substituted > 5000
    assert simulation.most_held < 40
    assert marks[-1] - marks[0] < 4.0
