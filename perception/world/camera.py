"""Pictures and dense labels of the cameras."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from perception.geometry.camera import rays as camera_rays
from perception.types import Camera
from perception.world.motion import LEAD_IN_S
from perception.world.raycast import Frame, Hits
from perception.world.rig import FRONT, rig_camera
from perception.world.scene import Scene
from perception.world.shading import shade
from perception.world.sky import tone

SUBPIXELS = np.array([[-0.36, -0.12], [0.29, -0.33], [0.08, 0.38]])
"""Where edge pixels are sampled again, relative to the pixel's centre, which counts as well."""


@dataclass
class CameraFrame:
    """A picture and its labels.

    Shape:
        - image: ``(H, W, 3)`` uint8 RGB.
        - semantic: ``(H, W)`` uint8 index of :data:`perception.taxonomy.ROAD_SCENE`.
        - instance: ``(H, W)`` uint16, 0 for none.
        - depth_m: ``(H, W)`` float32 along the optical axis, 0 for sky.
    """

    image: np.ndarray
    semantic: np.ndarray
    instance: np.ndarray
    depth_m: np.ndarray


def front_camera(size: tuple[int, int]) -> Camera:
    """A camera like nuScenes' CAM_FRONT (focal length 1266 px at 1600 x 900), scaled to ``(height, width)``."""
    return rig_camera(FRONT, size)


class _View:
    """Rays of a camera at an instant."""

    def __init__(self, scene: Scene, time_s: float, camera: Camera, frame: Frame) -> None:
        self.scene, self.frame, self.camera = scene, frame, camera
        pose = scene.global_from_ego(time_s) @ camera.ego_from_camera
        self.rotation, self.origin = pose[:3, :3].astype(np.float32), pose[:3, 3].astype(np.float32)
        self.pixel_angle = 1.0 / camera.focal_px

    def trace(self, local: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, Hits, np.ndarray]:
        """Linear colour, class, sunlit, hits (t in metres) and depth along the axis of ``(N, 3)`` unit directions."""
        rays = np.empty((len(local), 6), np.float32)
        rays[:, :3] = self.origin
        directions = np.matmul(local, self.rotation.T, out=np.empty_like(local))
        rays[:, 3:] = directions
        hits = self.frame.cast(rays)
        color, semantic, lit = shade(self.scene, self.frame, hits, self.origin, directions, self.pixel_angle)
        depth = np.where(hits.hit, hits.t * local[:, 2], np.float32(0.0))
        return color, semantic, lit, hits, depth


def _unit_rays(camera: Camera, pixels: np.ndarray) -> np.ndarray:
    """``(N, 3)`` float32 unit directions of ``(N, 2)`` pixels in the camera frame."""
    local = camera_rays(camera, pixels)
    unit: np.ndarray = (local / np.linalg.norm(local, axis=1)[:, None]).astype(np.float32)
    return unit


def _grid(scene: Scene, camera: Camera) -> tuple[np.ndarray, np.ndarray]:
    """``(H * W, 2)`` pixel centres and their unit directions, kept for the camera's next picture."""
    key = f"rays {camera.size} {camera.intrinsics.tobytes().hex()} {camera.model} {camera.distortion}"
    if key not in scene._caches:
        height, width = camera.size
        x, y = np.meshgrid(np.arange(width) + 0.5, np.arange(height) + 0.5)
        pixels = np.stack([x.ravel(), y.ravel()], axis=1)
        scene._caches[key] = pixels, _unit_rays(camera, pixels)
    kept: tuple[np.ndarray, np.ndarray] = scene._caches[key]
    return kept


def render_camera(
    scene: Scene, time_s: float, camera: Camera, frame: Frame | None = None, stream: int = 0
) -> CameraFrame:
    """Render the scene at a time.

    Labels and depth belong to the pixel's centre; colours of pixels on edges are averaged over three more rays.

    Args:
        frame: the world at ``time_s`` where the caller has it already.
        stream: of random numbers; cameras that fire together have noise of their own.
    """
    frame = frame or Frame(scene, time_s)
    height, width = camera.size
    view = _View(scene, time_s, camera, frame)
    pixels, unit = _grid(scene, camera)
    color, semantic, lit, hits, depth = view.trace(unit)
    edges = np.flatnonzero(_edges(semantic, lit, hits, camera.size))
    if len(edges):
        again = (pixels[edges, None] + SUBPIXELS).reshape(-1, 2)  # (E * 3, 2)
        sub = view.trace(_unit_rays(camera, again))[0].reshape(len(edges), len(SUBPIXELS), 3)
        # Averaging after the shoulder of the tone curve keeps bright sky from bleeding over dark outlines.
        limit = 1.6 / scene.daylight.exposure
        total = np.minimum(color[edges], limit) + np.minimum(sub, limit).sum(axis=1)
        color[edges] = total / (1 + len(SUBPIXELS))
    image = _develop(scene, time_s, color.reshape(height, width, 3), stream)
    return CameraFrame(
        image, semantic.reshape(height, width), hits.instance.reshape(height, width), depth.reshape(height, width)
    )


def _edges(semantic: np.ndarray, lit: np.ndarray, hits: Hits, size: tuple[int, int]) -> np.ndarray:
    """``(H * W,)`` bool: pixels that differ from a neighbour in object, class, material or shadow."""
    crown = hits.material == 8
    surface = np.where(crown, np.uint8(0), hits.material * np.uint8(2) + lit).astype(np.uint32)
    key = (semantic + (surface << np.uint32(8)) + (hits.instance.astype(np.uint32) << np.uint32(16))).reshape(size)
    edge = np.zeros(size, bool)
    for axis in (0, 1):
        first = (slice(None), slice(None, -1)) if axis else (slice(None, -1), slice(None))
        second = (slice(None), slice(1, None)) if axis else (slice(1, None), slice(None))
        differs = key[first] != key[second]
        edge[first] |= differs
        edge[second] |= differs
    return edge.ravel()


def _develop(scene: Scene, time_s: float, linear: np.ndarray, stream: int) -> np.ndarray:
    """Lens falloff, exposure, tone curve and sensor noise."""
    height, width = linear.shape[:2]
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    radius2 = ((x / width - 0.5) ** 2 + (y / height - 0.5) ** 2 * (height / width) ** 2) * 4
    image = tone(linear * (1 - 0.22 * radius2)[:, :, None], scene.daylight.exposure)
    rng = np.random.default_rng([scene.seed, scene.index, 5, stream, round((time_s + LEAD_IN_S) * 1e6)])
    noise = rng.standard_normal((height, width, 3), dtype=np.float32)
    image = image + noise * (0.005 + 0.006 * np.sqrt(np.maximum(image, 0.0)))
    return np.clip(np.round(image * 255), 0, 255).astype(np.uint8)
