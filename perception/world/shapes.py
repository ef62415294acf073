"""Primitive shapes, with texture coordinates in metres."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np

from perception.world.mesh import Shape

Vector = Sequence[float] | np.ndarray


def quads(corners: np.ndarray, uv: np.ndarray | None = None) -> Shape:
    """Shape of ``(Q, 4, 3)`` quads, counter-clockwise seen from outside; ``uv`` is ``(Q, 4, 2)`` or made from
    edge lengths."""
    corners = np.asarray(corners, np.float64)
    count = len(corners)
    if uv is None:
        width = np.linalg.norm(corners[:, 1] - corners[:, 0], axis=1)
        height = np.linalg.norm(corners[:, 3] - corners[:, 0], axis=1)
        uv = np.zeros((count, 4, 2))
        uv[:, 1:3, 0] = width[:, None]
        uv[:, 2:4, 1] = height[:, None]
    base = np.arange(count)[:, None] * 4
    faces = np.concatenate([base + [0, 1, 2], base + [0, 2, 3]])
    uv = np.asarray(uv)
    return Shape(corners.reshape(-1, 3), faces, np.concatenate([uv[:, [0, 1, 2]], uv[:, [0, 2, 3]]]))


_BOX = np.array(
    [
        [[1, -1, -1], [1, 1, -1], [1, 1, 1], [1, -1, 1]],
        [[-1, 1, -1], [-1, -1, -1], [-1, -1, 1], [-1, 1, 1]],
        [[1, 1, -1], [-1, 1, -1], [-1, 1, 1], [1, 1, 1]],
        [[-1, -1, -1], [1, -1, -1], [1, -1, 1], [-1, -1, 1]],
        [[-1, -1, 1], [1, -1, 1], [1, 1, 1], [-1, 1, 1]],
        [[-1, 1, -1], [1, 1, -1], [1, -1, -1], [-1, -1, -1]],
    ],
    dtype=np.float64,
)


def box(center: Vector, size: Vector) -> Shape:
    """Axis-aligned box of ``size`` (x, y, z)."""
    return quads(_BOX * (np.asarray(size) / 2) + np.asarray(center))


def boxes(centers: np.ndarray, sizes: np.ndarray) -> Shape:
    """Many axis-aligned boxes: ``(N, 3)`` centres and sizes."""
    corners = _BOX[None] * (np.asarray(sizes)[:, None, None] / 2) + np.asarray(centers)[:, None, None]
    return quads(corners.reshape(-1, 4, 3))


def _cross(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Cross product of two vectors, without numpy's cost for general shapes."""
    return np.array([a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]])


