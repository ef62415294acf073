"""Which resolution to run at: plans, and the policies that choose among them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from perception.errors import InputError
from perception.geometry.size import parse_size

POLICIES = "fixed:HxW"
MIN_SIDE_PX = 32
"""Below this a network's last feature map would be empty or a single cell."""


@dataclass(frozen=True)
class Plan:
    """One way of running the model that is prepared before the loop starts.

    Args:
        name: short name, as shown in reports.
        size: ``(height, width)`` of the network input.
    """

    name: str
    size: tuple[int, int]


@dataclass(frozen=True)
class VehicleState:
    """What a policy may know when it chooses.

    Args:
        timestamp_us: capture time of the frame to be processed.
        speed_mps: ego speed; ``None`` where it is not known.
    """

    timestamp_us: int
    speed_mps: float | None


@dataclass(frozen=True)
class Decision:
    """The plan for one frame and, for the report, why."""

    plan: Plan
    reason: str


class Policy(Protocol):
    """Chooses a plan for every frame, among plans that it declares beforehand."""

    @property
    def name(self) -> str: ...

    @property
    def plans(self) -> tuple[Plan, ...]:
        """Every plan that ``choose`` may return; the loop prepares them all before it starts."""
        ...

    def choose(self, state: VehicleState) -> Decision: ...


class FixedPolicy:
    """Always the same plan."""

    def __init__(self, plan: Plan) -> None:
        self.plans = (plan,)
        self.name = f"fixed:{plan.name}"
        self._decision = Decision(plan, "fixed")

    def choose(self, state: VehicleState) -> Decision:
        return self._decision


def parse_policy(text: str) -> Policy:
    """The policy that a command-line value names.

    >>> parse_policy("fixed:360x640").plans
    (Plan(name='360x640', size=(360, 640)),)

    Raises:
        InputError: naming the policies that exist.
    """
    kind, separator, rest = text.strip().partition(":")
    if kind != "fixed":
        raise InputError(f"policy {text!r} is not available; use {POLICIES}")
    if not separator:
        raise InputError("policy 'fixed' names no size; write fixed:HxW, such as fixed:360x640")
    height, width = parse_size(rest)
    if min(height, width) < MIN_SIDE_PX:
        raise InputError(f"policy {text!r} is too small; each side must be at least {MIN_SIDE_PX} pixels")
    return FixedPolicy(Plan(f"{height}x{width}", (height, width)))
