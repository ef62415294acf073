"""Everything fixed along a road: buildings, trees, posts, signs, fences, and the skyline behind them."""

from __future__ import annotations

import numpy as np

from perception.world import buildings, furniture, plants
from perception.world.ground import KERB_HEIGHT_M, side_frame
from perception.world.mesh import Mesh
from perception.world.road import Road


class LayoutBuilder:
    """Places fixed things.

    Args:
        district: ``downtown``, ``residential``, ``avenue`` or ``industrial``.
        greenery: 0..1, how many trees and bushes.
        red: end of the red phase per signalled junction's s; below 0 for green lights.
    """

    def __init__(
        self, rng: np.random.Generator, road: Road, district: str, greenery: float, red: dict[float, float]
    ) -> None:
        self.red = red
        self.rng, self.road, self.district, self.greenery = rng, road, district, greenery
        self.meshes: list[Mesh] = []
        self.facades: list[list[float]] = []
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
            middle, reach = s + width / 2, width / 2 + section.walk_width + 0.8
            if not road.clear_of_mouths(middle, side, reach):
                s += 2.0
                continue
            if self.district == "downtown" and rng.random() < 0.08:  # a small park instead
                for _ in range(4):
                    self._tree(
                        middle + rng.uniform(-0.4, 0.4) * width, road.offset(side, section.facade + rng.uniform(3, 10))
                    )
            else:
                setback = section.facade + 0.15 + float(rng.uniform(0, 0.25 * section.setback))
                bend = abs(float(road.curvature_at(middle))) * width**2 / 8
                pose = self._outward(middle, road.offset(side, setback + bend), side)
                self._put(self._building(width, depth), pose)
                if section.setback > 2.2:
                    self._garden(side, s, width, section.walk_outer, setback)
            s += width + float(rng.uniform(*gaps))

    def _garden(self, side: int, s: float, width: float, inner: float, outer: float) -> None:
        rng, road = self.rng, self.road
        choice = rng.random()
        begin = s - 0.8 if side > 0 else s + width + 0.8
        pose = self._outward(begin, road.offset(side, inner + 0.45), side, 0.05)
        length = width + 1.2
        if abs(road.curvature_at(s)) * length**2 / 8 < 0.5:
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
            self._put(
                self.bushes[int(rng.integers(2))],
                road.pose(s + rng.uniform(0, width), d, self._turn(), 0.02),
                rng.uniform(0.6, 1.3),
            )
        if outer - inner > 4 and rng.random() < 0.75 * self.greenery:
            self._tree(s + float(rng.uniform(0, width)), road.offset(side, float(rng.uniform(inner + 2, outer - 1.4))))

    def _tree(self, s: float, d: float, z: float = 0.0, size: float | None = None) -> None:
        scale = self.rng.uniform(0.6, 1.25) if size is None else size
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
            lamp = furniture.lamp_post(float(rng.uniform(6, 9.5)), float(rng.uniform(0.8, 2.4)))
            for s in np.arange(rng.uniform(4, 20), road.length - 3, rng.uniform(24, 36)):
                if road.clear_of_mouths(s, side, 2.5):
                    self._put(lamp, self._outward(float(s), d, side, KERB_HEIGHT_M))
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
        for side in (1, -1):
            section, oncoming = road.section(side), side != road.drive_side
            face = np.pi if oncoming else 0.0
            d = road.offset(side, section.kerb + 0.55)
            for junction in road.junctions:
                toward = -1.0 if oncoming else 1.0
                s = junction.s - toward * (junction.half_width + 2.2)
                if junction.signalled:
                    red = self.red.get(junction.s, -9.0) > 0
                    reach = float(rng.uniform(2.5, 4.5))
                    pose = road.pose(s, d, face, KERB_HEIGHT_M)
                    mesh = furniture.traffic_light(reach, red)
                    if (side > 0) == oncoming:  # the arm must reach over the road
                        mesh = mesh.moved(np.diag([1.0, -1.0, 1.0, 1.0]))
                        mesh.faces = mesh.faces[:, ::-1].copy()
                        mesh.uv, mesh.normals = mesh.uv[:, ::-1], mesh.normals[:, ::-1]
                    self._put(mesh, pose)
            s = float(rng.uniform(6, 45))
            while s < road.length - 5:
                if road.clear_of_mouths(s, side, 3.0):
                    kind = int(rng.choice([0, 3, 4, 5, 6], p=[0.35, 0.1, 0.2, 0.15, 0.2]))
                    pose = road.pose(s, d, face + rng.normal(0, 0.06), KERB_HEIGHT_M)
                    self._put(furniture.traffic_sign(kind), pose)
                s += float(rng.uniform(22, 70))
            for crossing in road.crossings:
                if road.clear_of_mouths(crossing - 3, side, 1.5):
                    self._put(
                        furniture.traffic_sign(6),
                        road.pose(crossing - 3 * (1 if not oncoming else -1), d, face, KERB_HEIGHT_M),
                    )

    def _side_streets(self) -> None:
        """Stop signs at the mouths, and houses and trees along side roads."""
        rng, road = self.rng, self.road
        for junction in road.junctions:
            for side in junction.sides:
                origin, away, left = side_frame(road, junction, side)
                section = road.section(side)
                outward = float(np.arctan2(away[1], away[0]))
                begin = road.median + section.facade + 17
                for sign in (1, -1):
                    reach = begin + float(rng.uniform(0, 4))
                    while reach < begin + 48:
                        width = float(rng.uniform(9, 18))
                        front = sign * (junction.half_width + section.walk_width + 0.6 + rng.uniform(0, 2))
                        place = origin + (reach + width / 2) * away + front * left
                        if rng.random() < 0.85:
                            self._put(
                                self._building(width, float(rng.uniform(8, 12))),
                                _pose(place, outward + (0 if sign > 0 else np.pi)),
                            )
                        elif rng.random() < self.greenery:
                            self._put(self.trees[0], _pose(place + 4 * sign * left, self._turn()))
                        reach += width + float(rng.uniform(0.2, 6))
                if not junction.signalled:
                    walk = road.median + section.walk_inner + 0.4
                    place = origin + walk * away - road.drive_side * left * (junction.half_width + 0.5)
                    self._put(
                        furniture.traffic_sign(int(rng.choice([1, 2]))), _pose(place, outward + np.pi, KERB_HEIGHT_M)
                    )

    def _median(self) -> None:
        rng, road = self.rng, self.road
        if road.median < 0.7:
            return
        kind = rng.random()
        for s in np.arange(4.0, road.length - 4, float(rng.uniform(5, 14))):
            if all(abs(s - j.s) > j.half_width + 5 for j in road.junctions) and all(
                abs(s - c) > 5 for c in road.crossings
            ):
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
        low, high = center.min(axis=0) - 60, center.max(axis=0) + [420, 260]
        low[1] -= 200
        tall = {"downtown": (14, 60), "residential": (5, 12), "avenue": (8, 34), "industrial": (6, 20)}[self.district]
        for _ in range(int(rng.integers(130, 220))):
            place = rng.uniform(low, high)
            clearance = np.hypot(*(center[::20] - place).T).min()
            behind_end = np.dot(place - center[-1], [np.cos(road.heading[-1]), np.sin(road.heading[-1])])
            if clearance < near + (14 if behind_end > 0 else 0) or self._in_side_road(place, 16.0):
                continue
            if rng.random() < 0.45 + 0.3 * self.greenery and clearance < 260:
                mesh = self.distant[int(rng.integers(3))]
                for _ in range(int(rng.integers(1, 6))):
                    spot = place + rng.normal(0, 7, 2)
                    if not self._in_side_road(spot, 9.0):
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

    def _in_side_road(self, place: np.ndarray, margin: float) -> bool:
        for junction in self.road.junctions:
            for side in junction.sides:
                origin, away, left = side_frame(self.road, junction, side)
                offset = place - origin
                if 0 < offset @ away < 95 and abs(offset @ left) < junction.half_width + 4 + margin:
                    return True
        return False


def _pose(place: np.ndarray, yaw: float, z: float = 0.0) -> np.ndarray:
    matrix = np.eye(4)
    matrix[:2, :2] = [[np.cos(yaw), -np.sin(yaw)], [np.sin(yaw), np.cos(yaw)]]
    matrix[:2, 3], matrix[2, 3] = place, z
    return matrix
