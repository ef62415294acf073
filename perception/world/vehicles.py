"""Meshes of cars, vans, buses and trucks. Local frame: x forward, y left, z up, origin on the ground at the middle."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from perception.world.mesh import Material, Mesh, Surface, merge
from perception.world.shapes import box, fan, join, loft, prism, quads, tube

PAINTS = (
    (0.78, 0.78, 0.77), (0.80, 0.80, 0.80), (0.42, 0.43, 0.45), (0.16, 0.17, 0.18), (0.03, 0.03, 0.035),
    (0.025, 0.025, 0.03), (0.35, 0.03, 0.03), (0.05, 0.10, 0.28), (0.03, 0.05, 0.13), (0.12, 0.22, 0.20),
    (0.50, 0.46, 0.38), (0.22, 0.12, 0.07), (0.55, 0.30, 0.04), (0.30, 0.40, 0.50),
)  # fmt: skip
RUBBER = (0.018, 0.018, 0.02)
TRIM = (0.03, 0.03, 0.032)


@dataclass(frozen=True)
class CarStyle:
    """Proportions of a car body; x as shares of the length from the middle, heights in metres."""

    length: tuple[float, float]
    width: tuple[float, float]
    height: tuple[float, float]
    cabin_base: tuple[float, float]
    cabin_roof: tuple[float, float]
    nose: float
    belt: float
    tail: float


CAR_STYLES = {
    "sedan": CarStyle((4.4, 4.95), (1.76, 1.88), (1.42, 1.50), (-0.36, 0.20), (-0.21, 0.05), 0.72, 0.93, 0.98),
    "hatchback": CarStyle((3.8, 4.4), (1.70, 1.82), (1.45, 1.56), (-0.475, 0.23), (-0.38, 0.08), 0.74, 0.95, 0.93),
    "suv": CarStyle((4.4, 4.9), (1.82, 1.96), (1.62, 1.80), (-0.48, 0.20), (-0.43, 0.07), 0.92, 1.10, 1.08),
    "estate": CarStyle((4.5, 4.9), (1.78, 1.87), (1.45, 1.55), (-0.48, 0.19), (-0.42, 0.06), 0.73, 0.94, 0.94),
    "van": CarStyle((4.7, 5.4), (1.90, 2.02), (1.95, 2.35), (-0.49, 0.34), (-0.485, 0.22), 0.95, 1.18, 1.20),
}


def _wheel(x: float, y: float, radius: float, width: float, category: str, semantic: str) -> list[Mesh]:
    """A tyre with a rim on both sides; ``y`` is the outer face, its sign says which side the wheel is on."""
    inner = y - np.sign(y) * width
    shape = tube((x, inner, radius), (x, y, radius), radius, sides=14)
    mesh = shape.mesh(Surface(Material.PLAIN, semantic, RUBBER, category))
    caps = np.arange(len(mesh)) >= 28
    mesh.material[caps] = Material.WHEEL
    return [mesh]


def _wheels(
    positions: list[float], half_width: float, radius: float, width: float, category: str, semantic: str
) -> list[Mesh]:
    meshes = []
    for x in positions:
        for sign in (1, -1):
            meshes += _wheel(x, sign * half_width, radius, width, category, semantic)
    return meshes


def car(rng: np.random.Generator) -> Mesh:
    """A private car or small van."""
    style = CAR_STYLES[str(rng.choice(list(CAR_STYLES), p=[0.3, 0.26, 0.26, 0.09, 0.09]))]
    length, width, height = (float(rng.uniform(*limits)) for limits in (style.length, style.width, style.height))
    paint = np.array(PAINTS[int(rng.integers(len(PAINTS)))]) * rng.uniform(0.85, 1.1)
    half, category, semantic = width / 2, "vehicle.car", "car"
    painted = Surface(Material.PAINT, semantic, paint, category)
    trim = Surface(Material.PLAIN, semantic, TRIM, category)

    # (x / length, bottom, top, width share) from tail to nose
    stations = [
        (-0.50, 0.38, style.tail - 0.22, 0.84), (-0.485, 0.28, style.tail - 0.08, 0.94), (-0.44, 0.23, style.tail,
        0.985),
        (-0.25, 0.20, style.belt, 1.0), (0.0, 0.20, style.belt - 0.01, 1.0), (style.cabin_base[1], 0.20,
        style.belt, 1.0),
        (0.36, 0.21, (style.nose + style.belt) / 2 + 0.04, 0.985), (0.455, 0.24, style.nose, 0.93),
        (0.487, 0.28, style.nose - 0.07, 0.86), (0.50, 0.36, style.nose - 0.2, 0.76),
    ]  # fmt: skip
    stations.sort()
    sections = []
    for share, bottom, top, breadth in stations:
        y, middle = half * breadth, (bottom + top) / 2
        outline = [
            (-0.86 * y, bottom), (0.86 * y, bottom), (0.97 * y, bottom + 0.12), (y, middle + 0.02),
            (0.965 * y, top - 0.07), (0.86 * y, top), (-0.86 * y, top), (-0.965 * y, top - 0.07),
            (-y, middle + 0.02), (-0.97 * y, bottom + 0.12),
        ]  # fmt: skip
        sections.append([(share * length, py, pz) for py, pz in outline])
    meshes = [loft(np.array(sections)).mesh(painted, crease_deg=42)]

    def ring(rear: float, front: float, breadth: float, z: float) -> np.ndarray:
        x0, x1, y = rear * length, front * length, half * breadth
        return np.array([(x0, -y, z), (x1, -y, z), (x1, y, z), (x0, y, z)])

    belt, shoulder = style.belt - 0.03, height - 0.10
    mix = 0.9
    base = ring(*style.cabin_base, 0.93, belt)
    upper = ring(
        style.cabin_base[0] + mix * (style.cabin_roof[0] - style.cabin_base[0]),
        style.cabin_base[1] + mix * (style.cabin_roof[1] - style.cabin_base[1]), 0.78, shoulder,
    )  # fmt: skip
    crown = ring(style.cabin_roof[0] + 0.015, style.cabin_roof[1] - 0.03, 0.64, height)
    following = np.roll(base, -1, axis=0), np.roll(upper, -1, axis=0), np.roll(crown, -1, axis=0)
    unit = np.tile(np.array([[0, 0], [1, 0], [1, 1], [0, 1]], float), (4, 1, 1))
    windows = quads(np.stack([base, following[0], following[1], upper], axis=1), unit)
    glass = windows.mesh(Surface(Material.GREENHOUSE, semantic, paint, category))
    glass.style[:] = np.tile([1, 0, 1, 0], 2)  # the sides have a pillar in the middle, windscreen and rear window none
    roof = join([quads(np.stack([upper, following[1], following[2], crown], axis=1)), fan(crown)])
    meshes += [glass, roof.mesh(painted, crease_deg=60)]

    nose, tail = style.nose - 0.06, style.tail - 0.12
    for sign in (1, -1):
        meshes.append(
            box((0.462 * length, sign * 0.70 * half, nose - 0.02), (0.10, 0.34 * half, 0.13)).mesh(
                Surface(Material.LIGHT, semantic, (0.75, 0.76, 0.78), category)
            )
        )
        meshes.append(
            box((-0.47 * length, sign * 0.74 * half, tail), (0.10, 0.30 * half, 0.16)).mesh(
                Surface(Material.LIGHT, semantic, (0.42, 0.012, 0.01), category, style=1)
            )
        )
        meshes.append(box((0.17 * length, sign * (half * 0.97 + 0.05), belt + 0.06), (0.12, 0.16, 0.12)).mesh(painted))
    plate = Surface(Material.PLAIN, semantic, (0.7, 0.7, 0.66), category)
    meshes += [
        box((0.478 * length, 0, nose - 0.17), (0.09, 0.95 * half, 0.16)).mesh(trim),
        box((0.485 * length, 0, 0.40), (0.06, 1.3 * half, 0.14)).mesh(trim),
        box((-0.488 * length, 0, 0.42), (0.05, 1.4 * half, 0.15)).mesh(trim),
        box((-0.49 * length, 0, tail - 0.12), (0.06, 0.5, 0.11)).mesh(plate),
        box((0, 0, 0.24), (0.75 * length, 1.7 * half, 0.12)).mesh(trim),
    ]
    radius = float(rng.uniform(0.31, 0.36))
    for x in (-0.31 * length, 0.31 * length):
        for sign in (1, -1):
            low, high = (x, sign * (half - 0.12), radius + 0.06), (x, sign * (half + 0.006), radius + 0.06)
            arch = tube(low, high, radius + 0.055, sides=14)
            meshes.append(arch.mesh(trim))
    meshes += _wheels([-0.31 * length, 0.31 * length], half + 0.015, radius, 0.2, category, semantic)
    return merge(meshes)


def _rounded(length: float, width: float, corner: float) -> np.ndarray:
    x, y = length / 2, width / 2
    return np.array(
        [(-x + corner, -y), (x - corner, -y), (x, -y + corner), (x, y - corner), (x - corner, y), (-x + corner, y),
         (-x, y - corner), (-x, -y + corner)]
    )  # fmt: skip


def bus(rng: np.random.Generator) -> Mesh:
    """A rigid city bus or coach."""
    length, width, height = float(rng.uniform(9.5, 12.3)), 2.5, float(rng.uniform(2.95, 3.3))
    liveries = ((0.5, 0.04, 0.03), (0.75, 0.74, 0.7), (0.04, 0.22, 0.12), (0.05, 0.14, 0.4), (0.7, 0.42, 0.03))
    paint = np.array(liveries[int(rng.integers(len(liveries)))])
    category, semantic, floor = "vehicle.bus.rigid", "bus", 0.34
    walls, top = prism(_rounded(length, width, 0.22), floor, height)
    body = walls.mesh(Surface(Material.BUS, semantic, paint, category), crease_deg=50)
    white = Surface(Material.PAINT, semantic, (0.7, 0.7, 0.7), category)
    trim = Surface(Material.PLAIN, semantic, TRIM, category)
    meshes = [body, top.mesh(white), box((-0.2 * length, 0, height + 0.12), (2.4, 1.6, 0.24)).mesh(white)]
    meshes.append(box((0, 0, 0.3), (0.94 * length, 0.9 * width, 0.2)).mesh(trim))
    display = Surface(Material.LIGHT, semantic, (0.5, 0.26, 0.02), category)
    meshes.append(box((length / 2 + 0.01, 0, height - 0.26), (0.04, 1.5, 0.2)).mesh(display))
    for sign in (1, -1):
        white_light = Surface(Material.LIGHT, semantic, (0.75, 0.76, 0.78), category)
        red_light = Surface(Material.LIGHT, semantic, (0.42, 0.012, 0.01), category, style=1)
        meshes.append(box((length / 2, sign * 0.92, 0.72), (0.06, 0.34, 0.16)).mesh(white_light))
        meshes.append(box((-length / 2, sign * 1.02, 0.95), (0.06, 0.2, 0.42)).mesh(red_light))
        meshes.append(box((length / 2 + 0.05, sign * 1.3, 2.1), (0.14, 0.2, 0.4)).mesh(trim))
    meshes += _wheels([-0.27 * length, 0.31 * length], width / 2 + 0.01, 0.48, 0.3, category, semantic)
    return merge(meshes)


def truck(rng: np.random.Generator) -> Mesh:
    """A rigid lorry with a box body, or a smaller delivery truck."""
    large = rng.random() < 0.5
    length = float(rng.uniform(7.6, 9.4) if large else rng.uniform(5.8, 6.8))
    width, cab_height = (2.5, float(rng.uniform(2.7, 3.0))) if large else (2.15, float(rng.uniform(2.25, 2.5)))
    height = cab_height + float(rng.uniform(0.15, 0.7))
    cab_length = float(rng.uniform(1.75, 2.1))
    category, semantic, floor = "vehicle.truck", "truck", 0.5 if large else 0.42
    cab_paint = np.array(PAINTS[int(rng.integers(len(PAINTS)))])
    cargo_paint = np.array(((0.74, 0.74, 0.72), (0.6, 0.58, 0.52), (0.05, 0.12, 0.32), (0.5, 0.06, 0.04), (0.08,
        0.25, 0.12))[
        int(rng.choice(5, p=[0.45, 0.2, 0.13, 0.12, 0.1]))
    ])  # fmt: skip
    cab_x = length / 2 - cab_length / 2
    walls, top = prism(_rounded(cab_length, width * 0.95, 0.2) + [cab_x, 0], floor, cab_height)
    trim = Surface(Material.PLAIN, semantic, TRIM, category)
    meshes = [
        walls.mesh(Surface(Material.BUS, semantic, cab_paint, category, style=1), crease_deg=50),
        top.mesh(Surface(Material.PAINT, semantic, cab_paint, category)),
    ]
    cargo_length = length - cab_length - 0.18
    cargo_x, low = -length / 2 + cargo_length / 2, floor + 0.45
    cargo = box((cargo_x, 0, (low + height) / 2), (cargo_length, width, height - low))
    meshes.append(cargo.mesh(Surface(Material.PAINT, semantic, cargo_paint, category, style=1)))
    meshes.append(box((0, 0, floor + 0.2), (length * 0.97, width * 0.5, 0.35)).mesh(trim))
    meshes.append(box((-length / 2 + 0.06, 0, floor + 0.1), (0.1, width * 0.9, 0.14)).mesh(trim))
    meshes.append(box((length / 2, 0, floor + 0.1), (0.1, width * 0.9, 0.28)).mesh(trim))
    meshes.append(box((cargo_x, 0, floor + 0.15), (cargo_length * 0.42, width * 0.94, 0.35)).mesh(trim))
    for sign in (1, -1):
        white_light = Surface(Material.LIGHT, semantic, (0.75, 0.76, 0.78), category)
        red_light = Surface(Material.LIGHT, semantic, (0.42, 0.012, 0.01), category, style=1)
        meshes.append(box((length / 2, sign * width * 0.36, floor + 0.32), (0.06, 0.3, 0.16)).mesh(white_light))
        meshes.append(box((-length / 2, sign * width * 0.4, floor + 0.3), (0.06, 0.24, 0.14)).mesh(red_light))
        meshes.append(
            box((length / 2 - 0.1, sign * (width / 2 + 0.06), cab_height - 0.7), (0.1, 0.16, 0.45)).mesh(trim)
        )
    axles = [-0.30 * length, length / 2 - cab_length * 0.6]
    if large:
        axles.append(-0.30 * length - 1.15)
    meshes += _wheels(axles, width / 2, 0.48 if large else 0.38, 0.28, category, semantic)
    return merge(meshes)