@lru_cache(maxsize=32)
def _tube_topology(sides: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Unit circle, faces, uv (angle and share of the length along the side; the unit disc on the ends), and which
    of the circle's normals, ``-axis`` or ``axis`` each corner has."""
    angle = np.linspace(0, 2 * np.pi, sides + 1)
    circle = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    i = np.arange(sides)
    low, high, start, end = i, i + sides + 1, np.full(sides, 2 * sides + 2), np.full(sides, 2 * sides + 3)
    rows = [(low, low + 1, high + 1), (low, high + 1, high), (start, low + 1, low), (end, high, high + 1)]
    faces = np.concatenate([np.stack(row, axis=1) for row in rows])
    zero, one = np.zeros(sides), np.ones(sides)
    uv = np.concatenate(
        [
            np.stack([np.stack([angle[a], share], axis=1) for a, share in corners], axis=1)
            for corners in (((i, zero), (i + 1, zero), (i + 1, one)), ((i, zero), (i + 1, one), (i, one)))
        ]
        + [np.stack([0 * circle[i], circle[a], circle[b]], axis=1) for a, b in ((i + 1, i), (i, i + 1))]
    )
    down, up = np.full((sides, 3), sides + 1), np.full((sides, 3), sides + 2)
    normals = np.concatenate([np.stack([i, i + 1, i + 1], 1), np.stack([i, i + 1, i], 1), down, up])
    return circle, faces, uv, normals


def tube(start: Vector, end: Vector, radius: float, end_radius: float | None = None, sides: int = 8) -> Shape:
    """Round bar with flat ends, smooth around its axis: ``2 * sides`` triangles of the side, then the two ends."""
    start, end = np.asarray(start, np.float64), np.asarray(end, np.float64)
    end_radius = radius if end_radius is None else end_radius
    length = float(np.linalg.norm(end - start))
    axis = (end - start) / length
    helper = (1.0, 0.0, 0.0) if abs(axis[0]) < 0.9 else (0.0, 1.0, 0.0)
    x, y, z = axis
    hx, hy, hz = helper
    across = np.array([y * hz - z * hy, z * hx - x * hz, x * hy - y * hx])
    across /= np.sqrt(across @ across)
    ax, ay, az = across
    third = np.array([y * az - z * ay, z * ax - x * az, x * ay - y * ax])
    unit, faces, unit_uv, normal_of = _tube_topology(sides)
    circle = unit @ np.stack([across, third])  # (sides + 1, 3)
    vertices = np.concatenate([start + radius * circle, end + end_radius * circle, start[None], end[None]])
    uv = unit_uv.copy()
    uv[: 2 * sides] *= (max(radius, end_radius), length)
    return Shape(vertices, faces, uv, np.concatenate([circle, [-axis, axis]])[normal_of])


@lru_cache(maxsize=8)
def _icosphere(level: int) -> tuple[np.ndarray, np.ndarray]:
    golden = (1 + 5**0.5) / 2
    vertices = [(-1, golden, 0), (1, golden, 0), (-1, -golden, 0), (1, -golden, 0), (0, -1, golden), (0, 1, golden),
                (0, -1, -golden), (0, 1, -golden), (golden, 0, -1), (golden, 0, 1), (-golden, 0, -1), (-golden, 0,
                1)]  # fmt: skip
    faces = [(0, 11, 5), (0, 5, 1), (0, 1, 7), (0, 7, 10), (0, 10, 11), (1, 5, 9), (5, 11, 4), (11, 10, 2), (10, 7, 6),
             (7, 1, 8), (3, 9, 4), (3, 4, 2), (3, 2, 6), (3, 6, 8), (3, 8, 9), (4, 9, 5), (2, 4, 11), (6, 2, 10),
             (8, 6, 7), (9, 8, 1)]  # fmt: skip
    points = np.array(vertices, np.float64)
    triangles = np.array(faces)
    for _ in range(level):
        edges = np.sort(triangles[:, [[0, 1], [1, 2], [2, 0]]].reshape(-1, 2), axis=1)
        unique, inverse = np.unique(edges, axis=0, return_inverse=True)
        middle = inverse.reshape(-1, 3) + len(points)
        points = np.concatenate([points, points[unique].mean(axis=1)])
        a, b, c = triangles.T
        ab, bc, ca = middle.T
        triangles = np.concatenate(
            [np.stack(rows, axis=1) for rows in ((a, ab, ca), (b, bc, ab), (c, ca, bc), (ab, bc, ca))]
        )
        points /= np.linalg.norm(points, axis=1, keepdims=True)
    points /= np.linalg.norm(points, axis=1, keepdims=True)
    return points, triangles


def ellipsoid(center: Vector, radii: Vector, level: int = 1) -> Shape:
    """Smooth ellipsoid with ``20 * 4**level`` triangles."""
    unit, faces = _icosphere(level)
    radii = np.asarray(radii, np.float64)
    normals = unit / radii
    normals /= np.linalg.norm(normals, axis=1, keepdims=True)
    vertices = unit * radii + np.asarray(center)
    uv = np.stack([np.arctan2(unit[:, 1], unit[:, 0]), unit[:, 2]], axis=1)
    return Shape(vertices, faces, uv[faces], normals[faces])


def loft(sections: np.ndarray, capped: bool = True) -> Shape:
    """Skin over ``(S, P, 3)`` closed cross-sections of ``P`` points each, counter-clockwise seen against the
    direction of travel from the first section to the last."""
    sections = np.asarray(sections, np.float64)
    following = np.roll(sections, -1, axis=1)
    corners = np.stack([sections[:-1], following[:-1], following[1:], sections[1:]], axis=2).reshape(-1, 4, 3)
    shapes = [quads(corners)]
    if capped:
        for section, flip in ((sections[0], True), (sections[-1], False)):
            shapes.append(fan(section[::-1] if flip else section))
    return join(shapes)


def fan(polygon: np.ndarray) -> Shape:
    """Convex polygon ``(P, 3)``, counter-clockwise seen from outside; uv are its x and y."""
    index = np.arange(1, len(polygon) - 1)
    faces = np.stack([np.zeros_like(index), index, index + 1], axis=1)
    return Shape(polygon, faces, np.asarray(polygon)[:, :2][faces])


def prism(footprint: np.ndarray, low: float, high: float) -> tuple[Shape, Shape]:
    """Walls and roof over a counter-clockwise ``(P, 2)`` footprint; wall uv are (metres along, height)."""
    following = np.roll(footprint, -1, axis=0)
    length = np.linalg.norm(following - footprint, axis=1)
    offset = np.concatenate([[0.0], np.cumsum(np.ceil(length))[:-1]])
    count = len(footprint)

    def level(points: np.ndarray, z: float) -> np.ndarray:
        return np.concatenate([points, np.full((count, 1), z)], axis=1)

    corners = np.stack(
        [level(footprint, low), level(following, low), level(following, high), level(footprint, high)], axis=1
    )
    uv = np.zeros((count, 4, 2))
    uv[:, [0, 3], 0] = offset[:, None]
    uv[:, [1, 2], 0] = (offset + length)[:, None]
    uv[:, 2:, 1] = high - low
    return quads(corners, uv), fan(level(footprint, high))


def join(shapes: Sequence[Shape]) -> Shape:
    """One shape of many; normals are kept only where all have them."""
    offsets = np.cumsum([0] + [len(shape.vertices) for shape in shapes[:-1]])
    normals = None
    if all(shape.normals is not None for shape in shapes):
        normals = np.concatenate([shape.normals for shape in shapes if shape.normals is not None])
    return Shape(
        np.concatenate([shape.vertices for shape in shapes]),
        np.concatenate([shape.faces + offset for shape, offset in zip(shapes, offsets, strict=True)]),
        np.concatenate([shape.uv for shape in shapes]),
        normals,
    )


def ribbon(left: np.ndarray, right: np.ndarray, uv_left: np.ndarray, uv_right: np.ndarray) -> Shape:
    """Strip between two ``(N, 3)`` polylines, facing up when ``left`` is on the left."""
    corners = np.stack([right[:-1], right[1:], left[1:], left[:-1]], axis=1)
    uv = np.stack([uv_right[:-1], uv_right[1:], uv_left[1:], uv_left[:-1]], axis=1)
    return quads(corners, uv)
