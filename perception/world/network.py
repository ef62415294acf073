"""The ways that leave the main road: side streets, car parks, and the cross streets at its ends.

Each has a frame of its own: ``u`` metres along its axis away from the main road's centre line, ``v`` to the left of it.
Kerbs are polylines in that frame; meshes, markings and maps are all made from the same ones.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from perception.errors import require
from perception.world.road import Junction, Road

STREET_LENGTHS_M = (84.0, 68.0, 52.0, 40.0)
"""Tried from the longest; a street that meets another way even when short is left out."""
BULB_RADIUS_M = 8.6
BAY_M = (2.6, 5.0)
"""Width and depth of a parking bay."""
AISLE_M = 6.6
LAND_M = 14.0
"""Width of the ground that slopes down behind a pavement."""
ARC_POINTS = 9


@dataclass(frozen=True)
class Arm:
    """One way that leaves the main road.

    Args:
        number: position in :attr:`Network.arms`.
        junction: where it leaves; ``None`` for the cross street at an end of the main road.
        side: +1 left, -1 right of the main road.
        origin: ``(2,)`` where u and v are 0; ``away``: ``(2,)`` unit direction of u.
        half: half of its carriageway.
        kerb: u of the main road's kerb on its axis.
        walk: width of its pavement.
        stop: u of the middle of its stop line.
        end: u of the middle of the turning circle, or of the nearer edge of the car park.
        corners: per side (+1, -1): kerb and outer edge of the pavement around the corner, ``(N, 2)`` (u, v) each,
            from the main road outwards.
        ring: kerb from the one corner around the end to the other, ``(N, 2)`` (u, v).
        spans: per side, s where the pavement of the main road ends.
        bays: bays in a row of the car park.
    """

    number: int
    junction: Junction | None
    side: int
    origin: np.ndarray
    away: np.ndarray
    half: float
    kerb: float
    walk: float
    stop: float
    end: float
    corners: dict[int, tuple[np.ndarray, np.ndarray]]
    ring: np.ndarray
    spans: dict[int, float] = field(default_factory=dict)
    bays: int = 0

    @property
    def left(self) -> np.ndarray:
        return np.array([-self.away[1], self.away[0]])

    @property
    def yaw(self) -> float:
        """Direction of u."""
        return float(np.arctan2(self.away[1], self.away[0]))

    @property
    def carpark(self) -> bool:
        return self.bays > 0

    @property
    def depth(self) -> float:
        """Of the car park, along u."""
        return 2 * BAY_M[1] + AISLE_M

    def points(self, uv: np.ndarray) -> np.ndarray:
        """``(..., 2)`` global x, y of (u, v)."""
        uv = np.asarray(uv, float)
        return self.origin + uv[..., :1] * self.away + uv[..., 1:] * self.left

    def local(self, points: np.ndarray) -> np.ndarray:
        """``(..., 2)`` (u, v) of global points."""
        offset = np.asarray(points) - self.origin
        return np.stack([offset @ self.away, offset @ self.left], axis=-1)

    def pose(self, u: float, v: float, turn: float = 0.0, z: float = 0.0) -> np.ndarray:
        """``(4, 4)`` of a place, x along the axis turned by ``turn``."""
        yaw = self.yaw + turn
        matrix = np.eye(4)
        matrix[:2, :2] = [[np.cos(yaw), -np.sin(yaw)], [np.sin(yaw), np.cos(yaw)]]
        matrix[:2, 3], matrix[2, 3] = self.points(np.array([u, v])), z
        return matrix

    @property
    def bay_gap(self) -> float:
        """Half of the gap that the drive-way leaves in the row of bays nearer to the main road."""
        edges = self.bays * BAY_M[0] / 2 - np.arange(self.bays + 1) * BAY_M[0]
        return float(np.abs(edges)[np.abs(edges) >= self.half].min())

    def bay_poses(self) -> list[tuple[float, float, float]]:
        """(u, v, turn) of the middle of each bay, facing the aisle's far side."""
        middles = (np.arange(self.bays) + 0.5 - self.bays / 2) * BAY_M[0]
        near, far = self.end + BAY_M[1] / 2, self.end + 1.5 * BAY_M[1] + AISLE_M
        front = [(near, float(v), np.pi) for v in middles if abs(v) > self.bay_gap]
        return front + [(far, float(v), 0.0) for v in middles]

    @property
    def kerb_line(self) -> np.ndarray:
        """``(N, 2)`` (u, v) of the whole kerb, from the main road on the left around to the right."""
        return np.concatenate([self.corners[1][0], self.ring[1:-1], self.corners[-1][0][::-1]])

    @property
    def outline(self) -> np.ndarray:
        """``(N, 2)`` global ring of the carriageway; its base lies within the main road."""
        line = self.kerb_line
        inside = np.array([[line[-1, 0] - 1.0, line[-1, 1]], [line[0, 0] - 1.0, line[0, 1]]])
        return self.points(np.concatenate([line, inside]))

    @property
    def zebra(self) -> tuple[float, float]:
        """u between which people cross it."""
        return self.stop - 1.3 - min(self.walk + 0.6, 2.8), self.stop - 1.3

    @property
    def lot(self) -> np.ndarray:
        """``(4, 2)`` global corners of the car park."""
        reach = self.bays * BAY_M[0] / 2
        near, far = self.end, self.end + self.depth
        return self.points(np.array([(near, -reach), (far, -reach), (far, reach), (near, reach)]))

    @property
    def outer_ring(self) -> np.ndarray:
        """``(N, 2)`` (u, v): outer edge of the pavement along :attr:`ring`."""
        return offset_line(self.ring, self.walk)


