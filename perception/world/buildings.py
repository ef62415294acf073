"""Meshes of buildings. Local frame: x along the street, y away from it, origin at the middle of the front's foot."""

from __future__ import annotations

import numpy as np

from perception.world.mesh import Material, Mesh, Surface, merge
from perception.world.shapes import Shape, box, boxes, prism, quads

WALLS = {
    "plaster": ((0.62, 0.58, 0.50), (0.70, 0.68, 0.63), (0.55, 0.47, 0.36), (0.60, 0.50, 0.42), (0.48, 0.50, 0.50),
    (0.66, 0.60, 0.42), (0.50, 0.36, 0.28), (0.42, 0.46, 0.38)),
    "brick": ((0.30, 0.12, 0.075), (0.36, 0.17, 0.10), (0.26, 0.15, 0.11), (0.42, 0.30, 0.20), (0.22, 0.10, 0.08)),
    "glass": ((0.10, 0.13, 0.16), (0.08, 0.11, 0.11), (0.16, 0.17, 0.18)),
    "metal": ((0.50, 0.52, 0.53), (0.32, 0.36, 0.40), (0.56, 0.52, 0.45), (0.22, 0.30, 0.36)),
}  # fmt: skip
FACADE_COLUMNS = (
    "floor_height", "pitch", "window_width", "window_height", "sill", "kind", "shop", "frame", "tone", "seed",
    "ground_floor", "height",
)  # fmt: skip
"""Columns of a scene's facade table; a wall's ``style`` is its row."""
KINDS = ("plaster", "brick", "glass", "metal")
ROOFS = ((0.20, 0.08, 0.05), (0.10, 0.095, 0.09), (0.13, 0.085, 0.06), (0.26, 0.12, 0.07), (0.075, 0.08, 0.09))


def facade_row(rng: np.random.Generator, kind: str, height: float, shop: bool) -> list[float]:
    """Random window layout of a wall."""
    floor = float(rng.uniform(2.9, 3.7))
    pitch = float(rng.uniform(1.9, 3.6)) if kind != "glass" else float(rng.uniform(1.2, 1.9))
    width = pitch * float(rng.uniform(0.36, 0.62) if kind != "glass" else 0.93)
    tall = floor * float(rng.uniform(0.42, 0.62) if kind != "glass" else rng.uniform(0.62, 0.9))
    if kind == "metal":
        pitch, width, tall = 5.0, float(rng.choice([0.0, 3.2])), 0.9
    sill = (floor - tall) * 0.55
    ground = float(rng.uniform(3.6, 4.4)) if shop else 0.0
    frame = float(rng.choice([0.08, 0.5, 0.75]))
    return [floor, pitch, width, tall, sill, float(KINDS.index(kind)), float(shop), frame, float(rng.uniform(0.5, 1.4)),
            float(rng.integers(1 << 16)), ground, height]  # fmt: skip


def _footprint(width: float, depth: float) -> np.ndarray:
    return np.array([(-width / 2, 0), (width / 2, 0), (width / 2, depth), (-width / 2, depth)], float)


def block(
    rng: np.random.Generator, width: float, depth: float, height: float, kind: str, shop: bool, facades: list
) -> Mesh:
    """A flat-roofed building; its window layout is appended to ``facades``."""
    colors = WALLS[kind]
    wall_color = np.array(colors[int(rng.integers(len(colors)))]) * rng.uniform(0.8, 1.12)
    facades.append(facade_row(rng, kind, height, shop))
    row = facades[-1]
    wall = Surface(Material.FACADE, "building", wall_color, style=len(facades) - 1)
    roof = Surface(Material.ROOF, "building", (0.22, 0.22, 0.22))
    walls, top = prism(_footprint(width, depth), 0.0, height)
    meshes = [walls.mesh(wall), top.mesh(roof)]
    plain = Surface(Material.PLAIN, "building", wall_color * rng.uniform(0.7, 1.25))
    if rng.random() < 0.7 and kind != "glass":
        band = float(rng.uniform(0.25, 0.6))
        meshes.append(box((0, depth / 2, height + band / 2 - 0.1), (width + 0.3, depth + 0.3, band)).mesh(plain))
    if rng.random() < 0.6 and height > 9:
        place = (float(rng.uniform(-width / 4, width / 4)), depth * 0.5, height + 1.2)
        meshes.append(
            box(place, (width * 0.3, depth * 0.3, 2.6)).mesh(Surface(Material.PLAIN, "building", wall_color * 0.8))
        )
    if kind in ("plaster", "brick") and height > 8 and rng.random() < 0.35:
        meshes.append(_balconies(rng, width, height, row))
    if shop:
        tint = np.array(rng.choice([0.03, 0.12, 0.35, 0.5], 3))
        sign = box((0, -0.06, row[10] - 0.42), (width * 0.94, 0.12, 0.62))
        meshes.append(sign.mesh(Surface(Material.SIGN, "building", tint, style=9)))
        if rng.random() < 0.6:
            meshes.append(
                _awning(width * 0.8, row[10] - 0.75).mesh(Surface(Material.PLAIN, "building", tint[::-1], style=2))
            )
    return merge(meshes)


