"""Where road users are at a time: places along the road or along a way of their own."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from perception.world.road import Curve, Road

STEP_S = 0.05
LEAD_IN_S = 1.0
"""Motion is known from this long before the first instant."""


@dataclass
class Track:
    """Place along the road over time, by cubic Hermite interpolation of simulated knots.

    Args:
        start_s: time of the first knot.
        s: ``(T,)`` metres along the road every :data:`STEP_S`.
        v: ``(T,)`` derivative of ``s``, m/s; negative for oncoming traffic.
        d: lateral offset in metres; ``sway`` adds a slow sine of that amplitude with a period of ``sway_period_s``.
        yaw: heading relative to the road in radians.
        way: the line that ``s`` and ``d`` belong to where it is not the main road.
    """

    start_s: float
    s: np.ndarray
    v: np.ndarray
    d: float
    yaw: float = 0.0
    sway: float = 0.0
    sway_period_s: float = 9.0
    sway_phase: float = 0.0
    way: Curve | None = None

    def along(self, time_s: float) -> tuple[float, float]:
        """``s`` and its rate at a time."""
        at = float(np.clip((time_s - self.start_s) / STEP_S, 0.0, len(self.s) - 1.000001))
        i = int(at)
        t = at - i
        s0, s1, v0, v1 = self.s[i], self.s[i + 1], self.v[i] * STEP_S, self.v[i + 1] * STEP_S
        s = (
            (2 * t**3 - 3 * t**2 + 1) * s0
            + (t**3 - 2 * t**2 + t) * v0
            + (-2 * t**3 + 3 * t**2) * s1
            + (t**3 - t**2) * v1
        )
        rate = ((6 * t**2 - 6 * t) * (s0 - s1) + (3 * t**2 - 4 * t + 1) * v0 + (3 * t**2 - 2 * t) * v1) / STEP_S
        return float(s), float(rate)

    def across(self, time_s: float) -> tuple[float, float]:
        """``d`` and its rate at a time."""
        omega = 2 * np.pi / self.sway_period_s
        angle = omega * time_s + self.sway_phase
        return self.d + self.sway * float(np.sin(angle)), self.sway * omega * float(np.cos(angle))

    def travelled(self, time_s: float) -> float:
        """Metres covered, up to a constant; it drives the gait."""
        return self.along(time_s)[0]

    def place(self, road: Road, time_s: float) -> tuple[np.ndarray, float, np.ndarray]:
        """Global ``(2,)`` position, yaw, and ``(2,)`` velocity in m/s."""
        s, s_rate = self.along(time_s)
        d, d_rate = self.across(time_s)
        if self.way is not None:  # its s need not be metres exactly: it keeps to that of a lane in a bend
            ahead, behind = self.way.points(s + 0.05, d), self.way.points(s - 0.05, d)
            return self.way.points(s, d), float(self.way.heading_at(s)) + self.yaw, (ahead - behind) / 0.1 * s_rate
        heading = float(road.heading_at(s))
        forward, left = np.array([np.cos(heading), np.sin(heading)]), np.array([-np.sin(heading), np.cos(heading)])
        velocity = s_rate * (1 - float(road.curvature_at(s)) * d) * forward + d_rate * left
        return road.points(s, d), heading + self.yaw, velocity

    def present(self, road: Road, time_s: float) -> bool:
        """Whether it is on the modelled stretch; traffic comes and goes at its ends."""
        line = self.way or road
        return line.s[0] + 1.0 < self.along(time_s)[0] < line.s[-1] - 1.0

    def places(self, road: Road, times_s: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """``(T, 2)`` positions, ``(T,)`` yaws and ``(T,)`` presence at many times, as :meth:`place` and
        :meth:`present` have them."""
        line = self.way or road
        at = np.clip((times_s - self.start_s) / STEP_S, 0.0, len(self.s) - 1.000001)
        i = at.astype(int)
        t = at - i
        s0, s1, v0, v1 = self.s[i], self.s[i + 1], self.v[i] * STEP_S, self.v[i + 1] * STEP_S
        s = (
            (2 * t**3 - 3 * t**2 + 1) * s0
            + (t**3 - 2 * t**2 + t) * v0
            + (-2 * t**3 + 3 * t**2) * s1
            + (t**3 - t**2) * v1
        )
        d = np.array([self.across(float(time))[0] for time in times_s])
        there = (s > line.s[0] + 1.0) & (s < line.s[-1] - 1.0)
        return line.points(s, d), line.heading_at(s) + self.yaw, there


def steady(s: float, rate: float, start_s: float, end_s: float) -> tuple[np.ndarray, np.ndarray]:
    """Knots of someone who keeps a constant pace."""
    count = int(np.ceil((end_s - start_s) / STEP_S)) + 2
    return s + rate * (start_s + np.arange(count) * STEP_S), np.full(count, rate)
