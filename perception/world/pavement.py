"""Textures of the ground: asphalt with its markings, side roads, paving, grass."""

from __future__ import annotations

import numpy as np

from perception.world.network import BAY_M, Arm
from perception.world.noise import hash01, nearest, sample, smoothstep, tile
from perception.world.road import MARK_STEP_M
from perception.world.scene import Scene

WHITE = np.array([0.72, 0.72, 0.70], np.float32)
YELLOW = np.array([0.70, 0.44, 0.05], np.float32)


def band(x: np.ndarray, center: float | np.ndarray, width: float, blur: np.ndarray) -> np.ndarray:
    """Share of a pixel ``blur`` wide that a line ``width`` wide around ``center`` covers."""
    return np.clip((width / 2 - np.abs(x - center)) / blur + 0.5, 0.0, 1.0) * np.minimum(1.0, width / blur)


def interval(x: np.ndarray, low: float, high: float, blur: np.ndarray) -> np.ndarray:
    """Share of a pixel that lies in ``[low, high]``."""
    return np.clip((x - low) / blur + 0.5, 0, 1) * np.clip((high - x) / blur + 0.5, 0, 1)


def dashes(x: np.ndarray, period: float, length: float, blur: np.ndarray) -> np.ndarray:
    """Share of a pixel that lies on a dash; far away the average remains."""
    phase = np.mod(x, period)
    sharp = np.clip((phase) / blur + 0.5, 0, 1) * np.clip((length - phase) / blur + 0.5, 0, 1)
    sharp += np.clip((phase - period) / blur + 0.5, 0, 1)
    fade = smoothstep(0.6, 1.6, blur / period)
    return np.minimum(sharp, 1.0) * (1 - fade) + length / period * fade