def _awning(width: float, z: float) -> Shape:
    half = width / 2
    corners = [[(-half, -1.25, z - 0.45), (half, -1.25, z - 0.45), (half, 0, z), (-half, 0, z)]]
    corners.append(
        [(-half, -1.25, z - 0.65), (half, -1.25, z - 0.65), (half, -1.25, z - 0.45), (-half, -1.25, z - 0.45)]
    )
    return quads(np.array(corners))


def _balconies(rng: np.random.Generator, width: float, height: float, row: list[float]) -> Mesh:
    floor, pitch, ground = row[0], row[1], row[10]
    base = ground if ground > 0 else floor
    columns = np.arange(0.5, width / pitch - 0.5, 1.0)[:: int(rng.integers(1, 4))] * pitch - width / 2
    levels = np.arange(base, height - 2.2, floor)
    if not len(columns) or not len(levels):
        columns, levels = np.array([0.0]), np.array([base])
    x, z = (grid.ravel() for grid in np.meshgrid(columns, levels))
    slab = np.stack([x, np.full_like(x, -0.5), z + 0.05], axis=1)
    rail = np.stack([x, np.full_like(x, -0.98), z + 0.6], axis=1)
    width_each = min(pitch * 0.9, 2.4)
    meshes = [
        boxes(slab, np.tile([width_each, 1.0, 0.14], (len(x), 1))).mesh(
            Surface(Material.PLAIN, "building", (0.4, 0.4, 0.39))
        ),
        boxes(rail, np.tile([width_each, 0.05, 0.95], (len(x), 1))).mesh(
            Surface(Material.FENCE, "building", (0.12, 0.12, 0.12), style=1)
        ),
    ]
    return merge(meshes)


def house(rng: np.random.Generator, width: float, depth: float, storeys: int, facades: list) -> Mesh:
    """A gabled house with its ridge along or across the street."""
    kind = str(rng.choice(["plaster", "plaster", "brick"]))
    colors = WALLS[kind]
    color = np.array(colors[int(rng.integers(len(colors)))]) * rng.uniform(0.85, 1.15)
    eaves = storeys * 2.8 + 0.3
    facades.append(facade_row(rng, kind, eaves, False))
    facades[-1][0] = eaves / storeys
    wall = Surface(Material.FACADE, "building", color, style=len(facades) - 1)
    tile = Surface(
        Material.ROOF, "building", np.array(ROOFS[int(rng.integers(len(ROOFS)))]) * rng.uniform(0.8, 1.2), style=1
    )
    walls, _ = prism(_footprint(width, depth), 0.0, eaves)
    meshes = [walls.mesh(wall)]
    across = rng.random() < 0.4
    span, run = (width, depth) if across else (depth, width)
    rise, over = span / 2 * float(rng.uniform(0.55, 0.95)), 0.45
    ridge = eaves + rise
    slope = rise / (span / 2)
    low = eaves - over * slope

    def place(along: float, cross: float, z: float) -> tuple[float, float, float]:
        """``along`` the ridge from its middle, ``cross`` it from the ridge."""
        return (cross, along + depth / 2, z) if across else (along, cross + depth / 2, z)

    a, c = run / 2 + over, span / 2 + over
    for sign in (1, -1):
        for lift, flip in ((0.0, True), (0.14, False)):
            corners = [
                place(-a, sign * c, low + lift),
                place(a, sign * c, low + lift),
                place(a, 0, ridge + lift),
                place(-a, 0, ridge + lift),
            ]
            if (sign > 0) != across:
                corners = corners[::-1]
            slab = quads(np.array([corners[::-1] if flip else corners]))
            meshes.append(slab.mesh(tile))
        gable = np.array(
            [
                place(sign * run / 2, -span / 2, eaves),
                place(sign * run / 2, span / 2, eaves),
                place(sign * run / 2, 0, ridge),
            ]
        )
        gable_quad = np.stack([gable[0], gable[1], gable[2], gable[2]])
        uv = np.array([[0, eaves], [span, eaves], [span / 2, ridge], [span / 2, ridge]])
        meshes.append(
            quads(gable_quad[None], uv[None]).mesh(Surface(Material.FACADE, "building", color, style=len(facades) - 1))
        )
    if rng.random() < 0.6:
        stack = place(run * 0.25, span * 0.12, ridge)
        meshes.append(box(stack, (0.6, 0.6, 1.8)).mesh(Surface(Material.BRICK, "building", (0.26, 0.12, 0.09))))
    door = np.array(
        ((0.25, 0.05, 0.04), (0.04, 0.10, 0.16), (0.20, 0.12, 0.06), (0.6, 0.6, 0.58))[int(rng.integers(4))]
    )
    door_x = float(rng.uniform(-0.3, 0.3)) * width
    meshes.append(box((door_x, -0.02, 1.05), (1.0, 0.08, 2.1)).mesh(Surface(Material.PLAIN, "building", door)))
    meshes.append(box((door_x, -0.5, 2.45), (1.7, 1.0, 0.12)).mesh(tile))
    if rng.random() < 0.4:
        garage = float(np.sign(-door_x) or 1.0) * width * 0.28
        meshes.append(
            box((garage, -0.03, 1.1), (2.5, 0.1, 2.2)).mesh(
                Surface(Material.FENCE, "building", (0.55, 0.55, 0.53), style=2)
            )
        )
    return merge(meshes)
