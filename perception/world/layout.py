"""Everything fixed along a road: buildings, trees, posts, signs, fences, and the skyline behind them."""

from __future__ import annotations

import numpy as np

from perception.world import buildings, furniture, plants
from perception.world.ground import KERB_HEIGHT_M
from perception.world.mesh import Mesh
from perception.world.network import BAY_M, BULB_RADIUS_M, Arm, Network
from perception.world.signals import Signal
from perception.world.signs import LIMITS, REGIONAL, sign_post


class LayoutBuilder:
    """Places fixed things.

    Args:
        district: ``downtown``, ``residential``, ``avenue`` or ``industrial``.
        greenery: 0..1, how many trees and bushes.
        signals: traffic lights.
        works_s: where a sign warns of road works.
    """

    def __init__(
        self, rng: np.random.Generator, network: Network, signals: list[Signal], district: str, greenery: float,
        works_s: float | None = None,
    ) -> None:  # fmt: skip
        self.works_s, self.limit = works_s, int(rng.integers(3))
        self.network, self.signals = network, signals
        self.rng, self.road, self.district, self.greenery = rng, network.road, district, greenery
        self.meshes: list[Mesh] = []
        self.lamp_heads: list[np.ndarray] = []
        self.facades: list[list[float]] = []
        self.built: list[tuple[np.ndarray, float]] = []
        palette = [np.array(leaf) * rng.uniform(0.8, 1.2) for leaf in plants.LEAVES]
        picks = rng.choice(len(palette), size=3, p=[0.22, 0.2, 0.2, 0.14, 0.1, 0.04, 0.1])
        self.leaves = [palette[int(i)] for i in picks]
        conifers = rng.random() < 0.35
        self.trees = [plants.deciduous(rng, 8.0, self.leaves[k % 3]) for k in range(4)]
        if conifers:
            self.trees[3] = plants.conifer(rng, 9.0, np.array(plants.LEAVES[3]))
        self.bushes = [plants.bush(rng, leaf) for leaf in self.leaves[:2]]
        self.distant = [plants.deciduous(rng, 9.0, leaf, cards=260) for leaf in self.leaves]

    def build(self) -> tuple[list[Mesh], np.ndarray]:
        """Meshes, and the ``(B, 12)`` facade table."""
        for side in (1, -1):
            self._front_row(side)
            self._street_trees(side)
            self._posts(side)
        self._signals_and_signs()
        self._side_streets()
        self._ends()
        for side in (1, -1):
            self._second_row(side)
        self._median()
        self._backdrop()
        return self.meshes, np.array(self.facades, np.float32).reshape(-1, len(buildings.FACADE_COLUMNS))

    def _put(self, mesh: Mesh, pose: np.ndarray, scale: float = 1.0) -> None:
        matrix = pose.copy()
        matrix[:3, :3] *= scale
        self.meshes.append(mesh.moved(matrix))

    def _outward(self, s: float, d: float, side: int, z: float = 0.0, turn: float = 0.0) -> np.ndarray:
        """Pose whose y points away from the road."""
        return self.road.pose(s, d, (0.0 if side > 0 else np.pi) + turn, z)

    def _clear(self, pose: np.ndarray, width: float, depth: float, margin: float = 0.0) -> bool:
        """Whether a footprint behind a front at ``pose`` stands on no way."""
        local = np.array([(-width / 2, 0), (width / 2, 0), (width / 2, depth), (-width / 2, depth)])
        return self.network.free(local @ pose[:2, :2].T + pose[:2, 3], margin)

    def _free(self, place: np.ndarray, margin: float) -> bool:
        """Whether a square around a place stands on no way."""
        return self.network.free(np.array([(-1, -1), (1, -1), (1, 1), (-1, 1)]) * margin + place)

    def _turn(self) -> float:
        return float(self.rng.uniform(0, 2 * np.pi))

    def _building(self, width: float, depth: float) -> Mesh:
        rng = self.rng
        if (self.district == "residential" and rng.random() < 0.85) or (
            self.district == "avenue" and rng.random() < 0.3
        ):
            return buildings.house(rng, min(width, 15), min(depth, 11), int(rng.choice([1, 2, 2, 2])), self.facades)
        if self.district == "industrial":
            kind = str(rng.choice(["metal", "metal", "brick", "glass"]))
            return buildings.block(rng, width, depth, float(rng.uniform(5, 11)), kind, False, self.facades)
        height = float(rng.uniform(9, 32) if self.district == "downtown" else rng.uniform(6, 17))
        kind = str(rng.choice(["plaster", "brick", "glass"], p=[0.5, 0.35, 0.15]))
        shop = bool(rng.random() < (0.75 if self.district == "downtown" else 0.25))
        return buildings.block(rng, width, depth, height, kind, shop, self.facades)

    def _front_row(self, side: int) -> None:
        rng, road, section = self.rng, self.road, self.road.section(side)
        widths = {"downtown": (9, 24), "residential": (8, 14), "avenue": (12, 28), "industrial": (22, 50)}[
            self.district
        ]
        gaps = {"downtown": (0, 0.3), "residential": (2.5, 9), "avenue": (2, 22), "industrial": (6, 22)}[self.district]
        s = float(rng.uniform(0, 6))
        while s < road.length - 8:
            width, depth = float(rng.uniform(*widths)), float(rng.uniform(9, 15))
            middle = s + width / 2
            if self.district == "downtown" and rng.random() < 0.08:  # a small park instead
                for _ in range(4):
                    self._tree(
                        middle + rng.uniform(-0.4, 0.4) * width, road.offset(side, section.facade + rng.uniform(3, 10))
                    )
            else:
                setback = section.facade + 0.15 + float(rng.uniform(0, 0.25 * section.setback))
                bend = abs(float(road.curvature_at(middle))) * width**2 / 8
                pose = self._outward(middle, road.offset(side, setback + bend), side)
                if not self._clear(pose, width + 1.0, depth):
                    s += 2.0
                    continue
                self._put(self._building(width, depth), pose)
                self.built.append((pose[:2, 3] + depth / 2 * pose[:2, 1], float(np.hypot(width, depth)) / 2 * 0.86))
                if section.setback > 2.2:
                    self._garden(side, s, width, section.walk_outer, setback)
            s += width + float(rng.uniform(*gaps))

    def _garden(self, side: int, s: float, width: float, inner: float, outer: float) -> None:
        rng, road = self.rng, self.road
        choice = rng.random()
        begin = s - 0.8 if side > 0 else s + width + 0.8
        pose = self._outward(begin, road.offset(side, inner + 0.45), side, 0.05)
        length = width + 1.2
        if abs(road.curvature_at(s)) * length**2 / 8 < 0.5 and self._clear(pose, 2 * length, 0.3):
            if choice < 0.3:
                self._put(plants.hedge(rng, length, float(rng.uniform(0.8, 1.7)), self.leaves[2]), pose)
            elif choice < 0.5:
                color = np.array(((0.5, 0.49, 0.46), (0.22, 0.13, 0.07), (0.05, 0.06, 0.06))[int(rng.integers(3))])
                style = int(rng.random() < 0.4)
                self._put(furniture.fence(length, float(rng.uniform(0.9, 1.5)), color, style), pose)
            elif choice < 0.7:
                self._put(
                    furniture.garden_wall(
                        length, float(rng.uniform(0.6, 1.3)), np.array((0.28, 0.14, 0.1)) * rng.uniform(0.7, 1.4)
                    ),
                    pose,
                )
        for _ in range(int(rng.poisson(2.2 * self.greenery + 0.4))):
            d = road.offset(side, float(rng.uniform(inner + 1.2, max(inner + 1.3, outer - 0.8))))
            pose = road.pose(s + rng.uniform(0, width), d, self._turn(), 0.02)
            if self._free(pose[:2, 3], 0.7):
                self._put(self.bushes[int(rng.integers(2))], pose, rng.uniform(0.6, 1.3))
        if outer - inner > 4 and rng.random() < 0.75 * self.greenery:
            self._tree(s + float(rng.uniform(0, width)), road.offset(side, float(rng.uniform(inner + 2, outer - 1.4))))

    def _tree(self, s: float, d: float, z: float = 0.0, size: float | None = None) -> None:
        scale = self.rng.uniform(0.6, 1.25) if size is None else size
        if abs(d) > 1 and not self._free(self.road.points(s, d), 0.8):
            return
        self._put(self.trees[int(self.rng.integers(4))], self.road.pose(s, d, self._turn(), z), scale)

    def _street_trees(self, side: int) -> None:
        """A row of trees in the verge, or in pits of a wide pavement."""
        rng, road, section = self.rng, self.road, self.road.section(side)
        if rng.random() > 0.35 + 0.6 * self.greenery:
            return
        if section.verge_width > 0.3:
            d = road.offset(side, section.kerb + section.verge_width / 2)
        elif section.walk_width > 2.8:
            d = road.offset(side, section.kerb + 0.7)
        else:
            return
        spacing, size, kind = float(rng.uniform(8, 20)), float(rng.uniform(0.65, 1.1)), int(rng.integers(4))
        for s in np.arange(rng.uniform(3, 10), road.length - 3, spacing):
            if road.clear_of_mouths(s, side, 4.0) and rng.random() < 0.85:
                mesh = self.trees[kind if rng.random() < 0.75 else int(rng.integers(4))]
                self._put(mesh, road.pose(float(s), d, self._turn(), KERB_HEIGHT_M), size * rng.uniform(0.8, 1.2))

    def _posts(self, side: int) -> None:
        rng, road, section = self.rng, self.road, self.road.section(side)
        d = road.offset(side, section.kerb + 0.5)
        if side > 0 or rng.random() < 0.55:
            height, arm = float(rng.uniform(6, 9.5)), float(rng.uniform(0.8, 2.4))
            lamp = furniture.lamp_post(height, arm)
            for s in np.arange(rng.uniform(4, 20), road.length - 3, rng.uniform(24, 36)):
                if road.clear_of_mouths(s, side, 2.5):
                    pose = self._outward(float(s), d, side, KERB_HEIGHT_M)
                    self._put(lamp, pose)
                    self.lamp_heads.append((pose @ [*furniture.lamp_bowl(height, arm), 1.0])[:3])
        elif self.district != "downtown":
            pole = furniture.utility_pole(float(rng.uniform(7.5, 9)))
            for s in np.arange(rng.uniform(4, 20), road.length - 3, rng.uniform(28, 40)):
                if road.clear_of_mouths(s, side, 2.5):
                    self._put(
                        pole, self._outward(float(s), road.offset(side, section.walk_outer - 0.25), side, KERB_HEIGHT_M)
                    )
        s = float(rng.uniform(8, 40))
        while s < road.length - 5:
            if road.clear_of_mouths(s, side, 3.5):
                kind = rng.random()
                outer = road.offset(side, section.walk_outer - 0.55)
                if kind < 0.45:
                    self._put(furniture.bin_(), self._outward(s, d, side, KERB_HEIGHT_M))
                elif kind < 0.8:
                    self._put(furniture.bench(), self._outward(s, outer, side, KERB_HEIGHT_M))
                elif section.walk_width > 2.8 and self.district != "residential":
                    self._put(
                        furniture.shelter(),
                        self._outward(s, road.offset(side, section.walk_outer - 1.3), side, KERB_HEIGHT_M),
                    )
            s += float(rng.uniform(18, 60))

    def _signals_and_signs(self) -> None:
        rng, road = self.rng, self.road
        for signal in self.signals:
            self.meshes.append(signal.mast().moved(signal.foot))
        for side in (1, -1):
            section, oncoming = road.section(side), side != road.drive_side
            face = np.pi if oncoming else 0.0
            d = road.offset(side, section.kerb + 0.55)
            onward = -1.0 if oncoming else 1.0

            def put(name: str, s: float, turn: float = 0.0, face: float = face, d: float = d) -> None:
                self._put(sign_post(name), road.pose(s, d, face + turn, KERB_HEIGHT_M))

            regional, limit = REGIONAL[road.drive_side], LIMITS[road.drive_side][self.limit]
            s = float(rng.uniform(10, 45))
            while s < road.length - 5:
                if road.clear_of_mouths(s, side, 3.0):
                    name = str(
                        rng.choice([limit, limit, "ahead", "bus_stop", "parking"], p=[0.4, 0.2, 0.1, 0.15, 0.15])
                    )
                    put(name, s, float(rng.normal(0, 0.05)))
                s += float(rng.uniform(28, 80))
            for crossing in road.crossings:
                if road.clear_of_mouths(crossing - 2.4 * onward, side, 0.6):
                    put(regional["crossing"], crossing - 2.4 * onward)
            for junction in road.junctions:
                before = junction.s - onward * (junction.reach + 17.0)
                if junction.signalled and road.clear_of_mouths(before, side, 2.0):
                    put(regional["direction"], before)
            if self.works_s is not None and not oncoming:
                put(regional["works"], self.works_s)

    def _second_row(self, side: int) -> None:
        """Buildings and trees behind the first row, so that gaps in it show more of the town."""
        rng, road, section = self.rng, self.road, self.road.section(side)
        for row, sparse in ((24.0, 0.15), (44.0, 0.45)):
            s = float(rng.uniform(-15, 5))
            while s < road.length + 15:
                width, depth = float(rng.uniform(10, 20)), float(rng.uniform(9, 13))
                at = float(np.clip(s + width / 2, 1.0, road.length - 1.0))
                pose = self._outward(at, road.offset(side, section.facade + row + float(rng.uniform(0, 6))), side)
                if rng.random() > sparse:
                    self._house(pose, width, depth)
                if rng.random() < 0.3 + 0.6 * self.greenery:
                    spot = (pose @ [float(rng.uniform(-8, 8)), float(rng.uniform(-6, -3)), 0.0, 1.0])[:2]
                    if self._free(spot, 1.5) and self._apart(spot, 4.0, 4.0):
                        size = float(rng.uniform(0.6, 1.1))
                        self._put(self.distant[int(rng.integers(3))], _pose(spot, self._turn()), size)
                s += width + float(rng.uniform(1, 9))

    def _side_streets(self) -> None:
        """Signs at the mouths, and houses and trees along side streets and around their ends."""
        rng, road = self.rng, self.road
        for arm in self.network.arms:
            assert arm.junction is not None
            if not arm.junction.signalled:
                name = "stop" if arm.junction.stop_sign and not arm.carpark else "yield"
                v = -road.drive_side * (arm.half + 0.5)
                self._put(sign_post(name), arm.pose(arm.stop + 0.4, v, np.pi, KERB_HEIGHT_M))
            if arm.carpark:
                self._around_carpark(arm)
                continue
            for sign in (1, -1):
                u = arm.stop + float(rng.uniform(4, 8))
                while u < arm.end + 4:
                    width, depth = float(rng.uniform(9, 16)), float(rng.uniform(8, 11))
                    front = arm.half + arm.walk + float(rng.uniform(0.6, 2.5))
                    if u + width > arm.end - 9:
                        front = max(front, BULB_RADIUS_M + arm.walk + 0.6)
                    self._house(arm.pose(u + width / 2, sign * front, 0.0 if sign > 0 else np.pi), width, depth)
                    u += width + float(rng.uniform(0.3, 6))
            for v in (-9.0, 8.0):
                width = float(rng.uniform(13, 17))
                pose = arm.pose(arm.end + BULB_RADIUS_M + arm.walk + rng.uniform(1, 4), v, -np.pi / 2)
                self._house(pose, width, float(rng.uniform(8, 11)))

    def _house(self, pose: np.ndarray, width: float, depth: float) -> None:
        """A building where there is room for it, else a tree where there is room for that."""
        middle = pose[:2, 3] + depth / 2 * pose[:2, 1]
        if self._clear(pose, width, depth) and self._apart(middle, width, depth):
            self._put(self._building(width, depth), pose)
        elif self._free(middle, 2.5) and self._apart(middle, 5.0, 5.0):
            self._put(self.distant[int(self.rng.integers(3))], _pose(middle, self._turn()), self.rng.uniform(0.6, 1.1))

    def _apart(self, middle: np.ndarray, width: float, depth: float) -> bool:
        """Whether no other building stands there; claims the place if so."""
        radius = float(np.hypot(width, depth)) / 2 * 0.86
        if any(np.hypot(*(middle - other)) < radius + reach for other, reach in self.built):
            return False
        self.built.append((middle, radius))
        return True

    def _around_carpark(self, arm: Arm) -> None:
        """A hedge or a fence behind the bays, and trees around."""
        rng, reach = self.rng, arm.bays * BAY_M[0] / 2
        far = arm.end + arm.depth + 0.6
        if rng.random() < 0.6:
            self._put(plants.hedge(rng, 2 * reach, 1.1, self.leaves[2]), arm.pose(far, reach, -np.pi / 2, 0.05))
        else:
            self._put(furniture.fence(2 * reach, 1.4, np.array((0.1, 0.11, 0.11)), 1), arm.pose(far, reach, -np.pi / 2))
        for v in np.arange(-reach, reach + 1, float(rng.uniform(6, 9))):
            place = arm.points(np.array([far + rng.uniform(2, 4), v]))
            if self._free(place, 1.0):
                self._put(self.trees[int(rng.integers(4))], _pose(place, self._turn()), rng.uniform(0.5, 0.9))
        corner = arm.junction.corner if arm.junction is not None else 0.0
        v = self.road.drive_side * (arm.half + 0.5)
        self._put(sign_post("parking"), arm.pose(arm.kerb + corner + 0.4, v, 0.0, KERB_HEIGHT_M))
        v = -self.road.drive_side * (arm.half + 0.5)
        self._put(sign_post("no_entry"), arm.pose(arm.kerb + corner + 0.4, v, 0.0, KERB_HEIGHT_M))

    def _ends(self) -> None:
        """Rows of buildings that close the view along the main road."""
        rng = self.rng
        for way in self.network.ends:
            far = way.ring[2, 0] + way.walk
            for row in (0.5, 17.0, 36.0):  # the next row stands behind the gaps of the one before
                v = -52.0 - 0.2 * row
                while v < 52:
                    width = float(rng.uniform(12, 20))
                    pose = way.pose(far + row + float(rng.uniform(0, 2.5)), v + width / 2, -np.pi / 2)
                    self._house(pose, width, float(rng.uniform(9, 13)))
                    v += width + float(rng.uniform(0.2, 3))

    def _median(self) -> None:
        rng, road = self.rng, self.road
        if road.median < 0.7:
            return
        kind = rng.random()
        for s in np.arange(4.0, road.length - 4, float(rng.uniform(5, 14))):
            if all(abs(s - j.s) > j.reach + 2 for j in road.junctions) and all(abs(s - c) > 5 for c in road.crossings):
                pose = road.pose(float(s), 0.0, self._turn(), KERB_HEIGHT_M)
                if kind < 0.5:
                    self._put(self.bushes[0], pose, min(1.0, road.median * 0.8))
                elif road.median > 1.0:
                    self._put(self.trees[1], pose, rng.uniform(0.45, 0.7))

    def _backdrop(self) -> None:
        """Rows of buildings and trees behind the first one, out to the haze."""
        rng, road = self.rng, self.road
        center = np.stack([road.x, road.y], axis=1)
        sides = [road.offset(side, road.section(side).facade) for side in (1, -1)]
        near = max(map(abs, sides)) + 22
        low, high = center.min(axis=0) - 260, center.max(axis=0) + [420, 260]
        tall = {"downtown": (14, 60), "residential": (5, 12), "avenue": (8, 34), "industrial": (6, 20)}[self.district]
        for _ in range(int(rng.integers(180, 270))):
            place = rng.uniform(low, high)
            clearance = np.hypot(*(center[::20] - place).T).min()
            behind_end = np.dot(place - center[-1], [np.cos(road.heading[-1]), np.sin(road.heading[-1])])
            if clearance < near + (14 if behind_end > 0 else 0) or not self._free(place, 14.0):
                continue
            if rng.random() < 0.45 + 0.3 * self.greenery and clearance < 260:
                mesh = self.distant[int(rng.integers(3))]
                for _ in range(int(rng.integers(1, 6))):
                    spot = place + rng.normal(0, 7, 2)
                    if self._free(spot, 5.0):
                        self._put(mesh, _pose(spot, self._turn()), rng.uniform(0.7, 1.5))
            else:
                width, depth = float(rng.uniform(12, 34)), float(rng.uniform(10, 22))
                kind = str(rng.choice(["plaster", "brick", "glass"], p=[0.6, 0.25, 0.15]))
                height = float(rng.uniform(*tall)) * float(rng.choice([0.6, 1.0]))
                mesh = buildings.block(rng, width, depth, height, kind, False, self.facades)
                self._put(
                    mesh,
                    _pose(
                        place,
                        float(road.heading[len(road.heading) // 2] + rng.choice([0, np.pi / 2]) + rng.normal(0, 0.1)),
                    ),
                )


def _pose(place: np.ndarray, yaw: float, z: float = 0.0) -> np.ndarray:
    matrix = np.eye(4)
    matrix[:2, :2] = [[np.cos(yaw), -np.sin(yaw)], [np.sin(yaw), np.cos(yaw)]]
    matrix[:2, 3], matrix[2, 3] = place, z
    return matrix
