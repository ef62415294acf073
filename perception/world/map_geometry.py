"""Layers of the map of a scene, from the same lines as its meshes."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np

from perception.errors import require
from perception.world.ground import ISLAND_INSET_M, island_spans
from perception.world.map_layers import Lane, MapLayers, Polygon, RoadSegment, StopLine, TrafficLight
from perception.world.network import Arm, Network
from perception.world.paths import turn, with_heading
from perception.world.road import Junction
from perception.world.signals import Signal

CROSSING_HALF_M = 1.6
STOP_HALF_M = 0.2
SOLID, DASHED = "SINGLE_SOLID_WHITE", "DOUBLE_DASHED_WHITE"


def map_layers(network: Network, signals: list[Signal]) -> MapLayers:
    """The map of a place, in the frame of its meshes.

    Args:
        signals: as :func:`perception.world.signals.place_signals` has them.
    """
    return _Mapper(network, signals).build()


class _Mapper:
    def __init__(self, network: Network, signals: list[Signal]) -> None:
        self.shapely = require("shapely", "world")
        self.network, self.road, self.signals = network, network.road, signals
        self.streets = [j for j in self.road.junctions if not j.carpark]
        self.segments: list[RoadSegment] = []
        self.lanes: list[Lane] = []
        self.stop_lines: list[StopLine] = []
        self.crossings: list[Polygon] = []
        self.crossing_segments: list[int] = []

    def build(self) -> MapLayers:
        road, shapely = self.road, self.shapely
        main = self._strip(0.0, road.length)
        ways = [shapely.Polygon(way.outline).buffer(0) for way in self.network.ways]
        half = road.median - ISLAND_INSET_M
        islands = [self._area(s0, s1, half, -half) for s0, s1 in island_spans(road)]
        drivable = shapely.union_all([main, *ways]).difference(shapely.union_all(islands)).buffer(0)
        self._main_segments(drivable)
        self._ways(drivable)
        self._crossings_and_stops()
        road_dividers, lane_dividers, types = self._dividers()
        carparks = [p for arm in self.network.arms if arm.carpark for p in _polygons(shapely.Polygon(arm.lot))]
        lights = tuple(TrafficLight(signal.pose, self._intersection(signal.s)) for signal in self.signals)
        return MapLayers(
            drivable_area=tuple(_polygons(drivable)), segments=tuple(self.segments), lanes=tuple(self.lanes),
            crossings=tuple(self.crossings), crossing_segments=tuple(self.crossing_segments),
            walkways=tuple(p for area in self._walkways() for p in _polygons(area.difference(drivable))),
            carparks=tuple(carparks), stop_lines=tuple(self.stop_lines), road_dividers=tuple(road_dividers),
            lane_dividers=tuple(lane_dividers), lane_divider_types=tuple(types), lights=lights,
        )  # fmt: skip

    def _strip(self, s0: float, s1: float) -> Any:
        """Carriageway from kerb to kerb."""
        left, right = (self.road.offset(side, self.road.section(side).kerb) for side in (1, -1))
        return self._area(s0, s1, left, right)

    def _area(self, s0: float, s1: float, left: float, right: float) -> Any:
        s = self.road.samples(s0, s1)
        ring = np.concatenate([self.road.points(s, right), self.road.points(s[::-1], left)])
        return self.shapely.Polygon(ring).buffer(0)

    def _main_segments(self, drivable: Any) -> None:
        """Stretches of the main road, the intersections between them, their lanes and the ways through."""
        road, shapely = self.road, self.shapely
        edges = [0.0, *(value for j in self.streets for value in (j.s - j.reach, j.s + j.reach)), road.length]
        self.stretch_lanes: list[dict[tuple[int, int], int]] = []
        for s0, s1 in zip(edges[::2], edges[1::2], strict=True):
            area = self._strip(s0, s1).intersection(drivable)
            self.segments.append(RoadSegment(_largest(area), False))
            self.stretch_lanes.append(self._stretch(s0, s1, len(self.segments) - 1))
        self.intersections: dict[float, int] = {}
        for junction in self.streets:
            pieces = [self._strip(junction.s - junction.reach, junction.s + junction.reach)]
            for arm in self.network.arms_at(junction):
                far = arm.kerb + junction.corner
                box = arm.points(np.array([(0.0, -20.0), (far, -20.0), (far, 20.0), (0.0, 20.0)]))
                pieces.append(shapely.Polygon(arm.outline).buffer(0).intersection(shapely.Polygon(box)))
            self.intersections[junction.s] = len(self.segments)
            self.segments.append(RoadSegment(_largest(shapely.union_all(pieces).buffer(0)), True))

    def _stretch(self, s0: float, s1: float, segment: int) -> dict[tuple[int, int], int]:
        road, numbers = self.road, {}
        count = max(3, int((s1 - s0) * 1.25) + 2)
        for side in (1, -1):
            section = road.section(side)
            s = np.linspace(s0, s1, count) if side == road.drive_side else np.linspace(s1, s0, count)
            heading = road.heading_at(s) + (0.0 if side == road.drive_side else np.pi)
            for lane in range(section.lanes):
                center = np.column_stack([road.points(s, road.lane_center(side, lane)), heading])
                edges = [road.offset(side, (lane + k) * section.lane_width) for k in (0, 1)]
                inner = DASHED if lane else "NIL"
                outer = DASHED if lane + 1 < section.lanes else SOLID
                left, right = (inner, outer) if road.drive_side < 0 else (outer, inner)
                area = _largest(self._area(s0, s1, max(edges), min(edges)))
                numbers[side, lane] = len(self.lanes)
                self.lanes.append(Lane(center, area, segment, left=left, right=right))
        return numbers

    def _ways(self, drivable: Any) -> None:
        """Side streets with their lanes, and the connectors of every intersection."""
        road, shapely = self.road, self.shapely
        for k, junction in enumerate(self.streets):
            before, after = self.stretch_lanes[k], self.stretch_lanes[k + 1]
            at = self.intersections[junction.s]
            arms: dict[int, tuple[int, int]] = {}
            for arm in self.network.arms_at(junction):
                near = arm.kerb + junction.corner
                box = arm.points(np.array([(near, -20.0), (near + 200, -20.0), (near + 200, 20.0), (near, 20.0)]))
                area = shapely.Polygon(arm.outline).buffer(0).intersection(shapely.Polygon(box))
                self.segments.append(RoadSegment(_largest(area), False))
                arms[arm.side] = self._street_lanes(arm, near, len(self.segments) - 1)
            for side in (1, -1):
                onward = side == road.drive_side
                come, go = (before, after) if onward else (after, before)
                lanes = road.section(side).lanes
                for lane in range(lanes):
                    self._connect(come[side, lane], go[side, lane], at)
                if side in arms:  # the near turn, out and in
                    self._connect(come[side, lanes - 1], arms[side][0], at)
                    self._connect(arms[side][1], go[side, lanes - 1], at)
                if -side in arms:  # the turn across the oncoming lanes
                    self._connect(come[side, 0], arms[-side][0], at)
                    self._connect(arms[-side][1], go[side, 0], at)
            if len(arms) == 2:
                self._connect(arms[1][1], arms[-1][0], at)
                self._connect(arms[-1][1], arms[1][0], at)

    def _street_lanes(self, arm: Arm, near: float, segment: int) -> tuple[int, int]:
        """Numbers of the lane out and of the lane in."""
        far = arm.end
        out_v = self.road.drive_side * arm.half / 2
        numbers = []
        for sign in (1, -1):
            v = sign * out_v
            u = np.linspace(near, far, int((far - near) * 1.25) + 2)[::sign]
            line = arm.points(np.stack([u, np.full_like(u, v)], axis=1))
            center = np.column_stack([line, np.full(len(u), arm.yaw + (0.0 if sign > 0 else np.pi))])
            edge = np.sign(v) * arm.half
            ring = arm.points(np.array([(near, 0.0), (far, 0.0), (far, edge), (near, edge)]))
            numbers.append(len(self.lanes))
            self.lanes.append(Lane(center, _largest(self.shapely.Polygon(ring)), segment))
        return numbers[0], numbers[1]

    def _connect(self, lane: int, following: int, segment: int) -> None:
        start, end = self.lanes[lane].centerline[-1], self.lanes[following].centerline[0]
        line = with_heading(turn(start[:2], start[2], end[:2], end[2]))
        number = len(self.lanes)
        self.lanes.append(Lane(line, None, segment, connector=True, successors=(following,)))
        self.lanes[lane] = replace(self.lanes[lane], successors=(*self.lanes[lane].successors, number))

    def _intersection(self, s: float) -> int:
        return self.intersections[min(self.intersections, key=lambda at: abs(at - s))]

    def _segment_at(self, s: float) -> int:
        for junction in self.streets:
            if abs(s - junction.s) < junction.stop_offset + 0.5:
                return self.intersections[junction.s]
        return sum(s > junction.s for junction in self.streets)

    def _crossings_and_stops(self) -> None:
        road = self.road
        kerbs = [road.offset(side, road.section(side).kerb - 0.15) for side in (1, -1)]
        for s in road.crossings:
            self.crossings += _polygons(self._area(s - CROSSING_HALF_M, s + CROSSING_HALF_M, kerbs[0], kerbs[1]))
            self.crossing_segments.append(self._segment_at(s))
        signalled = {j.s: j for j in road.junctions if j.signalled}
        beside = {s + sign * j.crossing_offset: j for s, j in signalled.items() for sign in (1, -1)}
        for number, s in enumerate(road.crossings):
            junction = next((j for at, j in beside.items() if abs(at - s) < 0.01), None)
            for side in (1, -1):
                onward = 1 if side == road.drive_side else -1
                if junction is not None and (s - junction.s) * onward > 0:
                    continue  # one leaves the junction over this crossing
                self._main_stop(side, s - onward * 3.4, junction, number)
        for arm in self.network.arms:
            if arm.carpark or arm.junction is None:
                continue
            at = self.intersections[arm.junction.s]
            if arm.junction.signalled:
                reach = float(np.min(arm.junction.opening(np.array(arm.zebra) - arm.kerb))) - 0.15
                low, high = arm.zebra
                ring = arm.points(np.array([(low, -reach), (high, -reach), (high, reach), (low, reach)]))
                self.crossings += _polygons(self.shapely.Polygon(ring))
                self.crossing_segments.append(at)
            v = -road.drive_side * arm.half
            u = arm.stop + np.array([-STOP_HALF_M, STOP_HALF_M])
            ring = arm.points(np.array([(u[0], 0.0), (u[1], 0.0), (u[1], v), (u[0], v)]))
            kind = "TRAFFIC_LIGHT" if arm.junction.signalled else "STOP_SIGN" if arm.junction.stop_sign else "YIELD"
            lights = self._lights_of(arm.junction, False)
            self.stop_lines.append(StopLine(_largest(self.shapely.Polygon(ring)), kind, at, lights=lights))

    def _main_stop(self, side: int, s: float, junction: Junction | None, crossing: int) -> None:
        section = self.road.section(side)
        edges = self.road.offset(side, 0.0), self.road.offset(side, section.lanes_width)
        area = _largest(self._area(s - STOP_HALF_M, s + STOP_HALF_M, max(edges), min(edges)))
        kind, segment = "PED_CROSSING", self.crossing_segments[crossing]
        lights: tuple[int, ...] = ()
        if junction is not None:
            kind, segment = "TRAFFIC_LIGHT", self.intersections[junction.s]
            lights = self._lights_of(junction, True)
        self.stop_lines.append(StopLine(area, kind, segment, crossings=(crossing,), lights=lights))

    def _lights_of(self, junction: Junction, main: bool) -> tuple[int, ...]:
        return tuple(k for k, light in enumerate(self.signals) if light.s == junction.s and light.main == main)

    def _dividers(self) -> tuple[list[np.ndarray], list[np.ndarray], list[str]]:
        road = self.road
        middle, lanes, types = [], [], []
        position = 0.0
        for low, high in [*road.cuts(1.0, 2.6), (road.length, road.length)]:
            if low - position > 2:
                s = road.samples(position, low)
                middle.append(road.points(s, 0.0))
                for side in (1, -1):
                    section = road.section(side)
                    for lane in range(1, section.lanes):
                        lanes.append(road.points(s, road.offset(side, lane * section.lane_width)))
                        types.append(DASHED)
                    if section.bike_width > 1.2:
                        lanes.append(road.points(s, road.offset(side, section.lanes_width + 0.02)))
                        types.append(SOLID)
            position = max(position, high)
        for arm in self.network.arms:
            if not arm.carpark:
                middle.append(arm.points(np.array([(arm.stop, 0.0), (arm.end - 10.0, 0.0)])))
        return middle, lanes, types

    def _walkways(self) -> list[Any]:
        road, areas = self.road, []
        for side in (1, -1):
            section = road.section(side)
            inner = section.walk_inner if section.verge_width > 0.3 else section.kerb
            d = road.offset(side, inner), road.offset(side, section.walk_outer)
            areas += [self._area(s0, s1, max(d), min(d)) for s0, s1 in self.network.pavement_spans(side)]
        for way in self.network.ways:
            bands = [*way.corners.values(), (way.ring, way.outer_ring)]
            for inner_line, outer_line in bands:
                ribs = [way.points(line) for line in (inner_line, outer_line)]
                pieces = [
                    self.shapely.Polygon(np.stack([a0, a1, b1, b0])).buffer(0)
                    for (a0, a1), (b0, b1) in zip(pairwise(ribs[0]), pairwise(ribs[1]), strict=True)
                ]
                areas.append(self.shapely.union_all(pieces))
        return areas


def _polygons(geometry: Any) -> list[Polygon]:
    """Parts of a shapely geometry, slivers left out."""
    parts = getattr(geometry, "geoms", [geometry])
    result = []
    for part in parts:
        if part.geom_type != "Polygon" or part.area < 0.02:
            continue
        holes = [np.array(ring.coords)[:-1] for ring in part.interiors if _area(np.array(ring.coords)) > 0.02]
        result.append(Polygon(_turned(np.array(part.exterior.coords)[:-1], 1), tuple(_turned(h, -1) for h in holes)))
    return result


def _largest(geometry: Any) -> Polygon:
    return max(_polygons(geometry), key=lambda polygon: _area(polygon.exterior))


def _signed(ring: np.ndarray) -> float:
    x, y = (ring - ring[0]).T
    return float(np.dot(x, np.roll(y, -1)) - np.dot(y, np.roll(x, -1))) / 2


def _area(ring: np.ndarray) -> float:
    return abs(_signed(ring))


def _turned(ring: np.ndarray, sign: int) -> np.ndarray:
    return ring if _signed(ring) * sign > 0 else ring[::-1]
