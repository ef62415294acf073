"""The loop: take a frame, ask the policy for a plan, run the engine, say whether the answer came in time."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum

from perception.errors import InputError
from perception.runtime.engine import Engine
from perception.runtime.resolution import Decision, Policy, VehicleState
from perception.runtime.source import Frame, Source
from perception.runtime.speed import SpeedSource
from perception.types import Prediction


class Status(StrEnum):
    """How a frame went."""

    OK = "OK"
    DEADLINE_MISSED = "DEADLINE_MISSED"
    SKIPPED = "SKIPPED"


@dataclass(frozen=True)
class FrameResult:
    """What the loop says about one frame.

    Args:
        index: position in the run, from 0.
        prediction: at the plan's size; ``None`` for a skipped frame.
        speed_mps: what the policy was told.
        wait_ms: until the frame was there: waiting, reading, decoding.
        choose_ms: looking up the speed and choosing the plan.
        infer_ms: resizing, network, decoding of its outputs, all the way back to the host.
        age_ms: how long ago the newest picture that has an answer was taken, at the end of this frame;
            ``None`` before the first answer.
    """

    index: int
    frame: Frame
    status: Status
    deadline_ms: float
    decision: Decision | None = None
    prediction: Prediction | None = None
    speed_mps: float | None = None
    wait_ms: float = 0.0
    choose_ms: float = 0.0
    infer_ms: float = 0.0
    age_ms: float | None = None

    @property
    def latency_ms(self) -> float:
        """From frame in hand to answer on the host; this is what the deadline bounds."""
        return self.choose_ms + self.infer_ms

    @property
    def total_ms(self) -> float:
        return self.wait_ms + self.latency_ms


class DriveLoop:
    """Processes every frame of a source in order, however long it takes, and records the deadline.

    Args:
        deadline_ms: limit of a frame's latency; default the interval between frames, divided by the number
            of cameras that share the engine.
        clock: monotonic seconds; replaced in tests.

    Raises:
        InputError: for a deadline that is not a positive number.
    """

    def __init__(
        self,
        source: Source,
        speed: SpeedSource,
        policy: Policy,
        engine: Engine,
        deadline_ms: float | None = None,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        if deadline_ms is None:
            deadline_ms = source.interval_s * 1e3 / len(source.channels)
        if not 0 < deadline_ms < float("inf"):
            raise InputError(f"deadline_ms {deadline_ms:g} is not a positive number of milliseconds")
        self.deadline_ms = deadline_ms
        self.warm_up_ms = 0.0
        self._source = source
        self._speed = speed
        self._policy = policy
        self._engine = engine
        self._clock = clock
        self._start_us: int | None = None
        self._answered: tuple[int, float] | None = None  # capture time in microseconds and latency of the last answer

    def warm_up(self) -> None:
        """Prepare every plan of the policy, so that no frame pays for it."""
        start = self._clock()
        for plan in self._policy.plans:
            self._engine.warm_up(plan)
        self.warm_up_ms = (self._clock() - start) * 1e3

    def __iter__(self) -> Iterator[FrameResult]:
        frames = iter(self._source)
        index = 0
        while True:
            start = self._clock()
            frame = next(frames, None)
            if frame is None:
                return
            yield self.step(index, frame, (self._clock() - start) * 1e3)
            index += 1

    def step(self, index: int, frame: Frame, wait_ms: float) -> FrameResult:
        """Answer one frame."""
        if self._start_us is None:
            self._start_us = frame.timestamp_us
        start = self._clock()
        speed_mps = self._speed.at(frame, (frame.timestamp_us - self._start_us) / 1e6)
        if frame.image is None:
            return FrameResult(
                index, frame, Status.SKIPPED, self.deadline_ms, speed_mps=speed_mps, wait_ms=wait_ms,
                age_ms=self._age_ms(frame),
            )  # fmt: skip
        decision = self._policy.choose(VehicleState(frame.timestamp_us, speed_mps))
        chosen = self._clock()
        prediction = self._engine(frame.image, decision.plan)
        choose_ms, infer_ms = (chosen - start) * 1e3, (self._clock() - chosen) * 1e3
        self._answered = (frame.timestamp_us, choose_ms + infer_ms)
        return FrameResult(
            index=index,
            frame=frame,
            status=Status.OK if choose_ms + infer_ms <= self.deadline_ms else Status.DEADLINE_MISSED,
            deadline_ms=self.deadline_ms,
            decision=decision,
            prediction=prediction,
            speed_mps=speed_mps,
            wait_ms=wait_ms,
            choose_ms=choose_ms,
            infer_ms=infer_ms,
            age_ms=self._age_ms(frame),
        )

    def _age_ms(self, frame: Frame) -> float | None:
        if self._answered is None:
            return None
        captured_us, latency_ms = self._answered
        return (frame.timestamp_us - captured_us) / 1e3 + latency_ms
