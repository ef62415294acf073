"""Who is on the road and on the pavements of a scene, and how the ego drives among them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from perception.world.actors import Actor, Poses, bicycle_mesh, cyclist_meshes, pedestrian_meshes, vehicle_mesh
from perception.world.ground import KERB_HEIGHT_M
from perception.world.mesh import Mesh
from perception.world.motion import LEAD_IN_S, Driver, Light, Track, follow, keep_pace, steady
from perception.world.network import Network
from perception.world.vehicles import car

EGO_LENGTH_M = 4.1
EGO_CENTER_M = 1.0
"""How far the middle of the ego vehicle lies ahead of its origin below the rear axle."""


@dataclass
class Traffic:
    """The result: the ego's track and everybody else."""

    ego: Track
    actors: list[Actor]


class TrafficBuilder:
    """Populates a road.

    Args:
        density: 0..1, how busy the place is.
        end_s: last time that is asked for; simulation starts a little before 0.
        pace: ``(T,)`` m/s every :data:`STEP_S` from :data:`LEAD_IN_S` before 0: what the ego and the traffic of its
            lane do instead of following one another. The lights are then green.
    """

    def __init__(
        self,
        rng: np.random.Generator,
        network: Network,
        density: float,
        ego_start_m: float,
        end_s: float,
        pace: np.ndarray | None = None,
    ) -> None:
        self.rng, self.road, self.network, self.density, self.pace = rng, network.road, network, density, pace
        self.start_s, self.end_s = -LEAD_IN_S, end_s + 1.0
        self.ego_start_m = ego_start_m
        self.actors: list[Actor] = []

    def build(self) -> Traffic:
        ego = self._lanes()
        self._parked()
        self._side_roads()
        self._cyclists()
        self._pedestrians()
        return Traffic(ego, self.actors)

    def _add(self, category: str, kind: str, poses: Poses, **motion: object) -> Actor:
        actor = Actor(instance=len(self.actors) + 1, category=category, kind=kind, poses=poses, **motion)  # type: ignore[arg-type]
        self.actors.append(actor)
        return actor

    def _lights(self, direction: int) -> list[Light]:
        """Stop lines of one direction of travel (+1 with s), red for a while where lights stand."""
        lights = []
        for junction in self.road.junctions:
            if junction.signalled:
                line = junction.s - direction * (junction.stop_offset - 0.3)
                red_to = self.red[junction.s]
                lights.append(Light(line if direction > 0 else self.road.length - line, self.start_s - 1, red_to))
        return lights

    def _lanes(self) -> Track:
        rng, road = self.rng, self.road
        red = rng.random() < 0.55
        self.red = {j.s: float(rng.uniform(2.0, self.end_s * 0.8 + 2)) if red else -9.0 for j in road.junctions}
        limit = float(rng.uniform(9.0, 20.0))
        speed = float(rng.choice([0.0, 0.5, 0.9], p=[0.2, 0.3, 0.5])) * limit
        own, far = road.drive_side, -road.drive_side
        if self.pace is not None:
            self.red = dict.fromkeys(self.red, -9.0)
            limit = max(limit, float(self.pace.max()))
            speed = float(self.pace[0])
        ego_lane = int(rng.integers(road.own.lanes))
        ego_track: Track | None = None
        for side, lanes in ((own, road.own.lanes), (far, road.far.lanes)):
            direction = 1 if side == own else -1
            for lane in range(lanes):
                ego_here = direction > 0 and lane == ego_lane
                drivers, meshes = self._queue(direction, ego_here, limit, speed)
                curve = (road.s, road.curvature) if direction > 0 else (road.s, road.curvature[::-1])
                if ego_here and self.pace is not None:
                    keep_pace(drivers, self.pace)
                else:
                    follow(drivers, self._lights(direction), curve, self.start_s, self.end_s)
                d = road.lane_center(side, lane)
                for driver, mesh in zip(drivers, meshes, strict=True):
                    s, v = np.array(driver.history).T
                    if direction < 0:
                        s, v = road.length - s, -v
                    track = Track(self.start_s, s, v, d, 0.0 if direction > 0 else np.pi)
                    if mesh is None:
                        ego_track = Track(
                            self.start_s, s - EGO_CENTER_M, v, d, 0.0, sway=float(rng.uniform(0.02, 0.12)),
                            sway_period_s=float(rng.uniform(8, 14)), sway_phase=float(rng.uniform(0, 6)),
                        )  # fmt: skip
                    else:
                        track.sway, track.sway_phase = 0.08, float(rng.uniform(0, 6))
                        self._add(mesh[0], "vehicle", Poses.fixed(mesh[1]), track=track)
        assert ego_track is not None
        return ego_track

    def _queue(
        self, direction: int, with_ego: bool, limit: float, speed: float
    ) -> tuple[list[Driver], list[tuple[str, Mesh] | None]]:
        """Vehicles of a lane from the front backwards; ``None`` stands for the ego."""
        rng, road = self.rng, self.road
        gap_mean = 16 + 75 * (1 - self.density) ** 1.5
        entries: list[tuple[float, float, tuple[str, Mesh] | None]] = []

        def vehicle() -> tuple[str, Mesh, float]:
            category, mesh = vehicle_mesh(rng, 0.14)
            low, high = mesh.bounds()
            return category, mesh, float(high[0] - low[0])

        start = self.ego_start_m if with_ego else float(rng.uniform(0, gap_mean))
        if with_ego:
            entries.append((start, EGO_LENGTH_M, None))
            position, previous = start, EGO_LENGTH_M
            position -= 14 + rng.exponential(gap_mean)
            while position > 8:
                category, mesh, length = vehicle()
                entries.append((position, length, (category, mesh)))
                position -= length + 8 + rng.exponential(gap_mean)
            position = start + float(rng.choice([9, 20, 45, 90])) + rng.uniform(0, 8)
        else:
            position, previous = start + 5, 0.0
        while position < road.length - 8:
            category, mesh, length = vehicle()
            position += (length + previous) / 2
            entries.append((position, length, (category, mesh)))
            previous = length
            position += 5 + speed * 0.8 + rng.exponential(gap_mean)
        entries.sort(key=lambda entry: -entry[0])
        drivers = [
            Driver(
                s,
                speed * (1.0 if item is None else float(rng.uniform(0.85, 1.0))),
                length,
                limit * float(rng.uniform(0.75, 1.05)),
            )
            for s, length, item in entries
        ]
        return drivers, [item for *_, item in entries]

    def _parked(self) -> None:
        rng, road = self.rng, self.road
        for side in (1, -1):
            section = road.section(side)
            if section.parking_width < 1:
                continue
            yaw = 0.0 if side == road.drive_side else np.pi
            fill = rng.uniform(0.35, 0.95)
            s = float(rng.uniform(2, 8))
            while s < road.length - 6:
                if rng.random() < fill and road.clear_of_mouths(s, side, 6.0) and self._off_crossings(s, 6.0):
                    category, mesh = vehicle_mesh(rng, 0.03)
                    low, high = mesh.bounds()
                    length = float(high[0] - low[0])
                    if category == "vehicle.car" or self._off_crossings(s, 10.0):
                        d = road.offset(side, section.kerb - section.parking_width / 2 + rng.uniform(-0.1, 0.1))
                        at = s + length / 2
                        if road.clear_of_mouths(at, side, 3.0 + length / 2):
                            pose = road.pose(at, d, yaw + rng.normal(0, 0.015) + (np.pi if rng.random() < 0.06 else 0))
                            self._add(category, "parked", Poses.fixed(mesh), pose=pose)
                    s += length + rng.uniform(0.7, 1.6)
                else:
                    s += 5.5

    def _off_crossings(self, s: float, margin: float) -> bool:
        return all(abs(s - crossing) > margin for crossing in self.road.crossings)

    def _side_roads(self) -> None:
        """Cars that wait to join the main road, and cars in car parks."""
        rng, road = self.rng, self.road
        for arm in self.network.arms:
            if arm.carpark:
                fill = rng.uniform(0.3, 0.9)
                for u, v, turn in arm.bay_poses():
                    if rng.random() < fill:
                        mesh = car(rng)
                        facing = turn + (np.pi if rng.random() < 0.25 else 0.0) + rng.normal(0, 0.02)
                        pose = arm.pose(u + rng.uniform(-0.15, 0.15), v + rng.uniform(-0.12, 0.12), facing)
                        self._add("vehicle.car", "parked", Poses.fixed(mesh), pose=pose)
                continue
            lane = -road.drive_side * arm.half / 2
            position = arm.stop + 0.8
            while rng.random() < 0.6 * self.density + 0.1 and position < arm.end - 14:
                category, mesh = vehicle_mesh(rng, 0.06)
                low, high = mesh.bounds()
                length = float(high[0] - low[0])
                self._add(category, "waiting", Poses.fixed(mesh), pose=arm.pose(position + length / 2, lane, np.pi))
                position += length + rng.uniform(1.2, 3)

    def _cyclists(self) -> None:
        rng, road = self.rng, self.road
        for side in (1, -1):
            section = road.section(side)
            direction = 1 if side == road.drive_side else -1
            if section.bike_width > 1.2:
                d = road.offset(side, section.lanes_width + section.bike_width / 2)
            elif section.walk_width > 2.4:
                d = road.offset(side, section.walk_inner + 0.65)
            else:
                continue
            s = float(rng.uniform(5, 60))
            pace = float(rng.uniform(3.6, 6.0))
            while s < road.length - 10:
                track = Track(self.start_s, *steady(s, direction * pace, self.start_s, self.end_s), d=d,
                              yaw=0.0 if direction > 0 else np.pi, sway=0.08, sway_period_s=4.0,
                              sway_phase=float(rng.uniform(0, 6)))  # fmt: skip
                self._add("vehicle.bicycle", "cyclist", cyclist_meshes(rng), track=track, cycle_m=direction * 4.6)
                s += 12 + rng.exponential(30 + 120 * (1 - self.density))
            for _ in range(int(rng.integers(0, 4))):
                s = float(rng.uniform(10, road.length - 10))
                if road.clear_of_mouths(s, side, 4):
                    pose = road.pose(s, road.offset(side, section.kerb + 0.45), rng.normal(0, 0.1), KERB_HEIGHT_M)
                    self._add("vehicle.bicycle", "parked", Poses.fixed(bicycle_mesh(rng)), pose=pose)

    def _pedestrians(self) -> None:
        rng, road = self.rng, self.road
        for side in (1, -1):
            section = road.section(side)
            s = float(rng.uniform(2, 20))
            while s < road.length - 4:
                walking = rng.random() < 0.8
                d = road.offset(side, float(rng.uniform(section.walk_inner + 1.1, section.walk_outer - 0.3)))
                pace = float(rng.choice([-1, 1]) * rng.uniform(1.0, 1.65)) if walking else 0.0
                self._walk(s, pace, d, walking)
                if rng.random() < 0.25:  # in company
                    self._walk(s + 0.15, pace, d - side * 0.62, walking)
                s += 3 + rng.exponential(9 + 45 * (1 - self.density))
        for junction in road.junctions:
            if junction.signalled and self.red[junction.s] > 3:
                for crossing in (junction.s - junction.crossing_offset, junction.s + junction.crossing_offset):
                    self._cross(crossing, self.red[junction.s])

    def _walk(self, s: float, pace: float, d: float, walking: bool) -> None:
        rng = self.rng
        category, meshes = pedestrian_meshes(rng, walking)
        direction = -1.0 if pace < 0 else 1.0
        yaw = float(rng.uniform(0, 2 * np.pi)) if not walking else (0.0 if pace > 0 else np.pi)
        knots = steady(s, pace, self.start_s, self.end_s)
        track = Track(
            self.start_s, *knots, d=d, yaw=yaw, sway=0.1 if walking else 0.0, sway_phase=float(rng.uniform(0, 6))
        )
        self._add(category, "pedestrian", meshes, track=track, cycle_m=direction * 1.5)

    def _cross(self, s: float, red_to_s: float) -> None:
        """People who walk over the crossing and are off it when the light turns."""
        rng, road = self.rng, self.road
        left = road.offset(1, road.section(1).kerb + 0.8)
        right = road.offset(-1, road.section(-1).kerb + 0.8)
        for _ in range(int(rng.integers(1, 2 + int(4 * self.density)))):
            category, meshes = pedestrian_meshes(rng, True)
            pace = float(rng.uniform(1.2, 1.6)) * float(rng.choice([-1, 1]))
            begin, end = (right, left) if pace > 0 else (left, right)
            start = float(rng.uniform(-6, max(-5.0, red_to_s - abs(left - right) / abs(pace) - 1)))
            at = s + float(rng.uniform(-1.2, 1.2))
            knots = steady(at, 0.0, self.start_s, self.end_s)
            track = CrossingTrack(
                self.start_s, *knots, d=begin, yaw=float(np.copysign(np.pi / 2, pace)), walk=(start, begin, end, pace)
            )
            self._add(category, "pedestrian", meshes, track=track, cycle_m=1.5)


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
