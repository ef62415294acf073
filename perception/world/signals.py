"""Traffic lights: where their heads hang, and what they show when."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from perception.geometry.frames import transform, yaw_rotation
from perception.world.ground import KERB_HEIGHT_M
from perception.world.mesh import Material, Mesh, Surface, merge
from perception.world.network import Network
from perception.world.shapes import box, tube

YELLOW_S = 3.0
ALL_RED_S = 1.5
COLORS = {"red": (0.95, 0.03, 0.02), "yellow": (0.95, 0.50, 0.02), "green": (0.04, 0.85, 0.30)}
LAMP_Z_M = {"red": 0.36, "yellow": 0.0, "green": -0.36}
MAST_M = 5.6


@dataclass(frozen=True)
class Phases:
    """When the main road of a junction has red.

    Args:
        red: ``(from, to)`` seconds, in order.
    """

    red: tuple[tuple[float, float], ...] = ()

    def stops(self, main: bool) -> list[tuple[float, float]]:
        """Stretches of time in which one may not enter, the yellow before them left out."""
        if main:
            return list(self.red)
        edges = [-1e9, *(t for low, high in self.red for t in (low + ALL_RED_S, high - ALL_RED_S - YELLOW_S)), 1e9]
        return [(a, b) for a, b in zip(edges[::2], edges[1::2], strict=True) if b > a]

    def state(self, main: bool, time_s: float) -> str:
        """``red``, ``yellow`` or ``green`` for the main road or for the side roads."""
        for low, high in self.stops(main):
            if low <= time_s < high:
                return "red"
            if low - YELLOW_S <= time_s < low:
                return "yellow"
        return "green"


@dataclass(frozen=True)
class Signal:
    """A mast with two heads.

    Args:
        foot: ``(4, 4)`` global pose of the mast's foot, x in the direction of travel of those who obey it.
        reach: metres of its arm; ``arm_side`` -1 to the right, +1 to the left.
        s: of its junction; main: whether it is for the main road.
    """

    foot: np.ndarray
    reach: float
    arm_side: int
    s: float
    main: bool

    @property
    def heads(self) -> np.ndarray:
        """``(2, 3)`` middles of the heads in the frame of the foot."""
        return np.array([(-0.12, self.arm_side * self.reach, 5.4), (-0.12, self.arm_side * 0.22, 2.9)])

    @property
    def pose(self) -> np.ndarray:
        """``(4, 4)`` global pose of the upper head, x towards those who look at it."""
        return self.foot @ transform(self.heads[0], yaw_rotation(np.pi))

    def mast(self) -> Mesh:
        """Mesh in the frame of the foot, its lamps dark."""
        pole = Surface(Material.PLAIN, "pole", (0.10, 0.105, 0.11))
        housing = Surface(Material.PLAIN, "traffic_light", (0.03, 0.03, 0.03))
        side = self.arm_side
        meshes = [
            tube((0, 0, 0), (0, 0, MAST_M), 0.1, 0.08, 8).mesh(pole),
            tube((0, 0, MAST_M - 0.2), (0, side * self.reach, MAST_M), 0.06, sides=6).mesh(pole),
        ]
        for x, y, z in self.heads:
            meshes.append(box((x, y, z), (0.22, 0.40, 1.15)).mesh(housing))
            meshes.append(box((0.0, y, z), (0.03, 0.56, 1.32)).mesh(housing))
            for name, row in LAMP_Z_M.items():
                dark = tuple(c * 0.05 for c in COLORS[name])
                lens = tube((x - 0.10, y, z + row), (x - 0.12, y, z + row), 0.13, sides=10)
                meshes.append(lens.mesh(Surface(Material.LIGHT, "traffic_light", dark)))
                hood = box((x - 0.19, y, z + row + 0.15), (0.17, 0.3, 0.025))
                meshes.append(hood.mesh(housing))
        return merge(meshes)

    def lamps(self, state: str) -> Mesh:
        """Global mesh of the lamps that are lit."""
        lit = Surface(Material.LIGHT, "traffic_light", COLORS[state], style=2)
        lenses = []
        for x, y, z in self.heads:
            at = z + LAMP_Z_M[state]
            lenses.append(tube((x - 0.11, y, at), (x - 0.135, y, at), 0.128, sides=12).mesh(lit))
        return merge(lenses).moved(self.foot)


def place_signals(network: Network) -> list[Signal]:
    """Masts of all signalled junctions: beyond the junction where one drives on the right, before it on the left."""
    road = network.road
    beyond = 1.0 if road.drive_side < 0 else -1.0
    signals = []
    for junction in road.junctions:
        if not junction.signalled:
            continue
        for side in (1, -1):
            onward = 1.0 if side == road.drive_side else -1.0
            section = road.section(side)
            s = junction.s + beyond * onward * (junction.reach + 0.4)
            reach = float(np.clip(section.kerb - section.lanes_width / 2 + 0.5, 2.5, 6.5))
            pose = road.pose(s, road.offset(side, section.kerb + 0.55), 0.0 if onward > 0 else np.pi, KERB_HEIGHT_M)
            signals.append(Signal(pose, reach, -road.drive_side, junction.s, True))
        for arm in network.arms_at(junction):
            # One drives towards the main road on the drive side, which is -v for those who drive on the left.
            v = -road.drive_side * (arm.half + 0.6)
            pose = arm.pose(arm.stop - 1.2, v, np.pi, KERB_HEIGHT_M)
            signals.append(Signal(pose, arm.half * 0.5 + 0.6, -road.drive_side, junction.s, False))
    return signals
