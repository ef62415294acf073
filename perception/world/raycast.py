"""Ray casting through Open3D: which triangle a ray meets, fixed and moving meshes together."""

from __future__ import annotations

from dataclasses import dataclass
from types import ModuleType
from typing import Any

import numpy as np

from perception.errors import MissingExtra, require
from perception.world.lights import Lights, lights_at
from perception.world.mesh import Mesh, merge
from perception.world.scene import Scene

REACH_M = 160.0
"""Actors farther from the ego than this are left out of a frame."""
SYSTEM_PACKAGES = "libusb-1.0-0 libgl1 libegl1 libgomp1 libx11-6"


def open3d() -> ModuleType:
    """Import Open3D.

    Raises:
        MissingExtra: naming the pip extra, or the Debian packages where only system libraries are missing.
    """
    try:
        return require("open3d", "world")
    except MissingExtra as error:
        if ".so" in str(error):
            raise MissingExtra(
                f"open3d could not be imported ({error.__cause__}); it needs system libraries: "
                f"apt-get install {SYSTEM_PACKAGES}"
            ) from error
        raise


def dot(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """``(N,)`` dot products of ``(N, 3)`` rows; several times as fast as a sum over the short axis."""
    return np.einsum("ij,ij->i", a, b)


class Caster:
    """A mesh in a ray casting structure. One thread, so that the same rays give the same bytes everywhere."""

    def __init__(self, mesh: Mesh) -> None:
        library = open3d()
        self._tensor = library.core.Tensor
        self.mesh = mesh
        self.scene = library.t.geometry.RaycastingScene(nthreads=1)
        self.scene.add_triangles(
            self._tensor(np.ascontiguousarray(mesh.vertices, np.float32)),
            self._tensor(np.ascontiguousarray(mesh.faces, np.uint32)),
        )

    def cast(self, rays: np.ndarray) -> dict[str, Any]:
        """Nearest hits of ``(N, 6)`` float32 rays."""
        return self.scene.cast_rays(self._tensor(rays), nthreads=1)

    def occluded(self, rays: np.ndarray, far: float) -> np.ndarray:
        """``(N,)`` bool: whether anything lies on the ray within ``far``, in units of its direction."""
        return self.scene.test_occlusions(self._tensor(rays), tnear=0.0, tfar=far, nthreads=1).numpy()


@dataclass
class Hits:
    """What ``N`` rays met.

    Shape:
        - t: ``(N,)`` float32 in units of the ray direction, infinite where nothing was met.
        - hit: ``(N,)`` bool.
        - uv: ``(N, 2)`` texture coordinates; normal, flat_normal: ``(N, 3)``; color: ``(N, 3)``.
        - material, semantic, lidar, style, instance: ``(N,)``.
    """

    t: np.ndarray
    hit: np.ndarray
    uv: np.ndarray
    normal: np.ndarray
    flat_normal: np.ndarray
    color: np.ndarray
    material: np.ndarray
    semantic: np.ndarray
    lidar: np.ndarray
    style: np.ndarray
    instance: np.ndarray


@dataclass
class Glimpse:
    """The little that a mirror needs of what ``N`` rays met; fields as those of :class:`Hits`."""

    t: np.ndarray
    hit: np.ndarray
    color: np.ndarray
    material: np.ndarray
    style: np.ndarray
    instance: np.ndarray


class Frame:
    """The world at an instant, ready for rays; ``lights`` are the lamps that are on, if any."""

    def __init__(self, scene: Scene, time_s: float) -> None:
        self.lights: Lights | None = lights_at(scene, time_s) if scene.daylight.dark else None
        if "static" not in scene._caches:
            scene._caches["static"] = Caster(scene.static)
        casters = [scene._caches["static"]]
        ego = scene.global_from_ego(time_s)[:2, 3]
        meshes = []
        for actor in scene.present(time_s):
            if actor.track is None:
                continue
            matrix = actor.global_from_local(scene.road, time_s)
            if np.hypot(*(matrix[:2, 3] - ego)) < REACH_M:
                meshes.append(actor.mesh(time_s).moved(matrix))
        meshes += scene.lamps(time_s)
        if meshes:
            casters.append(Caster(merge(meshes)))
        self.casters: list[Caster] = casters

    def _nearest(self, rays: np.ndarray) -> tuple[list[dict[str, Any]], np.ndarray, np.ndarray]:
        """Results of each caster, distance of the nearest hit, and the number of its caster."""
        results = [caster.cast(rays) for caster in self.casters]
        distance = np.stack([result["t_hit"].numpy() for result in results])
        return results, distance.min(axis=0), distance.argmin(axis=0)

    def glance(self, rays: np.ndarray) -> Glimpse:
        """What ``(N, 6)`` rays meet, without normals and textures."""
        results, t, winner = self._nearest(np.ascontiguousarray(rays, np.float32))
        hit = np.isfinite(t)
        glimpse = Glimpse(t, hit, np.zeros((len(t), 3), np.float32), np.zeros(len(t), np.uint8),
                          np.zeros(len(t), np.int32), np.zeros(len(t), np.uint16))  # fmt: skip
        for k, (caster, result) in enumerate(zip(self.casters, results, strict=True)):
            rows = np.flatnonzero(hit & (winner == k))
            face = result["primitive_ids"].numpy()[rows].astype(np.int64)
            for name in ("color", "material", "style", "instance"):
                getattr(glimpse, name)[rows] = getattr(caster.mesh, name)[face]
        return glimpse

    def cast(self, rays: np.ndarray) -> Hits:
        """Nearest hits of ``(N, 6)`` float32 rays (origin, direction)."""
        results, t, winner = self._nearest(rays)
        hit = np.isfinite(t)
        count = len(rays)
        hits = Hits(
            t=t,
            hit=hit,
            uv=np.zeros((count, 2), np.float32),
            normal=np.zeros((count, 3), np.float32),
            flat_normal=np.zeros((count, 3), np.float32),
            color=np.zeros((count, 3), np.float32),
            material=np.zeros(count, np.uint8),
            semantic=np.zeros(count, np.uint8),
            lidar=np.zeros(count, np.uint8),
            style=np.zeros(count, np.int32),
            instance=np.zeros(count, np.uint16),
        )
        for k, (caster, result) in enumerate(zip(self.casters, results, strict=True)):
            rows = np.flatnonzero(hit & (winner == k))
            if len(rows):
                mesh = caster.mesh
                face = result["primitive_ids"].numpy()[rows].astype(np.int64)
                b = result["primitive_uvs"].numpy()[rows]
                weights = np.stack([1 - b[:, 0] - b[:, 1], b[:, 0], b[:, 1]], axis=1)
                hits.uv[rows] = np.einsum("nc,nck->nk", weights, mesh.uv[face])
                normal = np.einsum("nc,nck->nk", weights, mesh.normals[face])
                hits.normal[rows] = normal / np.maximum(np.sqrt(dot(normal, normal)), 1e-6)[:, None]
                hits.flat_normal[rows] = result["primitive_normals"].numpy()[rows]
                for name in ("color", "material", "semantic", "lidar", "style", "instance"):
                    getattr(hits, name)[rows] = getattr(mesh, name)[face]
        facing = dot(hits.flat_normal, rays[:, 3:]) > 0
        hits.flat_normal[facing] *= -1
        # A shading normal follows the geometric one to the viewer's side.
        behind = dot(hits.normal, hits.flat_normal) < 0
        hits.normal[behind] *= -1
        return hits

    def occluded(self, origins: np.ndarray, direction: np.ndarray, far: float = np.inf) -> np.ndarray:
        """``(N,)`` bool: whether anything lies from ``(N, 3)`` origins in a ``(3,)`` or ``(N, 3)`` direction."""
        rays = np.empty((len(origins), 6), np.float32)
        rays[:, :3], rays[:, 3:] = origins, direction
        blocked = np.zeros(len(rays), bool)
        for caster in self.casters:
            rows = np.flatnonzero(~blocked)
            if len(rows):
                blocked[rows] = caster.occluded(rays[rows], far)
        return blocked