def offset_line(line: np.ndarray, distance: float) -> np.ndarray:
    """``(N, 2)`` line moved to its left, with mitred corners."""
    forward = np.diff(line, axis=0)
    forward /= np.linalg.norm(forward, axis=1, keepdims=True)
    normal = np.stack([-forward[:, 1], forward[:, 0]], axis=1)
    before, after = np.concatenate([normal[:1], normal]), np.concatenate([normal, normal[-1:]])
    mitre = before + after
    return line + distance * 2 * mitre / np.maximum((mitre**2).sum(axis=1, keepdims=True), 0.5)


def resampled(line: np.ndarray, count: int) -> np.ndarray:
    """``count`` points at even distances along an ``(N, 2)`` line."""
    length = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(line, axis=0), axis=1))])
    at = np.linspace(0, length[-1], count)
    return np.stack([np.interp(at, length, line[:, 0]), np.interp(at, length, line[:, 1])], axis=1)


class Network:
    """The main road with everything that leaves it.

    Building it drops side roads that would meet another way from ``road.junctions``.
    """

    def __init__(self, road: Road, rng: np.random.Generator) -> None:
        shapely = require("shapely", "world")
        self.road = road
        self.arms: list[Arm] = []
        self._taken: list[Any] = []
        self._shapely = shapely
        self._blocked: Any = None
        self.ends = [self._cross_street(at_end) for at_end in (False, True)]
        for end in self.ends:
            self._take(end)
        kept = []
        for junction in road.junctions:
            bays = int(rng.integers(9, 14)) if junction.carpark else 0
            arms = [arm for side in junction.sides if (arm := self._fit(junction, side, bays)) is not None]
            sides = tuple(arm.side for arm in arms)
            if not sides:
                continue
            kept.append(replace(junction, sides=sides))
            self.arms += [replace(arm, number=len(self.arms) + k, junction=kept[-1]) for k, arm in enumerate(arms)]
        road.junctions[:] = kept
        self.ends = [replace(arm, number=len(self.arms) + k) for k, arm in enumerate(self.ends)]

    @property
    def ways(self) -> list[Arm]:
        """Arms and ends; a way's number is its place here."""
        return [*self.arms, *self.ends]

    def free(self, ring: np.ndarray, margin: float = 0.0) -> bool:
        """Whether a ``(N, 2)`` ring keeps clear of all ways and their pavements by a margin."""
        if self._blocked is None:
            shapely, road = self._shapely, self.road
            s = road.samples(0.0, road.length)
            d = [road.offset(side, road.section(side).walk_outer) for side in (1, -1)]
            main = shapely.Polygon(np.concatenate([road.points(s, d[0]), road.points(s[::-1], d[1])])).buffer(0)
            ways = [shapely.Polygon(way.outline).buffer(way.walk) for way in self.ways]
            self._blocked = shapely.union_all([main, *ways])
            shapely.prepare(self._blocked)
        shape = self._shapely.Polygon(ring)
        return not self._blocked.intersects(shape.buffer(margin) if margin else shape)

    def arms_at(self, junction: Junction) -> list[Arm]:
        return [arm for arm in self.arms if arm.junction is not None and arm.junction.s == junction.s]

    def pavement_spans(self, side: int) -> list[tuple[float, float]]:
        """Stretches ``(s0, s1)`` along which pavement and verge run straight on, between corners."""
        cuts = sorted(tuple(sorted(arm.spans.values())) for arm in self.arms if arm.side == side)
        edges = [0.0, *(value for cut in cuts for value in cut), self.road.length]
        return [(a, b) for a, b in zip(edges[::2], edges[1::2], strict=True) if b - a > 0.2]

    def land_spans(self, side: int) -> list[tuple[float, float]]:
        """Stretches along which the ground beyond the pavement is free of other ways."""
        road = self.road
        cuts = []
        for arm in self.arms:
            if arm.side == side and arm.junction is not None:
                reach = (arm.bays * BAY_M[0] / 2 if arm.carpark else arm.half) + arm.walk
                s = [
                    road.s_beside(arm.junction.s, side, v, road.offset(side, road.section(side).walk_outer + beyond))
                    for v in (reach, -reach)
                    for beyond in (0.0, LAND_M)
                ]
                cuts.append((min(s), max(s)))
        cuts.sort()
        edges = [0.0, *(value for cut in cuts for value in cut), road.length]
        return [(a, b) for a, b in zip(edges[::2], edges[1::2], strict=True) if b - a > 0.2]

    def _take(self, arm: Arm) -> None:
        self._taken.append(self._shapely.Polygon(arm.outline).buffer(0))

    def _fit(self, junction: Junction, side: int, bays: int) -> Arm | None:
        for length in (0.0,) if junction.carpark else STREET_LENGTHS_M:
            arm = self._arm(junction, side, length, bays)
            room = self._shapely.Polygon(arm.outline).buffer(5.0 if junction.carpark else 11.0)
            clear = not any(room.intersects(other) for other in self._taken)
            if clear and self._off_main_road(arm):
                self._take(arm)
                return arm
        return None

    def _off_main_road(self, arm: Arm) -> bool:
        """Whether the far part of a way keeps away from the main road, which may bend towards it."""
        road = self.road
        width = road.median + road.section(arm.side).walk_outer + 4.0
        far = arm.points(arm.ring[np.abs(arm.ring[:, 0] - arm.kerb) > 14])
        center = np.stack([road.x, road.y], axis=1)[::8]
        return bool(np.hypot(*(far[:, None] - center[None]).transpose(2, 0, 1)).min() > width) if len(far) else True

    def _arm(self, junction: Junction, side: int, length: float, bays: int) -> Arm:
        road, section, half = self.road, self.road.section(side), junction.half_width
        heading = float(road.heading_at(junction.s))
        away = np.array([-np.sin(heading), np.cos(heading)]) * side
        base = road.median + section.kerb
        walk = 1.0 if bays else min(max(section.walk_width, 1.8), 2.6)
        bare = Arm(0, junction, side, road.points(junction.s, 0.0), away, half, base, walk, 0.0, 0.0, {},
                   np.zeros((2, 2)), bays=bays)  # fmt: skip
        corners, spans = {}, {}
        reach = []
        for sign in (1, -1):
            inner, outer, spans[sign] = self._corner(bare, sign)
            corners[sign] = inner, outer
            reach.append(corners[sign][0][-1, 0])
        stop = base + max(section.walk_outer - section.kerb, junction.corner) + 1.3
        end = max(*reach, stop) + 1.6 if bays else base + length
        ring = self._lot_ring(half, end, bays, reach) if bays else self._bulb_ring(half, end, reach)
        return replace(bare, stop=stop, end=end, corners=corners, ring=ring, spans=spans)

    def _corner(self, arm: Arm, sign: int) -> tuple[np.ndarray, np.ndarray, float]:
        """Kerb and outer edge of the pavement around a corner, and s where the main road's pavement meets it."""
        road, section, junction, side = self.road, self.road.section(arm.side), arm.junction, arm.side
        assert junction is not None
        radius, v_edge, v_outer = junction.corner, sign * arm.half, sign * (arm.half + arm.walk)
        d_kerb, d_outer = road.offset(side, section.kerb), road.offset(side, section.walk_outer)
        d_center = road.offset(side, section.kerb + radius)
        s_center = road.s_beside(junction.s, side, v_edge + sign * radius, d_center)
        center = arm.local(road.points(s_center, d_center))
        on_main = arm.local(road.points(s_center, d_kerb))
        first = np.arctan2(*(on_main - center)[::-1])
        last = np.arctan2(-sign, 0.0)
        turn = (last - first + np.pi) % (2 * np.pi) - np.pi
        angle = first + turn * np.linspace(0, 1, ARC_POINTS)
        arc = center + radius * np.stack([np.cos(angle), np.sin(angle)], axis=1)
        s_outer = road.s_beside(junction.s, side, v_outer + sign * 0.3, d_outer)
        away = -side * sign  # direction of growing s, seen from the junction to this corner
        s_begin = max(s_center, s_outer) if away > 0 else min(s_center, s_outer)
        on_outer = arm.local(road.points(road.s_beside(junction.s, side, v_outer, d_outer), d_outer))
        u_end = max(float(center[0]), float(on_outer[0]) + 0.3)
        run = arm.local(road.points(np.linspace(s_begin, s_center, 4)[:-1], d_kerb)) if s_begin != s_center else arc[:0]
        inner = np.concatenate([run, arc] + ([[[u_end, v_edge]]] if u_end > center[0] + 1e-6 else []))
        middle = len(run) + ARC_POINTS // 2
        first_leg = arm.local(road.points(np.linspace(s_begin, self._s_at(arm, on_outer), middle + 1), d_outer))
        first_leg[-1] = on_outer
        second = np.linspace(on_outer, [u_end, v_outer], len(inner) - middle)
        return inner, np.concatenate([first_leg, second[1:]]), s_begin

    def _s_at(self, arm: Arm, uv: np.ndarray) -> float:
        assert arm.junction is not None
        section = self.road.section(arm.side)
        return self.road.s_beside(
            arm.junction.s, arm.side, float(uv[1]), self.road.offset(arm.side, section.walk_outer)
        )

    @staticmethod
    def _bulb_ring(half: float, end: float, reach: list[float]) -> np.ndarray:
        """Kerb along both edges and around the turning circle."""
        open_at = np.arcsin(half / BULB_RADIUS_M)
        angle = np.linspace(np.pi - open_at, -np.pi + open_at, 33)
        circle = np.stack([end + BULB_RADIUS_M * np.cos(angle), BULB_RADIUS_M * np.sin(angle)], axis=1)
        left = np.stack([np.linspace(reach[0], circle[0, 0], 12)[:-1], np.full(11, half)], axis=1)
        right = np.stack([np.linspace(circle[-1, 0], reach[1], 12)[1:], np.full(11, -half)], axis=1)
        return np.concatenate([left, circle, right])

    @staticmethod
    def _lot_ring(half: float, end: float, bays: int, reach: list[float]) -> np.ndarray:
        """Kerb along the drive-way and around the car park."""
        wide, far = bays * BAY_M[0] / 2, end + 2 * BAY_M[1] + AISLE_M
        return np.array([(reach[0], half), (end, half), (end, wide), (far, wide), (far, -wide), (end, -wide),
                         (end, -half), (reach[1], -half)])  # fmt: skip

    def _cross_street(self, at_end: bool) -> Arm:
        """The street on which the main road ends; its arms run to both sides out of sight."""
        road = self.road
        s = road.length if at_end else 0.0
        heading = float(road.heading_at(s)) + (0.0 if at_end else np.pi)
        away = np.array([np.cos(heading), np.sin(heading)])
        sign = 1 if at_end else -1
        walk, width, long, radius = 2.4, 9.0, 46.0, 5.0
        base = Arm(-1, None, 0, road.points(s, 0.0), away, 0.0, 0.0, walk, 0.0, width, {}, np.zeros((2, 2)))
        corners = {}
        for v_sign in (1, -1):
            section = road.section(v_sign * sign)
            edge = road.median + section.kerb
            angle = np.linspace(0, np.pi / 2, ARC_POINTS)
            arc = np.stack([radius * np.sin(angle), edge + radius * (1 - np.cos(angle))], axis=1)
            outer_d = road.median + section.walk_outer
            inner = np.concatenate([arc, [[radius, max(edge + radius, outer_d) + 0.5]]])
            corner = np.array([radius - walk, outer_d])
            legs = np.linspace([0.0, outer_d], corner, 5), np.linspace(corner, [radius - walk, inner[-1, 1]], 6)
            outer = np.concatenate([legs[0], legs[1][1:]])
            corners[v_sign] = inner * [1, v_sign], outer * [1, v_sign]
        near, far = radius, radius + width
        left, right = corners[1][0][-1, 1], corners[-1][0][-1, 1]
        ring = np.array([(near, left), (near, long), (far, long), (far, -long), (near, -long), (near, right)])
        return replace(base, corners=corners, ring=ring, half=long)
