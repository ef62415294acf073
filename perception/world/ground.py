"""Meshes of the flat ground: carriageways, kerbs, pavements, verges, islands and the land beyond."""

from __future__ import annotations

import numpy as np

from perception.world.mesh import Material, Mesh, Surface
from perception.world.network import BULB_RADIUS_M, LAND_M, Arm, Network, offset_line
from perception.world.road import Road
from perception.world.shapes import Shape, quads, ribbon

KERB_HEIGHT_M = 0.13
KERB_WIDTH_M = 0.16
ISLAND_INSET_M = 0.25
"""From the edge of the median's strip to the kerb of the island on it."""


def island_spans(road: Road) -> list[tuple[float, float]]:
    """Stretches ``(s0, s1)`` of the raised island in the middle, open at junctions and crossings."""
    if road.median <= 0.5:
        return []
    cuts = sorted(
        [(j.s - j.reach - 0.5, j.s + j.reach + 0.5) for j in road.junctions] + [(s - 3, s + 3) for s in road.crossings]
    )
    spans, position = [], 0.0
    for low, high in [*cuts, (road.length, road.length)]:
        if low - position > 4:
            spans.append((position, low))
        position = max(position, high)
    return spans


class GroundBuilder:
    """Makes everything the wheels and feet stand on.

    Args:
        colors: base colours of ``asphalt``, ``side_asphalt``, ``paving``, ``kerb``, ``grass``, ``verge``, ``yard``.
        paved: whether the ground between pavement and buildings is paved rather than grown.
    """

    def __init__(self, network: Network, colors: dict[str, np.ndarray], paved: bool) -> None:
        self.network, self.road = network, network.road
        self.colors = colors
        self.asphalt = Surface(Material.ROAD, "road", colors["asphalt"])
        self.kerb = Surface(Material.KERB, "sidewalk", colors["kerb"])
        self.paving = Surface(Material.PAVING, "sidewalk", colors["paving"], style=1)
        self.verge = Surface(Material.GRASS, "terrain", colors["verge"])
        self.yard = (
            Surface(Material.PAVING, "sidewalk", colors["yard"], style=2)
            if paved
            else Surface(Material.GRASS, "terrain", colors["grass"], style=1)
        )
        self.meshes: list[Mesh] = []

    def build(self, extent_m: float = 1500.0) -> list[Mesh]:
        road = self.road
        left, right = (road.offset(side, road.section(side).kerb) for side in (1, -1))
        self._strip(0.0, road.length, (left, right), (0.0, 0.0), self.asphalt)
        for side in (1, -1):
            section = road.section(side)
            for s0, s1 in self.network.pavement_spans(side):
                self._pavement(side, s0, s1)
            for s0, s1 in self.network.land_spans(side):
                inner, outer = section.walk_outer - 0.02, section.walk_outer + LAND_M
                d, z = (road.offset(side, inner), road.offset(side, outer)), (0.06, -0.02)
                self._strip(s0, s1, d if side < 0 else d[::-1], z if side < 0 else z[::-1], self.yard)
        self._islands()
        for way in self.network.ways:
            self._carriageway(way)
            for sign in (1, -1):
                self._raised(way, *way.corners[sign], sign)
            self._raised(way, way.ring, way.outer_ring, 1)
        self._land(extent_m)
        return self.meshes

    def _strip(self, s0: float, s1: float, d: tuple[float, float], z: tuple[float, float], surface: Surface) -> None:
        """Ribbon from ``d[0]`` (left) to ``d[1]`` (right) with uv (s, d)."""
        s = self.road.samples(s0, s1)
        edges, uv = [], []
        for offset, height in zip(d, z, strict=True):
            edges.append(np.concatenate([self.road.points(s, offset), np.full((len(s), 1), height)], axis=1))
            uv.append(np.stack([s, np.full_like(s, offset)], axis=1))
        if d[0] == d[1]:
            uv[0][:, 1] += z[0]
        self.meshes.append(ribbon(edges[0], edges[1], uv[0], uv[1]).mesh(surface))

    def _pavement(self, side: int, s0: float, s1: float) -> None:
        section, road = self.road.section(side), self.road
        top = (KERB_HEIGHT_M, KERB_HEIGHT_M)

        def band(inner: float, outer: float, surface: Surface) -> None:
            d = road.offset(side, inner), road.offset(side, outer)
            self._strip(s0, s1, (max(d), min(d)), top, surface)

        edge = road.offset(side, section.kerb)
        self._strip(s0, s1, (edge, edge), (KERB_HEIGHT_M, 0.0) if side > 0 else (0.0, KERB_HEIGHT_M), self.kerb)
        band(section.kerb, section.kerb + KERB_WIDTH_M, self.kerb)
        if section.verge_width > 0.3:
            band(section.kerb + KERB_WIDTH_M, section.walk_inner, self.verge)
            band(section.walk_inner, section.walk_outer, self.paving)
        else:
            band(section.kerb + KERB_WIDTH_M, section.walk_outer, self.paving)

    def _islands(self) -> None:
        half, top = self.road.median - ISLAND_INSET_M, (KERB_HEIGHT_M,) * 2
        for s0, s1 in island_spans(self.road):
            self._strip(s0, s1, (half, half), (0.0, KERB_HEIGHT_M), self.kerb)
            self._strip(s0, s1, (-half, -half), (KERB_HEIGHT_M, 0.0), self.kerb)
            self._strip(s0, s1, (half, half - KERB_WIDTH_M), top, self.kerb)
            self._strip(s0, s1, (-half + KERB_WIDTH_M, -half), top, self.kerb)
            self._strip(s0, s1, (half - KERB_WIDTH_M, -half + KERB_WIDTH_M), top, self.verge)
            ends = self.road.points(np.array([[s0, s0], [s1, s1]]), np.array([[half, -half], [-half, half]]))
            corners = np.concatenate([ends, ends[:, ::-1]], axis=1)  # (2, 4, 2)
            height = np.tile([0.0, 0.0, KERB_HEIGHT_M, KERB_HEIGHT_M], (2, 1))[..., None]
            self.meshes.append(quads(np.concatenate([corners, height], axis=2)).mesh(self.kerb))

    def _carriageway(self, way: Arm) -> None:
        surface = Surface(Material.SIDE_ROAD, "road", self.colors["side_asphalt"], style=way.number)
        polygons = self._mouth(way) if way.junction is not None else self._flare(way)
        ring = way.ring
        if way.carpark:
            near, far = way.end, way.end + way.depth
            polygons += [_rectangle(max(ring[0, 0], ring[-1, 0]), near, way.half), _rectangle(near, far, ring[2, 1])]
        elif way.junction is not None:
            mouth = way.end - np.sqrt(BULB_RADIUS_M**2 - way.half**2)
            polygons.append(_rectangle(max(ring[0, 0], ring[-1, 0]), mouth, way.half))
            circle = ring[np.hypot(ring[:, 0] - way.end, ring[:, 1]) < BULB_RADIUS_M + 1e-6]
            polygons.append(np.concatenate([[[way.end, 0.0]], circle, circle[:1]]))
        else:
            polygons.append(_rectangle(ring[0, 0], ring[2, 0], ring[1, 1]))
        self.meshes.append(_fans(way, polygons).mesh(surface))

    def _mouth(self, way: Arm) -> list[np.ndarray]:
        """Fans that fill a way from the main road's kerb to the end of its corners."""
        assert way.junction is not None
        road, d = self.road, self.road.offset(way.side, self.road.section(way.side).kerb)
        v = np.linspace(way.half, -way.half, 7)
        at = np.array([road.s_beside(way.junction.s, way.side, float(value), d) for value in v])
        near = way.local(road.points(at, d))
        far = max(way.ring[0, 0], way.ring[-1, 0])
        fans = [np.array([near[k], [far, v[k]], [far, v[k + 1]], near[k + 1]]) for k in range(6)]
        for sign, corner in ((1, near[0]), (-1, near[-1])):
            fans.append(np.concatenate([[corner], way.corners[sign][0]]))
        return fans

    def _flare(self, way: Arm) -> list[np.ndarray]:
        """The widening where the main road joins the street at its end."""
        left, right = (way.corners[sign][0] for sign in (1, -1))
        near = way.ring[0, 0]
        arcs = [line[line[:, 0] < near + 1e-9] for line in (right, left)]
        return [np.concatenate([[[near, 0.0]], arcs[0][::-1], arcs[1]])]

    def _raised(self, way: Arm, inner: np.ndarray, outer: np.ndarray, sign: int) -> None:
        """Kerb and paving between two lines in a way's frame; ``sign`` +1 where paving is on the left."""
        lip = offset_line(inner, sign * KERB_WIDTH_M)
        run = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(inner, axis=0), axis=1))])

        def band(a: np.ndarray, b: np.ndarray, za: float, zb: float, across: tuple[float, float], to: Surface) -> None:
            """Ribbon with ``b`` on the left of ``a`` where ``sign`` is +1."""
            lines = [np.concatenate([way.points(p), np.full((len(p), 1), z)], axis=1) for p, z in ((a, za), (b, zb))]
            uv = [np.stack([run, np.full(len(run), w)], axis=1) for w in across]
            order = (1, 0) if sign > 0 else (0, 1)
            shape = ribbon(*(lines[i] for i in order), *(uv[i] for i in order))
            self.meshes.append(shape.mesh(to))

        band(inner, inner, 0.0, KERB_HEIGHT_M, (0.0, KERB_HEIGHT_M), self.kerb)
        band(inner, lip, KERB_HEIGHT_M, KERB_HEIGHT_M, (0.0, KERB_WIDTH_M), self.kerb)
        width = float(np.linalg.norm(outer[-1] - inner[-1]))
        band(lip, outer, KERB_HEIGHT_M, KERB_HEIGHT_M, (KERB_WIDTH_M, width), self.paving)

    def _land(self, extent_m: float) -> None:
        middle = np.array([self.road.x.mean(), self.road.y.mean()])
        square = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]]) * extent_m + middle
        corners = np.concatenate([square, np.full((4, 1), -0.03)], axis=1)
        land = quads(corners[None], square[None] - middle)
        self.meshes.append(land.mesh(Surface(Material.GRASS, "terrain", self.colors["grass"], style=2)))


def _rectangle(u0: float, u1: float, v: float) -> np.ndarray:
    return np.array([(u0, v), (u0, -v), (u1, -v), (u1, v)])


def _fans(way: Arm, polygons: list[np.ndarray]) -> Shape:
    """Flat shape of ``(P, 2)`` (u, v) polygons that are star-shaped around their first corner, facing up."""
    triangles = []
    for polygon in polygons:
        k = np.arange(1, len(polygon) - 1)
        triangles.append(np.stack([np.broadcast_to(polygon[0], (len(k), 2)), polygon[k], polygon[k + 1]], axis=1))
    uv = np.concatenate(triangles)  # (T, 3, 2)
    (ax, ay), (bx, by) = (uv[:, 1] - uv[:, 0]).T, (uv[:, 2] - uv[:, 0]).T
    area = ax * by - ay * bx
    uv = np.where((area < 0)[:, None, None], uv[:, ::-1], uv)[np.abs(area) > 1e-9]
    points = np.concatenate([way.points(uv), np.zeros((*uv.shape[:2], 1))], axis=2)
    return Shape(points.reshape(-1, 3), np.arange(3 * len(uv)).reshape(-1, 3), uv)
