"""A spinning LiDAR like nuScenes' LIDAR_TOP: 32 beams, 20 turns a second, about 34,000 points a turn."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields

import numpy as np

from perception.geometry.frames import inverse, yaw_rotation
from perception.taxonomy import NUSCENES_LIDARSEG
from perception.world.lidar_effects import weather_echoes
from perception.world.mesh import Material
from perception.world.motion import LEAD_IN_S
from perception.world.raycast import Frame, Hits, dot
from perception.world.rig import EGO_FROM_LIDAR, TURN_S, TURN_START_DEG
from perception.world.scene import Scene, scene_rng
from perception.world.shading import footprints, skin
from perception.world.weather_wet import darkened, wet_ground

BEAMS = 32
AZIMUTHS = 1084
ELEVATION_DEG = (-30.0, 10.0)
RANGE_M = 100.0
RANGE_NOISE_M = 0.02
BEAM_WIDTH_RAD = 3e-3
NOISE = NUSCENES_LIDARSEG.index("noise")
"""Class of returns from rain and fog."""
MIRRORED_AWAY = 0.9
"""Share of its light that standing water mirrors away from the sensor."""
KNOTS = 6
"""Pieces of a turn between which the ego's pose is interpolated."""

_RETRO = {Material.SIGN: 0.9, Material.PAINT: 0.45, Material.LIGHT: 0.5}
"""Share of the light that goes straight back, on top of the diffuse part: signs and lamps are retroreflectors."""


@dataclass
class LidarScan:
    """One turn.

    Shape:
        - points: ``(N, 5)`` float32: x, y, z in metres in the LiDAR frame, intensity 0..255, ring 0..31 from the
          lowest beam.
        - labels: ``(N,)`` uint8 index of :data:`perception.taxonomy.NUSCENES_LIDARSEG`.
        - instance: ``(N,)`` uint16, 0 for none.
    """

    points: np.ndarray
    labels: np.ndarray
    instance: np.ndarray


def beam_directions() -> tuple[np.ndarray, np.ndarray]:
    """``(BEAMS * AZIMUTHS, 3)`` unit directions in the LiDAR frame in firing order, and their rings."""
    elevation = np.deg2rad(np.linspace(*ELEVATION_DEG, BEAMS))
    start = np.radians(TURN_START_DEG + 90.0)  # the LiDAR's x points to the right
    azimuth = start + np.linspace(0, -2 * np.pi, AZIMUTHS, endpoint=False)  # clockwise, as the sensor turns
    a, e = (grid.ravel() for grid in np.meshgrid(azimuth, elevation, indexing="ij"))
    directions = np.stack([np.cos(e) * np.cos(a), np.cos(e) * np.sin(a), np.sin(e)], axis=1)
    return directions, np.tile(np.arange(BEAMS), AZIMUTHS)


def firing_times(time_s: float) -> np.ndarray:
    """``(AZIMUTHS,)`` seconds at which the columns of a turn are fired that ends at ``time_s``."""
    return time_s - TURN_S + TURN_S * (np.arange(AZIMUTHS) + 1) / AZIMUTHS


def scan_lidar(scene: Scene, time_s: float, frame: Frame | None = None) -> LidarScan:
    """Measure one turn, all of it at one instant.

    Args:
        frame: the world at ``time_s`` where the caller has it already.
    """
    poses = np.broadcast_to(scene.global_from_ego(time_s) @ EGO_FROM_LIDAR, (AZIMUTHS, 4, 4))
    return _measure(scene, time_s, poses, [(AZIMUTHS, frame or Frame(scene, time_s))])


def sweep_lidar(
    scene: Scene, time_s: float, instants: Sequence[float], frame_at: Callable[[float], Frame]
) -> LidarScan:
    """Measure the turn that ends at ``time_s`` as the real sensor does, while the ego and all others move on.

    Each column is fired from where the ego is by then. Its points are given in the sensor frame at ``time_s``, hence
    compensated for the ego's motion as those of nuScenes are; the motion of others is not compensated, so that they
    are drawn out a little, there as here.

    Args:
        instants: at which the world is looked at, increasing; each column sees the nearest of them.
        frame_at: the world at an instant.
    """
    times = firing_times(time_s)
    knots = np.linspace(times[0], times[-1], KNOTS + 1)
    known = np.stack([scene.global_from_ego(float(knot)) @ EGO_FROM_LIDAR for knot in knots])  # (K + 1, 4, 4)
    # Over a sixth of a turn the ego yaws by milliradians: rotations are blended entry by entry.
    at = np.clip((times - knots[0]) / (knots[1] - knots[0]), 0, KNOTS - 1e-9)
    whole = at.astype(int)
    share = (at - whole)[:, None, None]
    poses = known[whole] * (1 - share) + known[whole + 1] * share  # (AZIMUTHS, 4, 4)
    bounds = [(a + b) / 2 for a, b in itertools.pairwise(instants)]
    ends = [*np.searchsorted(times, bounds).tolist(), AZIMUTHS]
    counts = np.diff([0, *ends]).tolist()
    pieces = [(count, frame_at(instant)) for count, instant in zip(counts, instants, strict=True) if count]
    return _measure(scene, time_s, poses, pieces)


