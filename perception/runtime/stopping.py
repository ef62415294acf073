"""How far a vehicle must see and how soon it must know, at a speed: stopping distance and tolerated movement.

The required range is that of the Responsibility-Sensitive Safety literature (reaction plus braking, arXiv
1708.06374), with the reaction made of what the perception loop really takes: observations to confirm a hazard,
latency, and actuation.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields

from perception.errors import InputError

GRAVITY_MPS2 = 9.80665


@dataclass(frozen=True)
class StoppingModel:
    """Assumptions about the vehicle, the hazard and the camera.

    Args:
        deceleration_mps2: braking on the level where grip allows it.
        friction: grip of the road where the vehicle's state tells none.
        actuation_s: planning and brake build-up.
        confirmations: observations that confirm a hazard; the worst case waits a whole interval for the first.
        standoff_m: distance left to the hazard at standstill.
        hazard_height_m: of the lowest hazard that must be seen.
        min_height_px: height in network pixels at which the model's recall reaches its floor.
        appear_range_m: distance at which a hidden hazard can appear; nothing is required beyond it.
        tolerance_m: movement between capture and answer that is tolerated.
        max_answer_s: the answer must come within this time also at a standstill.
        camera_interval_s: time between two pictures.
        max_speed_mps: assumed where the speed is not known.
        corridor_half_width_m: half the width of the strip ahead in which hazards matter to a fovea.

    Raises:
        InputError: for a value out of range.
    """

    deceleration_mps2: float = 5.0
    friction: float = 0.7
    actuation_s: float = 0.4
    confirmations: int = 2
    standoff_m: float = 2.0
    hazard_height_m: float = 1.7
    min_height_px: float = 20.0
    appear_range_m: float = math.inf
    tolerance_m: float = 1.5
    max_answer_s: float = 1.0
    camera_interval_s: float = 1 / 12
    max_speed_mps: float = 36.0
    corridor_half_width_m: float = 4.0

    def __post_init__(self) -> None:
        for item in fields(self):
            value = getattr(self, item.name)
            zero_allowed = item.name in ("actuation_s", "standoff_m")
            allowed = value >= 0 if zero_allowed else value > 0
            if not allowed or (math.isinf(value) and item.name != "appear_range_m"):
                raise InputError(
                    f"{item.name} {value:g} is not a {'non-negative' if zero_allowed else 'positive'} number"
                )

    def braking_mps2(self, grade_rad: float = 0.0, friction: float | None = None) -> float:
        """Deceleration on a slope (uphill positive), limited by grip; zero or below means that it cannot stop."""
        grip = self.friction if friction is None else friction
        share = min(self.deceleration_mps2 / GRAVITY_MPS2, grip)
        return GRAVITY_MPS2 * (share * math.cos(grade_rad) + math.sin(grade_rad))

    def answer_s(self, latency_s: float, interval_s: float) -> float:
        """From capture to answer: a network that is slower than the camera lets a picture wait, up to one interval.

        Args:
            latency_s: from the compressed picture to the answer, for a network that is free.
            interval_s: between two answers when pictures follow each other.
        """
        return latency_s + (self.camera_interval_s if interval_s > self.camera_interval_s else 0.0)

    def reaction_s(self, latency_s: float, interval_s: float) -> float:
        """From the hazard's first visibility to full braking; the arguments are those of :meth:`answer_s`."""
        wait_s = self.confirmations * max(interval_s, self.camera_interval_s)
        return wait_s + self.answer_s(latency_s, interval_s) + self.actuation_s

    def required_range_m(self, speed_mps: float, reaction_s: float, braking_mps2: float) -> float:
        """Distance at which a hazard must be seen to stop before it; infinite where the vehicle cannot stop."""
        if braking_mps2 <= 0:
            return math.inf if speed_mps > 0 else self.standoff_m
        return speed_mps * reaction_s + speed_mps * speed_mps / (2 * braking_mps2) + self.standoff_m

    def deadline_s(self, speed_mps: float) -> float:
        """Latest answer: the time to cover ``tolerance_m``, and never more than ``max_answer_s``."""
        return self.max_answer_s if speed_mps * self.max_answer_s <= self.tolerance_m else self.tolerance_m / speed_mps

    def supported_speed_mps(
        self, seen_range_m: float, latency_s: float, reaction_s: float, braking_mps2: float
    ) -> float:
        """Highest speed at which what is seen suffices and the answer is in time; 0 where there is none.

        Args:
            latency_s: from capture to answer, see :meth:`answer_s`.
            reaction_s: see :meth:`reaction_s`.
        """
        spare_m = min(seen_range_m, self.appear_range_m) - self.standoff_m
        if spare_m <= 0 or braking_mps2 <= 0 or not latency_s <= self.max_answer_s:
            return 0.0
        by_range = math.inf
        if math.isfinite(spare_m):
            # The positive root of v^2 / (2 a) + v t = spare, in the form that does not cancel.
            by_range = 2 * spare_m / (reaction_s + math.sqrt(reaction_s * reaction_s + 2 * spare_m / braking_mps2))
        return min(by_range, self.tolerance_m / latency_s if latency_s > 0 else math.inf)
