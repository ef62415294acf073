"""Vehicles, cyclists and walkers that follow one another, stop where they must, and give way."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from perception.world.motion import STEP_S
from perception.world.road import Curve

LATERAL_LIMIT_MPS2 = 2.2
"""Comfortable sideways acceleration; it bounds the speed in bends."""
ACCELERATION_MPS2, COMFORT_MPS2, HARDEST_MPS2 = 1.8, 2.4, 6.0
EASE_MPS2 = 1.4
"""Deceleration with which drivers slow for a bend or a turn."""


class SpeedLimit:
    """The speed that a line's bends allow, m/s by metres along it.

    Args:
        line: its ``s`` in the direction of travel.
        ahead: metres that a driver looks ahead.
    """

    def __init__(self, line: Curve) -> None:
        self.first = float(line.s[0])
        grid = np.arange(self.first, line.s[-1] + 60.0, 1.0)
        bend = np.abs(np.interp(grid, line.s, line.curvature))
        bend = np.max([bend, np.append(bend[1:], bend[-1]), np.append(bend[:1], bend[:-1])], axis=0)
        limit = np.sqrt(LATERAL_LIMIT_MPS2 * 0.97 / np.maximum(bend, 1e-4))
        for k in range(len(limit) - 2, -1, -1):
            limit[k] = min(limit[k], np.sqrt(limit[k + 1] ** 2 + 2 * EASE_MPS2))
        self.table: list[float] = limit.tolist()

    def __call__(self, s: float) -> float:
        return self.table[min(max(int(s - self.first + 0.5), 0), len(self.table) - 1)]


@dataclass(eq=False)
class Stop:
    """A line that is closed at times.

    Args:
        s: metres along the driver's way where it stops with its front.
        closed: stretches of time ``(from, to)``.
    """

    s: float
    closed: list[tuple[float, float]]

    def shut(self, driver: Driver, time_s: float) -> bool:
        return any(low <= time_s < high for low, high in self.closed)


@dataclass(eq=False)
class GiveWay:
    """A line behind which one waits for a gap.

    Args:
        s: metres along the driver's way.
        zones: lanes that the way crosses or joins, with the stretch of each that it needs, in the lane's own metres.
        gap_s: how long the stretch must stay free.
        halt: whether one must stand still first.
    """

    s: float
    zones: list[tuple[Lane, float, float]]
    gap_s: float
    halt: bool = False
    halted: bool = False

    def shut(self, driver: Driver, time_s: float) -> bool:
        if self.halt and not self.halted:
            self.halted = driver.v < 0.25 and self.s - driver.front < 2.5
            return True
        for lane, low, high in self.zones:
            for other, shift in lane.members():
                if other is driver:
                    continue
                front, rear = other.front + shift, other.s - other.length / 2 + shift
                if rear < high and (low - front) / max(other.v, 1.5) < self.gap_s:
                    return True
        return False


@dataclass(eq=False)
class Driver:
    """Someone who moves along a line.

    Args:
        s: metres along its own line, in its direction of travel.
        v: m/s.
        length: metres, bumper to bumper.
        desired: speed where nothing is in the way, m/s.
        limit: what the bends allow; none for who is slow anyway.
        stops: lines that may be closed.
        way: its line where it is not a lane of the main road.
        pace: ``(T,)`` m/s per step that it keeps to, whatever happens.
        jam, headway: distance in metres and in seconds to the one ahead.
    """

    s: float
    v: float
    length: float
    desired: float
    limit: SpeedLimit | None = None
    stops: list[Stop | GiveWay] = field(default_factory=list)
    way: Curve | None = None
    pace: np.ndarray | None = None
    jam: float = 2.2
    headway: float = 1.3
    history: list[tuple[float, float]] = field(default_factory=list)
    lanes: list[tuple[Lane, float, float, float]] = field(default_factory=list, repr=False)

    @property
    def front(self) -> float:
        return self.s + self.length / 2


class Lane:
    """Those who share a line and follow one another on it."""

    def __init__(self) -> None:
        self.joined: list[tuple[Driver, float, float, float]] = []

    def join(self, driver: Driver, shift: float = 0.0, first: float = -np.inf, last: float = np.inf) -> None:
        """Let a driver use the lane while its own ``s`` lies in ``first..last``; the lane's is ``shift`` more."""
        self.joined.append((driver, shift, first, last))
        driver.lanes.append((self, shift, first, last))

    def members(self) -> list[tuple[Driver, float]]:
        """Who is in it now, each with its shift."""
        return [(driver, shift) for driver, shift, first, last in self.joined if first <= driver.s <= last]


