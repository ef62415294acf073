"""Pictures and dense labels of the cameras."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from perception.geometry.camera import rays as camera_rays
from perception.geometry.frames import inverse
from perception.types import Camera
from perception.world.lighting import glare
from perception.world.motion import LEAD_IN_S
from perception.world.raycast import Frame, Hits
from perception.world.rig import FRONT, rig_camera
from perception.world.scene import Scene
from perception.world.sensor import IDEAL, SensorModel, develop, exposure_error, image_motion, motion_blurred, row_times
from perception.world.shading import shade

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
    """Rays of a camera at an instant; with a rolling shutter each row is cast from where the ego is by then."""

    def __init__(self, scene: Scene, time_s: float, camera: Camera, frame: Frame, rolling: bool) -> None:
        self.scene, self.frame, self.camera, self.time_s = scene, frame, camera, time_s
        self.pose = self.pose_at(time_s)
        self.rotation, self.origin = self.pose[:3, :3].astype(np.float32), self.pose[:3, 3].astype(np.float32)
        self.pixel_angle = 1.0 / camera.focal_px
        self.rows: np.ndarray | None = None
        if rolling:
            self.rows = np.stack([self.pose_at(time_s + float(t)) for t in row_times(camera)]).astype(np.float32)

    def pose_at(self, time_s: float) -> np.ndarray:
        """``(4, 4)`` global from camera."""
        pose: np.ndarray = self.scene.global_from_ego(time_s) @ self.camera.ego_from_camera
        return pose

    def trace(self, local: np.ndarray, row: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, Hits, np.ndarray]:
        """Linear colour, class, sunlit, hits (t in metres) and depth along the axis of ``(N, 3)`` unit directions.

        Args:
            row: ``(N,)`` of the picture, which says when a rolling shutter exposes it.
        """
        rays = np.empty((len(local), 6), np.float32)
        if self.rows is None:
            origin = self.origin
            directions = np.matmul(local, self.rotation.T, out=np.empty_like(local))
        else:
            poses = self.rows[row]
            origin = poses[:, :3, 3]
            directions = np.einsum("nij,nj->ni", poses[:, :3, :3], local)
        rays[:, :3] = origin
        rays[:, 3:] = directions
        hits = self.frame.cast(rays)
        color, semantic, lit = shade(self.scene, self.frame, hits, origin, directions, self.pixel_angle)
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
    scene: Scene,
    time_s: float,
    camera: Camera,
    frame: Frame | None = None,
    stream: int = 0,
    sensor: SensorModel = IDEAL,
) -> CameraFrame:
    """Render the scene at a time.

    Labels and depth belong to the pixel's centre; colours of pixels on edges are averaged over three more rays.

    Args:
        frame: the world at ``time_s`` where the caller has it already.
        stream: of random numbers; cameras that fire together have noise of their own.
        sensor: effects of the camera on the picture.
    """
    frame = frame or Frame(scene, time_s)
    height, width = camera.size
    view = _View(scene, time_s, camera, frame, sensor.rolling_shutter)
    pixels, unit = _grid(scene, camera)
    row = pixels[:, 1].astype(np.int32)
    color, semantic, lit, hits, depth = view.trace(unit, row)
    edges = np.flatnonzero(_edges(semantic, lit, hits, camera.size))
    if len(edges):
        again = (pixels[edges, None] + SUBPIXELS).reshape(-1, 2)  # (E * 3, 2)
        sub = view.trace(_unit_rays(camera, again), np.repeat(row[edges], len(SUBPIXELS)))[0]
        sub = sub.reshape(len(edges), len(SUBPIXELS), 3)
        # Averaging after the shoulder of the tone curve keeps bright sky from bleeding over dark outlines.
        limit = (3.2 if scene.daylight.lamps else 1.6) / scene.daylight.exposure
        total = np.minimum(color[edges], limit) + np.minimum(sub, limit).sum(axis=1)
        color[edges] = total / (1 + len(SUBPIXELS))
    linear = color.reshape(height, width, 3)
    if frame.lights is not None:
        linear = glare(scene, frame, frame.lights, camera, view.pose, linear)
    return CameraFrame(
        _picture(view, linear, depth, pixels, stream, sensor),
        semantic.reshape(height, width),
        hits.instance.reshape(height, width),
        depth.reshape(height, width),
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


def _picture(
    view: _View, linear: np.ndarray, depth: np.ndarray, pixels: np.ndarray, stream: int, sensor: SensorModel
) -> np.ndarray:
    """The finished picture of ``(H, W, 3)`` linear light."""
    scene, time_s, light = view.scene, view.time_s, view.scene.daylight
    if sensor.motion_blur:
        half = light.exposure_time_s / 2
        moved = inverse(view.pose_at(time_s + half)) @ view.pose_at(time_s - half)
        motion = image_motion(view.camera, pixels, depth, moved)
        linear = motion_blurred(linear, motion.reshape(*linear.shape[:2], 2))
    rng = np.random.default_rng([scene.seed, scene.index, 5, stream, round((time_s + LEAD_IN_S) * 1e6)])
    error = exposure_error(sensor, scene.seed + 7 * scene.index, stream, time_s)
    return develop(linear, light, sensor, rng, error)
