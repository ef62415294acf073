"""Policies from the literature, to compare the adaptive one with."""

from __future__ import annotations

import math
from collections.abc import Sequence

from perception.errors import InputError
from perception.runtime.plan import Plan
from perception.runtime.replay import ReplayedLatencies
from perception.runtime.resolution import Decision, Latencies, VehicleState


def linear_deadline_ms(speed_mps: float) -> float:
    """Deadline that falls by 10 ms with each m/s over 10 m/s, from 400 ms, after Gog et al., "Pylot: A Modular
    Platform for Exploring Latency-Accuracy Tradeoffs in Autonomous Vehicles", ICRA 2021.

    >>> linear_deadline_ms(20.0)
    300.0
    """
    return 400.0 - 10.0 * (speed_mps - 10.0)


class LinearDeadlinePolicy:
    """The rung with the most pixels whose latency bound is within a deadline that is linear in the speed.

    Where none is, the quickest; an unknown speed counts as ``max_speed_mps``.
    """

    name = "linear deadline"

    def __init__(self, plans: Sequence[Plan], latencies: Latencies, max_speed_mps: float = 36.0) -> None:
        self.plans = _uniform(plans)
        self._latencies = latencies
        self._max_speed_mps = max_speed_mps

    def choose(self, state: VehicleState) -> Decision:
        speed = state.speed_mps
        if speed is None or not 0 <= speed < math.inf:
            speed = self._max_speed_mps
        deadline_ms = linear_deadline_ms(speed)
        bounds = {plan: self._latencies.bound_ms(plan) for plan in self.plans}
        plan = _largest(self.plans, bounds, deadline_ms)
        return Decision(plan, "largest within the deadline", speed_mps=speed, deadline_ms=deadline_ms)


class FrameFitPolicy:
    """Always the rung with the most pixels whose 99th percentile fits into the interval between two frames.

    Resolution chosen by what fits the frame rate, whatever the speed, as MURAL does. Where none fits, the quickest.
    """

    name = "fits the frame"

    def __init__(self, plans: Sequence[Plan], latencies: ReplayedLatencies, interval_ms: float) -> None:
        rungs = _uniform(plans)
        chosen = _largest(rungs, {plan: latencies.quantile_ms(plan, 0.99) for plan in rungs}, interval_ms)
        self.plans = (chosen,)
        self._decision = Decision(chosen, "fits the frame interval", deadline_ms=interval_ms)

    def choose(self, state: VehicleState) -> Decision:
        return self._decision


def _uniform(plans: Sequence[Plan]) -> tuple[Plan, ...]:
    rungs = tuple(plan for plan in plans if plan.fovea is None)
    if not rungs:
        raise InputError("this policy needs a plan without a fovea")
    return rungs


def _largest(plans: Sequence[Plan], times_ms: dict[Plan, float], limit_ms: float) -> Plan:
    fitting = [plan for plan in plans if times_ms[plan] <= limit_ms]
    if fitting:
        return max(fitting, key=lambda plan: (plan.pixels, -times_ms[plan]))
    return min(plans, key=lambda plan: times_ms[plan])
