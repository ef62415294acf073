"""Light of lamps on surfaces, surfaces that shine themselves, and glare around lamps in the lens."""

from __future__ import annotations

import numpy as np

from perception.geometry.camera import project
from perception.geometry.frames import apply, inverse
from perception.types import Camera
from perception.world import facade
from perception.world.lights import BEAM, REACH_M, STREET, Lights, towards
from perception.world.mesh import Material
from perception.world.noise import hash01
from perception.world.raycast import Frame, Glimpse, Hits, dot
from perception.world.scene import Scene

RETRO = {Material.SIGN: 14.0, Material.LIGHT: 4.0}
"""By how much more light signs and reflectors send back to the lamps beside the camera than white paper does."""
MARKING_RETRO = 3.0
FILM_ROUGHNESS = 0.08
"""Slope of wet asphalt's facets, which draws reflections of lamps out towards the viewer."""
GLARE = 1.8
"""Stiles and Holladay's veiling glare, 10 E / theta^2 (lux, degrees), in units of 20 lux, for a lens that scatters
a thirteenth of what the eye does."""
GLARE_CORE_DEG = 0.2
WINDOWS = np.array([(1.0, 0.72, 0.40), (1.0, 0.80, 0.55), (0.95, 0.92, 0.85), (0.70, 0.80, 1.0)], np.float32)


def lamp_light(
    frame: Frame,
    lights: Lights,
    start: np.ndarray,
    normal: np.ndarray,
    through: np.ndarray,
    retro: np.ndarray,
) -> np.ndarray:
    """``(N, 3)`` irradiance of all lamps. The brightest lamp at each point and the ego's headlights cast shadows.

    Args:
        start: ``(N, 3)`` points a little off their surfaces.
        through: ``(N,)`` bool: leaves, which let light through.
        retro: ``(N,)`` gain for light that comes from beside the camera.
    """
    total = np.zeros((len(start), 3), np.float32)
    ground = np.ascontiguousarray(start[:, :2].T)  # columns side by side are compared several times as fast
    best = np.zeros(len(start), np.float32)
    best_light = np.full(len(start), -1)
    for i in np.flatnonzero((lights.weight > 0) & ~lights.ego):
        rows, given = _given(lights, i, start, ground, normal, through)
        total[rows] += given[:, None] * lights.color[i]
        strength = given * lights.color[i].max()
        brighter = strength > best[rows]
        best[rows[brighter]], best_light[rows[brighter]] = strength[brighter], i
    shaded = np.flatnonzero(best > 0.004)
    if len(shaded):
        source = lights.position[best_light[shaded]]
        blocked = frame.occluded(start[shaded], source - start[shaded], 0.97)
        loss = np.where(blocked, best[shaded], 0.0)
        color = lights.color[best_light[shaded]]
        total[shaded] -= loss[:, None] * color / color.max(axis=1, keepdims=True)
    own = np.flatnonzero(lights.ego)
    if len(own):
        beam = np.zeros((len(start), 3), np.float32)
        for i in own:
            rows, given = _given(lights, i, start, ground, normal, through)
            beam[rows] += (given * retro[rows])[:, None] * lights.color[i]
        seen = np.flatnonzero(beam[:, 0] > 0.002)
        middle = lights.position[own].mean(axis=0)
        blocked = frame.occluded(start[seen], middle - start[seen], 0.99)
        beam[seen[blocked]] = 0
        total += beam
    return np.maximum(total, 0.0)


