"""A spinning LiDAR like nuScenes' LIDAR_TOP: 32 beams, 20 turns a second, about 34,000 points a turn."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from perception.geometry.frames import transform, yaw_rotation
from perception.world.mesh import Material
from perception.world.raycast import Frame, dot
from perception.world.scene import Scene, scene_rng
from perception.world.shading import footprints, skin

BEAMS = 32
AZIMUTHS = 1084
ELEVATION_DEG = (-30.0, 10.0)
RANGE_M = 100.0
RANGE_NOISE_M = 0.02
BEAM_WIDTH_RAD = 3e-3
POSITION_M = (0.943713, 0.0, 1.84023)

# nuScenes' LiDAR axes are x right, y forward, z up.
EGO_FROM_LIDAR = transform(np.array(POSITION_M), np.array([[0, 1, 0], [-1, 0, 0], [0, 0, 1]], float))

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
    azimuth = np.linspace(0, -2 * np.pi, AZIMUTHS, endpoint=False)  # clockwise, as the sensor turns
    a, e = (grid.ravel() for grid in np.meshgrid(azimuth, elevation, indexing="ij"))
    directions = np.stack([np.cos(e) * np.cos(a), np.cos(e) * np.sin(a), np.sin(e)], axis=1)
    return directions, np.tile(np.arange(BEAMS), AZIMUTHS)


def scan_lidar(scene: Scene, time_s: float, frame: Frame | None = None) -> LidarScan:
    """Measure one turn, all of it at one instant.

    A return is lost where little light comes back: far, dark or grazing surfaces.

    Args:
        frame: the world at ``time_s`` where the caller has it already.
    """
    frame = frame or Frame(scene, time_s)
    global_from_lidar = scene.global_from_ego(time_s) @ EGO_FROM_LIDAR
    local, rings = beam_directions()
    directions = (local @ global_from_lidar[:3, :3].T).astype(np.float32)
    origins = np.broadcast_to(global_from_lidar[:3, 3].astype(np.float32), directions.shape)
    hits = frame.cast(np.ascontiguousarray(np.concatenate([origins, directions], axis=1)))
    facing = np.abs(dot(hits.flat_normal, directions))
    retro = np.zeros(len(rings), np.float32)
    for material, share in _RETRO.items():
        retro[hits.material == material] = share
    points = (origins + np.where(hits.hit, hits.t, 0.0)[:, None] * directions).astype(np.float32)
    surface = skin(scene, hits, points, *footprints(hits, directions, BEAM_WIDTH_RAD))
    retro += 0.6 * surface.marking  # road paint has glass beads in it
    albedo = surface.albedo.mean(axis=1)
    returned = albedo * facing + retro * facing**2
    rng = scene_rng(scene.seed, scene.index, 1000 + round(time_s * 1e6))
    luck = rng.random(len(rings), dtype=np.float32)
    noise = rng.standard_normal(len(rings), dtype=np.float32) * RANGE_NOISE_M
    seen = returned > 2e-5 * np.where(hits.hit, hits.t, 0.0) ** 1.5 * (0.3 + luck)
    keep = hits.hit & (hits.t < RANGE_M) & (hits.t > 1.0) & seen & (luck > 0.005)
    distance = (hits.t + noise)[keep]
    intensity = np.clip(255 * (returned / (1 + returned))[keep] * (0.85 + 0.3 * luck[keep]), 0, 255).round()
    measured = np.concatenate([local[keep] * distance[:, None], intensity[:, None], rings[keep, None]], axis=1).astype(
        np.float32
    )
    return LidarScan(measured, hits.lidar[keep], hits.instance[keep])


def points_in_box(points_global: np.ndarray, center: np.ndarray, size: tuple[float, float, float], yaw: float) -> int:
    """How many ``(N, 3)`` points lie in a box, all in the global frame."""
    reach = np.hypot(size[0], size[1]) / 2
    near_x = np.abs(points_global[:, 0] - center[0]) <= reach
    near = points_global[near_x & (np.abs(points_global[:, 1] - center[1]) <= reach)]
    local = (near - center) @ yaw_rotation(yaw)
    return int((np.abs(local) <= np.array(size) / 2).all(axis=1).sum())
