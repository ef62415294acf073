"""Meshes of the flat ground: carriageway, kerbs, pavements, verges, side roads and the land beyond."""

from __future__ import annotations

import numpy as np

from perception.world.mesh import Material, Mesh, Surface
from perception.world.road import Junction, Road
from perception.world.shapes import quads, ribbon

KERB_HEIGHT_M = 0.13
SIDE_ROAD_LENGTH_M = 70.0


def _strip(road: Road, s0: float, s1: float, d: tuple[float, float], z: tuple[float, float], surface: Surface) -> Mesh:
    """Ribbon from ``d[0]`` (left) to ``d[1]`` (right) with uv (s, d)."""
    s = np.unique(np.concatenate([[s0, s1], np.arange(np.ceil(s0 / 2) * 2, s1, 2.0)]))
    edges, uv = [], []
    for offset, height in zip(d, z, strict=True):
        edges.append(np.concatenate([road.points(s, offset), np.full((len(s), 1), height)], axis=1))
        uv.append(np.stack([s, np.full_like(s, offset)], axis=1))
    if d[0] == d[1]:
        uv[0][:, 1] += z[0]
    return ribbon(edges[0], edges[1], uv[0], uv[1]).mesh(surface)


def _ordered(a: float, b: float) -> tuple[float, float]:
    return (a, b) if a > b else (b, a)


def ground_meshes(road: Road, colors: dict[str, np.ndarray], paved: bool, extent_m: float = 1500.0) -> list[Mesh]:
    """Everything the wheels and feet stand on.

    Args:
        colors: base colours of ``asphalt``, ``side_asphalt``, ``paving``, ``kerb``, ``grass``, ``verge``, ``yard``.
        paved: whether the ground between pavement and buildings is paved rather than grown.
    """
    asphalt = Surface(Material.ROAD, "road", colors["asphalt"])
    kerb = Surface(Material.KERB, "sidewalk", colors["kerb"])
    paving = Surface(Material.PAVING, "sidewalk", colors["paving"], style=1)
    verge = Surface(Material.GRASS, "terrain", colors["verge"])
    yard = (
        Surface(Material.PAVING, "sidewalk", colors["yard"], style=2)
        if paved
        else Surface(Material.GRASS, "terrain", colors["grass"], style=1)
    )
    left, right = (road.offset(side, road.section(side).kerb) for side in (1, -1))
    meshes = [_strip(road, 0.0, road.length, (left, right), (0.0, 0.0), asphalt)]
    for side in (1, -1):
        section = road.section(side)
        for s0, s1 in road.kerb_gaps(side):
            meshes += _pavement(road, side, s0, s1, kerb, paving, verge)
            outer = _ordered(road.offset(side, section.walk_outer), road.offset(side, section.walk_outer + 14))
            level = (0.06, 0.0) if outer[0] == road.offset(side, section.walk_outer) else (0.0, 0.06)
            meshes.append(_strip(road, s0, s1, outer, level, yard))
    if road.median > 0.5:
        meshes += _median(road, kerb, verge)
    for junction in road.junctions:
        for side in junction.sides:
            meshes += _side_road(road, junction, side, colors, kerb, paving)
    middle = np.array([road.x.mean(), road.y.mean()])
    square = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]]) * extent_m + middle
    corners = np.concatenate([square, np.full((4, 1), -0.03)], axis=1)
    land = quads(corners[None], square[None] - middle)
    meshes.append(land.mesh(Surface(Material.GRASS, "terrain", colors["grass"], style=2)))
    return meshes


