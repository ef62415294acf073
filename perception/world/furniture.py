"""Meshes of what stands along a street: lamp posts, traffic lights, signs, fences, walls, benches, bins."""

from __future__ import annotations

import numpy as np

from perception.world.mesh import Material, Mesh, Surface, merge
from perception.world.shapes import box, boxes, quads, tube

STEEL = (0.20, 0.21, 0.22)


def lamp_post(height: float, arm: float, color: tuple[float, ...] = STEEL) -> Mesh:
    """A lamp post whose arm reaches along local -y, over the road."""
    pole = Surface(Material.PLAIN, "pole", color)
    lamp = Surface(Material.PLAIN, "pole", (0.42, 0.42, 0.42))
    bowl = Surface(Material.LIGHT, "pole", (0.5, 0.5, 0.48), style=3)
    return merge(
        [
            tube((0, 0, 0), (0, 0, 1.1), 0.11, sides=8).mesh(pole),
            tube((0, 0, 1.1), (0, 0, height), 0.075, 0.05, 8).mesh(pole),
            tube((0, 0, height - 0.05), (0, -arm, height + 0.25), 0.045, 0.035, 6).mesh(pole),
            box((0, -arm - 0.25, height + 0.22), (0.28, 0.75, 0.12)).mesh(lamp),
            box((0, -arm - 0.25, height + 0.145), (0.2, 0.6, 0.03)).mesh(bowl),
        ]
    )


def lamp_bowl(height: float, arm: float) -> tuple[float, float, float]:
    """Where the light of such a post leaves it, in its frame."""
    return 0.0, -arm - 0.25, height + 0.1


def utility_pole(height: float) -> Mesh:
    """A wooden pole with a cross-arm."""
    wood = Surface(Material.BARK, "pole", (0.12, 0.09, 0.065))
    return merge(
        [
            tube((0, 0, 0), (0, 0, height), 0.15, 0.11, 8).mesh(wood),
            box((0, 0, height - 0.6), (0.1, 2.0, 0.12)).mesh(wood),
        ]
    )


def fence(length: float, height: float, color: np.ndarray, style: int) -> Mesh:
    """A fence along x from 0: style 0 boards, 1 railings."""
    surface = Surface(Material.FENCE, "fence", color, style=style)
    count = max(2, int(length / 2.2) + 1)
    posts = [
        box((x, 0, height / 2 + 0.04), (0.1, 0.1, height + 0.08)).mesh(Surface(Material.PLAIN, "fence", color * 0.8))
        for x in np.linspace(0, length, count)
    ]
    low, high = (0.1, height) if style == 0 else (0.12, height - 0.02)
    corners = np.array([[(0, -0.015, low), (length, -0.015, low), (length, -0.015, high), (0, -0.015, high)]])
    back = corners[:, [1, 0, 3, 2]] * [1, -1, 1]
    if style == 0:
        return merge([*posts, quads(np.concatenate([corners, back])).mesh(surface)])
    x = np.arange(0.0, length, 0.14)
    bars = np.stack([x, np.zeros_like(x), np.full_like(x, height / 2)], axis=1)
    plain = Surface(Material.PLAIN, "fence", color)
    rails = [box((length / 2, 0, z), (length, 0.03, 0.04)).mesh(plain) for z in (0.15, height - 0.1)]
    return merge([*posts, *rails, boxes(bars, np.tile([0.022, 0.022, height - 0.1], (len(x), 1))).mesh(plain)])


def garden_wall(length: float, height: float, color: np.ndarray) -> Mesh:
    """A low brick wall along x from 0, with a coping."""
    return merge(
        [
            box((length / 2, 0, height / 2), (length, 0.22, height)).mesh(Surface(Material.BRICK, "wall", color)),
            box((length / 2, 0, height + 0.04), (length + 0.05, 0.3, 0.08)).mesh(
                Surface(Material.PLAIN, "wall", (0.42, 0.41, 0.39))
            ),
        ]
    )


def bench() -> Mesh:
    wood = Surface(Material.PLAIN, "ignore", (0.20, 0.11, 0.05), lidar="static.other")
    steel = Surface(Material.PLAIN, "ignore", (0.06, 0.06, 0.06), lidar="static.other")
    meshes = [box((0, y, 0.45), (1.6, 0.12, 0.04)).mesh(wood) for y in (-0.2, -0.05, 0.1)]
    meshes += [box((0, 0.22, z), (1.6, 0.04, 0.12)).mesh(wood) for z in (0.65, 0.82)]
    meshes += [box((x, 0, 0.23), (0.06, 0.45, 0.44)).mesh(steel) for x in (-0.65, 0.65)]
    return merge(meshes)


def bin_() -> Mesh:
    """A litter bin or bollard-sized cabinet."""
    return tube((0, 0, 0), (0, 0, 0.95), 0.24, 0.27, 10).mesh(
        Surface(Material.PLAIN, "ignore", (0.03, 0.07, 0.05), lidar="static.other")
    )


def shelter() -> Mesh:
    """A bus stop: a glazed shelter that opens to local -y."""
    steel = Surface(Material.PLAIN, "building", (0.12, 0.13, 0.14))
    glass = Surface(Material.GLASS, "building", (0.10, 0.13, 0.14))
    meshes = [box((0, 0.2, 2.45), (4.2, 1.5, 0.1)).mesh(steel), box((0, 0.85, 1.2), (4.0, 0.03, 1.9)).mesh(glass)]
    meshes += [box((x, 0.85, 1.2), (0.08, 0.08, 2.4)).mesh(steel) for x in (-2, -0.7, 0.7, 2)]
    meshes.append(
        box((-2, 0.35, 1.2), (0.08, 1.0, 1.9)).mesh(Surface(Material.SIGN, "building", (0.4, 0.1, 0.1), style=9))
    )
    meshes.append(box((0.3, 0.6, 0.5), (2.4, 0.35, 0.06)).mesh(steel))
    return merge(meshes)