def _given(
    lights: Lights, index: int, points: np.ndarray, ground: np.ndarray, normal: np.ndarray, through: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Rows within reach of a light, and its irradiance there per unit of colour."""
    reach, (x, y, _) = REACH_M[int(lights.kind[index])], lights.position[index]
    rows = np.flatnonzero((np.abs(ground[0] - x) < reach) & (np.abs(ground[1] - y) < reach))
    away = points[rows] - lights.position[index]
    square = np.maximum(dot(away, away), np.float32(0.04))
    keep = square < reach * reach
    if lights.kind[index] == BEAM:
        keep &= away @ lights.axis[index] > 0
    rows, away, square = rows[keep], away[keep], square[keep]
    direction = away / np.sqrt(square)[:, None]
    facing = -dot(normal[rows], direction)
    facing = np.where(through[rows], 0.3 + 0.5 * np.abs(facing), np.maximum(facing, 0.0))
    fade = np.clip(4 - 4 * np.sqrt(square) / reach, 0.0, 1.0)
    return rows, (towards(lights, index, direction) * facing * (lights.weight[index] * fade / square)).astype(
        np.float32
    )


def lamp_streaks(lights: Lights, points: np.ndarray, ray: np.ndarray, film: np.ndarray) -> np.ndarray:
    """``(N, 3)`` light of lamps mirrored by rough wet ground, by a microfacet lobe (Beckmann).

    Args:
        film: ``(N,)`` share of the surface that is water.
    """
    total = np.zeros((len(points), 3), np.float32)
    strong = ~lights.ego & (lights.color.max(axis=1) > 0.03)
    wet = np.flatnonzero(film > 0.05)
    points, ray, film = points[wet], ray[wet], film[wet]
    for i in np.flatnonzero(strong):
        to = lights.position[i] - points
        length = np.sqrt(dot(to, to))
        half = to / length[:, None] - ray
        # Facets lean by a few times their roughness at most.
        level2 = half[:, 0] ** 2 + half[:, 1] ** 2
        rows = np.flatnonzero((level2 < (2.8 * FILM_ROUGHNESS * half[:, 2]) ** 2) & (length < 80.0))
        if not len(rows):
            continue
        direction = to[rows] / length[rows, None]
        half2 = half[rows, 2] ** 2
        tangent2 = level2[rows] / half2
        lobe = np.exp(-tangent2 / FILM_ROUGHNESS**2) * (1 + tangent2) ** 2 / (np.pi * FILM_ROUGHNESS**2)
        cosine = np.clip(dot(half[rows], direction) / np.sqrt(level2[rows] + half2), 0.0, 1.0)
        fresnel = 0.02 + 0.98 * (1 - cosine) ** 5
        grazing = np.maximum(-ray[rows, 2], 0.02)
        share = towards(lights, i, -direction) * fresnel * lobe * film[rows] / (4 * grazing * length[rows] ** 2)
        total[wet[rows]] += np.minimum(share, 0.5)[:, None] * lights.color[i]
    return total


def shining(scene: Scene, lights: Lights, hits: Hits, rows: np.ndarray, glass: np.ndarray) -> np.ndarray:
    """``(R, 3)`` light that surfaces give off themselves: lamps that are on, and lit windows.

    Args:
        rows: of ``hits``.
        glass: ``(R,)`` share of window panes.
    """
    out = glowing(scene, lights, hits, rows)
    wall = np.flatnonzero((hits.material[rows] == Material.FACADE) & (glass > 0.02))
    if len(wall) and scene.daylight.lamps:
        window, brightness = facade.lit_windows(scene.facades[hits.style[rows[wall]]], hits.uv[rows[wall]])
        tint = WINDOWS[(hash01(window, 5) * len(WINDOWS)).astype(int)]
        out[wall] = (brightness * glass[wall])[:, None] * tint
    return out


def glowing(scene: Scene, lights: Lights, hits: Hits | Glimpse, rows: np.ndarray) -> np.ndarray:
    """``(R, 3)`` light of lamps that are on."""
    out = np.zeros((len(rows), 3), np.float32)
    material, style = hits.material[rows], hits.style[rows]
    lamp = np.flatnonzero(material == Material.LIGHT)
    if len(lamp):
        kind, on = style[lamp], lights.burning[hits.instance[rows[lamp]]]
        light = scene.daylight
        out[lamp] = np.select(
            [(kind == 0)[:, None], (kind == 1)[:, None], (kind == 2)[:, None]],
            [
                np.minimum(on, 1)[:, None] * np.array([7.0, 6.6, 6.0]),
                on[:, None] * np.array([0.9, 0.03, 0.02]),
                hits.color[rows[lamp]] * 3.5,
            ],
            (light.lamp_color * 8.0 if light.lamps else np.zeros(3))[None],
        )
    return out


def glare(
    scene: Scene, frame: Frame, lights: Lights, camera: Camera, pose: np.ndarray, linear: np.ndarray
) -> np.ndarray:
    """Add to ``(H, W, 3)`` linear light what the lens and the air scatter around visible lamps.

    Args:
        pose: ``(4, 4)`` global from camera.
    """
    others = np.flatnonzero(~lights.ego)
    if not len(others):
        return linear
    origin = pose[:3, 3].astype(np.float32)
    way = origin - lights.position[others]
    distance = np.sqrt(dot(way, way))
    free = ~frame.occluded(lights.position[others] + 0.02 * lights.axis[others], way, 0.98)
    pixels, depth = project(camera, apply(inverse(pose), lights.position[others].astype(np.float64)))
    beta = scene.daylight.extinction_per_m
    wet_lens = 1.0 + 1.2 * (scene.daylight.rain_mm_h > 0)
    degrees = np.degrees(1.0 / camera.focal_px)
    for k in np.flatnonzero(free & (depth > 0.5)):
        i, d = others[k], distance[k]
        share = float(towards(lights, i, (way[k] / d)[None])[0]) if d > 0.5 else 0.0
        if lights.kind[i] == STREET:
            share = max(share, 0.08)  # of the bowl itself
        if lights.kind[i] == BEAM and share > 0:
            share = max(share, 0.06)  # reflectors and bulbs show beyond the beam
        arriving = share * lights.color[i] / d**2
        air = 1 - np.exp(-beta * d)
        strength = GLARE * wet_lens * arriving * np.exp(-beta * d)
        _halo(linear, pixels[k], strength, GLARE_CORE_DEG, degrees, 3.0)
        if air > 0.1:  # forward scattering by drops spreads a lamp over a few degrees
            _halo(linear, pixels[k], 14.0 * air * arriving * np.exp(-0.35 * beta * d), 1.3, degrees, 12.0)
    return linear


def _halo(
    linear: np.ndarray, at: np.ndarray, strength: np.ndarray, core_deg: float, degrees: float, reach_deg: float
) -> None:
    """Add ``strength / (angle^2 + core^2)`` around a pixel, out to where it hardly shows."""
    height, width = linear.shape[:2]
    far = min(reach_deg, float(np.sqrt(max(strength.max() / 0.002 - core_deg**2, 0.0)))) / degrees
    x0, x1 = (int(np.clip(at[0] + s * far, 0, width)) for s in (-1, 1))
    y0, y1 = (int(np.clip(at[1] + s * far, 0, height)) for s in (-1, 1))
    if x1 <= x0 or y1 <= y0:
        return
    x = (np.arange(x0, x1, dtype=np.float32) + 0.5 - np.float32(at[0])) * np.float32(degrees)
    y = (np.arange(y0, y1, dtype=np.float32) + 0.5 - np.float32(at[1])) * np.float32(degrees)
    square = x[None, :] ** 2 + y[:, None] ** 2
    edge = (far * degrees) ** 2
    kernel = np.maximum(1 / (square + core_deg**2) - 1 / (edge + core_deg**2), 0.0)
    linear[y0:y1, x0:x1] += kernel[:, :, None] * strength.astype(np.float32)