def _pavement(
    road: Road, side: int, s0: float, s1: float, kerb: Surface, paving: Surface, verge: Surface
) -> list[Mesh]:
    section = road.section(side)
    top = (KERB_HEIGHT_M, KERB_HEIGHT_M)

    def band(inner: float, outer: float, surface: Surface) -> Mesh:
        return _strip(road, s0, s1, _ordered(road.offset(side, inner), road.offset(side, outer)), top, surface)

    edge = road.offset(side, section.kerb)
    face = (KERB_HEIGHT_M, 0.0) if side > 0 else (0.0, KERB_HEIGHT_M)
    meshes = [_strip(road, s0, s1, (edge, edge), face, kerb), band(section.kerb, section.kerb + 0.16, kerb)]
    if section.verge_width > 0.3:
        meshes.append(band(section.kerb + 0.16, section.walk_inner, verge))
        meshes.append(band(section.walk_inner, section.walk_outer, paving))
    else:
        meshes.append(band(section.kerb + 0.16, section.walk_outer, paving))
    return meshes


def _median(road: Road, kerb: Surface, verge: Surface) -> list[Mesh]:
    """Raised island in the middle, open at junctions and crossings."""
    half = road.median - 0.25
    cuts = sorted(
        [(j.s - j.half_width - 2, j.s + j.half_width + 2) for j in road.junctions]
        + [(s - 3, s + 3) for s in road.crossings]
    )
    meshes, position = [], 0.0
    for low, high in [*cuts, (road.length, road.length)]:
        if low - position > 4:
            meshes.append(_strip(road, position, low, (half, half), (0.0, KERB_HEIGHT_M), kerb))
            meshes.append(_strip(road, position, low, (-half, -half), (KERB_HEIGHT_M, 0.0), kerb))
            meshes.append(_strip(road, position, low, (half, half - 0.16), (KERB_HEIGHT_M,) * 2, kerb))
            meshes.append(_strip(road, position, low, (-half + 0.16, -half), (KERB_HEIGHT_M,) * 2, kerb))
            meshes.append(_strip(road, position, low, (half - 0.16, -half + 0.16), (KERB_HEIGHT_M,) * 2, verge))
        position = max(position, high)
    return meshes


def side_frame(road: Road, junction: Junction, side: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Origin on the centre line, unit direction away from it, and unit direction to the left of that."""
    heading = float(road.heading_at(junction.s))
    away = np.array([-np.sin(heading), np.cos(heading)]) * side
    return road.points(junction.s, 0.0), away, np.array([-away[1], away[0]])


def _side_road(
    road: Road, junction: Junction, side: int, colors: dict[str, np.ndarray], kerb: Surface, paving: Surface
) -> list[Mesh]:
    origin, away, left = side_frame(road, junction, side)
    section = road.section(side)
    start = road.median + section.kerb
    end = start + SIDE_ROAD_LENGTH_M
    half, walk = junction.half_width, section.walk_width

    def strip(a: float, b: float, d0: float, d1: float, z0: float, z1: float, surface: Surface) -> Mesh:
        u = np.linspace(a, b, 12)
        edges = [
            np.concatenate([origin + u[:, None] * away + d * left, np.full((12, 1), z)], axis=1)
            for d, z in ((d0, z0), (d1, z1))
        ]
        uv = [
            np.stack([u - start, np.full(12, d + (z0 if d0 == d1 and i == 0 else 0.0))], 1)
            for i, d in enumerate((d0, d1))
        ]
        return ribbon(edges[0], edges[1], uv[0], uv[1]).mesh(surface)

    asphalt = Surface(Material.SIDE_ROAD, "road", colors["side_asphalt"], style=round(half * 100))
    meshes = [strip(start - 3.0, end, half + 0.3, -half - 0.3, -0.01, -0.01, asphalt)]
    inner, top = road.median + section.walk_outer - 0.05, KERB_HEIGHT_M - 0.004
    for sign in (1, -1):
        edge, outer = sign * half, sign * (half + walk)
        face = (top, 0.0) if sign > 0 else (0.0, top)
        meshes.append(strip(start, end, edge, edge, *face, kerb))
        high, low = _ordered(edge, outer)
        meshes.append(strip(inner, end, high, low, top, top, paving))
    return meshes
