"""Several cameras that share one engine: each has its own policy, and all keep within one budget of time."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from perception.errors import InputError
from perception.runtime.plan import Plan
from perception.runtime.resolution import AdaptivePolicy, Decision, Latencies, VehicleState


class CameraBudget:
    """Time of the engine, given out round by round: in a round each camera is answered once.

    A camera may take a plan if, with what others have taken in this round and what those to come still need, the
    round's sum of latency bounds keeps within its tightest deadline. Cameras to come need the bound of their cheapest
    plan; those that matter more need that of the plan that they had last, so that a camera whose picture happens to
    come first takes nothing from a more important one. The cheapest plan is always allowed.

    Args:
        latencies: of the plans, on the shared engine.
        plans: of each camera, the most important camera first.

    Raises:
        InputError: for no cameras, or a camera without plans.
    """

    def __init__(self, latencies: Latencies, plans: Mapping[str, Sequence[Plan]]) -> None:
        if not plans or not all(plans.values()):
            raise InputError("a budget needs at least one camera, and plans for each")
        self._latencies = latencies
        self._plans = {camera: tuple(choices) for camera, choices in plans.items()}
        self._taken: dict[str, float] = {}
        self._last: dict[str, Plan] = {}
        self._deadline_ms = math.inf
        self._allowed_ms = dict.fromkeys(plans, math.inf)

    @property
    def taken_ms(self) -> float:
        """Sum of the bounds of what was chosen in this round."""
        return sum(self._taken.values())

    def begin(self, camera: str, deadline_ms: float) -> float:
        """A camera is about to choose; a camera that did so before in this round begins the next one.

        Args:
            deadline_ms: of its answer.

        Returns:
            The largest latency bound that it may take.
        """
        if camera in self._taken:
            self._taken, self._deadline_ms = {}, math.inf
        self._deadline_ms = min(self._deadline_ms, deadline_ms)
        reserve_ms, more_important = 0.0, True
        for other in self._plans:
            if other == camera:
                more_important = False
            elif other not in self._taken:
                reserve_ms += self._needed_ms(other, more_important)
        left_ms = self._deadline_ms - self.taken_ms - reserve_ms
        self._allowed_ms[camera] = max(left_ms, self._cheapest_ms(camera))
        return self._allowed_ms[camera]

    def take(self, camera: str, plan: Plan) -> None:
        """The camera chose."""
        self._taken[camera] = self._latencies.bound_ms(plan)
        self._last[camera] = plan

    def share(self, camera: str) -> CameraShare:
        """What a camera's policy is told of the latencies."""
        return CameraShare(self, camera)

    def bound_ms(self, camera: str, plan: Plan) -> float:
        """From capture to answer if the camera took the plan now, behind those that chose before; infinite if not
        allowed."""
        own_ms = self._latencies.bound_ms(plan)
        return own_ms + self.taken_ms if own_ms <= self._allowed_ms[camera] else math.inf

    def interval_ms(self, camera: str, plan: Plan) -> float:
        """Time between two answers of a camera: a whole round."""
        others = sum(self._needed_ms(other, last=True) for other in self._plans if other != camera)
        return self._latencies.interval_ms(plan) + others

    def _needed_ms(self, camera: str, last: bool) -> float:
        if camera in self._taken:
            return self._taken[camera]
        cheapest_ms = self._cheapest_ms(camera)
        if not last or camera not in self._last:
            return cheapest_ms
        # What it had last may have been banned since.
        bound_ms = self._latencies.bound_ms(self._last[camera])
        return bound_ms if math.isfinite(bound_ms) else cheapest_ms

    def _cheapest_ms(self, camera: str) -> float:
        return min(self._latencies.bound_ms(plan) for plan in self._plans[camera])


class CameraShare:
    """The latencies as one camera meets them; implements ``Latencies`` for its policy."""

    def __init__(self, budget: CameraBudget, camera: str) -> None:
        self._budget = budget
        self._camera = camera

    def bound_ms(self, plan: Plan) -> float:
        return self._budget.bound_ms(self._camera, plan)

    def interval_ms(self, plan: Plan) -> float:
        return self._budget.interval_ms(self._camera, plan)


class BudgetedPolicy:
    """A camera's adaptive policy within the budget.

    Args:
        policy: made with ``budget.share(camera)`` as its latencies.
    """

    def __init__(self, policy: AdaptivePolicy, budget: CameraBudget, camera: str) -> None:
        self._policy = policy
        self._budget = budget
        self._camera = camera
        self.plans = policy.plans
        self.name = f"{policy.name}, shared"

    def choose(self, state: VehicleState) -> Decision:
        deadline_ms = self._policy.stopping.deadline_s(self._policy.worst_speed_mps(state)) * 1e3
        self._budget.begin(self._camera, deadline_ms)
        decision = self._policy.choose(state)
        self._budget.take(self._camera, decision.plan)
        return decision


def shared_policies(
    latencies: Latencies, plans: Mapping[str, Sequence[Plan]], seen_m: Mapping[str, Sequence[float]], **options: object
) -> dict[str, BudgetedPolicy]:
    """An adaptive policy for each camera, over one budget; for :class:`perception.runtime.loop.DriveLoop`.

    Args:
        latencies: of the plans, on the shared engine.
        plans: of each camera, the most important camera first.
        seen_m: range at which each plan of each camera sees a hazard.
        options: of :class:`perception.runtime.resolution.AdaptivePolicy`, the same for all.

    Raises:
        InputError: for plans that do not go together.
    """
    budget = CameraBudget(latencies, plans)
    policies = {}
    for camera, choices in plans.items():
        policy = AdaptivePolicy(choices, seen_m[camera], budget.share(camera), **options)  # type: ignore[arg-type]
        policies[camera] = BudgetedPolicy(policy, budget, camera)
    return policies