def simulate(drivers: list[Driver], start_s: float, end_s: float) -> None:
    """Move everybody from ``start_s`` to ``end_s`` with the intelligent driver model (Treiber et al. 2000,
    arXiv cond-mat/0002177); each driver's ``history`` gets ``(s, v)`` per step.

    All see the state at the start of a step, so the order of the drivers does not matter.
    """
    before = {id(driver): 0.0 for driver in drivers}
    for step in range(int(np.ceil((end_s - start_s) / STEP_S)) + 2):
        time = start_s + step * STEP_S
        rates = [_rate(driver, time) if driver.pace is None else 0.0 for driver in drivers]
        for driver, rate in zip(drivers, rates, strict=True):
            driver.history.append((driver.s, driver.v))
            if driver.pace is not None:
                following = float(driver.pace[min(step + 1, len(driver.pace) - 1)])
                driver.s += (driver.v + following) / 2 * STEP_S
                driver.v = following
                continue
            limited = min(max(ACCELERATION_MPS2 * rate, -HARDEST_MPS2), ACCELERATION_MPS2)
            last = before[id(driver)]
            smooth = last + min(max(limited - last, -0.6), 0.25)
            speed = max(0.0, driver.v + smooth * STEP_S)
            before[id(driver)] = smooth if speed > 0 else 0.0
            driver.s += (driver.v + speed) / 2 * STEP_S
            driver.v = speed


def _rate(driver: Driver, time_s: float) -> float:
    """Wanted acceleration as a share of :data:`ACCELERATION_MPS2`."""
    v, desired = driver.v, driver.desired
    bend = np.inf
    if driver.limit is not None:
        bend = max(min(driver.limit(driver.s), driver.limit(driver.front + v)), 0.5)
        desired = min(desired, bend)
    free = 1 - (v / desired) ** 4
    rate = free
    if v > bend:  # the table falls at the rate with which drivers slow
        rate = min(rate, -(EASE_MPS2 + (v - bend) / 0.6) / ACCELERATION_MPS2)
    gap, ahead = _leader(driver)
    if gap < 200:
        rate = min(rate, free - (_wanted(driver, ahead) / max(gap, 0.1)) ** 2)
    for stop in driver.stops:
        distance = stop.s - driver.front - 0.5
        if -0.5 < distance < 120 and v * v / 9.0 < distance + 0.5 and stop.shut(driver, time_s):
            rate = min(rate, free - (_wanted(driver, 0.0) / max(distance + driver.jam - 0.5, 0.1)) ** 2)
    return rate


def _leader(driver: Driver) -> tuple[float, float]:
    """Gap to the nearest one ahead in any lane that the driver is in, and its speed."""
    best, speed = np.inf, 0.0
    for lane, shift, first, last in driver.lanes:
        if not first <= driver.s <= last:
            continue
        at = driver.s + shift
        for other, its_shift, its_first, its_last in lane.joined:
            if other is not driver and its_first <= other.s <= its_last:
                ahead = other.s + its_shift - at
                if ahead > 0 and ahead - (other.length + driver.length) / 2 < best:
                    best, speed = ahead - (other.length + driver.length) / 2, other.v
    return best, speed


def _wanted(driver: Driver, speed: float) -> float:
    closing = driver.v * (driver.v - speed) / (2 * (ACCELERATION_MPS2 * COMFORT_MPS2) ** 0.5)
    return driver.jam + max(0.0, driver.v * driver.headway + closing)


def line_of_lane(line: Curve, backwards: bool) -> Curve:
    """A road's line in the direction of travel: as it is, or turned around."""
    if not backwards:
        return line
    return Curve(line.s[-1] - line.s[::-1], line.x[::-1], line.y[::-1], line.heading[::-1] + np.pi,
                 -line.curvature[::-1])  # fmt: skip
