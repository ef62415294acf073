"""One frame through policy and engine: what both paces of the loop have in common."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from perception.errors import InputError
from perception.runtime.engine import Engine
from perception.runtime.plan import Plan
from perception.runtime.resolution import Decision, Policy
from perception.runtime.source import Frame
from perception.runtime.speed import SpeedSource, checked, vehicle_state
from perception.types import Prediction


class Monitor(Protocol):
    """Is told how long every frame took, such as :class:`perception.runtime.drift.DriftMonitor`."""

    @property
    def events(self) -> tuple[Any, ...]: ...

    def observe(self, plan: Plan, latency_ms: float) -> None: ...


@dataclass(frozen=True)
class Choice:
    """What was decided for a frame; ``decision`` is ``None`` for one that could not be read."""

    speed_mps: float | None
    decision: Decision | None
    deadline_ms: float
    choose_ms: float


class Answerer:
    """Looks up the speed, asks the policy, runs the engine, and tells the monitor.

    Args:
        policies: of each camera.
        deadline_ms: asked for by the user; the tighter of it and the policy's counts.
        interval_ms: what counts where neither the user nor the policy has a deadline.
        clock: monotonic seconds.

    Raises:
        InputError: for a deadline that is not a positive number.
    """

    def __init__(
        self,
        engine: Engine,
        policies: Mapping[str, Policy],
        speed: SpeedSource,
        deadline_ms: float | None,
        interval_ms: float,
        monitor: Monitor | None,
        clock: Callable[[], float],
    ) -> None:
        if deadline_ms is not None and not 0 < deadline_ms < math.inf:
            raise InputError(f"deadline_ms {deadline_ms:g} is not a positive number of milliseconds")
        self.default_ms = interval_ms if deadline_ms is None else deadline_ms
        self._asked_ms = deadline_ms
        self._engine = engine
        self._policies = dict(policies)
        self._speed = speed
        self._monitor = monitor
        self._clock = clock
        self._start_us: int | None = None

    @property
    def plans(self) -> tuple[Plan, ...]:
        """Every plan that may be asked for, once."""
        return tuple(dict.fromkeys(plan for policy in self._policies.values() for plan in policy.plans))

    def warm_up(self, picture_size: tuple[int, int] | None) -> None:
        for plan in self.plans:
            self._engine.warm_up(plan, picture_size)

    def choose(self, frame: Frame) -> Choice:
        """The plan for a frame, and by when its answer must be published."""
        start = self._clock()
        if self._start_us is None:
            self._start_us = frame.timestamp_us
        reading = checked(self._speed.at(frame, (frame.timestamp_us - self._start_us) / 1e6))
        speed_mps = None if reading is None else reading.mps
        if frame.image is None:
            return Choice(speed_mps, None, self.default_ms, 0.0)
        decision = self._policies[frame.channel].choose(vehicle_state(frame, reading))
        deadline_ms = self.default_ms
        if decision.deadline_ms is not None:
            deadline_ms = min(decision.deadline_ms, math.inf if self._asked_ms is None else self._asked_ms)
        return Choice(speed_mps, decision, deadline_ms, (self._clock() - start) * 1e3)

    def infer(self, frame: Frame, choice: Choice) -> tuple[Prediction, float]:
        """The answer and the milliseconds that it took."""
        assert frame.image is not None
        assert choice.decision is not None
        start = self._clock()
        prediction = self._engine(frame.image, choice.decision.plan)
        return prediction, (self._clock() - start) * 1e3

    def observe(self, choice: Choice, latency_ms: float) -> None:
        """Tell the monitor how long reading, choosing and inferring took, without waiting for other frames."""
        if self._monitor is not None and choice.decision is not None:
            self._monitor.observe(choice.decision.plan, latency_ms)
