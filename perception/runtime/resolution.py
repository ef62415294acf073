"""Which resolution to run at: the policies that choose a plan for every frame. Plain Python: no network, no clock."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from perception.errors import InputError
from perception.geometry.size import parse_size
from perception.runtime.plan import Plan, uniform_plan
from perception.runtime.stopping import StoppingModel
from perception.runtime.utility import Utility

POLICIES = "fixed:HxW, adaptive, adaptive:quality or adaptive:eco"
MODES = ("quality", "eco")


@dataclass(frozen=True)
class VehicleState:
    """What a policy may know when it chooses.

    Args:
        timestamp_us: capture time of the frame to be processed.
        speed_mps: ego speed; ``None`` where it is not known.
        speed_sigma_mps: standard deviation of it.
        speed_age_s: how long before the capture it was measured.
        acceleration_mps2: along the road, forward positive.
        grade_rad: slope of the road ahead, uphill positive.
        friction: grip of the road; ``None`` for the stopping model's own.
    """

    timestamp_us: int
    speed_mps: float | None
    speed_sigma_mps: float = 0.0
    speed_age_s: float = 0.0
    acceleration_mps2: float = 0.0
    grade_rad: float = 0.0
    friction: float | None = None


@dataclass(frozen=True)
class Decision:
    """The plan for one frame and, for the report, why. What a policy does not reason about is ``None``.

    Args:
        speed_mps: worst case that was reckoned with.
        required_m: range that this speed asks for under the plan.
        seen_m: range at which the plan sees a hazard.
        deadline_ms: latest answer.
        degraded: no plan is safe at this speed.
        supported_mps: highest speed at which the plan is safe.
    """

    plan: Plan
    reason: str
    speed_mps: float | None = None
    required_m: float | None = None
    seen_m: float | None = None
    deadline_ms: float | None = None
    degraded: bool = False
    supported_mps: float | None = None


class Policy(Protocol):
    """Chooses a plan for every frame, among plans that it declares beforehand."""

    @property
    def name(self) -> str: ...

    @property
    def plans(self) -> tuple[Plan, ...]:
        """Every plan that ``choose`` may return; the loop prepares them all before it starts."""
        ...

    def choose(self, state: VehicleState) -> Decision: ...


class Latencies(Protocol):
    """How long plans take, as the policy reckons with it at this moment."""

    def bound_ms(self, plan: Plan) -> float:
        """Upper bound from capture to answer; infinite for a plan that must not run."""
        ...

    def interval_ms(self, plan: Plan) -> float:
        """Time between two answers when frames follow each other."""
        ...


class FixedPolicy:
    """Always the same plan."""

    def __init__(self, plan: Plan) -> None:
        self.plans = (plan,)
        self.name = f"fixed:{plan.name}"
        self._decision = Decision(plan, "fixed")

    def choose(self, state: VehicleState) -> Decision:
        return self._decision


class AdaptivePolicy:
    """The plan that sees far enough to stop and answers soon enough to matter.

    Each plan is checked as it stands: the range that the speed requires must not exceed the range that the plan
    sees, and its answer must keep within the deadline (see :class:`StoppingModel`). Among the safe ones
    ``quality`` takes the most useful one and ``eco`` the quickest. Without a measured utility, and in ``eco``, plans
    with a fovea wait until no uniform one is safe. Where none is, the plan with the highest supported speed runs and
    the decision says ``degraded``.

    What safety needs happens at once. Relaxing to a plan that is merely better needs that it has been safe for
    ``dwell_s`` at a speed that lies ``band_mps`` higher.

    Args:
        plans: at least one, with distinct names.
        seen_m: range at which each plan sees a hazard, see :func:`perception.runtime.sight.seen_range_m`.
        latencies: asked at every choice, so that a drift takes effect at once.
        mode: ``quality`` or ``eco``.
        utility: how useful each plan's answers are at a speed, as measured on drives; by default its pixels.
        sigmas: how many standard deviations of the speed are added to it.
        stale_s: a speed measured longer ago counts as unknown.
        unmeasured_mps2: acceleration that is reckoned with since the speed was measured, where it is larger
            than the measured one.

    Raises:
        InputError: for plans that do not go together or an option out of range.
    """

    def __init__(
        self,
        plans: Sequence[Plan],
        seen_m: Sequence[float],
        latencies: Latencies,
        stopping: StoppingModel | None = None,
        mode: str = "quality",
        dwell_s: float = 0.25,
        band_mps: float = 1.0,
        sigmas: float = 2.0,
        stale_s: float = 0.5,
        unmeasured_mps2: float = 2.0,
        utility: Utility | None = None,
    ) -> None:
        if mode not in MODES:
            raise InputError(f"unknown mode {mode!r} of the adaptive policy; use {' or '.join(MODES)}")
        if not plans or len(plans) != len(seen_m) or len({plan.name for plan in plans}) != len(plans):
            raise InputError("the adaptive policy needs plans with distinct names and one seen range for each")
        for name, value in (("dwell_s", dwell_s), ("band_mps", band_mps), ("sigmas", sigmas), ("stale_s", stale_s)):
            if not 0 <= value < math.inf:
                raise InputError(f"{name} {value:g} is not a non-negative number")
        if utility is not None:
            utility.check(plans)
        self._utility = utility
        self.plans = tuple(plans)
        self.name = "adaptive" if mode == "quality" else f"adaptive:{mode}"
        self.mode = mode
        self.stopping = stopping or StoppingModel()
        self._seen_m = tuple(map(float, seen_m))
        self._latencies = latencies
        self._dwell_us = dwell_s * 1e6
        self._band_mps, self._sigmas, self._stale_s, self._unmeasured_mps2 = band_mps, sigmas, stale_s, unmeasured_mps2
        self._current: int | None = None
        self._better_since_us: int | None = None

    def worst_speed_mps(self, state: VehicleState) -> float:
        """Speed to reckon with: what is measured, plus its uncertainty and what may have come on since."""
        speed, age = state.speed_mps, state.speed_age_s
        if speed is None or not 0 <= speed < math.inf:
            return self.stopping.max_speed_mps
        if not -1e-3 <= age <= self._stale_s or not 0 <= state.speed_sigma_mps < math.inf:
            return max(speed, self.stopping.max_speed_mps)
        measured = state.acceleration_mps2 if math.isfinite(state.acceleration_mps2) else 0.0
        return speed + self._sigmas * state.speed_sigma_mps + max(measured, self._unmeasured_mps2) * max(age, 0.0)

    def choose(self, state: VehicleState) -> Decision:
        stopping, speed = self.stopping, self.worst_speed_mps(state)
        grade = state.grade_rad if math.isfinite(state.grade_rad) else -math.pi / 2
        friction = state.friction
        if friction is not None and not 0 <= friction < math.inf:
            friction = None
        braking = stopping.braking_mps2(grade, friction)
        times = [(self._latencies.bound_ms(plan) / 1e3, self._latencies.interval_ms(plan) / 1e3) for plan in self.plans]
        bounds = [stopping.answer_s(*each) for each in times]
        reactions = [stopping.reaction_s(*each) for each in times]
        safe = self._safe(speed, braking, bounds, reactions)
        chosen, reason, degraded = self._pick(state.timestamp_us, speed, braking, bounds, reactions, safe)
        self._current = chosen
        return Decision(
            plan=self.plans[chosen],
            reason=reason,
            speed_mps=speed,
            required_m=stopping.required_range_m(speed, reactions[chosen], braking),
            seen_m=self._seen_m[chosen],
            deadline_ms=stopping.deadline_s(speed) * 1e3,
            degraded=degraded,
            supported_mps=stopping.supported_speed_mps(
                self._seen_m[chosen], bounds[chosen], reactions[chosen], braking
            ),
        )

    def _safe(self, speed: float, braking: float, bounds: Sequence[float], reactions: Sequence[float]) -> list[int]:
        """Plans that see far enough and answer in time at a speed."""
        deadline, reach = self.stopping.deadline_s(speed), self.stopping.appear_range_m
        return [
            i
            for i, seen in enumerate(self._seen_m)
            if bounds[i] <= deadline
            and self.stopping.required_range_m(speed, reactions[i], braking) <= min(seen, reach)
        ]

    def _rank(self, i: int, speed: float, bounds: Sequence[float]) -> tuple[bool, float, float]:
        """Smaller is better: by measured utility, else uniform plans first and then by pixels or by cost."""
        plan = self.plans[i]
        if self.mode == "eco":
            return plan.fovea is not None, bounds[i], 0.0
        if self._utility is None:
            return plan.fovea is not None, -float(plan.pixels), bounds[i]
        return False, -self._utility.at(plan, speed), bounds[i]

    def _best(self, safe: Sequence[int], speed: float, bounds: Sequence[float]) -> int:
        return min(safe, key=lambda i: self._rank(i, speed, bounds))

    def _pick(
        self,
        now_us: int,
        speed: float,
        braking: float,
        bounds: Sequence[float],
        reactions: Sequence[float],
        safe: Sequence[int],
    ) -> tuple[int, str, bool]:
        if not safe:
            self._better_since_us = None
            supported = [
                self.stopping.supported_speed_mps(seen, bounds[i], reactions[i], braking)
                for i, seen in enumerate(self._seen_m)
            ]
            chosen = max(range(len(self.plans)), key=lambda i: (supported[i], -bounds[i]))
            return chosen, f"no plan is safe; supports {supported[chosen] * 3.6:.0f} km/h", True
        best = self._best(safe, speed, bounds)
        current = self._current
        if current is None or current not in safe:
            self._better_since_us = None
            return best, "first" if current is None else "needed", False
        if best == current:
            self._better_since_us = None
            return best, "kept", False
        relaxed = self._safe(speed + self._band_mps, braking, bounds, reactions)
        target = self._best(relaxed, speed, bounds) if relaxed else current
        if self._rank(target, speed, bounds) >= self._rank(current, speed, bounds):
            self._better_since_us = None
            return current, "kept within the speed band", False
        if self._better_since_us is None or now_us < self._better_since_us:
            self._better_since_us = now_us
        if now_us - self._better_since_us < self._dwell_us:
            return current, "kept for the dwell time", False
        self._better_since_us = None
        return target, "relaxed", False


@dataclass(frozen=True)
class PolicySpec:
    """What a command-line value asks for: a fixed plan, or the adaptive policy in a mode."""

    plan: Plan | None = None
    mode: str | None = None


def parse_policy(text: str) -> PolicySpec:
    """The policy that a command-line value names.

    >>> parse_policy("fixed:360x640").plan
    Plan(name='360x640', size=(360, 640), fovea=None)
    >>> parse_policy("adaptive:eco").mode
    'eco'

    Raises:
        InputError: naming the policies that exist.
    """
    kind, separator, rest = text.strip().partition(":")
    if kind == "adaptive":
        mode = rest if separator else "quality"
        if mode not in MODES:
            raise InputError(f"unknown mode {mode!r} of the adaptive policy; use {POLICIES}")
        return PolicySpec(mode=mode)
    if kind != "fixed":
        raise InputError(f"policy {text!r} is not available; use {POLICIES}")
    if not separator:
        raise InputError("policy 'fixed' names no size; write fixed:HxW, such as fixed:360x640")
    return PolicySpec(plan=uniform_plan(parse_size(rest)))
