"""Wet ground: how much water lies where, how dark it makes the ground, and what it mirrors."""

from __future__ import annotations

import numpy as np

from perception.world.lighting import glowing, lamp_streaks
from perception.world.lights import Lights
from perception.world.mesh import Material
from perception.world.noise import sample, smoothstep, tile
from perception.world.raycast import Frame, dot
from perception.world.scene import Scene

GROUND = (Material.ROAD, Material.SIDE_ROAD, Material.PAVING)
MIRROR_REACH_M = 75.0
WATER_F0 = 0.02
"""Reflectance of water at right angles (refractive index 1.33)."""


def wet_ground(
    scene: Scene, material: np.ndarray, normal: np.ndarray, points: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """``(N,)`` wetness 0..1 of surfaces, and ``(N,)`` share of standing water.

    Puddles fill the hollows of a smooth field over the ground.
    """
    wet = np.isin(material, GROUND) & (normal[:, 2] > 0.9)
    wetness = np.where(wet, np.float32(scene.daylight.wet), np.float32(0.0))
    puddle = np.zeros(len(points), np.float32)
    rows = np.flatnonzero(wet)
    if len(rows) and scene.daylight.rain_mm_h > 0:
        x, y = points[rows, 0], points[rows, 1]
        hollow = 0.75 * sample(tile(6, 1.6), x * 1.7, y * 1.7) + 0.25 * sample(tile(5, 1.1), x * 4, y * 4)
        puddle[rows] = smoothstep(0.60, 0.70, hollow)
    return wetness, puddle


def darkened(albedo: np.ndarray, wetness: np.ndarray, puddle: np.ndarray) -> np.ndarray:
    """Albedo under a film of water: porous ground turns darker as light is trapped in it (Lekner and Dorf 1988)."""
    return albedo * (1 - wetness * (0.42 + 0.2 * puddle))[:, None]


def mirrored(
    scene: Scene,
    frame: Frame,
    lights: Lights | None,
    points: np.ndarray,
    ray: np.ndarray,
    distance: np.ndarray,
    film: tuple[np.ndarray, np.ndarray],
) -> tuple[np.ndarray, np.ndarray]:
    """What wet ground mirrors: by one ray each sky and things near by, by a rough lobe the lamps.

    Args:
        points: ``(N, 3)`` on the ground, a little off it; ray: ``(N, 3)`` unit directions from the camera.
        film: wetness and puddles of the points.

    Returns:
        ``(N, 3)`` mirrored light and ``(N,)`` reflectance, 0 where the mirror is too weak to count.
    """
    wetness, puddle = film
    light = scene.daylight
    cosine = np.clip(-ray[:, 2], 0.0, 1.0)
    fresnel = WATER_F0 + (1 - WATER_F0) * (1 - cosine) ** 5
    # A thin film follows the asphalt's grain, so that it mirrors less of what lies straight behind.
    share = (fresnel * (wetness * (0.62 + 0.38 * puddle))).astype(np.float32)
    seen = np.zeros((len(points), 3), np.float32)
    rows = np.flatnonzero((share > 0.02) & (distance < MIRROR_REACH_M))
    keep = np.zeros(len(points), np.float32)
    keep[rows] = share[rows]
    if not len(rows):
        return seen, keep
    x, y = points[rows, 0], points[rows, 1]
    # Ripples too fine for a pixel would only be noise: farther away the mirror is smoother.
    rough = (0.004 + 0.016 * (1 - puddle[rows])) * np.clip(9.0 / distance[rows], 0.15, 1.0)
    slope_x = (sample(tile(5, 1.1), x * 17, y * 17) - 0.5) * 2
    slope_y = (sample(tile(5, 1.1), y * 17 + 91, x * 17) - 0.5) * 2
    normal = np.stack([slope_x * rough, slope_y * rough, np.ones_like(x)], axis=1)
    normal /= np.sqrt(dot(normal, normal))[:, None]
    direction = ray[rows] - 2 * dot(ray[rows], normal)[:, None] * normal
    direction[:, 2] = np.maximum(direction[:, 2], 0.01)
    seen[rows] = _seen(scene, frame, lights, points[rows], direction.astype(np.float32))
    if lights is not None:
        streaks = lamp_streaks(lights, points[rows], ray[rows], wetness[rows] * (0.3 + 0.5 * puddle[rows]))
        seen[rows] += streaks / np.maximum(share[rows], 0.02)[:, None]
    if light.rain_mm_h > 0:
        seen[rows] *= 0.94  # rings of falling drops scatter a little
    return seen, keep


def _seen(scene: Scene, frame: Frame, lights: Lights | None, points: np.ndarray, directions: np.ndarray) -> np.ndarray:
    """``(N, 3)`` light along mirrored rays: flat colours in the light of the sky, without shadows."""
    light = scene.daylight
    glimpse = frame.glance(np.concatenate([points, directions], axis=1))
    seen = light.gradient(directions)
    rows = np.flatnonzero(glimpse.hit)
    color = glimpse.color[rows] * (light.ambient + light.bounce) * 0.42
    if lights is not None:
        color = color + glowing(scene, lights, glimpse, rows)
    seen[rows] = light.veil(color, glimpse.t[rows], directions[rows])
    return seen
