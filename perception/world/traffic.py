"""Who is on the road and on the pavements of a scene, and how the ego drives among them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from perception.world.actors import Actor, Cast, Poses, TrafficMix, length_of
from perception.world.following import Driver, GiveWay, Lane, SpeedLimit, Stop, line_of_lane, simulate
from perception.world.mesh import Material, Mesh, Surface
from perception.world.motion import LEAD_IN_S, Track
from perception.world.network import Arm, Network
from perception.world.overlaps import without_overlaps
from perception.world.roadside import Roadside
from perception.world.shapes import box
from perception.world.signals import YELLOW_S, Phases
from perception.world.turning import MainLane, Turns
from perception.world.walkers import Walkers

EGO_LENGTH_M = 4.1
EGO_CENTER_M = 1.0
"""How far the middle of the ego vehicle lies ahead of its origin below the rear axle."""
EGO_SIZE_M = (4.2, 1.8, 1.5)
LARGE_M = 6.0
"""Longer vehicles stay on the main road."""


@dataclass
class Traffic:
    """The result: the ego's track, everybody else, and the traffic lights by the s of their junction."""

    ego: Track
    actors: list[Actor]
    phases: dict[float, Phases]


class TrafficBuilder:
    """Populates a road.

    Args:
        density: 0..1, how busy the place is.
        end_s: last time that is asked for; simulation starts a little before 0.
        pace: ``(T,)`` m/s every step from :data:`LEAD_IN_S` before 0: what the ego and the traffic of its lane do
            instead of following one another. The lights are then green.
        theme: what goes on beside the road where the ego starts.
        mix: of the road users, and of parked bicycles.
    """

    def __init__(
        self,
        rng: np.random.Generator,
        network: Network,
        density: float,
        ego_start_m: float,
        end_s: float,
        pace: np.ndarray | None,
        theme: str,
        mix: TrafficMix,
    ) -> None:
        self.rng, self.road, self.network, self.density, self.pace = rng, network.road, network, density, pace
        self.start_s, self.end_s = -LEAD_IN_S, end_s + 1.0
        self.ego_start_m, self.theme = ego_start_m, theme
        self.actors: list[Actor] = []
        self.turning: set[int] = set()
        self.cast = Cast(rng, mix)

    def build(self) -> Traffic:
        self.phases = self._phases()
        Roadside(self.rng, self.network, self.cast, self.theme, self.ego_start_m, self._add).build()
        self.walkers = Walkers(self.rng, self.network, self.cast, self.phases, self.density,
                               (self.start_s, self.end_s), self.pace is not None, self._add)  # fmt: skip
        self.walkers.build()
        ego = self._vehicles()
        body = Actor(0, "vehicle.car", "ego", Poses.fixed(_ego_mesh()), track=ego)
        ranks = dict.fromkeys(self.turning, 2)
        actors = without_overlaps(self.actors, body, self.road, self.end_s, ranks)
        for number, actor in enumerate(actors, 1):
            actor.renumber(number)
        return Traffic(ego, actors, self.phases)

    def _add(self, category: str, kind: str, poses: Poses, **motion: object) -> Actor:
        actor = Actor(instance=len(self.actors) + 1, category=category, kind=kind, poses=poses, **motion)  # type: ignore[arg-type]
        self.actors.append(actor)
        return actor

    def _phases(self) -> dict[float, Phases]:
        """Each junction starts with red or green on the main road; some change while the scene lasts."""
        rng, phases = self.rng, {}
        for junction in self.road.junctions:
            pick, until = rng.random(), float(rng.uniform(3.0, max(6.0, 0.8 * self.end_s)))
            red: list[tuple[float, float]] = []
            if junction.signalled and self.pace is None:
                cycle = float(rng.uniform(18, 30))
                if pick < 0.5:
                    red.append((self.start_s - 12.0, until))
                elif pick < 0.75:
                    red.append((until, until + cycle))
                while red and red[-1][1] < self.end_s:
                    low = red[-1][1] + cycle
                    red.append((low, low + cycle))
            phases[junction.s] = Phases(tuple(red))
        return phases

    def _vehicles(self) -> Track:
        rng, road = self.rng, self.road
        limit = float(rng.uniform(9.0, 17.0))
        speed = float(rng.choice([0.0, 0.5, 0.9], p=[0.2, 0.3, 0.5])) * limit
        if self.pace is not None:
            limit, speed = max(limit, float(self.pace.max())), float(self.pace[0])
        ego_lane = int(rng.integers(road.own.lanes))
        meshes: dict[int, tuple[str, str, Poses]] = {}
        lanes: list[MainLane] = []
        ego: Driver | None = None
        for side in (road.drive_side, -road.drive_side):
            direction = 1 if side == road.drive_side else -1
            limits = SpeedLimit(line_of_lane(road, direction < 0))
            for number in range(road.section(side).lanes):
                here = direction > 0 and number == ego_lane
                main = MainLane(direction, side, number, road.lane_center(side, number), 2.15, Lane(), [])
                drivers, kinds = self._queue(direction, here, limit, speed, limits)
                for driver, kind in zip(drivers, kinds, strict=True):
                    driver.stops = self._stops(direction)
                    main.lane.join(driver)
                    if kind is None:
                        ego = driver
                    else:
                        meshes[id(driver)] = kind[0], "vehicle", Poses.fixed(kind[1])
                    if here and self.pace is not None:
                        driver.pace, driver.v = self.pace, float(self.pace[0])
                main.drivers = drivers
                lanes.append(main)
        lanes += self._bicycles(meshes)
        assert ego is not None
        extra = self._turns(lanes, ego, meshes, limit)
        everybody = [driver for main in lanes for driver in main.drivers] + [driver for driver, _ in extra]
        simulate(everybody, self.start_s, self.end_s)
        for main in lanes:
            for driver in main.drivers:
                if driver is not ego:
                    self._drive(driver, main, *meshes[id(driver)])
        for driver, joined in extra:
            self._drive(driver, joined, *meshes[id(driver)])
        s, v = np.array(ego.history).T
        return Track(
            self.start_s, s - EGO_CENTER_M, v, road.lane_center(road.drive_side, ego_lane), 0.0,
            sway=float(rng.uniform(0.02, 0.12)), sway_period_s=float(rng.uniform(8, 14)),
            sway_phase=float(rng.uniform(0, 6)),
        )  # fmt: skip

    def _drive(self, driver: Driver, main: MainLane | None, category: str, kind: str, poses: Poses) -> None:
        """Turn a driver's history into an actor."""
        s, v = np.array(driver.history).T
        cycle = 4.6 if kind == "cyclist" else 1.5
        if driver.way is not None or main is None:
            actor = self._add(category, kind, poses, track=Track(self.start_s, s, v, 0.0, way=driver.way))
            self.turning.add(actor.instance)
            return
        yaw = 0.0 if main.direction > 0 else np.pi
        if main.direction < 0:
            s, v, cycle = self.road.length - s, -v, -cycle
        track = Track(self.start_s, s, v, main.d, yaw, sway=0.08, sway_phase=float(self.rng.uniform(0, 6)))
        self._add(category, kind, poses, track=track, cycle_m=cycle)

    def _stops(self, direction: int) -> list[Stop | GiveWay]:
        """Lines across a direction of travel: at lights, and before crossings without lights."""
        road = self.road
        stops: list[Stop | GiveWay] = []

        def own(s: float) -> float:
            return s if direction > 0 else road.length - s

        signalled = {}
        for junction in road.junctions:
            if junction.signalled:
                closed = [(low - YELLOW_S + 0.5, high) for low, high in self.phases[junction.s].red]
                stops.append(Stop(own(junction.s) - junction.stop_offset + 0.1, closed))
                signalled[junction.s] = junction.crossing_offset
        for s, busy in self.walkers.on_crossing.items():
            if busy and not any(abs(abs(s - at) - offset) < 0.01 for at, offset in signalled.items()):
                stops.append(Stop(own(s) - 3.1, busy))
        return stops

    def _queue(
        self, direction: int, with_ego: bool, limit: float, speed: float, limits: SpeedLimit
    ) -> tuple[list[Driver], list[tuple[str, Mesh] | None]]:
        """Vehicles of a lane from the front backwards; ``None`` stands for the ego."""
        rng, road = self.rng, self.road
        gap_mean = 16 + 75 * (1 - self.density) ** 1.5
        entries: list[tuple[float, float, tuple[str, Mesh] | None]] = []

        def vehicle() -> tuple[str, Mesh, float]:
            category, mesh = self.cast.vehicle(large=True)
            return category, mesh, length_of(mesh)

        start = self.ego_start_m if with_ego else float(rng.uniform(0, gap_mean))
        if with_ego:
            entries.append((start, EGO_LENGTH_M, None))
            position = start - 14 - rng.exponential(gap_mean)
            while position > 8:
                category, mesh, length = vehicle()
                entries.append((position, length, (category, mesh)))
                position -= length + 8 + rng.exponential(gap_mean)
            position = start + float(rng.choice([9, 20, 45, 90])) + rng.uniform(0, 8)
            previous = EGO_LENGTH_M
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
                s, speed * (1.0 if item is None else float(rng.uniform(0.85, 1.0))), length,
                limit * float(rng.uniform(0.75, 1.05)), limits,
            )
            for s, length, item in entries
        ]  # fmt: skip
        return drivers, [item for *_, item in entries]

    def _bicycles(self, meshes: dict[int, tuple[str, str, Poses]]) -> list[MainLane]:
        """Cyclists in the bicycle lanes; they stop at lights as drivers do."""
        rng, road, lanes = self.rng, self.road, []
        for side in (1, -1):
            section = road.section(side)
            if section.bike_width <= 1.2 or not self.cast.mix.cyclists:
                continue
            direction = 1 if side == road.drive_side else -1
            d = road.offset(side, section.lanes_width + section.bike_width / 2)
            main = MainLane(direction, side, -1, d, 1.45, Lane(), [])
            s = float(rng.uniform(5, 60))
            while s < road.length - 10:
                pace = float(rng.uniform(3.8, 6.0))
                driver = Driver(s, pace, 1.8, pace, stops=self._stops(direction), jam=1.2, headway=0.7)
                main.lane.join(driver)
                main.drivers.append(driver)
                meshes[id(driver)] = "vehicle.bicycle", "cyclist", self.cast.cyclist()
                s += 12 + rng.exponential((30 + 120 * (1 - self.density)) / self.cast.mix.cyclists)
            lanes.append(main)
        return lanes

    def _turns(
        self, lanes: list[MainLane], ego: Driver, meshes: dict[int, tuple[str, str, Poses]], limit: float
    ) -> list[tuple[Driver, MainLane | None]]:
        """Drivers who leave, join and cross; those who come out of side roads are new ones."""
        rng, road = self.rng, self.road
        turns = Turns(road, lanes, self.walkers, self.phases)
        motor = [main for main in lanes if main.number >= 0]
        extra: list[tuple[Driver, MainLane | None]] = []
        horizon = max(15.0, 0.8 * self.end_s * limit)
        for arm in self.network.arms:
            junction = arm.junction
            if junction is None:
                continue
            for main in motor:
                near = main.side == arm.side
                if main.number != (road.section(main.side).lanes - 1 if near else 0) or rng.random() > 0.65:
                    continue
                at = turns.own(junction.s, main.direction)
                for driver in main.drivers:
                    free = driver is not ego and driver.pace is None and driver.way is None and driver.length < LARGE_M
                    if free and 22 + driver.v * 2 < at - driver.s < 22 + horizon:
                        turns.leave(driver, main, arm)
                        break
            for main in motor:
                near = main.side == arm.side
                if main.number != (road.section(main.side).lanes - 1 if near else 0):
                    continue
                blocked = self.pace is not None and ego in main.drivers
                if blocked or rng.random() > (0.75 if near else 0.2) * (0.3 + 0.7 * self.density):
                    continue
                behind = 0.0
                for _ in range(1 + int(rng.integers(0, 3))):
                    category, mesh = self.cast.vehicle(large=False)
                    length = length_of(mesh)
                    if behind + length > arm.end - arm.stop - 16 and not arm.carpark:
                        break
                    driver = turns.join(arm, main, behind, length, limit * float(rng.uniform(0.7, 0.95)))
                    meshes[id(driver)] = category, "vehicle", Poses.fixed(mesh)
                    extra.append((driver, main))
                    behind += length + float(rng.uniform(1.5, 3))
                    if arm.carpark:
                        break
                break
            else:
                self._straight_over(arm, turns, meshes, extra)
        return extra

    def _straight_over(
        self, arm: Arm, turns: Turns, meshes: dict[int, tuple[str, str, Poses]],
        extra: list[tuple[Driver, MainLane | None]],
    ) -> None:  # fmt: skip
        """Cars that wait at the lights of a side street to go straight over."""
        junction = arm.junction
        assert junction is not None
        opposite = [other for other in self.network.arms_at(junction) if other.side != arm.side]
        if not junction.signalled or not opposite:
            return
        behind = 0.0
        for _ in range(int(self.rng.integers(0, 4))):
            category, mesh = self.cast.vehicle(large=False)
            length = length_of(mesh)
            if behind + length > 30:
                break
            driver = turns.cross(arm, opposite[0], behind, length, float(self.rng.uniform(8, 12)))
            meshes[id(driver)] = category, "vehicle", Poses.fixed(mesh)
            extra.append((driver, None))
            behind += length + float(self.rng.uniform(1.5, 3))


def _ego_mesh() -> Mesh:
    low = box((EGO_CENTER_M, 0, EGO_SIZE_M[2] / 2), EGO_SIZE_M)
    return low.mesh(Surface(Material.PAINT, "car", lidar="vehicle.car"))
