"""Meshes of motorcycles, trailers, excavators, cones and barriers. Local frame: x forward, y left, z up."""

from __future__ import annotations

import itertools

import numpy as np

from perception.world.mesh import Material, Mesh, Surface, merge
from perception.world.people import Look
from perception.world.shapes import box, ellipsoid, loft, quads, tube
from perception.world.vehicles import PAINTS, RUBBER, TRIM

YELLOW, ORANGE = (0.72, 0.40, 0.015), (0.80, 0.13, 0.01)
MOTORCYCLE, TRAILER = "vehicle.motorcycle", "vehicle.trailer"
DIGGER, CONE, BARRIER = "vehicle.construction", "movable_object.trafficcone", "movable_object.barrier"


def motorcycle(rng: np.random.Generator, rider: Look | None) -> Mesh:
    """A motorcycle or scooter, with its rider or parked."""
    paint = np.array(PAINTS[int(rng.integers(len(PAINTS)))])

    def part(color: tuple[float, ...] | np.ndarray, material: Material = Material.PLAIN) -> Surface:
        return Surface(material, "motorcycle", color, MOTORCYCLE)

    black, steel, body = part(TRIM), part((0.35, 0.35, 0.36)), part(paint, Material.PAINT)
    meshes = []
    for x in (-0.68, 0.70):
        angle = np.linspace(0, 2 * np.pi, 15)
        rim = np.stack([x + 0.27 * np.cos(angle), 0 * angle, 0.315 + 0.27 * np.sin(angle)], axis=1)
        meshes += [tube(a, b, 0.048, sides=6).mesh(part(RUBBER)) for a, b in itertools.pairwise(rim)]
        meshes.append(tube((x, -0.03, 0.315), (x, 0.03, 0.315), 0.20, sides=12).mesh(steel))
    for sign in (1, -1):
        meshes.append(tube((0.70, sign * 0.08, 0.31), (0.46, sign * 0.08, 0.95), 0.026, sides=6).mesh(steel))
        meshes.append(tube((0.42, 0, 1.0), (0.36, sign * 0.36, 1.04), 0.016, sides=5).mesh(black))
        meshes.append(tube((-0.68, sign * 0.09, 0.31), (-0.1, sign * 0.09, 0.42), 0.03, sides=6).mesh(black))
        meshes.append(tube((0.38, sign * 0.26, 1.02), (0.40, sign * 0.31, 1.14), 0.012, sides=4).mesh(black))
        meshes.append(ellipsoid((0.40, sign * 0.31, 1.17), (0.02, 0.07, 0.045), 1).mesh(black))
    meshes += [
        box((0.0, 0, 0.42), (0.50, 0.30, 0.34)).mesh(steel),
        ellipsoid((0.16, 0, 0.80), (0.30, 0.16, 0.16)).mesh(body),
        ellipsoid((0.48, 0, 0.86), (0.16, 0.17, 0.22)).mesh(body),
        ellipsoid((-0.32, 0, 0.77), (0.38, 0.15, 0.08)).mesh(black),
        ellipsoid((-0.66, 0, 0.78), (0.20, 0.10, 0.10)).mesh(body),
        tube((-0.55, -0.19, 0.36), (-0.98, -0.19, 0.46), 0.05, sides=8).mesh(steel),
        tube((0.60, 0, 0.88), (0.65, 0, 0.88), 0.085, sides=10).mesh(Surface(
            Material.LIGHT, "motorcycle", (0.75, 0.76, 0.78), MOTORCYCLE)),
        box((-0.87, 0, 0.78), (0.04, 0.16, 0.07)).mesh(Surface(
            Material.LIGHT, "motorcycle", (0.42, 0.012, 0.01), MOTORCYCLE, style=1)),
    ]  # fmt: skip
    if rider is not None:
        meshes += _rider(rider)
    return merge(meshes)


def _rider(look: Look) -> list[Mesh]:
    h, g = min(look.height, 1.8), look.girth

    def cloth(color: tuple[float, ...]) -> Surface:
        return Surface(Material.PLAIN, "rider", color, MOTORCYCLE, style=1)

    top, bottom, dark = cloth(look.top), cloth(look.bottom), cloth((0.02, 0.02, 0.02))
    hip, shoulder = np.array([-0.30, 0, 0.90]), np.array([-0.10, 0, 0.92 + 0.29 * h])
    meshes = [
        tube(hip, shoulder, 0.105 * h * g, 0.11 * h * g, 9).mesh(top),
        ellipsoid(shoulder, (0.08 * h * g, 0.125 * h * g, 0.065 * h)).mesh(top),
        ellipsoid(shoulder + [0.05, 0, 0.15 * h], (0.135, 0.12, 0.14)).mesh(
            Surface(Material.PAINT, "rider", look.top[::-1], MOTORCYCLE)
        ),
        box(shoulder + [0.16, 0, 0.155 * h], (0.05, 0.17, 0.08)).mesh(dark),
    ]
    for sign in (1, -1):
        side = np.array([0, sign, 0])
        knee, foot = np.array([0.12, sign * 0.22, 0.72]), np.array([-0.10, sign * 0.22, 0.34])
        meshes.append(tube(hip + 0.10 * side, knee, 0.058 * h * g, 0.045 * h, 7).mesh(bottom))
        meshes.append(tube(knee, foot, 0.045 * h, 0.032 * h, 7).mesh(bottom))
        meshes.append(box(foot + [0.05, 0, -0.02], (0.26, 0.10, 0.08)).mesh(dark))
        joint, hand = shoulder + 0.115 * h * g * side, np.array([0.36, sign * 0.34, 1.06])
        elbow = (joint + hand) / 2 + [-0.04, sign * 0.08, -0.07]
        meshes.append(tube(joint, elbow, 0.034 * h, 0.029 * h, 6).mesh(top))
        meshes.append(tube(elbow, hand, 0.028 * h, 0.022 * h, 6).mesh(top))
    return meshes


