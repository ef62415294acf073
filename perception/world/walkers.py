"""People on the pavements and on crossings."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from perception.world.actors import Cast
from perception.world.following import Driver, Lane, Stop, simulate
from perception.world.motion import STEP_S, Track, steady
from perception.world.network import Network
from perception.world.signals import ALL_RED_S, YELLOW_S, Phases

SLOT_M = 0.75
"""Width of pavement that one walker takes."""
Spans = list[tuple[float, float]]


@dataclass
class CrossingTrack(Track):
    """Someone who walks straight over the road; ``walk`` is (start time, first d, last d, d rate)."""

    walk: tuple[float, float, float, float] = (0.0, 0.0, 0.0, 0.0)

    def across(self, time_s: float) -> tuple[float, float]:
        start, begin, end, pace = self.walk
        d = begin + pace * max(0.0, time_s - start)
        arrived = (d - end) * pace >= 0
        if time_s < start or arrived:
            return (end if arrived else begin), 0.0
        return d, pace

    def travelled(self, time_s: float) -> float:
        return abs(self.across(time_s)[0] - self.walk[1])


class Walkers:
    """Adds the people of a scene, and knows when they are in the way of vehicles.

    Args:
        add: takes ``(category, kind, poses, **motion)``.
        calm: whether nobody may step on the main road.
    """

    def __init__(
        self, rng: np.random.Generator, network: Network, cast: Cast, phases: dict[float, Phases], density: float,
        times_s: tuple[float, float], calm: bool, add: Callable[..., object],
    ) -> None:  # fmt: skip
        self.rng, self.network, self.road, self.cast = rng, network, network.road, cast
        self.phases, self.density, self.calm, self.add = phases, density, calm, add
        self.start_s, self.end_s = times_s
        self.in_mouth: dict[int, Spans] = {arm.number: [] for arm in network.arms}
        """When people cross each arm."""
        self.on_crossing: dict[float, Spans] = {s: [] for s in self.road.crossings}
        """When people are on each crossing of the main road, with the time that drivers need to see them."""

    def build(self) -> None:
        for side in (1, -1):
            self._pavement(side)
        for s in self.road.crossings:
            junction = next((j for j in self.road.junctions if abs(abs(s - j.s) - j.crossing_offset) < 0.01), None)
            if junction is not None and junction.signalled:
                self._at_lights(s, self.phases[junction.s])
            elif not self.calm and self.rng.random() < 0.4 + 0.5 * self.density:
                self._at_zebra(s)

    def _pavement(self, side: int) -> None:
        """People walk in slots, each with one direction and pace, so that nobody walks through anybody."""
        rng, section, road, times = self.rng, self.road.section(side), self.road, self.cast.mix.pedestrians
        if not times:
            return
        inner = section.walk_inner + (0.55 if section.verge_width > 0.3 else 1.05)
        outer = section.walk_outer - 0.35
        count = max(1, int((outer - inner) / SLOT_M) + 1)
        spacing = (3 + (9 + 45 * (1 - self.density)) * count / 1.2) / times
        most = int(road.length / 3 * min(max(1.0, times), 1.5))  # each takes 2 m at least
        for slot in range(count):
            d = road.offset(side, inner + slot * SLOT_M)
            direction = 1 if (slot + side) % 2 else -1
            pace = float(rng.uniform(1.1, 1.5))
            places = list(np.cumsum(2.0 + rng.exponential(spacing, most)))
            places = [float(s) for s in places if s < road.length - 4]
            self._slot(side, d, direction, pace, places)
        for s in np.cumsum(rng.exponential(spacing * 3, int(road.length / 6)) + 4):
            if s < road.length - 4 and road.clear_of_mouths(s, side, 2.0) and section.walk_width > 2.0:
                d = road.offset(side, section.walk_outer - 0.1)
                category, poses = self.cast.person(False)
                knots = steady(float(s), 0.0, self.start_s, self.end_s)
                self.add(category, "pedestrian", poses,
                         track=Track(self.start_s, *knots, d=d, yaw=float(rng.uniform(0, 2 * np.pi))))  # fmt: skip

    def _slot(self, side: int, d: float, direction: int, pace: float, places: list[float]) -> None:
        road, lane = self.road, Lane()
        stops = self._waits(side, d, direction, pace)
        drivers = []
        for place in places:
            drivers.append(
                Driver(
                    place if direction > 0 else road.length - place,
                    pace,
                    0.55,
                    pace,
                    stops=list(stops),
                    jam=0.6,
                    headway=0.25,
                )
            )
            lane.join(drivers[-1])
        if stops:
            simulate(drivers, self.start_s, self.end_s)
        for driver in drivers:
            own, v = np.array(driver.history).T if stops else steady(driver.s, pace, self.start_s, self.end_s)
            s, v = (own, v) if direction > 0 else (road.length - own, -v)
            category, poses = self.cast.person(True)
            track = Track(self.start_s, s, v, d=d, yaw=0.0 if direction > 0 else np.pi, sway=0.06,
                          sway_phase=float(self.rng.uniform(0, 6)))  # fmt: skip
            self.add(category, "pedestrian", poses, track=track, cycle_m=direction * 1.5)
            self._note(side, d, s)

    def _waits(self, side: int, d: float, direction: int, pace: float) -> list[Stop]:
        """Kerbs of signalled side streets, closed while the street has green and just before."""
        road, stops = self.road, []
        beyond = abs(d) - road.median - road.section(side).kerb
        for arm in self.network.arms:
            junction = arm.junction
            if junction is None or arm.side != side or not junction.signalled or not self.phases[junction.s].red:
                continue
            half = float(junction.opening(beyond))
            line = junction.s - direction * (half + 0.7)
            closed = [
                (low + ALL_RED_S - 2 * half / pace - 1.0, high - ALL_RED_S - 0.5)
                for low, high in self.phases[junction.s].red
                if high - low > 2 * ALL_RED_S + YELLOW_S
            ]
            stops.append(Stop(line if direction > 0 else road.length - line, closed))
        return stops

    def _note(self, side: int, d: float, s: np.ndarray) -> None:
        """Remember when someone with knots ``s`` is in the mouth of a side street."""
        beyond = abs(d) - self.road.median - self.road.section(side).kerb
        for arm in self.network.arms:
            if arm.side == side and arm.junction is not None:
                half = float(arm.junction.opening(beyond)) + 0.5
                inside = np.flatnonzero(np.abs(s - arm.junction.s) < half)
                if len(inside):
                    span = self.start_s + STEP_S * inside[[0, -1]]
                    self.in_mouth[arm.number].append((float(span[0]) - 2.0, float(span[1]) + 0.2))

    def _kerbs(self) -> tuple[float, float]:
        """d of where people wait on the left and on the right."""
        left, right = (self.road.offset(side, self.road.section(side).kerb + 0.7) for side in (1, -1))
        return left, right

    def _group(self, s: float) -> list[tuple[float, float, bool]]:
        """Places for those who want to cross at ``s``: their s, how far back they wait, and from which side."""
        rng, group = self.rng, []
        for from_left in (True, False):
            section = self.road.section(1 if from_left else -1)
            rows = 1 + int((section.walk_outer - section.kerb - 1.2) / 0.75)
            count = round(int(rng.integers(0, 2 + int(3 * self.density))) * self.cast.mix.pedestrians)
            for k in range(min(count, 4 * rows)):
                group.append((s + 1.2 - 0.8 * (k % 4) + float(rng.uniform(-0.05, 0.05)), 0.75 * (k // 4), from_left))
        return group

    def _cross(self, at: float, back: float, from_left: bool, start: float, pace: float) -> float:
        """Add someone who sets off at ``start``; the time at which they arrive."""
        left, right = self._kerbs()
        begin, end = (left + back, right) if from_left else (right - back, left)
        rate = -pace if from_left else pace
        category, poses = self.cast.person(True)
        knots = steady(at, 0.0, self.start_s, self.end_s)
        track = CrossingTrack(self.start_s, *knots, d=begin, yaw=float(np.copysign(np.pi / 2, rate)),
                              walk=(start, begin, end, rate))  # fmt: skip
        self.add(category, "pedestrian", poses, track=track, cycle_m=1.5)
        return start + abs(end - begin) / pace

    def _at_lights(self, s: float, phases: Phases) -> None:
        """Those who cross while the main road has red; others wait for it."""
        rng = self.rng
        left, right = self._kerbs()
        for at, back, from_left in self._group(s):
            pace, start = float(rng.uniform(1.3, 1.6)), 1e9
            for low, high in phases.red:
                last = high - (abs(left - right) + back) / pace - 0.5
                first = max(low + ALL_RED_S, self.start_s - 5)
                if last > first:
                    start = float(rng.uniform(first, min(last, first + 6)))
            arrives = self._cross(at, back, from_left, start, pace)
            if start < 1e8:
                self.on_crossing[s].append((start - 1.0, arrives))

    def _at_zebra(self, s: float) -> None:
        """Some set off together; drivers stop for them."""
        rng = self.rng
        start = float(rng.uniform(1.0, max(1.5, self.end_s * 0.7)))
        for at, back, from_left in self._group(s):
            first = start + float(rng.uniform(0, 1.5))
            arrives = self._cross(at, back, from_left, first, float(rng.uniform(1.2, 1.6)))
            self.on_crossing[s].append((first - 3.5, arrives))
