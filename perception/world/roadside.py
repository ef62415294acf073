"""What stands beside the road: parked rows, car parks, road works, deliveries."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from perception.world.actors import Cast, Poses, bicycle_mesh, length_of
from perception.world.ground import KERB_HEIGHT_M
from perception.world.machines import barrier, cone, excavator, motorcycle, trailer
from perception.world.mesh import Mesh
from perception.world.network import Network
from perception.world.people import Look, pedestrian
from perception.world.vehicles import bus, truck

SITE_M = (7.0, 40.0)
"""Where a theme's things stand, metres ahead of the ego's start."""
WORKER = "human.pedestrian.construction_worker"


class Roadside:
    """Adds everything that stands.

    Args:
        theme: see :data:`perception.world.road.THEMES`.
        add: takes ``(category, kind, poses, **motion)``.
    """

    def __init__(
        self, rng: np.random.Generator, network: Network, cast: Cast, theme: str, ego_start_m: float,
        add: Callable[..., object],
    ) -> None:  # fmt: skip
        self.rng, self.network, self.road, self.cast = rng, network, network.road, cast
        self.theme, self.begin, self.add = theme, ego_start_m, add

    def build(self) -> None:
        if self.theme == "roadworks":
            self._roadworks()
        elif self.theme == "delivery":
            self._delivery()
        for side in (1, -1):
            self._rows(side)
            self._bicycles(side)
        for arm in self.network.arms:
            if arm.carpark:
                fill = self.rng.uniform(0.3, 0.9)
                for u, v, turn in arm.bay_poses():
                    if self.rng.random() < fill:
                        facing = turn + (np.pi if self.rng.random() < 0.25 else 0.0) + self.rng.normal(0, 0.02)
                        place = u + self.rng.uniform(-0.12, 0.12), v + self.rng.uniform(-0.1, 0.1)
                        self._stand("vehicle.car", self.cast.car(), arm.pose(*place, facing))

    def _stand(self, category: str, mesh: Mesh, pose: np.ndarray, kind: str = "parked") -> None:
        self.add(category, kind, Poses.fixed(mesh), pose=pose)

    def _off_crossings(self, s: float, margin: float) -> bool:
        return all(abs(s - crossing) > margin for crossing in self.road.crossings)

    def _at_kerb(self, ahead: float, category: str, mesh: Mesh, turn: float = 0.0, out: float = 0.0) -> None:
        """Stand something in the parking strip on the ego's side, ``out`` metres outwards from its middle."""
        road, section = self.road, self.road.own
        d = road.offset(road.drive_side, section.kerb - section.parking_width / 2 + out)
        kind = "object" if category.startswith("movable") else "parked"
        self._stand(category, mesh, road.pose(self.begin + ahead, d, turn + float(self.rng.normal(0, 0.02))), kind)

    def _roadworks(self) -> None:
        """A closed parking strip with an excavator, a trailer, barriers, cones and workers."""
        rng, half = self.rng, self.road.own.parking_width / 2
        for ahead in (SITE_M[0] + 1.0, SITE_M[1] - 2.0):
            self._at_kerb(ahead, "movable_object.barrier", barrier(0), 0.0, 0.3)
        for ahead in np.arange(SITE_M[0] + 3.0, SITE_M[1] - 3.0, float(rng.uniform(2.6, 3.6))):
            self._at_kerb(float(ahead), "movable_object.trafficcone", cone(), float(rng.uniform(0, 3)), 0.25 - half)
        for ahead in (18.0, 20.3, 22.6):
            self._at_kerb(ahead, "movable_object.barrier", barrier(1), np.pi / 2, half - 0.4)
        self._at_kerb(13.5, "vehicle.construction", excavator(rng), 0.0, 0.3)
        self._at_kerb(28.5, "vehicle.trailer", trailer(rng), 0.0, 0.3)
        for ahead, out in ((18.5, -0.2), (21.2, 0.1)):
            look = Look.random(rng)
            vest = replace(look, top=(0.75, 0.55, 0.02), bottom=(0.70, 0.22, 0.01), hair=(0.75, 0.5, 0.02))
            mesh = pedestrian(vest, float(rng.uniform(0, 6)), 0.0, WORKER)
            d = self.road.offset(self.road.drive_side, self.road.own.kerb - half + out)
            pose = self.road.pose(self.begin + ahead, d, float(rng.uniform(0, 6)))
            self._stand(WORKER, mesh, pose, "pedestrian")

    def _delivery(self) -> None:
        """A bus at its stop, a lorry that unloads, motorcycles and bicycles."""
        rng = self.rng
        self._at_kerb(9.5, "vehicle.motorcycle", motorcycle(rng, None), 0.9 * self.road.drive_side * -1)
        self._at_kerb(11.0, "vehicle.motorcycle", motorcycle(rng, None), 0.9 * self.road.drive_side * -1)
        self._at_kerb(13.2, "vehicle.bicycle", bicycle_mesh(rng))
        big = bus(rng)
        self._at_kerb(16.0 + length_of(big) / 2, "vehicle.bus.rigid", big)
        lorry = truck(rng)
        self._at_kerb(31.5 + length_of(lorry) / 2 - 0.5, "vehicle.truck", lorry)

    def _rows(self, side: int) -> None:
        rng, road = self.rng, self.road
        section = road.section(side)
        if section.parking_width < 1:
            return
        yaw = 0.0 if side == road.drive_side else np.pi
        taken = self.theme != "plain" and side == road.drive_side
        fill = rng.uniform(0.35, 0.95)
        s = float(rng.uniform(2, 8))
        while s < road.length - 8:
            if taken and self.begin + SITE_M[0] - 9 < s < self.begin + SITE_M[1] + 1:
                s = self.begin + SITE_M[1] + 1.5
            if rng.random() >= fill:
                s += 5.5
                continue
            category, mesh = self._parker()
            length, low = length_of(mesh), float(mesh.bounds()[0][0])
            at = s + length / 2
            margin = 4.5 + length / 2
            if road.clear_of_mouths(at, side, 1.5 + length / 2) and self._off_crossings(at, margin):
                d = road.offset(side, section.kerb - section.parking_width / 2 + rng.uniform(-0.1, 0.1))
                turned = yaw + (np.pi if rng.random() < 0.06 else 0.0)
                shift = -(low + length / 2) * float(np.cos(turned))
                self._stand(category, mesh, road.pose(at + shift, d, turned + rng.normal(0, 0.015)))
            s += length + rng.uniform(0.7, 1.6)

    def _parker(self) -> tuple[str, Mesh]:
        pick, motorcycles = self.rng.random(), self.cast.mix.parked_motorcycles
        if pick < 0.03:
            return "vehicle.trailer", trailer(self.rng)
        if pick < 0.03 + motorcycles:
            return "vehicle.motorcycle", motorcycle(self.rng, None)
        if pick < 0.06 + motorcycles:
            return "vehicle.truck", truck(self.rng)
        return "vehicle.car", self.cast.car()

    def _bicycles(self, side: int) -> None:
        """Bicycles on the pavement; those beyond the usual number keep clear of the others."""
        rng, road, taken = self.rng, self.road, list[float]()
        usual = int(rng.integers(0, 4))
        for index in range(round(usual * self.cast.mix.parked_bicycles)):
            s = float(rng.uniform(10, road.length - 10))
            if index >= usual and any(abs(s - other) < 2.5 for other in taken):
                continue
            if road.clear_of_mouths(s, side, 4) and self._off_crossings(s, 4):
                taken.append(s)
                d = road.offset(side, road.section(side).kerb + 0.45)
                pose = road.pose(s, d, rng.normal(0, 0.1), KERB_HEIGHT_M)
                self._stand("vehicle.bicycle", bicycle_mesh(rng), pose)