def _wheels(positions: list[float], half: float, radius: float, category: str) -> list[Mesh]:
    meshes = []
    for x, sign in itertools.product(positions, (1, -1)):
        tyre = tube((x, sign * (half - 0.22), radius), (x, sign * half, radius), radius, sides=14)
        mesh = tyre.mesh(Surface(Material.PLAIN, "truck", RUBBER, category))
        mesh.material[28:] = Material.WHEEL
        meshes.append(mesh)
    return meshes


def trailer(rng: np.random.Generator) -> Mesh:
    """A box trailer on two axles, or a low one that carries building material, with its drawbar."""
    covered = rng.random() < 0.5
    length, width, floor = float(rng.uniform(3.4, 4.6)), float(rng.uniform(1.9, 2.1)), 0.62
    steel = Surface(Material.PLAIN, "truck", (0.16, 0.165, 0.17), TRAILER)
    side = Surface(Material.PAINT, "truck", np.array((0.62, 0.62, 0.60)) * rng.uniform(0.6, 1.15), TRAILER)
    meshes = [box((0, 0, floor), (length, width, 0.12)).mesh(steel)]
    if covered:
        meshes.append(box((0, 0, floor + 0.95), (length, width, 1.8)).mesh(side))
        meshes += [box((x, s * width / 2, floor + 0.95), (0.05, 0.04, 1.82)).mesh(steel)
                   for x in np.linspace(-length / 2, length / 2, 4) for s in (1, -1)]  # fmt: skip
    else:
        meshes += [box((0, s * (width / 2 - 0.02), floor + 0.26), (length, 0.05, 0.42)).mesh(side) for s in (1, -1)]
        meshes += [box((s * (length / 2 - 0.02), 0, floor + 0.26), (0.05, width, 0.42)).mesh(side) for s in (1, -1)]
        wood = Surface(Material.PLAIN, "truck", (0.38, 0.25, 0.12), TRAILER)
        meshes += [box((0, y, floor + 0.2 + 0.1 * k), (length * 0.9, 0.24, 0.08)).mesh(wood)
                   for k in range(3) for y in (-0.5, -0.2, 0.12)]  # fmt: skip
    meshes += [tube((length / 2 - 0.1, s * 0.5, 0.5), (length / 2 + 0.95, 0, 0.46), 0.045, sides=6).mesh(steel)
               for s in (1, -1)]  # fmt: skip
    meshes.append(tube((length / 2 + 0.85, 0, 0.0), (length / 2 + 0.85, 0, 0.5), 0.035, sides=6).mesh(steel))
    red = Surface(Material.LIGHT, "truck", (0.42, 0.012, 0.01), TRAILER, style=1)
    meshes += [box((-length / 2 - 0.03, s * width * 0.42, floor), (0.05, 0.25, 0.12)).mesh(red) for s in (1, -1)]
    return merge([*meshes, *_wheels([-0.42, 0.36], width / 2 + 0.02, 0.33, TRAILER)])


