"""The loop on its threads: nothing waits for anyone slower, everything ends, and failures come out.

Only what must hold however the system schedules the threads is asserted; what is published when is tested on an event
clock beside the publisher.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from perception.errors import InputError
from perception.runtime.loop import DriveLoop, FrameResult, Publication, Status
from perception.runtime.plan import Plan, ladder, uniform_plan
from perception.runtime.resolution import Decision, FixedPolicy, VehicleState
from perception.runtime.sight import assumed_camera
from perception.runtime.source import Frame
from perception.runtime.sources.live import LiveSource
from perception.runtime.speed import ConstantSpeed
from perception.taxonomy import CAMVID, LabelSet
from perception.types import Prediction

SIZE = (32, 64)
PICTURE = np.zeros((*SIZE, 3), np.uint8)
CAMERA = assumed_camera(SIZE)
POLICY = FixedPolicy(uniform_plan(SIZE))


class Camera:
    """Pictures every ``interval_s``; ``None`` cannot be read; it pauses, waits for events, and raises exceptions."""

    name = "camera"
    has_speed = False
    rendered = False
    total = None

    def __init__(self, script: list[Any], interval_s: float = 0.002, channels: tuple[str, ...] = ("a",)) -> None:
        self.script, self.interval_s, self.channels = script, interval_s, channels

    def __iter__(self) -> Iterator[Frame]:
        index = 0
        for step in self.script:
            if isinstance(step, BaseException):
                raise step
            if isinstance(step, float):
                time.sleep(step)
                continue
            if isinstance(step, threading.Event):
                step.wait(20)
                continue
            channel = self.channels[index % len(self.channels)]
            at_us = round(index // len(self.channels) * self.interval_s * 1e6)
            yield Frame(
                None if step is None else PICTURE, str(index), at_us, channel, camera=CAMERA, yaw_rate_radps=0.1
            )
            index += 1


class Engine:
    """Takes seconds by the number of the call, raises exceptions, and can be held up."""

    labels: LabelSet = CAMVID
    info: dict[str, Any] = {}  # noqa: RUF012

    def __init__(self, script: list[Any] | None = None) -> None:
        self.script = script or [0.0]
        self.calls = 0
        self.warmed: list[tuple[Plan, str]] = []

    def warm_up(self, plan: Plan, picture_size: tuple[int, int] | None = None) -> None:
        self.warmed.append((plan, threading.current_thread().name))

    def __call__(self, image: np.ndarray, plan: Plan) -> Prediction:
        step = self.script[self.calls % len(self.script)]
        self.calls += 1
        if isinstance(step, BaseException):
            raise step
        if isinstance(step, threading.Event):
            step.wait(20)
        else:
            time.sleep(step)
        return Prediction(semantic=np.full(SIZE, self.calls % 11, np.uint8))


def drive(source: Any, engine: Engine, **options: Any) -> DriveLoop:
    speed = options.pop("speed", ConstantSpeed(10.0))
    return DriveLoop(source, speed, options.pop("policy", POLICY), engine, pace="camera", **options)


def collect(loop: DriveLoop, limit_s: float = 30.0) -> list[FrameResult]:
    """Everything that the loop yields, from a thread, so that a deadlock fails the test rather than hang it."""
    results: list[FrameResult] = []
    failure: list[BaseException] = []

    def work() -> None:
        try:
            results.extend(loop)
        except BaseException as error:
            failure.append(error)

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    thread.join(limit_s)
    assert not thread.is_alive(), "the loop does not end"
    if failure:
        raise failure[0]
    return results


@pytest.fixture(autouse=True)
def no_thread_is_left() -> Iterator[None]:
    before = set(threading.enumerate())
    yield
    left = [thread for thread in threading.enumerate() if thread not in before]
    for thread in left:
        thread.join(5)
    assert not [thread.name for thread in left if thread.is_alive()]


def test_every_frame_is_answered_skipped_or_dropped() -> None:
    loop = drive(Camera([True, None, True] * 20), Engine([0.0, 0.005, 0.001]))
    results = collect(loop)
    indices = [result.index for result in results]
    assert indices == sorted(set(indices))
    assert len(results) + loop.record["dropped"] == loop.record["captured"] == 60
    assert sum(result.status is Status.SKIPPED for result in results) == 20
    assert sum(result.drops for result in results) == loop.record["dropped"]
    assert loop.record["stopped"] == "end"
    for result in results:
        if result.status is not Status.SKIPPED:
            assert result.published_ms is not None
            parts_ms = result.wait_ms + result.queue_ms + result.choose_ms + result.infer_ms
            assert result.published_ms >= parts_ms - 1e-3
            assert result.missed == (result.published_ms > result.deadline_ms)


def test_the_newest_frame_wins_while_the_network_is_busy() -> None:
    """Held up on its first frame until the camera is done, the network sees the last one next, and no other."""
    done = threading.Event()

    class Ending(Camera):
        def __iter__(self) -> Iterator[Frame]:
            yield from super().__iter__()
            done.set()

    loop = drive(Ending([True] * 30), Engine([done, 0.0]))
    results = collect(loop)
    assert [result.index for result in results][-1] == 29
    assert len(results) <= 3  # the last but one may be taken between the last frame and the end
    assert loop.record["dropped"] == 30 - len(results)


def test_plans_are_warmed_up_on_the_thread_that_runs_them() -> None:
    engine = Engine()
    loop = drive(Camera([True] * 3), engine)
    loop.warm_up()
    collect(loop)
    assert [name for _, name in engine.warmed] == ["MainThread", "infer"]


def test_a_late_answer_is_replaced_at_its_deadline_and_published_later() -> None:
    """The network is held up until something was published in place of its answer."""
    answered, replaced = threading.Event(), threading.Event()
    sent: list[Publication] = []

    def publish(publication: Publication) -> None:
        sent.append(publication)
        (answered if publication.own else replaced).set()

    source = Camera([True, answered, True], 0.05)
    loop = drive(source, Engine([0.0, replaced]), publish=publish, deadline_ms=40.0, stale_ms=20_000)
    results = collect(loop)
    assert [(item.own, item.index) for item in sent] == [(True, 0), (False, 1), (True, 1)]
    first, substitute, late = sent
    assert substitute.status is late.status is results[1].status is Status.DEADLINE_MISSED
    assert substitute.warped
    assert results[1].warped
    assert substitute.age_ms is not None
    assert substitute.age_ms >= 40
    assert results[1].substitute_age_ms == substitute.age_ms
    assert first.prediction is not None
    assert substitute.prediction is not None
    assert late.prediction is not None
    assert np.array_equal(substitute.prediction.semantic, first.prediction.semantic)  # one class all over
    assert late.prediction.semantic[0, 0] == 2


@pytest.mark.parametrize("lacking", ["speed", "camera", "yaw_rate_radps"])
def test_without_motion_or_calibration_the_last_answer_goes_out_unmoved(lacking: str) -> None:
    answered, replaced = threading.Event(), threading.Event()
    sent: list[Publication] = []

    class Unknown:
        name = "unknown"

        def at(self, frame: Frame, elapsed_s: float) -> None:
            return None

    class Lacking(Camera):
        def __iter__(self) -> Iterator[Frame]:
            for frame in super().__iter__():
                yield replace(frame, **{lacking: None})

    def publish(publication: Publication) -> None:
        sent.append(publication)
        (answered if publication.own else replaced).set()

    source = (Camera if lacking == "speed" else Lacking)([True, answered, True], 0.05)
    speed: Any = Unknown() if lacking == "speed" else ConstantSpeed(10)
    collect(drive(source, Engine([0.0, replaced]), speed=speed, publish=publish, deadline_ms=40, stale_ms=20_000))
    assert [(item.own, item.warped) for item in sent] == [(True, False), (False, False), (True, False)]
    assert sent[1].prediction is sent[0].prediction


@pytest.mark.parametrize("deadline_ms", [10_000.0, 15.0])
def test_the_watchdog_speaks_when_nothing_goes_out(deadline_ms: float) -> None:
    """The network is held up until the watchdog has spoken."""
    answered, stale = threading.Event(), threading.Event()
    seen: list[Publication] = []

    def publish(publication: Publication) -> None:
        seen.append(publication)
        if publication.prediction is None:
            assert loop.status is Status.STALE
            stale.set()
        elif publication.own:
            answered.set()

    source = Camera([True, answered, True])
    loop = drive(source, Engine([0.0, stale]), publish=publish, stale_ms=30.0, deadline_ms=deadline_ms)
    results = collect(loop)
    assert loop.record["stale"] >= 1
    assert [item.status for item in seen if item.prediction is None] == [Status.STALE] * loop.record["stale"]
    assert len(results) == 2
    # Late, and nothing had gone out for long; in time, however long that is, it is not stale.
    assert results[1].status is (Status.STALE if deadline_ms < 30 else Status.OK)


@pytest.mark.parametrize("where", ["source", "engine", "policy", "speed", "publish", "monitor"])
def test_an_exception_anywhere_ends_the_loop_with_it(where: str) -> None:
    class Broken(Exception):
        pass

    def fail(*_: Any) -> Any:
        raise Broken(where)

    class BadPolicy:
        name, plans = "bad", POLICY.plans

        def choose(self, state: VehicleState) -> Decision:
            return fail()

    class BadSpeed:
        name = "bad"
        at = fail

    class BadMonitor:
        events = ()
        observe = fail

    script: list[Any] = [True] * 5
    options: dict[str, Any] = {
        "policy": {"policy": BadPolicy()}, "speed": {"speed": BadSpeed()}, "publish": {"publish": fail},
        "monitor": {"monitor": BadMonitor()},
    }.get(where, {})  # fmt: skip
    source = Camera([*script, Broken("source")] if where == "source" else script * 100)
    engine = Engine([0.0, Broken("engine")] if where == "engine" else [0.0])
    with pytest.raises(Broken, match=where):
        collect(drive(source, engine, **options))


def test_stopping_ends_with_what_was_taken() -> None:
    loop = drive(Camera([True] * 100_000), Engine([0.001]))
    results: list[FrameResult] = []
    for result in loop:
        results.append(result)
        if len(results) == 3:
            loop.stop("enough")
    assert loop.record["stopped"] == "enough"
    assert 3 <= len(results) < 1000
    assert len(results) + loop.record["dropped"] == loop.record["captured"]


def test_stopping_before_the_start_drives_nothing() -> None:
    loop = drive(Camera([True] * 10), Engine())
    loop.stop()
    assert collect(loop) == []


def test_whoever_leaves_the_iteration_leaves_no_threads() -> None:
    for result in drive(Camera([True] * 100_000), Engine([0.0])):
        assert result.index >= 0
        break  # the fixture looks for threads


def test_a_slow_reader_loses_results_and_holds_nothing_up() -> None:
    loop = drive(Camera([True] * 400, 0.0005), Engine([0.0]))
    results = []
    for result in loop:
        if not results:
            while loop.record["captured"] < 400:
                time.sleep(0.005)
            time.sleep(0.05)
        results.append(result)
    record = loop.record
    assert len(results) + record["dropped"] + record["unread"] == 400
    assert len(results) <= 66


def test_cameras_take_turns() -> None:
    class Fair:
        name, plans = "fair", POLICY.plans

        def __init__(self) -> None:
            self.asked = 0

        def choose(self, state: VehicleState) -> Decision:
            self.asked += 1
            return Decision(self.plans[0], "")

    policies = {"front": Fair(), "rear": Fair()}
    loop = drive(Camera([True] * 80, channels=("front", "rear")), Engine([0.004]), policy=policies)
    results = collect(loop)
    served = [sum(result.frame.channel == channel for result in results) for channel in policies]
    assert abs(served[0] - served[1]) <= 3
    assert [policy.asked for policy in policies.values()] == served
    with pytest.raises(InputError, match="no policy for rear"):
        drive(Camera([], channels=("front", "rear")), Engine(), policy={"front": Fair()})


def test_live_pictures_are_driven_as_they_come() -> None:
    source = LiveSource(interval_s=0.01)
    sent: list[Publication] = []
    loop = drive(source, Engine([0.001]), publish=sent.append)
    pictures: list[Any] = [PICTURE, b"no picture", PICTURE]

    def feed() -> None:
        for index in range(60):
            source.push(pictures[index % 3], index * 10_000, speed_mps=5.0, age_s=0.001)
            time.sleep(0.002)
        source.close()

    feeder = threading.Thread(target=feed)
    feeder.start()
    results = collect(loop)
    feeder.join()
    assert len(sent) > 0
    assert {result.status is Status.SKIPPED for result in results} == {True, False}
    assert all(result.published_ms >= 1.0 for result in results if result.published_ms is not None)
    assert all(result.index < 60 for result in results)


def test_live_pictures_that_came_before_the_start_are_passed_over() -> None:
    source = LiveSource(interval_s=0.01)
    engine = Engine()
    loop = drive(source, engine)
    for index in range(3):
        source.push(PICTURE, index)
    loop.warm_up()
    assert [name for _, name in engine.warmed] == ["MainThread"]

    def feed() -> None:
        while not loop.record["captured"]:
            source.push(PICTURE, 99)
            time.sleep(0.005)
        source.close()

    feeder = threading.Thread(target=feed)
    feeder.start()
    assert {result.frame.timestamp_us for result in collect(loop)} == {99}
    feeder.join()


def test_a_live_source_that_says_nothing_can_be_stopped() -> None:
    source = LiveSource()
    loop = drive(source, Engine())
    threading.Timer(0.05, loop.stop).start()
    assert collect(loop) == []
    with pytest.raises(InputError, match="camera 'rear' is none of camera"):
        source.push(PICTURE, 0, "rear")


STEP = st.sampled_from([True, True, True, None, 0.004])
CALL = st.sampled_from([0.0, 0.0, 0.001, 0.006])


@settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    script=st.lists(STEP, max_size=30),
    calls=st.lists(CALL, min_size=1, max_size=6),
    failure=st.none() | st.tuples(st.sampled_from(["source", "engine", "publish"]), st.integers(0, 12)),
    stop_at=st.none() | st.integers(1, 10),
    channels=st.sampled_from([("a",), ("a", "b"), ("a", "b", "c")]),
)
def test_no_deadlock_whatever_stalls_fails_or_stops(
    script: list[Any], calls: list[Any], failure: tuple[str, int] | None, stop_at: int | None, channels: tuple[str, ...]
) -> None:
    class Broken(Exception):
        pass

    script, calls, published = list(script), list(calls), 0
    if failure is not None and failure[0] == "source":
        script.insert(min(failure[1], len(script)), Broken())
    if failure is not None and failure[0] == "engine":
        calls.insert(min(failure[1], len(calls)), Broken())

    def publish(publication: Publication) -> None:
        nonlocal published
        published += publication.prediction is not None
        if failure == ("publish", published):
            raise Broken
        if published == stop_at:
            loop.stop()

    loop = drive(Camera(script, 0.001, channels), Engine(calls), publish=publish, stale_ms=5.0)
    try:
        results = collect(loop)
    except Broken:
        assert failure is not None
        return
    record = loop.record
    assert len(results) + record["dropped"] + record["unread"] == record["captured"]
    for channel in channels:
        indices = [result.index for result in results if result.frame.channel == channel]
        assert indices == sorted(set(indices))


class Alternating:
    """A plan after the other."""

    name, plans = "alternating", ladder((180, 320), (0.25, 0.5, 1.0))

    def __init__(self) -> None:
        self.asked = 0

    def choose(self, state: VehicleState) -> Decision:
        self.asked += 1
        return Decision(self.plans[self.asked % len(self.plans)], "")


class Wide(Camera):
    def __iter__(self) -> Iterator[Frame]:
        for frame in super().__iter__():
            yield Frame(np.zeros((180, 320, 3), np.uint8), frame.name, frame.timestamp_us, frame.channel)


def network_engine(device: str) -> Any:
    """PyTorch, with a network of one layer."""
    import torch

    from perception.runtime.engine import TorchEngine

    class Small(torch.nn.Module):
        label_set = CAMVID

        def __init__(self) -> None:
            super().__init__()
            self.convolution = torch.nn.Conv2d(3, 11, 3, padding=1)

        def forward(self, image: torch.Tensor) -> dict[str, torch.Tensor]:
            return {"logits": self.convolution(image)}

        def decode(self, outputs: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
            return {"semantic": outputs["logits"].argmax(1).to(torch.uint8)}

    return TorchEngine(Small(), device)


@pytest.mark.slow
def test_resident_memory_stays_flat_with_a_network() -> None:
    """Plans that alternate, at the pace of the camera."""

    def resident_mib() -> float:
        return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20

    loop = drive(Wide([True] * 900, 0.005), network_engine("cpu"), policy=Alternating())
    loop.warm_up()
    marks = [resident_mib() for result in loop if result.index % 50 == 0]
    assert len(marks) > 5
    assert max(marks[len(marks) // 2 :]) - marks[1] < 16


@pytest.mark.gpu
def test_nothing_is_allocated_on_the_gpu_after_the_warm_up() -> None:
    import torch

    if not torch.cuda.is_available():
        pytest.skip("no CUDA device")
    engine = network_engine("cuda")
    loop = drive(Wide([True] * 200, 0.005), engine, policy=Alternating())
    loop.warm_up()
    graphs = engine.info["cuda_graphs"]
    assert graphs == 3
    counts = [
        (stats["allocation.all.allocated"], stats["segment.all.allocated"], stats["reserved_bytes.all.current"])
        for result in loop
        if (stats := torch.cuda.memory_stats()) and result.prediction is not None
    ]
    assert len(counts) > 20
    assert len(set(counts)) == 1
    assert engine.info["cuda_graphs"] == graphs
