"""The road: a curved centre line on flat ground, its cross-section, junctions and crossings.

A place is written ``(s, d)``: metres along the centre line and metres to its left. The ego drives towards
growing s.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np

STEP_M = 0.5
"""Spacing of the samples of the centre line."""
THEMES = ("plain", "roadworks", "plain", "delivery")
"""What goes on where the ego starts, by scene index."""
MARK_STEP_M = 0.25
"""Spacing of the tables that say where markings are interrupted."""


@dataclass(frozen=True)
class CrossSection:
    """One side of the road, outwards from the centre; all in metres."""

    lanes: int
    lane_width: float
    bike_width: float
    parking_width: float
    verge_width: float
    walk_width: float
    setback: float

    @property
    def lanes_width(self) -> float:
        return self.lanes * self.lane_width

    @property
    def kerb(self) -> float:
        """Offset of the kerb."""
        return self.lanes_width + self.bike_width + self.parking_width

    @property
    def walk_inner(self) -> float:
        return self.kerb + self.verge_width

    @property
    def walk_outer(self) -> float:
        return self.walk_inner + self.walk_width

    @property
    def facade(self) -> float:
        """Offset of the building line."""
        return self.walk_outer + self.setback


@dataclass(frozen=True)
class Junction:
    """A side road, or the way into a car park.

    Args:
        s: where its axis meets the centre line.
        half_width: half of its carriageway.
        sides: which sides it leaves to: +1 left, -1 right.
        signalled: whether traffic lights stand here.
        corner: radius of the kerb at its corners.
        carpark: whether it leads to a car park.
    """

    s: float
    half_width: float
    sides: tuple[int, ...]
    signalled: bool
    corner: float = 3.3
    carpark: bool = False

    @property
    def reach(self) -> float:
        """Half of the opening in the kerb."""
        return self.half_width + self.corner

    @property
    def stop_sign(self) -> bool:
        """Whether side roads have a stop sign, else a give-way sign, where there are no lights."""
        return round(self.s * 100) % 2 == 0

    @property
    def crossing_offset(self) -> float:
        """From its axis to the middle of a crossing beside it."""
        return self.reach + 2.2

    @property
    def stop_offset(self) -> float:
        """From its axis to the middle of the stop line before that crossing."""
        return self.crossing_offset + 3.4

    def opening(self, beyond_kerb: np.ndarray | float) -> np.ndarray:
        """Half of the opening at a distance outwards from the kerb, corners counted."""
        inwards = np.clip(self.corner - np.asarray(beyond_kerb, float), 0.0, self.corner)
        return self.reach - np.sqrt(self.corner**2 - inwards**2)


@dataclass
class Curve:
    """A smooth line on the ground.

    Shape:
        - s, x, y, heading, curvature: ``(N,)`` float64 samples.
    """

    s: np.ndarray
    x: np.ndarray
    y: np.ndarray
    heading: np.ndarray
    curvature: np.ndarray

    @property
    def length(self) -> float:
        return float(self.s[-1])

    def heading_at(self, s: np.ndarray | float) -> np.ndarray:
        return np.interp(s, self.s, self.heading)

    def curvature_at(self, s: np.ndarray | float) -> np.ndarray:
        return np.interp(s, self.s, self.curvature)

    def points(self, s: np.ndarray | float, d: np.ndarray | float) -> np.ndarray:
        """``(..., 2)`` global x, y."""
        heading = self.heading_at(s)
        x = np.interp(s, self.s, self.x) - d * np.sin(heading)
        y = np.interp(s, self.s, self.y) + d * np.cos(heading)
        return np.stack([x, y], axis=-1)

    def pose(self, s: float, d: float, yaw: float = 0.0, z: float = 0.0) -> np.ndarray:
        """``(4, 4)`` of a place, x along the line turned by ``yaw``."""
        heading = float(self.heading_at(s)) + yaw
        matrix = np.eye(4)
        matrix[:2, :2] = [[np.cos(heading), -np.sin(heading)], [np.sin(heading), np.cos(heading)]]
        matrix[:2, 3] = self.points(s, d)
        matrix[2, 3] = z
        return matrix


@dataclass
class Road(Curve):
    """Centre line and layout of the main road."""

    own: CrossSection
    far: CrossSection
    median: float
    drive_side: int
    junctions: list[Junction] = field(default_factory=list)
    crossings: list[float] = field(default_factory=list)

    def section(self, side: int) -> CrossSection:
        """Cross-section to the left (+1) or right (-1)."""
        return self.own if side == self.drive_side else self.far

    def offset(self, side: int, distance: float) -> float:
        """d of a distance from the inner edge of a side's first lane."""
        return side * (distance + self.median)

    def lane_center(self, side: int, lane: int) -> float:
        """d of a lane's middle; lane 0 is next to the centre."""
        return self.offset(side, (lane + 0.5) * self.section(side).lane_width)

    def locate(self, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """``(N,)`` s and d of ``(N, 2)`` global points near the road."""
        s = np.interp(points[:, 0], self.x, self.s)
        for _ in range(10):
            heading, offset = self.heading_at(s), points - Curve.points(self, s, 0.0)
            along = offset[:, 0] * np.cos(heading) + offset[:, 1] * np.sin(heading)
            d = offset[:, 1] * np.cos(heading) - offset[:, 0] * np.sin(heading)
            s = np.clip(s + along / np.maximum(1 - self.curvature_at(s) * d, 0.3), 0.0, self.length)
        return s, d

    def samples(self, s0: float, s1: float) -> np.ndarray:
        """Where the edges of a stretch have their corners: its ends and every 2 m between."""
        return np.unique(np.concatenate([[s0, s1], np.arange(np.ceil(s0 / 2) * 2, s1, 2.0)]))

    def clear_of_mouths(self, s: float, side: int, margin: float) -> bool:
        """Whether no side road opens within ``margin`` of ``s`` on a side."""
        return all(side not in j.sides or abs(s - j.s) > j.reach + margin for j in self.junctions)

    def raised(self, s: float, d: float) -> bool:
        """Whether a place beside the carriageway lies on the pavement, not in the mouth of a side road."""
        side = 1 if d > 0 else -1
        beyond = abs(d) - self.median - self.section(side).kerb
        return beyond > 0 and all(side not in j.sides or abs(s - j.s) > j.opening(beyond) for j in self.junctions)

    def mouths(self, side: int) -> np.ndarray:
        """``(M,)`` bool every :data:`MARK_STEP_M`: where the edge of a side is open to a side road."""
        grid = np.arange(int(self.length / MARK_STEP_M) + 2) * MARK_STEP_M
        table = np.zeros(len(grid), bool)
        for junction in self.junctions:
            if side in junction.sides:
                table |= np.abs(grid - junction.s) < junction.reach + 0.5
        return table

    def boxes_of_junctions(self) -> np.ndarray:
        """``(M,)`` bool every :data:`MARK_STEP_M`: where lane lines are interrupted."""
        grid = np.arange(int(self.length / MARK_STEP_M) + 2) * MARK_STEP_M
        table = np.zeros(len(grid), bool)
        for low, high in self.cuts(1.0, 2.6):
            table |= (grid > low) & (grid < high)
        return table

    def cuts(self, junction_margin: float, crossing_margin: float) -> list[tuple[float, float]]:
        """Stretches, in order, that cross junctions, signalled ones and crossings take from lines."""
        return sorted(
            [
                (j.s - j.reach - junction_margin, j.s + j.reach + junction_margin)
                for j in self.junctions
                if j.signalled or len(j.sides) == 2
            ]
            + [(s - crossing_margin, s + crossing_margin) for s in self.crossings]
        )

    def s_beside(self, s: float, side: int, v: float, d: float) -> float:
        """Where a line parallel to the axis of a way that leaves at ``s`` to a side, ``v`` to the left of it as seen
        from here, comes to offset ``d``."""
        heading = float(self.heading_at(s))
        left = -side * np.array([np.cos(heading), np.sin(heading)])
        origin, at = self.points(s, 0.0), s - side * v
        for _ in range(12):
            at += side * (float((self.points(at, d) - origin) @ left) - v)
        return float(at)


def center_line(rng: np.random.Generator, length_m: float, bend: float) -> tuple[np.ndarray, ...]:
    """Smooth random centre line from the origin, of bounded total turn so that it never meets itself.

    Args:
        bend: 0 for a nearly straight road, 1 for a winding one (smallest radius about 70 m).
    """
    s = np.arange(int(np.ceil(length_m / STEP_M)) + 1) * STEP_M
    curvature = np.zeros_like(s)
    position, heading = 0.0, 0.0
    while position < length_m:
        stretch = rng.uniform(45, 140)
        value = rng.normal() * bend / 130 if rng.random() < 0.75 else 0.0
        if abs(heading + value * stretch) > 0.9:
            value = -np.sign(heading) * abs(value)
        value = float(np.clip(value, -1 / 70, 1 / 70))
        heading += value * stretch
        curvature[(s >= position) & (s < position + stretch)] = value
        position += stretch
    width = int(30 / STEP_M)
    kernel = np.hanning(2 * width + 1)
    padded = np.pad(curvature, width, mode="edge")
    curvature = np.convolve(padded, kernel / kernel.sum(), mode="valid")
    heading_at = np.concatenate([[0.0], np.cumsum((curvature[1:] + curvature[:-1]) / 2 * STEP_M)])
    middle = (heading_at[1:] + heading_at[:-1]) / 2
    x = np.concatenate([[0.0], np.cumsum(np.cos(middle) * STEP_M)])
    y = np.concatenate([[0.0], np.cumsum(np.sin(middle) * STEP_M)])
    return s, x, y, heading_at, curvature


def make_road(rng: np.random.Generator, length_m: float, district: str, start_s: float, theme: str = "plain") -> Road:
    """A random road of a district (``downtown``, ``residential``, ``avenue`` or ``industrial``).

    Args:
        start_s: where the ego starts; no junction lies right there.
        theme: what goes on beside the road there, see :data:`THEMES`.
    """
    bend = {"downtown": 0.35, "residential": 1.0, "avenue": 0.7, "industrial": 0.45}[district] * rng.uniform(0.3, 1.3)
    s, x, y, heading, curvature = center_line(rng, length_m, bend)
    lane_choice = {"downtown": (1, 2, 2, 3), "residential": (1, 1, 1, 2), "avenue": (2, 2, 3), "industrial": (1, 2)}
    own_lanes = int(rng.choice(lane_choice[district]))
    far_lanes = int(np.clip(own_lanes + rng.choice([-1, 0, 0, 0, 1]), 1, 3))
    lane_width = float(rng.uniform(3.0, 3.6))
    median = float(rng.uniform(0.8, 2.2)) if own_lanes > 1 and rng.random() < 0.35 else 0.0
    bike = float(rng.uniform(1.4, 1.9)) if rng.random() < 0.5 else float(rng.uniform(0.35, 0.7))

    def section(lanes: int) -> CrossSection:
        parking = float(rng.uniform(2.1, 2.5)) if rng.random() < (0.3 if district == "avenue" else 0.65) else 0.0
        setback = {"downtown": (0.0, 1.0), "residential": (3.0, 9.0), "avenue": (2.0, 12.0), "industrial": (4.0, 14.0)}
        return CrossSection(
            lanes=lanes,
            lane_width=lane_width,
            bike_width=bike,
            parking_width=parking,
            verge_width=0.0 if district == "downtown" or rng.random() < 0.4 else float(rng.uniform(1.0, 2.6)),
            walk_width=float(rng.uniform(2.6, 5.0) if district == "downtown" else rng.uniform(1.6, 2.8)),
            setback=float(rng.uniform(*setback[district])),
        )

    road = Road(
        s, x, y, heading, curvature, section(own_lanes), section(far_lanes), median, int(rng.choice([-1, -1, 1]))
    )
    if theme != "plain":  # room for it at the kerb
        road.own = replace(road.own, parking_width=3.1 if theme == "roadworks" else 2.8)
    clear = (16.0, 16.0) if theme == "plain" else (12.0, 48.0)
    position = rng.uniform(34, 60)
    while position < length_m - 40:
        carpark = bool(rng.random() < (0.1 if district == "downtown" else 0.26))
        sides = [(1,), (-1,), (1, -1)][
            int(rng.choice(2 if carpark else 3, p=[0.5, 0.5] if carpark else [0.3, 0.3, 0.4]))
        ]
        signalled = len(sides) == 2 and own_lanes + far_lanes > 2 and rng.random() < 0.7
        width = 3.0 if carpark else float(rng.uniform(2.9, 3.7))
        corner = float(rng.uniform(2.0, 2.6) if carpark else rng.uniform(2.8, 4.2))
        junction = Junction(float(position), width, sides, bool(signalled), corner, carpark)
        if -clear[0] < position - start_s - junction.reach < clear[1] or (
            -clear[0] < position - start_s + junction.reach < clear[1]
        ):  # the ego starts on a plain stretch
            position += 24
            continue
        road.junctions.append(junction)
        if signalled:
            road.crossings += [position - junction.crossing_offset, position + junction.crossing_offset]
        elif rng.random() < 0.4 and not -8 < position - junction.crossing_offset - start_s < clear[1]:
            road.crossings.append(position - junction.crossing_offset)
        position += rng.uniform(55, 120)
    return road
