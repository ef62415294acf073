"""What light comes from a hit: texture, sun, shadow, sky light, reflection, haze."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from perception.taxonomy import ROAD_SCENE
from perception.world import facade, pavement
from perception.world.lighting import MARKING_RETRO, RETRO, lamp_light, shining
from perception.world.mesh import Material
from perception.world.noise import nearest, sample, tile
from perception.world.raycast import Frame, Hits, dot
from perception.world.scene import Scene
from perception.world.weather_wet import darkened, mirrored, wet_ground

LANE = ROAD_SCENE.index("lane_marking")
DIM = 0.1
"""Lamps that count for less than this beside the sky shine and mirror, but light nothing."""


@dataclass
class Skin:
    """Surface properties of ``N`` hits.

    Shape:
        - albedo: ``(N, 3)``; mirror: ``(N,)`` share of glass or polished paint; marking: ``(N,)`` paint coverage;
          glow: ``(N,)`` light of its own, in units of the albedo.
    """

    albedo: np.ndarray
    mirror: np.ndarray
    marking: np.ndarray
    glow: np.ndarray


def skin(scene: Scene, hits: Hits, points: np.ndarray, footprint: np.ndarray, grazing: np.ndarray) -> Skin:
    """Evaluate the textures of all hits, material by material."""
    count = len(hits.t)
    result = Skin(hits.color.copy(), *(np.zeros(count, np.float32) for _ in range(3)))
    for value in np.unique(hits.material[hits.hit]):
        rows = np.flatnonzero(hits.hit & (hits.material == value))
        uv, color, style, width = hits.uv[rows], hits.color[rows], hits.style[rows], footprint[rows]
        match Material(value):
            case Material.ROAD:
                result.albedo[rows], result.marking[rows] = pavement.main_road(scene, uv, color, width, grazing[rows])
            case Material.SIDE_ROAD:
                albedo, result.marking[rows] = pavement.side_road(scene, uv, color, style, width, grazing[rows])
                result.albedo[rows] = albedo
            case Material.PAVING:
                result.albedo[rows] = pavement.paving(scene, uv, color, style, width)
            case Material.KERB:
                joint = np.where(np.mod(uv[:, 0], 1.0) < 0.02, 0.6, 1.0)
                result.albedo[rows] = (
                    color * (joint * (0.85 + 0.3 * sample(tile(5, 1.1), uv[:, 0] * 9, uv[:, 1] * 9)))[:, None]
                )
            case Material.GRASS:
                result.albedo[rows] = pavement.grass(scene, points[rows], color, width)
            case Material.FACADE:
                result.albedo[rows], mirror = facade.wall(scene.facades[style], uv, color, width)
                result.mirror[rows] = 0.75 * mirror
            case Material.ROOF:
                result.albedo[rows] = facade.roof(uv, color, style, width)
            case Material.BRICK:
                result.albedo[rows] = facade.bricks(uv[:, 0], uv[:, 1], color, width)
            case Material.BARK:
                grain = sample(tile(5, 1.1), uv[:, 0] * 60, uv[:, 1] * 9)
                result.albedo[rows] = color * (0.5 + grain)[:, None]
            case Material.LEAF:
                p = points[rows]
                result.albedo[rows] = (
                    color
                    * (0.6 + 0.8 * nearest(tile(3, 0.3), p[:, 0] * 9 + p[:, 2] * 7, p[:, 1] * 9 - p[:, 2] * 5))[:, None]
                )
            case Material.PAINT:
                result.albedo[rows] = np.where((style == 1)[:, None], facade.lettering(uv, color), color)
                result.mirror[rows] = np.where(style == 1, 0.1, 0.42)
            case Material.GREENHOUSE:
                result.albedo[rows], glass = facade.greenhouse(uv, color, style)
                result.mirror[rows] = 0.42 + 0.45 * glass
            case Material.GLASS:
                result.mirror[rows] = 0.7
            case Material.WHEEL:
                result.albedo[rows] = facade.wheel(uv)
            case Material.SIGN:
                result.albedo[rows] = facade.sign(uv, color, style, width)
            case Material.BUS:
                result.albedo[rows], glass = facade.coach(uv, color, style, width)
                result.mirror[rows] = 0.25 + 0.5 * glass
            case Material.LIGHT:
                result.glow[rows] = np.where(style == 2, 2.5, 0.25)
                result.mirror[rows] = 0.2
            case Material.FENCE:
                result.albedo[rows] = facade.fence(uv, color, style)
            case Material.PLAIN:
                fold = sample(tile(5, 1.1), uv[:, 0] * 24, uv[:, 1] * 28)  # of cloth, so it moves with its wearer
                result.albedo[rows] = color * np.where(style == 1, 0.72 + 0.56 * fold, 1.0)[:, None]
    return result


def footprints(hits: Hits, directions: np.ndarray, pixel_angle: float) -> tuple[np.ndarray, np.ndarray]:
    """Width of a ray's footprint across and along the surface, metres; directions are unit and ``t`` metres."""
    across = np.where(hits.hit, hits.t, 1.0) * pixel_angle
    cosine = np.abs(dot(hits.flat_normal, directions))
    return across.astype(np.float32), (across / np.maximum(cosine, 0.02)).astype(np.float32)


