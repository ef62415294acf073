"""Vehicles that leave the main road, join it or cross it at junctions."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from perception.world.following import Driver, GiveWay, Lane, SpeedLimit, Stop
from perception.world.network import AISLE_M, BAY_M, Arm
from perception.world.paths import path, turn
from perception.world.road import Curve, Road
from perception.world.signals import YELLOW_S, Phases
from perception.world.walkers import Walkers

RUN_UP_M = 0.8
"""Straight piece between the end of a corner and a turn."""


@dataclass
class MainLane:
    """A lane of the main road with who is in it.

    Args:
        direction: +1 with s, -1 against it; its own metres run in the direction of travel.
        d: its middle; width: how far from its middle another vehicle is in the way.
    """

    direction: int
    side: int
    number: int
    d: float
    width: float
    lane: Lane
    drivers: list[Driver]


class Turns:
    """Plans ways through junctions.

    Args:
        lanes: all lanes of the main road, those for bicycles too.
    """

    def __init__(self, road: Road, lanes: list[MainLane], walkers: Walkers, phases: dict[float, Phases]) -> None:
        self.road, self.lanes, self.walkers, self.phases = road, lanes, walkers, phases
        self.into: dict[int, Lane] = {}
        self.out_of: dict[int, Lane] = {}

    def own(self, s: float, direction: int) -> float:
        """Metres in a direction of travel, from s."""
        return s if direction > 0 else self.road.length - s

    def lane(self, arm: Arm, inwards: bool) -> Lane:
        return (self.out_of if inwards else self.into).setdefault(arm.number, Lane())

    def leave(self, driver: Driver, main: MainLane, arm: Arm) -> None:
        """Let a driver of the main road turn into an arm."""
        assert arm.junction is not None
        road, at = self.road, self.own(arm.junction.s, main.direction)
        begin = at - arm.junction.reach - RUN_UP_M
        before = np.arange(min(driver.s, begin) - 30.0, begin, 0.5)
        start, heading = self._on_lane(main, begin)
        u = arm.kerb + arm.junction.corner + RUN_UP_M
        v = road.drive_side * arm.half / 2
        curve = turn(start, heading, arm.points(np.array([u, v])), arm.yaw)
        tail = self._to_the_end(arm, u, v)
        points = np.concatenate([[self._on_lane(main, s)[0] for s in before], curve, tail])
        s = np.concatenate([before, begin + _along(np.concatenate([curve, tail]))])
        way = path(points, s)
        turned = begin + float(_along(curve)[-1])
        driver.way, driver.limit = way, SpeedLimit(way)
        driver.lanes.clear()
        main.lane.joined = [row for row in main.lane.joined if row[0] is not driver]
        main.lane.join(driver, last=begin + 4.0 + driver.length)
        self.lane(arm, False).join(driver, shift=-turned, first=turned - 6.0)
        driver.stops = [stop for stop in driver.stops if stop.s < at - arm.junction.reach]
        if main.side != arm.side or any(lane.width < 1.5 for lane in self.lanes):
            zones, first = self._zones(way, begin, turned, main)
            if zones:
                driver.stops.append(GiveWay(first - 0.8, zones, _time_to_clear(turned - first + driver.length)))
        edge = road.median + road.section(arm.side).walk_inner - 0.4
        on_kerb = curve[np.minimum(np.searchsorted(arm.local(curve)[:, 0], edge), len(curve) - 1)]
        hold = begin + float(_along(curve)[np.argmin(np.hypot(*(curve - on_kerb).T))])
        driver.stops.append(Stop(hold, self.walkers.in_mouth[arm.number]))
        driver.stops.append(Stop(float(way.s[-1]) - 2.5, [(-1e9, 1e9)]))

    def join(self, arm: Arm, main: MainLane, behind: float, length: float, desired: float) -> Driver:
        """A driver who comes out of an arm into a lane of the main road, ``behind`` metres from the stop line."""
        assert arm.junction is not None
        road, junction = self.road, arm.junction
        merge = self.own(junction.s, main.direction) + junction.reach + RUN_UP_M
        u, v = arm.kerb + junction.corner + RUN_UP_M, -road.drive_side * arm.half / 2
        end, heading = self._on_lane(main, merge)
        curve = turn(arm.points(np.array([u, v])), arm.yaw + np.pi, end, heading)
        after = np.arange(merge + 0.5, road.length, 0.5)
        approach = arm.points(np.stack([np.linspace(u + 60.0, u + 0.5, 120), np.full(120, v)], axis=1))
        head = np.concatenate([approach, curve])
        along = _along(head)
        points = np.concatenate([head, [self._on_lane(main, s)[0] for s in after]])
        way = path(points, np.concatenate([merge - along[-1] + along, after]))
        line = self._s_at_stop(way, arm, merge - along[-1], u)
        driver = Driver(line - 0.8 - behind - length / 2, 0.0, length, desired, SpeedLimit(way), way=way)
        self.lane(arm, True).join(driver, shift=-line, last=line + 4.0 + length)
        main.lane.join(driver, first=line - length / 2 + 0.6)
        zones, _ = self._zones(way, line + 0.5, merge, None, main)
        need = _time_to_clear(merge - line + length)
        halt = not junction.signalled and junction.stop_sign and not arm.carpark
        driver.stops = [Stop(line, self._people(arm, main)), GiveWay(line, zones, need + 0.5, halt)]
        if junction.signalled:
            driver.stops.append(Stop(line, self._closed(arm)))
        self._further_stops(driver, main, merge)
        return driver

    def cross(self, arm: Arm, opposite: Arm, behind: float, length: float, desired: float) -> Driver:
        """A driver who goes straight over a signalled junction from one arm into the opposite one."""
        assert arm.junction is not None
        v = -self.road.drive_side * arm.half / 2
        start = arm.points(np.array([arm.stop + 45.0, v]))
        far = opposite.points(np.array([opposite.end - 1.0, self.road.drive_side * opposite.half / 2]))
        way = path(np.linspace(start, far, int(np.linalg.norm(far - start) / 0.5) + 2))
        line = 45.0
        driver = Driver(line - 0.8 - behind - length / 2, 0.0, length, desired, SpeedLimit(way), way=way)
        self.lane(arm, True).join(driver, shift=-line, last=line + 6.0 + length)
        exit_at = 45.0 + arm.stop + opposite.kerb
        self.lane(opposite, False).join(driver, shift=-exit_at - RUN_UP_M, first=exit_at - 8.0)
        people = self.walkers.in_mouth[arm.number] + self.walkers.in_mouth[opposite.number]
        driver.stops = [Stop(line, self._closed(arm)), Stop(line, people)]
        driver.stops.append(Stop(float(way.s[-1]) - 2.5, [(-1e9, 1e9)]))
        middles = [(main.lane, self.own(arm.junction.s, main.direction)) for main in self.lanes]
        zones = [(lane, at - 6.0, at + 6.0) for lane, at in middles]
        driver.stops.append(GiveWay(line, zones, 1.5))
        return driver

    def _people(self, arm: Arm, main: MainLane) -> list[tuple[float, float]]:
        """When people walk where one who joins must pass: over the arm, and over the crossing behind it."""
        assert arm.junction is not None
        spans = list(self.walkers.in_mouth[arm.number])
        onward = 1 if main.direction > 0 else -1
        for s, busy in self.walkers.on_crossing.items():
            if 0 < (s - arm.junction.s) * onward < arm.junction.crossing_offset + 1:
                spans += [(low - 3.0, high) for low, high in busy]
        return spans

    def _closed(self, arm: Arm) -> list[tuple[float, float]]:
        assert arm.junction is not None
        return [(low - YELLOW_S + 0.5, high) for low, high in self.phases[arm.junction.s].stops(False)]

    def _further_stops(self, driver: Driver, main: MainLane, merge: float) -> None:
        if main.drivers:
            driver.stops += [stop for stop in main.drivers[0].stops if isinstance(stop, Stop) and stop.s > merge + 6]

    def _on_lane(self, main: MainLane, own: float) -> tuple[np.ndarray, float]:
        s = own if main.direction > 0 else self.road.length - own
        heading = float(self.road.heading_at(s)) + (0.0 if main.direction > 0 else np.pi)
        return self.road.points(s, main.d), heading

    def _to_the_end(self, arm: Arm, u: float, v: float) -> np.ndarray:
        """From the mouth to the turning circle, or along the aisle of a car park."""
        if not arm.carpark:
            return arm.points(np.stack([np.arange(u + 0.5, arm.end + 4.0, 0.5)] * 2, axis=1) * [1, 0] + [0, v])
        aisle, reach = arm.end + BAY_M[1] + AISLE_M / 2, arm.bays * BAY_M[0] / 2
        start = arm.points(np.array([u + 0.5, v]))
        sign = 1.0 if v < 0 else -1.0
        corner = turn(start, arm.yaw, arm.points(np.array([aisle, v + sign * 6.0])), arm.yaw + sign * np.pi / 2)
        run = np.arange(v + sign * 6.5, sign * (reach - 1.0), sign * 0.5)
        return np.concatenate([corner, arm.points(np.stack([np.full(len(run), aisle), run], axis=1))])

    def _s_at_stop(self, way: Curve, arm: Arm, first: float, u: float) -> float:
        return first + (60.0 + u) - (arm.stop + 0.3)

    def _zones(
        self, way: Curve, first: float, last: float, leaving: MainLane | None, joining: MainLane | None = None
    ) -> tuple[list[tuple[Lane, float, float]], float]:
        """Stretches of the lanes that a way touches between two of its metres, and where it first does."""
        rows = np.flatnonzero((way.s >= first) & (way.s <= last))
        s, d = self.road.locate(np.stack([way.x[rows], way.y[rows]], axis=1))
        zones, earliest = [], last
        for main in self.lanes:
            if main is leaving:
                continue
            near = np.abs(d - main.d) < main.width
            if near.any():
                own = s[near] if main.direction > 0 else self.road.length - s[near]
                zones.append((main.lane, float(own.min()) - 1.5, float(own.max()) + (3.0 if main is joining else 1.5)))
                earliest = min(earliest, float(way.s[rows[near][0]]))
        return zones, earliest


def _along(points: np.ndarray) -> np.ndarray:
    return np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(points, axis=0), axis=1))])


def _time_to_clear(distance: float) -> float:
    return float(np.sqrt(2 * max(distance, 1.0) / 1.4)) + 0.8
