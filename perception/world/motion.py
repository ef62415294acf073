"""How road users move along the road: lane traffic by car following, everyone else at their own pace."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from perception.world.road import Road

STEP_S = 0.05
LEAD_IN_S = 1.0
"""Motion is known from this long before the first instant."""
LATERAL_LIMIT_MPS2 = 2.2
"""Comfortable sideways acceleration; it bounds the speed in bends."""


@dataclass
class Track:
    """Place along the road over time, by cubic Hermite interpolation of simulated knots.

    Args:
        start_s: time of the first knot.
        s: ``(T,)`` metres along the road every :data:`STEP_S`.
        v: ``(T,)`` derivative of ``s``, m/s; negative for oncoming traffic.
        d: lateral offset in metres; ``sway`` adds a slow sine of that amplitude with a period of ``sway_period_s``.
        yaw: heading relative to the road in radians.
    """

    start_s: float
    s: np.ndarray
    v: np.ndarray
    d: float
    yaw: float = 0.0
    sway: float = 0.0
    sway_period_s: float = 9.0
    sway_phase: float = 0.0

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
        heading = float(road.heading_at(s))
        forward, left = np.array([np.cos(heading), np.sin(heading)]), np.array([-np.sin(heading), np.cos(heading)])
        velocity = s_rate * (1 - float(road.curvature_at(s)) * d) * forward + d_rate * left
        return road.points(s, d), heading + self.yaw, velocity


@dataclass
class Driver:
    """A vehicle in a lane, for the car-following simulation.

    Args:
        s: metres along its own direction of travel.
        v: m/s.
        length: metres, bumper to bumper.
        desired: speed on a free, straight road, m/s.
    """

    s: float
    v: float
    length: float
    desired: float
    history: list[tuple[float, float]] = field(default_factory=list)


@dataclass(frozen=True)
class Light:
    """A stop line and the time it is red."""

    s: float
    red_from_s: float
    red_to_s: float


def follow(
    drivers: list[Driver], lights: list[Light], curvature: tuple[np.ndarray, np.ndarray], start_s: float, end_s: float
) -> None:
    """Simulate one lane from ``start_s`` to ``end_s`` with the intelligent driver model (Treiber et al. 2000,
    arXiv cond-mat/0002177); each driver's ``history`` gets ``(s, v)`` per step.

    Args:
        drivers: sorted from the front backwards.
        lights: stop lines in the lane's own direction.
        curvature: sample positions and curvature along the lane's own direction.
    """
    acceleration, comfort, headway, jam = 1.8, 2.4, 1.3, 2.2
    previous = {id(driver): 0.0 for driver in drivers}
    for step in range(int(np.ceil((end_s - start_s) / STEP_S)) + 2):
        time = start_s + step * STEP_S
        ahead: Driver | None = None
        for driver in drivers:
            driver.history.append((driver.s, driver.v))
            bend = np.abs(np.interp(driver.s + np.array([2.0, 10.0, 22.0]), *curvature)).max()
            desired = max(min(driver.desired, float(np.sqrt(LATERAL_LIMIT_MPS2 / max(bend, 1e-4)))), 0.5)
            gaps = []
            if ahead is not None:
                gaps.append((ahead.s - ahead.length / 2 - driver.s - driver.length / 2, ahead.v))
            for light in lights:
                distance = light.s - driver.s - driver.length / 2 - 0.5
                stoppable = driver.v**2 / (2 * 4.5) < distance + 0.5
                if light.red_from_s <= time < light.red_to_s and distance > -0.5 and stoppable:
                    gaps.append((distance + jam - 0.5, 0.0))
            rate = 1 - (driver.v / desired) ** 4
            for gap, speed in gaps:
                wanted = jam + max(
                    0.0, driver.v * headway + driver.v * (driver.v - speed) / (2 * np.sqrt(acceleration * comfort))
                )
                rate = min(rate, 1 - (driver.v / desired) ** 4 - (wanted / max(gap, 0.1)) ** 2)
            limited = float(np.clip(acceleration * rate, -6.0, acceleration))
            smooth = previous[id(driver)] + float(np.clip(limited - previous[id(driver)], -0.6, 0.25))
            speed = max(0.0, driver.v + smooth * STEP_S)
            previous[id(driver)] = smooth if speed > 0 else 0.0
            driver.s += (driver.v + speed) / 2 * STEP_S
            driver.v = speed
            ahead = driver


def keep_pace(drivers: list[Driver], pace: np.ndarray) -> None:
    """All drivers of a lane do what ``pace`` says, m/s per step, and so keep their distances."""
    travelled = np.concatenate([[0.0], np.cumsum((pace[1:] + pace[:-1]) / 2) * STEP_S])
    for driver in drivers:
        driver.history = [(driver.s + s, v) for s, v in zip(travelled.tolist(), pace.tolist(), strict=True)]


def steady(s: float, rate: float, start_s: float, end_s: float) -> tuple[np.ndarray, np.ndarray]:
    """Knots of someone who keeps a constant pace."""
    count = int(np.ceil((end_s - start_s) / STEP_S)) + 2
    return s + rate * (start_s + np.arange(count) * STEP_S), np.full(count, rate)
