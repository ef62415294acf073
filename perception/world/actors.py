"""Road users: what they are, where they are at a time, and their meshes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import NamedTuple

import numpy as np

from perception.errors import InputError
from perception.geometry.frames import transform, yaw_rotation
from perception.world.ground import KERB_HEIGHT_M
from perception.world.machines import motorcycle
from perception.world.mesh import Material, Mesh
from perception.world.motion import Track
from perception.world.people import Look, bicycle, cyclist, pedestrian
from perception.world.road import Road
from perception.world.vehicles import PAINTS, bus, car, truck

PHASES = 16
"""Poses per gait or pedalling cycle."""


@dataclass
class Box3D:
    """A box in the global frame.

    Args:
        center: ``(3,)`` metres.
        size: (length, width, height) in metres.
        yaw: radians about z.
        velocity: ``(2,)`` m/s.
    """

    center: np.ndarray
    size: tuple[float, float, float]
    yaw: float
    velocity: np.ndarray


class Poses:
    """Meshes of one actor: a fixed one, or a cycle of them that is built as its poses are asked for.

    Args:
        make: mesh at a phase in radians.
        count: poses in the cycle; 1 for a fixed mesh.
    """

    def __init__(self, make: Callable[[float], Mesh], count: int = PHASES) -> None:
        self._make = make
        self._count = count
        self._plain: dict[int, Mesh] = {}
        self._built: dict[int, Mesh] = {}
        self._bounds: list[tuple[np.ndarray, np.ndarray]] = []
        self.instance = 0

    @classmethod
    def fixed(cls, mesh: Mesh) -> Poses:
        return cls(lambda phase: mesh, 1)

    def shared(self) -> Poses:
        """The same poses for another actor; what one builds the other has."""
        other = Poses(self._make, self._count)
        other._plain, other._bounds = self._plain, self._bounds
        return other

    def __len__(self) -> int:
        return self._count

    def _pose(self, index: int) -> Mesh:
        if index not in self._plain:
            self._plain[index] = self._make(2 * np.pi * index / self._count)
        return self._plain[index]

    def __getitem__(self, index: int) -> Mesh:
        if index not in self._built:
            self._built[index] = self._pose(index).moved(np.eye(4), self.instance)
        return self._built[index]

    def bounds(self) -> tuple[np.ndarray, np.ndarray]:
        """Lowest and highest corner over the cycle, from eight of its poses."""
        if not self._bounds:
            bounds = [self._pose(index).bounds() for index in sorted({self._count * k // 8 for k in range(8)})]
            low = np.min([corner for corner, _ in bounds], axis=0)
            self._bounds.append((low, np.max([corner for _, corner in bounds], axis=0)))
        return self._bounds[0]


@dataclass
class Actor:
    """A detection object.

    Args:
        instance: id in the instance images, from 1.
        category: nuScenes category name.
        track: how it moves along the road; ``None`` for one that never moves.
        pose: fixed ``(4, 4)`` global pose where ``track`` is ``None``.
        kind: ``parked``, ``waiting``, ``vehicle``, ``pedestrian``, ``cyclist`` or ``object``.
        poses: its meshes.
        cycle_m: metres per cycle of the poses.
    """

    instance: int
    category: str
    kind: str
    poses: Poses
    track: Track | None = None
    pose: np.ndarray | None = None
    cycle_m: float = 1.5
    low: np.ndarray = field(init=False)
    size: tuple[float, float, float] = field(init=False)

    def __post_init__(self) -> None:
        self.poses.instance = self.instance
        low, high = self.poses.bounds()
        self.low = low.astype(np.float64)
        extent = high.astype(np.float64) - self.low
        self.size = (float(extent[0]), float(extent[1]), float(extent[2]))

    def renumber(self, instance: int) -> None:
        """Give it another id."""
        self.instance = self.poses.instance = instance

    def global_from_local(self, road: Road, time_s: float) -> np.ndarray:
        """``(4, 4)`` pose; the local origin lies on the ground."""
        if self.track is None:
            assert self.pose is not None
            return self.pose
        position, yaw, _ = self.track.place(road, time_s)
        return transform(np.array([*position, self.ground_height(road, time_s)]), yaw_rotation(yaw))

    def present(self, road: Road, time_s: float) -> bool:
        """Whether it is on the modelled stretch of road; traffic comes and goes at its ends."""
        return self.track is None or self.track.present(road, time_s)

    def ground_height(self, road: Road, time_s: float) -> float:
        """Height of what it stands on: the carriageway or a raised pavement."""
        if self.track is None:
            return float(self.pose[2, 3]) if self.pose is not None else 0.0
        if self.track.way is not None:
            return 0.0
        s, _ = self.track.along(time_s)
        d, _ = self.track.across(time_s)
        return KERB_HEIGHT_M if road.raised(s, d) else 0.0

    def box(self, road: Road, time_s: float) -> Box3D:
        """The annotated box."""
        matrix = self.global_from_local(road, time_s)
        middle = self.low + np.array(self.size) / 2
        yaw = float(np.arctan2(matrix[1, 0], matrix[0, 0]))
        return Box3D(matrix[:3, :3] @ middle + matrix[:3, 3], self.size, yaw, self.velocity(road, time_s))

    def velocity(self, road: Road, time_s: float) -> np.ndarray:
        return np.zeros(2) if self.track is None else self.track.place(road, time_s)[2]

    def mesh(self, time_s: float) -> Mesh:
        """Local mesh in its pose at a time."""
        if len(self.poses) == 1 or self.track is None:
            return self.poses[0]
        return self.poses[int(np.floor((self.track.travelled(time_s) / self.cycle_m) % 1.0 * PHASES)) % PHASES]

    def attribute(self, road: Road, time_s: float) -> str:
        """nuScenes attribute name; empty for things that have none."""
        if self.category.startswith("movable_object."):
            return ""
        speed = float(np.linalg.norm(self.velocity(road, time_s)))
        if self.category.startswith("human."):
            return "pedestrian.moving" if speed > 0.1 else "pedestrian.standing"
        if self.category in ("vehicle.bicycle", "vehicle.motorcycle"):
            return "cycle.without_rider" if self.kind == "parked" else "cycle.with_rider"
        if self.kind == "parked":
            return "vehicle.parked"
        return "vehicle.moving" if speed > 0.2 else "vehicle.stopped"


MOST_TIMES = 100
"""The usual number of something, times this at most."""


class TrafficMix(NamedTuple):
    """Who drives, walks and is parked. Cars make up the rest of the motor vehicles.

    Parked trucks and trailers and what is of roadworks do not depend on it.

    Args:
        motorcycles: their share of the motor vehicles, with riders.
        large_vehicles: share of buses and trucks, which keep to the main road.
        cyclists: how many ride in the bicycle lanes, in times of the usual number, 0 to 100; fewer than that where they
            are dense, as they keep 12 m at least.
        parked_bicycles: how many stand on the pavements, likewise; those beyond the usual number keep 2.5 m at least.
        pedestrians: how many walk, stand and wait to cross, likewise; as many as find room.
        children: their share of the pedestrians.
        parked_motorcycles: their share of the vehicles parked along the kerb, without riders, at most 0.9.
    """

    motorcycles: float = 0.06
    large_vehicles: float = 0.14
    cyclists: float = 1.0
    parked_bicycles: float = 1.0
    pedestrians: float = 1.0
    children: float = 0.1
    parked_motorcycles: float = 0.05

    def check(self) -> None:
        """Raise InputError for what are no shares, or no number of times."""
        for name, most, whole in (
            ("motorcycles", 1.0, "traffic"), ("large_vehicles", 1.0, "traffic"), ("children", 1.0, "pedestrians"),
            ("parked_motorcycles", 0.9, "vehicles at the kerb"),
        ):  # fmt: skip
            share = getattr(self, name)
            if not 0 <= share <= most:
                raise InputError(f"{name} {share:g} must be a share of the {whole}, 0 to {most:g}")
        for name in ("cyclists", "parked_bicycles", "pedestrians"):
            times = getattr(self, name)
            if not 0 <= times <= MOST_TIMES:
                raise InputError(f"{name} {times:g} must be 0 to {MOST_TIMES}, in times of the usual number")
        if self.motorcycles + self.large_vehicles > 1:
            raise InputError(f"motorcycles {self.motorcycles:g} and large_vehicles {self.large_vehicles:g} exceed 1")


USUAL_MIX = TrafficMix()


class Cast:
    """Meshes of random road users. A scene holds a limited number of each kind; more are repainted ones."""

    CARS, WALKERS, CYCLISTS = 14, 16, 5

    def __init__(self, rng: np.random.Generator, mix: TrafficMix) -> None:
        self.rng, self.mix = rng, mix
        self._cars: list[Mesh] = []
        self._people: dict[bool, list[tuple[str, Poses]]] = {True: [], False: []}
        self._cyclists: list[Poses] = []

    def car(self) -> Mesh:
        rng = self.rng
        if len(self._cars) < self.CARS:
            self._cars.append(car(rng))
            return self._cars[-1]
        mesh = self._cars[int(rng.integers(self.CARS))]
        painted = (mesh.material == Material.PAINT) | (mesh.material == Material.GREENHOUSE)
        paint = np.array(PAINTS[int(rng.integers(len(PAINTS)))]) * rng.uniform(0.85, 1.1)
        color = np.where(painted[:, None], paint.astype(np.float32), mesh.color)
        return replace(mesh, color=color)

    def vehicle(self, large: bool) -> tuple[str, Mesh]:
        """Category and mesh of a motor vehicle under way; ``large``: it may be a bus or a truck."""
        rng = self.rng
        pick = rng.random()
        if pick < self.mix.motorcycles:
            return "vehicle.motorcycle", motorcycle(rng, Look.random(rng))
        if not large or pick < 1 - self.mix.large_vehicles:
            return "vehicle.car", self.car()
        if rng.random() < 0.5:
            return "vehicle.bus.rigid", bus(rng)
        return "vehicle.truck", truck(rng)

    def person(self, walking: bool) -> tuple[str, Poses]:
        """Category and poses of a person."""
        rng, people = self.rng, self._people[walking]
        if len(people) < self.WALKERS:
            people.append(pedestrian_meshes(rng, walking, self.mix.children))
            return people[-1]
        category, poses = people[int(rng.integers(self.WALKERS))]
        return category, poses.shared()

    def cyclist(self) -> Poses:
        rng = self.rng
        if len(self._cyclists) < self.CYCLISTS:
            self._cyclists.append(cyclist_meshes(rng))
            return self._cyclists[-1]
        return self._cyclists[int(rng.integers(self.CYCLISTS))].shared()


def length_of(mesh: Mesh) -> float:
    """Extent along x, metres."""
    low, high = mesh.bounds()
    return float(high[0] - low[0])


def pedestrian_meshes(rng: np.random.Generator, walking: bool, children: float) -> tuple[str, Poses]:
    """Category and poses of a random person, a child with probability ``children``."""
    child = bool(rng.random() < children)
    look = Look.random(rng, child)
    category = "human.pedestrian.child" if child else "human.pedestrian.adult"
    if not walking:
        return category, Poses.fixed(pedestrian(look, float(rng.uniform(0, 6)), 0.0, category))
    return category, Poses(lambda phase: pedestrian(look, phase, 0.5, category))


def cyclist_meshes(rng: np.random.Generator) -> Poses:
    """Poses of a random cyclist."""
    look = Look.random(rng)
    color = tuple(float(c) for c in rng.choice([0.03, 0.15, 0.45], 3))
    helmet = bool(rng.random() < 0.5)
    return Poses(lambda phase: cyclist(look, color, -phase, helmet))


def bicycle_mesh(rng: np.random.Generator) -> Mesh:
    return bicycle(tuple(float(c) for c in rng.choice([0.03, 0.15, 0.45], 3)))