def shade(
    scene: Scene, frame: Frame, hits: Hits, origin: np.ndarray, directions: np.ndarray, pixel_angle: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Light along rays.

    Args:
        origin: ``(3,)`` or ``(N, 3)``.
        directions: ``(N, 3)`` unit; ``hits.t`` is in metres.

    Returns:
        ``(N, 3)`` linear colour, ``(N,)`` semantic class, and ``(N,)`` bool of what lies in the sun.
    """
    light = scene.daylight
    color = np.zeros((len(directions), 3), np.float32)
    semantic = np.where(hits.hit, hits.semantic, ROAD_SCENE.index("sky")).astype(np.uint8)
    lit = np.zeros(len(directions), bool)
    sky = ~hits.hit
    if sky.any():
        color[sky] = light.sky(directions[sky])
    rows = np.flatnonzero(hits.hit)
    if not len(rows):
        return color, semantic, lit
    points = (origin + np.where(hits.hit, hits.t, 0)[:, None] * directions).astype(np.float32)
    footprint, grazing = footprints(hits, directions, pixel_angle)
    surface = skin(scene, hits, points, footprint, grazing)
    semantic[surface.marking > 0.5] = LANE

    normal, ray = hits.normal[rows], directions[rows].astype(np.float32)
    # Rays start a little off the surface, more so far away where single precision is coarse.
    start = points[rows] + hits.flat_normal[rows] * (0.01 + 2e-4 * hits.t[rows])[:, None]
    leaf = hits.material[rows] == Material.LEAF
    up = 0.5 + 0.5 * normal[:, 2:3]
    up = np.where(leaf[:, None], 0.4 + 0.6 * up, up)  # light seeps through a crown
    ambient = light.ambient * up + light.bounce * (1 - up)
    # The sky above is hidden under vehicles, awnings and crowns.
    flat = np.flatnonzero((hits.flat_normal[rows, 2] > 0.5) & (hits.t[rows] < 80))
    if len(flat):
        low = frame.occluded(start[flat], np.array([0.0, 0.0, 1.0]), 1.3)
        ambient[flat] *= np.where(low, np.float32(0.32), np.float32(1.0))[:, None]
        near = np.flatnonzero(~low & (hits.t[rows[flat]] < 22))
        lean = frame.occluded(start[flat[near]], np.array([0.62, 0.35, 0.7]), 1.6)
        lean2 = frame.occluded(start[flat[near]], np.array([-0.62, -0.35, 0.7]), 1.6)
        ambient[flat[near]] *= (1 - np.float32(0.2) * lean - np.float32(0.2) * lean2)[:, None]
    radiance = ambient
    if light.sunny:
        facing = normal @ light.sun_direction
        facing = np.where(leaf, 0.35 + 0.65 * facing, facing)  # light shines through leaves
        towards = np.flatnonzero((facing > 0.01) & ((hits.flat_normal[rows] @ light.sun_direction > 0) | leaf))
        shadow = np.ones(len(rows), bool)
        # One ray to a random point of the sun's disc: half-shadows come out as a mix that neighbours average.
        shadow[towards] = frame.occluded(start[towards], light.sun_directions(len(towards)))
        lit[rows[~shadow]] = True
        radiance = ambient + np.where(shadow, 0.0, np.maximum(facing, 0.0))[:, None] * light.sun
    albedo = surface.albedo[rows]
    if light.wet:
        film = wet_ground(scene, hits.material[rows], hits.flat_normal[rows], points[rows])
        albedo = darkened(albedo, *film)
    if frame.lights is not None and light.lamp_level > DIM:
        retro = np.float32(1.0) + MARKING_RETRO * surface.marking[rows]
        for material, gain in RETRO.items():
            retro[hits.material[rows] == material] = gain
        radiance = radiance + lamp_light(frame, frame.lights, start, normal, leaf, retro)
    out = albedo * radiance * 0.75
    shiny = np.flatnonzero(surface.mirror[rows] > 0.01)
    if len(shiny):
        out[shiny] = _reflect(
            scene, out[shiny], surface.mirror[rows][shiny], normal[shiny], ray[shiny], lit[rows][shiny]
        )
    if light.rain_mm_h > 0:
        ground = np.flatnonzero(film[0] > 0)
        seen, share = mirrored(
            scene, frame, frame.lights, start[ground], ray[ground], hits.t[rows[ground]],
            (film[0][ground], film[1][ground]),
        )  # fmt: skip
        out[ground] += (seen - out[ground]) * share[:, None]
    if frame.lights is None:
        out += albedo * surface.glow[rows][:, None]
    else:
        out += shining(scene, frame.lights, hits, rows, surface.mirror[rows])
    color[rows] = light.veil(out, hits.t[rows], ray)
    return color, semantic, lit


def _reflect(
    scene: Scene, base: np.ndarray, mirror: np.ndarray, normal: np.ndarray, ray: np.ndarray, lit: np.ndarray
) -> np.ndarray:
    """Add the mirrored sky and the sun's highlight by Schlick's approximation."""
    light = scene.daylight
    cosine = np.clip(-dot(normal, ray), 0.0, 1.0)
    mirrored = ray + 2 * cosine[:, None] * normal
    sky = light.gradient(mirrored) * 0.9
    ground = light.bounce * np.array([0.5, 0.5, 0.5], np.float32)
    skyward = np.clip(mirrored[:, 2] * 5 - 0.3, 0.0, 1.0)[:, None]  # houses hide the lowest sky
    seen = sky * skyward + ground * (1 - skyward)
    strength = mirror * (0.06 + 0.94 * (1 - cosine) ** 4) + 0.12 * np.maximum(mirror - 0.5, 0)
    out = base * (1 - strength[:, None]) + seen * strength[:, None]
    if light.sunny:
        glint = np.maximum(mirrored @ light.sun_direction, 0.0)
        out += (mirror * np.where(lit, 1.0, 0.0) * (glint**180 * 2.5 + glint**20 * 0.12))[:, None] * light.sun
    return out