def _measure(scene: Scene, time_s: float, poses: np.ndarray, pieces: Sequence[tuple[int, Frame]]) -> LidarScan:
    """Cast the rays of a turn and measure what comes back.

    A return is lost where little light comes back: far, dark or grazing surfaces.

    Args:
        poses: ``(AZIMUTHS, 4, 4)`` global from LiDAR of each column.
        pieces: the world that the next so many columns see.
    """
    local, rings = beam_directions()
    columns = local.reshape(AZIMUTHS, BEAMS, 3)
    directions = np.einsum("cij,cbj->cbi", poses[:, :3, :3], columns).reshape(-1, 3).astype(np.float32)
    origins = np.repeat(poses[:, :3, 3], BEAMS, axis=0).astype(np.float32)
    rays = np.ascontiguousarray(np.concatenate([origins, directions], axis=1))
    parts, row = [], 0
    for count, frame in pieces:
        parts.append(frame.cast(rays[row : row + count * BEAMS]))
        row += count * BEAMS
    hits = parts[0] if len(parts) == 1 else _joined(parts)
    facing = np.abs(dot(hits.flat_normal, directions))
    retro = np.zeros(len(rings), np.float32)
    for material, share in _RETRO.items():
        retro[hits.material == material] = share
    points = (origins + np.where(hits.hit, hits.t, 0.0)[:, None] * directions).astype(np.float32)
    surface = skin(scene, hits, points, *footprints(hits, directions, BEAM_WIDTH_RAD))
    retro += 0.6 * surface.marking  # road paint has glass beads in it
    albedo = surface.albedo.mean(axis=1)
    returned = albedo * facing + retro * facing**2
    if scene.daylight.wet:
        wetness, puddle = wet_ground(scene, hits.material, hits.flat_normal, points)
        returned = darkened(returned[:, None], wetness, puddle)[:, 0] * (1 - MIRRORED_AWAY * wetness * puddle)
    rng = scene_rng(scene.seed, scene.index, 1000 + round((time_s + LEAD_IN_S) * 1e6))
    luck = rng.random(len(rings), dtype=np.float32)
    noise = rng.standard_normal(len(rings), dtype=np.float32) * RANGE_NOISE_M
    echo = weather_echoes(scene.daylight, np.where(hits.hit, hits.t, np.inf), returned, luck, rng)
    keep = (echo.range_m < RANGE_M) & (echo.range_m > 1.0) & (luck > 0.005)
    distance = (echo.range_m + noise)[keep].astype(np.float64)
    returned = echo.returned[keep]
    intensity = np.clip(255 * (returned / (1 + returned)) * (0.85 + 0.3 * luck[keep]), 0, 255).round()
    column = np.flatnonzero(keep) // BEAMS
    compensation = inverse(poses[-1]) @ poses  # (AZIMUTHS, 4, 4) sensor at the end from sensor at each column
    ahead = np.einsum("nij,nj->ni", compensation[column, :3, :3], local[keep])
    measured = compensation[column, :3, 3] + ahead * distance[:, None]
    scan = np.concatenate([measured, intensity[:, None], rings[keep, None]], axis=1).astype(np.float32)
    air = echo.from_air[keep]
    labels = np.where(air, np.uint8(NOISE), hits.lidar[keep])
    return LidarScan(scan, labels, np.where(air, np.uint16(0), hits.instance[keep]))


def _joined(parts: Sequence[Hits]) -> Hits:
    return Hits(**{item.name: np.concatenate([getattr(part, item.name) for part in parts]) for item in fields(Hits)})


def points_in_box(points_global: np.ndarray, center: np.ndarray, size: tuple[float, float, float], yaw: float) -> int:
    """How many ``(N, 3)`` points lie in a box, all in the global frame."""
    reach = np.hypot(size[0], size[1]) / 2
    near_x = np.abs(points_global[:, 0] - center[0]) <= reach
    near = points_global[near_x & (np.abs(points_global[:, 1] - center[1]) <= reach)]
    local = (near - center) @ yaw_rotation(yaw)
    return int((np.abs(local) <= np.array(size) / 2).all(axis=1).sum())
