"""Measuring latencies with an engine, a clock and a sleep that the tests control."""

from __future__ import annotations

import io
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest
from latency_tables import INFO
from PIL import Image

from perception.errors import InputError
from perception.runtime.calibration import BUSY, QUIET, Condition, Samples, decode, frames_for, make_table, measure
from perception.runtime.corunner import CoRunner
from perception.runtime.pictures import timing_pictures
from perception.runtime.plan import Plan, uniform_plan
from perception.taxonomy import ROAD_SCENE
from perception.types import Prediction

NATIVE = (64, 96)
QUICK, SLOW = uniform_plan((32, 48)), uniform_plan((64, 96))
PACED, BACK_TO_BACK = QUIET


class Machine:
    """A clock that only the engine and sleeping move on; ``busy`` doubles what the engine takes."""

    labels = ROAD_SCENE
    info = INFO

    def __init__(self, late_s: float = 0.0) -> None:
        self.now, self.late_s, self.busy = 100.0, late_s, False
        self.calls: list[tuple[Plan, float]] = []
        self.prepared: list[tuple[Plan, Any]] = []
        self.seen: list[float] = []

    def clock(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        assert seconds >= 0
        self.now += seconds + self.late_s

    def warm_up(self, plan: Plan, picture_size: tuple[int, int] | None = None) -> None:
        self.prepared.append((plan, picture_size))

    def __call__(self, image: np.ndarray, plan: Plan) -> Prediction:
        assert (plan, NATIVE) in self.prepared
        assert image.shape == (*NATIVE, 3)
        assert image.dtype == np.uint8
        self.calls.append((plan, self.now))
        self.seen.append(float(image.mean()))
        self.now += {QUICK: 0.02, SLOW: 0.1}[plan] * (2 if self.busy else 1)
        return Prediction()

    @contextmanager
    def corunner(self) -> Any:
        self.busy = True
        yield
        self.busy = False

    def measure(self, frames: int, conditions: tuple[Condition, ...] = QUIET, **options: Any) -> Any:
        tools = {"clock": self.clock, "sleep": self.sleep, "corunner": self.corunner}
        return measure(self, (QUICK, SLOW), NATIVE, frames, conditions, **{**tools, **options})


def test_paced_frames_begin_when_the_camera_is_due() -> None:
    machine = Machine(late_s=0.001)
    measured = machine.measure(5, (PACED,), interval_s=0.05)
    # Each picture is taken on the camera's grid, none twice, and being woken late counts.
    ticks = [round((at - 0.001 - 100.0) / 0.05, 6) for _, at in machine.calls]
    assert ticks == [1, 2, 5, 6, 9, 10, 13, 14, 17, 18, 21, 22]
    assert measured[QUICK]["paced"].latency_ms == pytest.approx([21.0] * 5)
    assert measured[SLOW]["paced"].latency_ms == pytest.approx([101.0] * 5)
    assert measured[SLOW]["paced"].interval_ms == []


def test_frames_back_to_back_never_wait() -> None:
    machine = Machine()
    measured = machine.measure(4, (BACK_TO_BACK,), sleep=None)
    assert measured[QUICK]["back to back"].interval_ms == pytest.approx([20.0] * 4)
    assert measured[SLOW]["back to back"].latency_ms == pytest.approx([100.0] * 4)
    assert machine.now == pytest.approx(100.0 + 5 * 0.12)


def test_plans_take_turns_on_varied_pictures_and_the_first_turn_is_not_counted() -> None:
    machine = Machine()
    progress: list[tuple[int, int]] = []
    measured = machine.measure(4, progress=lambda done, total: progress.append((done, total)))
    assert [plan for plan, _ in machine.calls] == [QUICK, SLOW] * 10
    assert progress == [(done, 20) for done in range(1, 21)]
    assert all(len(samples.latency_ms) == 4 for plan in measured.values() for samples in plan.values())
    for plan in (QUICK, SLOW):
        means = {mean for (ran, _), mean in zip(machine.calls, machine.seen, strict=True) if ran == plan}
        assert len(means) == 5  # another picture every turn


def test_the_corunner_runs_in_its_conditions_alone() -> None:
    machine = Machine()
    measured = machine.measure(3, (*QUIET, *BUSY))
    assert list(measured[QUICK]) == ["paced", "back to back", "paced, co-runner", "back to back, co-runner"]
    assert measured[QUICK]["back to back"].latency_ms == pytest.approx([20.0] * 3)
    assert measured[QUICK]["back to back, co-runner"].latency_ms == pytest.approx([40.0] * 3)
    quiet = make_table(measured, ("paced", "back to back"), 0.3, {})
    every = make_table(measured, tuple(measured[QUICK]), 0.3, {})
    assert quiet.bound_ms(SLOW) == pytest.approx(100.0, abs=1e-3)
    assert every.bound_ms(SLOW) == pytest.approx(200.0, abs=1e-3)


def test_what_cannot_be_timed_is_refused() -> None:
    machine = Machine()
    with pytest.raises(InputError, match="0 frames of 2 plans"):
        machine.measure(0)
    with pytest.raises(InputError, match="0 conditions"):
        machine.measure(1, ())
    with pytest.raises(InputError, match="camera interval of 0 s"):
        machine.measure(1, interval_s=0.0)
    with pytest.raises(InputError, match="a picture of 48x64 is not of the camera's size 64x96"):
        machine.measure(1, pictures=timing_pictures((48, 64), 1))


def test_pictures_are_jpeg_files_that_differ() -> None:
    files = timing_pictures((90, 160), 3)
    assert all(Image.open(io.BytesIO(file)).format == "JPEG" for file in files)
    images = [decode(file) for file in files]
    assert images[0].shape == (90, 160, 3)
    assert np.abs(images[0].astype(float) - images[1]).mean() > 10
    assert timing_pictures((90, 160), 3) == files


def test_default_frames_suffice_with_room() -> None:
    assert frames_for(0.01) == 119
    rates = (0.3, 0.05, 0.01, 0.002)
    for rate in rates:
        many = Samples([1.0] * frames_for(rate), [1.0] * frames_for(rate))
        assert make_table({QUICK: {"a": many}}, ("a",), rate, {}).bound_ms(QUICK) == 1.0


def test_a_rounded_bound_is_not_below_the_sample() -> None:
    value = 1.00000001
    table = make_table({QUICK: {"a": Samples([value] * 99, [value] * 99)}}, ("a",), 0.01, {})
    assert value <= table.bound_ms(QUICK) < value + 1e-3


def test_the_corunner_is_a_process_that_ends_with_its_block() -> None:
    corunner = CoRunner()
    assert not corunner.running
    with corunner:
        assert corunner.running
    assert not corunner.running
    with pytest.raises(RuntimeError, match="inside"), corunner:  # noqa: PT012
        assert corunner.running
        raise RuntimeError("inside")
    assert not corunner.running
