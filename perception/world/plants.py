"""Meshes of trees, bushes and hedges: trunks, and crowns of many small leaf clusters."""

from __future__ import annotations

import numpy as np

from perception.world.mesh import Material, Mesh, Surface, merge
from perception.world.shapes import Shape, ellipsoid, tube

LEAVES = (
    (0.11, 0.18, 0.035), (0.085, 0.155, 0.04), (0.15, 0.21, 0.045), (0.075, 0.125, 0.04), (0.18, 0.20, 0.045),
    (0.30, 0.18, 0.035), (0.095, 0.17, 0.07),
)  # fmt: skip
BARK = (0.11, 0.085, 0.065)


def _leaf_cards(
    rng: np.random.Generator,
    centers: np.ndarray,
    radii: np.ndarray,
    count: int,
    size: float,
    color: np.ndarray,
    style: int,
) -> Mesh:
    """Triangles scattered near the surfaces of ``(C, 3)`` ellipsoids, shaded as if they were those surfaces."""
    volume = radii.prod(axis=1) ** (2 / 3)
    owner = rng.choice(len(centers), size=count, p=volume / volume.sum())
    direction = rng.standard_normal((count, 3))
    direction /= np.linalg.norm(direction, axis=1, keepdims=True)
    depth = rng.uniform(0.72, 1.06, (count, 1))
    position = centers[owner] + direction * radii[owner] * depth
    tilt = rng.standard_normal((count, 3, 3))
    corners = position[:, None] + size * rng.uniform(0.6, 1.3, (count, 1, 1)) * tilt / np.linalg.norm(
        tilt, axis=2, keepdims=True
    )
    faces = np.arange(count * 3).reshape(count, 3)
    normals = direction / radii[owner]
    normals = normals / np.linalg.norm(normals, axis=1, keepdims=True) + rng.normal(0, 0.28, (count, 3))
    normals /= np.linalg.norm(normals, axis=1, keepdims=True)
    shape = Shape(corners.reshape(-1, 3), faces, np.zeros((count, 3, 2)), np.repeat(normals[:, None], 3, axis=1))
    mesh = shape.mesh(Surface(Material.LEAF, "vegetation", color, style=style))
    # Clusters deep inside and low in the crown are darker: light does not reach them.
    low, high = position[:, 2].min(), position[:, 2].max()
    shade = (0.55 + 0.45 * (depth[:, 0] - 0.72) / 0.34) * (0.75 + 0.35 * (position[:, 2] - low) / (high - low + 1e-6))
    mesh.color = mesh.color * (shade * rng.uniform(0.75, 1.25, count))[:, None].astype(np.float32)
    return mesh


def deciduous(rng: np.random.Generator, height: float, leaf: np.ndarray, cards: int = 1500) -> Mesh:
    """A broad-leaved tree of a height in metres."""
    trunk_top = height * rng.uniform(0.32, 0.42)
    radius = 0.018 * height + 0.04
    bark = Surface(Material.BARK, "vegetation", np.array(BARK) * rng.uniform(0.7, 1.4))
    lean = rng.normal(0, 0.02, 2) * height
    fork = np.array([lean[0], lean[1], trunk_top])
    meshes = [tube((0, 0, -0.05), fork, radius, radius * 0.7, 8).mesh(bark)]
    clumps = int(rng.integers(7, 12))
    spread = height * rng.uniform(0.20, 0.30)
    angle = np.arange(clumps) * 2.4 + rng.uniform(0, 6)
    reach = spread * np.sqrt(rng.uniform(0.05, 1.0, clumps))
    level = rng.uniform(0.48, 0.86, clumps) * height
    centers = np.stack([fork[0] + reach * np.cos(angle), fork[1] + reach * np.sin(angle), level], axis=1)
    centers[0] = [fork[0], fork[1], 0.8 * height]
    size = height * rng.uniform(0.12, 0.19, clumps)
    radii = np.stack([size, size, size * rng.uniform(0.7, 0.95, clumps)], axis=1)
    for center in centers[: min(clumps, 7)]:
        meshes.append(tube(fork - [0, 0, 0.15 * trunk_top], center, radius * 0.45, radius * 0.15, 5).mesh(bark))
    core = Surface(Material.LEAF, "vegetation", leaf * 0.35)
    meshes += [ellipsoid(center, r * 0.62, 1).mesh(core) for center, r in zip(centers, radii, strict=True)]
    meshes.append(_leaf_cards(rng, centers, radii, cards, 0.022 * height + 0.07, leaf, 0))
    return merge(meshes)


def conifer(rng: np.random.Generator, height: float, leaf: np.ndarray, cards: int = 1300) -> Mesh:
    """A needle tree of a height in metres."""
    bark = Surface(Material.BARK, "vegetation", np.array(BARK) * 0.8)
    meshes = [tube((0, 0, -0.05), (0, 0, height * 0.95), 0.016 * height + 0.03, 0.02, 7).mesh(bark)]
    levels = np.linspace(0.16, 0.95, 9)
    breadth = height * rng.uniform(0.17, 0.24)
    centers, radii = [], []
    for level in levels:
        reach = breadth * (1.02 - level) ** 0.9
        for k in range(1 if level > 0.8 else 4):
            angle = k * np.pi / 2 + level * 9
            centers.append([0.45 * reach * np.cos(angle), 0.45 * reach * np.sin(angle), level * height])
            radii.append([0.62 * reach + 0.06, 0.62 * reach + 0.06, 0.075 * height])
    core = Surface(Material.LEAF, "vegetation", leaf * 0.3)
    meshes.append(tube((0, 0, 0.14 * height), (0, 0, 0.97 * height), breadth * 0.6, 0.03, 9).mesh(core))
    meshes.append(_leaf_cards(rng, np.array(centers), np.array(radii), cards, 0.02 * height + 0.05, leaf, 0))
    return merge(meshes)


def bush(rng: np.random.Generator, leaf: np.ndarray, cards: int = 260) -> Mesh:
    """A garden bush about a metre across."""
    count = int(rng.integers(2, 5))
    centers = np.concatenate([rng.uniform(-0.35, 0.35, (count, 2)), rng.uniform(0.3, 0.55, (count, 1))], axis=1)
    radii = rng.uniform(0.32, 0.55, (count, 3))
    core = Surface(Material.LEAF, "vegetation", leaf * 0.4)
    meshes = [ellipsoid(center, r * 0.8, 1).mesh(core) for center, r in zip(centers, radii, strict=True)]
    meshes.append(_leaf_cards(rng, centers, radii, cards, 0.10, leaf, 0))
    return merge(meshes)


def hedge(rng: np.random.Generator, length: float, height: float, leaf: np.ndarray) -> Mesh:
    """A clipped hedge along x, from 0 to ``length``."""
    count = max(2, int(length / 0.7))
    x = (np.arange(count) + 0.5) * length / count
    centers = np.stack([x, np.zeros(count), np.full(count, height / 2)], axis=1)
    radii = np.tile([0.55, 0.32, height * 0.52], (count, 1))
    core = Surface(Material.LEAF, "vegetation", leaf * 0.5)
    meshes = [ellipsoid(center, r * 0.93, 1).mesh(core) for center, r in zip(centers, radii, strict=True)]
    meshes.append(_leaf_cards(rng, centers, radii, 90 * count, 0.09, leaf, 0))
    return merge(meshes)
