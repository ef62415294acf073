"""Meshes of pedestrians, bicycles and cyclists. Local frame: x forward, y left, z up, origin on the ground."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from perception.world.mesh import Material, Mesh, Surface, merge
from perception.world.shapes import box, ellipsoid, tube

CLOTHES = (
    (0.02, 0.02, 0.025), (0.05, 0.06, 0.09), (0.04, 0.07, 0.16), (0.16, 0.16, 0.17), (0.40, 0.39, 0.37),
    (0.62, 0.60, 0.57), (0.32, 0.05, 0.05), (0.08, 0.17, 0.08), (0.45, 0.30, 0.08), (0.20, 0.11, 0.06),
    (0.10, 0.26, 0.38), (0.36, 0.12, 0.24), (0.55, 0.42, 0.05),
)  # fmt: skip
SKINS = ((0.62, 0.40, 0.29), (0.50, 0.30, 0.20), (0.32, 0.18, 0.11), (0.14, 0.075, 0.045))
HAIRS = ((0.015, 0.012, 0.01), (0.06, 0.03, 0.015), (0.16, 0.09, 0.04), (0.30, 0.28, 0.26))


@dataclass(frozen=True)
class Look:
    """How a person is built and dressed; ``height`` in metres."""

    height: float
    girth: float
    skin: tuple[float, ...]
    hair: tuple[float, ...]
    top: tuple[float, ...]
    bottom: tuple[float, ...]
    coat: bool
    bag: bool

    @classmethod
    def random(cls, rng: np.random.Generator, child: bool = False) -> Look:
        def pick(options: tuple[tuple[float, ...], ...]) -> tuple[float, ...]:
            return options[int(rng.integers(len(options)))]

        return cls(
            height=float(rng.uniform(1.08, 1.4) if child else rng.uniform(1.58, 1.88)),
            girth=float(rng.uniform(0.9, 1.2)),
            skin=pick(SKINS),
            hair=pick(HAIRS),
            top=pick(CLOTHES),
            bottom=pick(CLOTHES[:6]),
            coat=bool(rng.random() < 0.3),
            bag=bool(rng.random() < 0.35),
        )


def pedestrian(look: Look, phase: float, stride: float, category: str) -> Mesh:
    """A person at a phase of the gait (radians).

    Args:
        stride: swing of the legs in radians, 0 for standing.
    """
    h, g = look.height, look.girth

    def surface(color: tuple[float, ...]) -> Surface:
        return Surface(Material.PLAIN, "person", color, category, style=1)

    top, bottom, skin = surface(look.top), surface(look.bottom), surface(look.skin)
    dark = surface((0.02, 0.018, 0.016))
    bounce = 0.012 * h * abs(np.sin(phase)) * (stride > 0)
    hip, shoulder = 0.50 * h + bounce - 0.02 * h * (stride > 0), 0.80 * h + bounce
    meshes: list[Mesh] = []
    for sign in (1, -1):
        swing = stride * np.sin(phase) * sign
        bend = stride * max(0.0, np.cos(phase) * sign) * 1.3
        y = sign * 0.055 * h * g
        knee = np.array([0.24 * h * np.sin(swing), y, hip - 0.24 * h * np.cos(swing)])
        lower = swing - bend
        ankle = knee + [0.235 * h * np.sin(lower), 0, -0.235 * h * np.cos(lower)]
        ankle[2] = max(ankle[2], 0.035 * h)
        meshes.append(tube((0, y, hip), knee, 0.052 * h * g, 0.038 * h * g, 7).mesh(bottom))
        meshes.append(tube(knee, ankle, 0.038 * h * g, 0.027 * h * g, 7).mesh(bottom))
        meshes.append(box(ankle + [0.03 * h, 0, -0.012 * h], (0.14 * h, 0.05 * h, 0.045 * h)).mesh(dark))
        arm = -0.8 * swing
        joint = np.array([0.0, sign * 0.118 * h * g, shoulder - 0.01 * h])
        elbow = joint + [0.17 * h * np.sin(arm), sign * 0.02 * h, -0.17 * h * np.cos(arm)]
        forearm = arm + (0.35 if stride > 0 else 0.12)
        hand = elbow + [0.15 * h * np.sin(forearm), 0, -0.15 * h * np.cos(forearm)]
        meshes.append(tube(joint, elbow, 0.032 * h * g, 0.027 * h * g, 6).mesh(top))
        meshes.append(tube(elbow, hand, 0.026 * h * g, 0.02 * h, 6).mesh(top))
        meshes.append(ellipsoid(hand, (0.024 * h,) * 3, 0).mesh(skin))
    meshes += _torso(look, hip, shoulder, top, bottom)
    meshes += _head(look, np.array([0.012 * h, 0, shoulder + 0.115 * h]), skin, surface(look.hair))
    if look.bag:
        meshes.append(box((-0.12 * h * g, 0, shoulder - 0.1 * h), (0.09 * h, 0.17 * h, 0.22 * h)).mesh(dark))
    return merge(meshes)


def _torso(look: Look, hip: float, shoulder: float, top: Surface, bottom: Surface) -> list[Mesh]:
    h, g = look.height, look.girth
    chest = ellipsoid((0, 0, (hip + shoulder) / 2 + 0.05 * h), (0.072 * h * g, 0.118 * h * g, 0.165 * h)).mesh(top)
    seat = ellipsoid((0, 0, hip + 0.02 * h), (0.07 * h * g, 0.095 * h * g, 0.09 * h)).mesh(bottom)
    waist = ellipsoid((0, 0, hip + 0.1 * h), (0.066 * h * g, 0.096 * h * g, 0.12 * h)).mesh(top)
    parts = [chest, seat, waist]
    if look.coat:
        parts.append(tube((0, 0, hip - 0.16 * h), (0, 0, hip + 0.12 * h), 0.112 * h * g, 0.088 * h * g, 9).mesh(top))
    return parts


def _head(look: Look, center: np.ndarray, skin: Surface, hair: Surface) -> list[Mesh]:
    h = look.height
    return [
        tube(center - [0.01 * h, 0, 0.1 * h], center, 0.032 * h, sides=6).mesh(skin),
        ellipsoid(center, (0.056 * h, 0.046 * h, 0.068 * h)).mesh(skin),
        ellipsoid(center + [-0.012 * h, 0, 0.016 * h], (0.055 * h, 0.05 * h, 0.061 * h)).mesh(hair),
    ]


BICYCLE = "vehicle.bicycle"
BLACK = Surface(Material.PLAIN, "bicycle", (0.02, 0.02, 0.02), BICYCLE)
METAL = Surface(Material.PLAIN, "bicycle", (0.35, 0.35, 0.36), BICYCLE)
PEDAL = np.array([-0.06, 0, 0.30])


def bicycle(color: tuple[float, ...], crank: float = 0.0) -> Mesh:
    """A city bicycle; ``crank`` is the pedal angle in radians."""
    meshes = [_bicycle_frame(color)]
    for sign in (1, -1):
        foot = PEDAL + 0.17 * np.array([np.cos(crank) * sign, 0, np.sin(crank) * sign])
        meshes.append(tube(PEDAL + [0, sign * 0.07, 0], foot + [0, sign * 0.07, 0], 0.012, sides=4).mesh(METAL))
    return merge(meshes)


@lru_cache(maxsize=64)
def _bicycle_frame(color: tuple[float, ...]) -> Mesh:
    """What does not turn with the pedals; the poses of a cyclist share it."""
    frame = Surface(Material.PLAIN, "bicycle", color, BICYCLE)
    radius, meshes = 0.34, []
    for x in (-0.52, 0.52):
        angle = np.linspace(0, 2 * np.pi, 15)
        rim = np.stack([x + radius * np.cos(angle), np.zeros(15), radius + 0.005 + radius * np.sin(angle)], axis=1)
        meshes += [tube(a, b, 0.022, sides=4).mesh(BLACK) for a, b in itertools.pairwise(rim)]
        meshes += [tube((x, 0, radius), rim[i], 0.004, sides=3).mesh(METAL) for i in range(0, 14, 2)]
    rear, front, pedal = np.array([-0.52, 0, 0.34]), np.array([0.52, 0, 0.34]), PEDAL
    saddle, head = np.array([-0.20, 0, 0.86]), np.array([0.38, 0, 0.86])
    for a, b in (
        (rear, pedal),
        (rear, saddle),
        (pedal, saddle),
        (pedal, head),
        (saddle * [1, 1, 0.95], head),
        (front, head),
    ):
        meshes.append(tube(a, b, 0.02, sides=5).mesh(frame))
    meshes.append(box(saddle + [0, 0, 0.05], (0.26, 0.14, 0.06)).mesh(BLACK))
    meshes.append(tube(head, head + [-0.04, 0, 0.14], 0.016, sides=4).mesh(METAL))
    meshes.append(tube(head + [-0.04, -0.28, 0.15], head + [-0.04, 0.28, 0.15], 0.016, sides=4).mesh(BLACK))
    return merge(meshes)


def cyclist(look: Look, color: tuple[float, ...], crank: float, helmet: bool) -> Mesh:
    """A bicycle with its rider."""
    category, h, g = "vehicle.bicycle", min(look.height, 1.8), look.girth

    def surface(tint: tuple[float, ...]) -> Surface:
        return Surface(Material.PLAIN, "rider", tint, category, style=1)

    top, bottom, skin, dark = surface(look.top), surface(look.bottom), surface(look.skin), surface((0.02, 0.02, 0.02))
    hip, shoulder = np.array([-0.20, 0, 0.96]), np.array([0.08, 0, 0.96 + 0.30 * h])
    meshes = [bicycle(color, crank)]
    for sign in (1, -1):
        side = np.array([0, sign * 0.085, 0])
        foot = np.array([-0.06 + 0.17 * np.cos(crank) * sign, 0, 0.33 + 0.17 * np.sin(crank) * sign]) + side
        start = hip + side
        knee = _knee(start, foot, 0.245 * h, 0.25 * h)
        meshes.append(tube(start, knee, 0.052 * h * g, 0.038 * h * g, 7).mesh(bottom))
        meshes.append(tube(knee, foot, 0.038 * h * g, 0.027 * h, 7).mesh(bottom))
        meshes.append(box(foot + [0.04, 0, 0], (0.24, 0.09, 0.07)).mesh(dark))
        joint = shoulder + [0, sign * 0.11 * h * g, -0.02]
        hand = np.array([0.34, sign * 0.25, 1.02])
        elbow = (joint + hand) / 2 + [-0.06, sign * 0.06, -0.05]
        meshes += [
            tube(joint, elbow, 0.03 * h, 0.026 * h, 6).mesh(top),
            tube(elbow, hand, 0.025 * h, 0.02 * h, 6).mesh(top),
        ]
        meshes.append(ellipsoid(hand, (0.04, 0.04, 0.04), 0).mesh(skin))
    meshes.append(tube(hip - [0.02, 0, 0.03], shoulder, 0.085 * h * g, 0.1 * h * g, 9).mesh(top))
    meshes.append(ellipsoid(shoulder, (0.075 * h * g, 0.115 * h * g, 0.06 * h), 1).mesh(top))
    meshes.append(ellipsoid(hip, (0.085 * h * g, 0.1 * h * g, 0.075 * h), 1).mesh(bottom))
    center = shoulder + [0.07, 0, 0.125 * h]
    shell = surface((0.55, 0.55, 0.56) if helmet else look.hair)
    meshes += _head(look, center, skin, shell)
    return merge(meshes)


def _knee(start: np.ndarray, end: np.ndarray, thigh: float, shin: float) -> np.ndarray:
    """Where a two-bar leg bends, forward of the line from hip to foot."""
    span = end - start
    distance = min(float(np.linalg.norm(span)), thigh + shin - 1e-3)
    along = (thigh**2 - shin**2 + distance**2) / (2 * distance)
    axis = span / np.linalg.norm(span)
    forward = np.array([1.0, 0, 0.0]) - axis[0] * axis
    return start + along * axis + np.sqrt(max(thigh**2 - along**2, 0.0)) * forward / np.linalg.norm(forward)