def main_road(
    scene: Scene, uv: np.ndarray, color: np.ndarray, footprint: np.ndarray, grazing: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Colour and marking coverage of the carriageway.

    Args:
        uv: ``(N, 2)`` (s, d).
        footprint: ``(N,)`` width of a pixel across the line of sight, metres.
        grazing: ``(N,)`` its length along the ground.
    """
    road, style = scene.road, scene.style
    s, d = uv[:, 0], uv[:, 1]
    albedo = _asphalt(s, d, color, footprint, style)
    for side in (1, -1):
        section = road.section(side)
        for lane in range(section.lanes):  # tyres polish two tracks per lane
            offset = np.abs(np.abs(d - road.lane_center(side, lane)) - 0.8)
            albedo *= (1 - 0.13 * style["stain"] * np.exp(-((offset / 0.35) ** 2)))[:, None]
            oil = np.exp(-(((d - road.lane_center(side, lane)) / 0.45) ** 2))
            albedo *= (1 - 0.09 * style["stain"] * oil)[:, None]
        if section.bike_width > 1.2 and style["bike_paint"]:
            inner = road.offset(side, section.lanes_width + section.bike_width / 2)
            tint = np.array([0.28, 0.06, 0.045] if style["bike_paint"] == 1 else [0.06, 0.19, 0.10], np.float32)
            share = band(d, inner, section.bike_width - 0.2, footprint)[:, None] * 0.8
            albedo = albedo * (1 - share) + tint * share * (0.6 + 2.5 * albedo)
    coverage, yellow = _markings(scene, s, d, footprint, grazing)
    worn = smoothstep(0.05, 0.55, sample(tile(7, 0.8), s * 6, d * 9) + 0.42 - style["wear"] * 0.6)
    grain = 0.86 + 0.2 * nearest(tile(3, 0.3), s * 24, d * 24)
    paint = (WHITE * (1 - yellow[:, None]) + YELLOW * yellow[:, None]) * grain[:, None]
    share = (coverage * (0.35 + 0.65 * worn))[:, None]
    return albedo * (1 - share) + paint * share, coverage


def _asphalt(
    s: np.ndarray, d: np.ndarray, color: np.ndarray, footprint: np.ndarray, style: dict[str, float]
) -> np.ndarray:
    seed = style["seed"]
    stain = sample(tile(5, 1.1), s * 3.1 + seed, d * 5.3) - 0.5
    broad = sample(tile(6, 1.6), s * 0.7 + seed, d * 1.9) - 0.5
    detail = np.clip(0.035 / np.maximum(footprint, 1e-4), 0, 1)
    grain = (nearest(tile(3, 0.3), s * 38, d * 38) - 0.5) * detail
    level = 1 + 0.45 * style["stain"] * stain + 0.55 * broad + 0.55 * grain
    if style["patches"] > 0.35:  # repaired rectangles
        cell_s, cell_d = np.floor(s / 7.0 + seed), np.floor(d / 2.6)
        there = hash01(cell_s, cell_d, int(seed)) < 0.10 * style["patches"]
        inside = (np.mod(s / 7.0 + seed, 1) < 0.25 + 0.6 * hash01(cell_s, cell_d, 5)) & (np.mod(d / 2.6, 1) < 0.8)
        level = np.where(there & inside, level * (0.72 + 0.7 * hash01(cell_s, cell_d, 9)), level)
    crack = np.abs(sample(tile(8, 1.2), s * 5 + seed, d * 5) - 0.5)
    level *= 1 - 0.5 * (crack < 0.003) * (broad > 0.06) * detail * style["wear"] * 2
    cell = np.floor(s / 23.0)
    cover_s, cover_d = (cell + 0.2 + 0.6 * hash01(cell, 3)) * 23.0, (hash01(cell, 4) - 0.5) * 9
    lid = np.hypot(s - cover_s, d - cover_d)
    level *= np.where(lid < 0.34, 0.55, 1.0) * np.where(np.abs(lid - 0.36) < 0.03, 0.6, 1.0)
    return color * np.maximum(level, 0.25)[:, None]


def _markings(
    scene: Scene, s: np.ndarray, d: np.ndarray, footprint: np.ndarray, grazing: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Coverage 0..1 of paint, and its share of yellow."""
    road, style = scene.road, scene.style
    if "marks" not in scene._caches:
        scene._caches["marks"] = (road.boxes_of_junctions(), {side: road.mouths(side) for side in (1, -1)})
    boxes, mouths = scene._caches["marks"]
    cell = np.clip((s / MARK_STEP_M).astype(np.int32), 0, len(boxes) - 1)
    open_ = boxes[cell]
    lines = np.zeros_like(s)
    yellow = np.zeros_like(s)
    if road.median > 0:
        for sign in (1, -1):
            lines = np.maximum(lines, band(d, sign * (road.median + 0.12), 0.12, footprint))
    elif road.own.lanes + road.far.lanes > 2 or style["yellow"]:
        for sign in (1, -1):
            lines = np.maximum(lines, band(d, sign * 0.14, 0.12, footprint))
    else:
        lines = np.maximum(lines, band(d, 0.0, 0.13, footprint) * dashes(s, 3 * style["dash"], style["dash"], grazing))
    if style["yellow"]:
        yellow = np.minimum(1.0, lines * 4)
    stripe = dashes(s, 3.2 * style["dash"], style["dash"], grazing)
    for side in (1, -1):
        section = road.section(side)
        for lane in range(1, section.lanes):
            lines = np.maximum(lines, band(d, road.offset(side, lane * section.lane_width), 0.13, footprint) * stripe)
    lines = np.where(open_, 0.0, lines)
    for side in (1, -1):
        section, closed = road.section(side), ~mouths[side][cell]
        if section.bike_width > 1.2 or style["edge_line"]:
            lines = np.maximum(
                lines, band(d, road.offset(side, section.lanes_width + 0.02), 0.13, footprint) * (closed & ~open_)
            )
        if section.parking_width > 1:
            inner = section.lanes_width + section.bike_width
            edge = band(d, road.offset(side, inner), 0.1, footprint) * (section.bike_width > 1.2)
            bay = dashes(s + 1.0, 6.2, 0.1, grazing) * interval(d * side - road.median, inner, section.kerb, footprint)
            lines = np.maximum(lines, np.maximum(edge, bay) * (closed & ~open_))
    for junction in road.junctions:  # stop lines
        near = np.abs(s - junction.s) < 25
        if not near.any() or not junction.signalled:
            continue
        for side in (1, -1):
            direction = 1 if side == road.drive_side else -1
            at = junction.s - direction * junction.stop_offset
            across = interval(d * side - road.median, 0.2, road.section(side).lanes_width - 0.1, footprint)
            lines = np.where(near, np.maximum(lines, band(s, at, 0.4, grazing) * across), lines)
            if style["arrows"]:
                lines = np.where(
                    near,
                    np.maximum(lines, _arrows(scene, side, at - direction * 6.0, direction, s, d, footprint, grazing)),
                    lines,
                )
    for crossing in road.crossings:
        near = np.abs(s - crossing) < 2.4
        if near.any():
            zebra = interval(s, crossing - 1.6, crossing + 1.6, grazing) * dashes(d + 0.25, 1.0, 0.5, footprint)
            inside = interval(
                d, road.offset(-1, road.section(-1).kerb - 0.15), road.offset(1, road.section(1).kerb - 0.15), footprint
            )
            lines = np.where(near, zebra * inside, lines)
            yellow = np.where(near, 0.0, yellow)
    return lines.astype(np.float32), np.where(open_, 0.0, yellow).astype(np.float32)


def _arrows(
    scene: Scene,
    side: int,
    at: float,
    direction: int,
    s: np.ndarray,
    d: np.ndarray,
    footprint: np.ndarray,
    grazing: np.ndarray,
) -> np.ndarray:
    """Straight-on arrows in each lane, ``at`` their middle."""
    share = np.zeros_like(s)
    x = (s - at) * direction
    for lane in range(scene.road.section(side).lanes):
        y = d - scene.road.lane_center(side, lane)
        shaft = interval(x, -2.2, 0.6, grazing) * band(y, 0.0, 0.16, footprint)
        head_width = np.clip((2.2 - x) / 1.6, 0, 1) * 0.42
        head = interval(x, 0.6, 2.2, grazing) * np.clip((head_width - np.abs(y)) / footprint + 0.5, 0, 1)
        share = np.maximum(share, np.maximum(shaft, head))
    return share


def side_road(
    scene: Scene, uv: np.ndarray, color: np.ndarray, style: np.ndarray, footprint: np.ndarray, grazing: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Colour and marking coverage of what leaves the main road; ``style`` is the number of the way."""
    u, v = uv[:, 0], uv[:, 1]
    albedo = _asphalt(u + 300, v, color, footprint, scene.style)
    coverage = np.zeros(len(u), np.float32)
    for number in np.unique(style):
        rows = np.flatnonzero(style == number)
        way = scene.network.ways[int(number)]
        marks = _bays if way.carpark else _street if way.junction is not None else _cross_street
        coverage[rows] = marks(scene, way, u[rows], v[rows], footprint[rows], grazing[rows])
    worn = smoothstep(0.05, 0.55, sample(tile(7, 0.8), u * 6, v * 9) + 0.42 - scene.style["wear"] * 0.6)
    share = (coverage * (0.35 + 0.5 * worn))[:, None]
    return albedo * (1 - share) + WHITE * share, coverage


def _street(scene: Scene, way: Arm, u: np.ndarray, v: np.ndarray, across: np.ndarray, along: np.ndarray) -> np.ndarray:
    """Centre line, stop or give-way line, crossing and edge lines of a side street."""
    assert way.junction is not None
    lines = (
        band(v, 0.0, 0.12, across)
        * dashes(u - way.stop, 6.0, 2.5, along)
        * interval(u, way.stop + 0.6, way.end - 11.0, along)
    )
    # One drives towards the main road at v of the other sign than the drive side.
    incoming = interval(v * -scene.road.drive_side, 0.15, way.half - 0.1, across)
    if way.junction.signalled or way.junction.stop_sign:
        lines = np.maximum(lines, band(u, way.stop, 0.4, along) * incoming)
    else:
        lines = np.maximum(lines, band(u, way.stop, 0.45, along) * incoming * dashes(v, 0.75, 0.45, across))
    if way.junction.signalled:
        low, high = way.zebra
        reach = way.junction.opening(u - way.kerb) - 0.15
        inside = np.clip((reach - np.abs(v)) / across + 0.5, 0, 1)
        zebra = interval(u, low, high, along) * dashes(v + 0.25, 1.0, 0.5, across) * inside
        lines = np.maximum(lines, zebra)
    return lines.astype(np.float32)


def _bays(scene: Scene, way: Arm, u: np.ndarray, v: np.ndarray, across: np.ndarray, along: np.ndarray) -> np.ndarray:
    """Lines between the bays of a car park, and a give-way line where one leaves it."""
    reach, (width, depth) = way.bays * BAY_M[0] / 2, BAY_M
    between = dashes(v + reach + 0.05, width, 0.1, across)
    near = interval(u, way.end + 0.1, way.end + depth, along) * (np.abs(v) > way.bay_gap - 0.06)
    far = interval(u, way.end + way.depth - depth, way.end + way.depth - 0.1, along)
    lines = between * np.maximum(near, far) * (np.abs(v) < reach - 0.1)
    incoming = interval(v * -scene.road.drive_side, 0.15, way.half - 0.1, across)
    leave = band(u, way.stop, 0.3, along) * incoming * dashes(v, 0.75, 0.45, across)
    return np.maximum(lines, leave).astype(np.float32)


def _cross_street(
    scene: Scene, way: Arm, u: np.ndarray, v: np.ndarray, across: np.ndarray, along: np.ndarray
) -> np.ndarray:
    """Dashed line along the street at an end of the main road."""
    middle = (way.ring[0, 0] + way.ring[2, 0]) / 2
    return (band(u, middle, 0.12, along) * dashes(v, 6.0, 2.5, across) * (np.abs(v) > 14)).astype(np.float32)


def paving(scene: Scene, uv: np.ndarray, color: np.ndarray, style: np.ndarray, footprint: np.ndarray) -> np.ndarray:
    """Slabs with joints."""
    s, d = uv[:, 0], uv[:, 1]
    size = np.where(style == 2, 2.0, scene.style["paving"])
    cell_s, cell_d = np.floor(s / size), np.floor(d / size + 0.5 * np.mod(np.floor(s / size), 2))
    tone_ = 0.9 + 0.2 * hash01(cell_s, cell_d, 11)
    joint = np.minimum(np.mod(s / size, 1), np.mod(d / size + 0.5 * np.mod(cell_s, 2), 1)) * size
    detail = np.clip(0.02 / np.maximum(footprint, 1e-4), 0, 1)
    dirt = sample(tile(5, 1.1), s * 6, d * 6)
    grain = nearest(tile(3, 0.3), s * 40, d * 40) - 0.5
    level = (
        1
        + (tone_ - 1) * np.maximum(detail, 0.4)
        - 0.35 * (joint < 0.02) * detail
        + 0.5 * (dirt - 0.5)
        + 0.2 * grain * detail
    )
    return color * level[:, None]


def grass(scene: Scene, points: np.ndarray, color: np.ndarray, footprint: np.ndarray) -> np.ndarray:
    """Grown or bare ground at ``(N, 3)`` global points."""
    x, y = points[:, 0], points[:, 1]
    broad = sample(tile(6, 1.6), x * 2.3, y * 2.3)
    patch = sample(tile(5, 1.1), x * 9, y * 9)
    blades = nearest(tile(3, 0.3), x * 30, y * 30) - 0.5
    fine = np.clip(0.06 / np.maximum(footprint, 1e-4), 0.15, 1)
    level = 0.55 + 0.6 * broad + 0.45 * (patch - 0.3) + 0.75 * blades * fine
    dry = smoothstep(0.55, 0.85, patch * 0.6 + broad * 0.4)[:, None]
    tint = color * (1 - dry) + np.array([0.17, 0.135, 0.07], np.float32) * dry
    return tint * np.maximum(level, 0.2)[:, None]