def excavator(rng: np.random.Generator) -> Mesh:
    """A compact tracked excavator with its arm folded forward."""
    paint = np.array(YELLOW) * rng.uniform(0.85, 1.1)
    body = Surface(Material.PAINT, "truck", paint, DIGGER)
    dark = Surface(Material.PLAIN, "truck", (0.03, 0.03, 0.03), DIGGER)
    glass = Surface(Material.GLASS, "truck", (0.05, 0.06, 0.07), DIGGER)
    steel = Surface(Material.PLAIN, "truck", (0.22, 0.21, 0.20), DIGGER)
    meshes: list[Mesh] = []
    for sign in (1, -1):
        outline = np.array([(-1.35, 0.12), (-1.15, 0.0), (1.15, 0.0), (1.35, 0.12), (1.35, 0.5), (1.15, 0.66),
                            (-1.15, 0.66), (-1.35, 0.5)])  # fmt: skip
        y0, y1 = sign * 0.62, sign * 1.04
        sections = np.stack(
            [np.stack([outline[:, 0], np.full(8, y), outline[:, 1]], axis=1) for y in sorted((y0, y1), reverse=True)]
        )
        meshes.append(loft(sections).mesh(dark, crease_deg=30))
        for x in np.linspace(-0.95, 0.95, 5):
            meshes.append(tube((x, y0, 0.3), (x, sign * 1.06, 0.3), 0.15, sides=10).mesh(steel))
    meshes += [
        box((0, 0, 0.55), (1.7, 1.3, 0.35)).mesh(dark),
        tube((0, 0, 0.65), (0, 0, 0.85), 0.62, sides=14).mesh(dark),
        box((-0.55, 0, 1.25), (1.7, 2.0, 0.85)).mesh(body),
        box((-1.30, 0, 1.22), (0.35, 1.9, 0.95)).mesh(dark),
        box((0.30, 0.52, 1.72), (1.25, 0.92, 1.65)).mesh(glass),
        box((0.30, 0.52, 2.58), (1.36, 1.0, 0.1)).mesh(body),
        box((0.30, -0.45, 1.05), (1.2, 0.9, 0.45)).mesh(body),
    ]
    for x, y in itertools.product((-0.3, 0.92), (0.08, 0.97)):
        meshes.append(box((x, y, 1.75), (0.07, 0.07, 1.65)).mesh(body))
    y = -0.30
    joints = [(0.75, 1.15), (1.75, 2.75), (2.75, 2.15), (2.55, 0.75)]
    for (x0, z0), (x1, z1), thick in zip(joints[:-1], joints[1:], (0.17, 0.14, 0.11), strict=True):
        meshes.append(tube((x0, y, z0), (x1, y, z1), thick, thick * 0.85, 6).mesh(body))
    meshes.append(tube((1.0, y, 1.05), (1.6, y, 2.15), 0.06, sides=6).mesh(steel))
    meshes.append(tube((1.7, y, 2.95), (2.6, y, 2.45), 0.055, sides=6).mesh(steel))
    bucket = np.array([(2.25, 0.75), (2.2, 0.25), (2.5, 0.08), (2.9, 0.2), (2.8, 0.7)])
    sections = np.stack([np.stack([bucket[:, 0], np.full(5, v), bucket[:, 1]], axis=1) for v in (y - 0.4, y + 0.4)])
    meshes.append(loft(sections).mesh(steel))
    return merge(meshes)


def cone() -> Mesh:
    """A traffic cone of 0.75 m with a reflecting band."""
    orange = Surface(Material.PLAIN, "ignore", ORANGE, CONE)
    white = Surface(Material.SIGN, "ignore", (0.75, 0.75, 0.73), CONE, style=10)
    return merge(
        [
            box((0, 0, 0.02), (0.40, 0.40, 0.04)).mesh(Surface(Material.PLAIN, "ignore", (0.05, 0.05, 0.05), CONE)),
            tube((0, 0, 0.04), (0, 0, 0.34), 0.15, 0.105, 12).mesh(orange),
            tube((0, 0, 0.34), (0, 0, 0.54), 0.105, 0.073, 12).mesh(white),
            tube((0, 0, 0.54), (0, 0, 0.75), 0.073, 0.035, 12).mesh(orange),
        ]
    )


def barrier(kind: int) -> Mesh:
    """A barrier 2 m long across x: plastic, filled with water (0), or a board on feet with red and white stripes."""
    if kind == 0:
        tint = Surface(Material.PLAIN, "ignore", ORANGE, BARRIER)
        outline = np.array([(-0.24, 0.0), (0.24, 0.0), (0.24, 0.22), (0.11, 0.42), (0.08, 0.95), (-0.08, 0.95),
                            (-0.11, 0.42), (-0.24, 0.22)])  # fmt: skip
        ends = [np.stack([outline[:, 0], np.full(8, y), outline[:, 1]], axis=1) for y in (1.0, -1.0)]
        shapes = [loft(np.stack(ends)).mesh(tint)]
        pale = Surface(Material.PLAIN, "ignore", (0.75, 0.74, 0.72), BARRIER)
        return merge([*shapes, *(box((0, y, 0.6), (0.26, 0.3, 0.12)).mesh(pale) for y in (-0.6, 0.0, 0.6))])
    foot = Surface(Material.PLAIN, "ignore", (0.06, 0.06, 0.06), BARRIER)
    meshes = [box((0, y, 0.06), (0.7, 0.2, 0.12)).mesh(foot) for y in (-0.75, 0.75)]
    meshes += [box((0, y, 0.5), (0.05, 0.06, 0.9)).mesh(foot) for y in (-0.75, 0.75)]
    for z in (0.42, 0.88):
        for k in range(8):
            y0, lean = -1.0 + 0.25 * k, 0.08
            for x, flip in ((-0.03, 1), (0.03, -1)):
                low, high = z - 0.1, z + 0.1
                corners = [(x, y0 + 0.25, low), (x, y0, low), (x, y0 + lean, high), (x, y0 + 0.25 + lean, high)]
                if k == 7:
                    corners = [(x, min(c[1], 1.0), c[2]) for c in corners]
                color = (0.60, 0.02, 0.02) if k % 2 else (0.78, 0.78, 0.76)
                board = Surface(Material.SIGN, "ignore", color, BARRIER, style=10)
                meshes.append(quads(np.array([corners[::flip]])).mesh(board))
    return merge(meshes)
