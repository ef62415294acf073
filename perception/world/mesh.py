"""Triangle meshes with what a renderer and a labeller need to know of each triangle."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from enum import IntEnum

import numpy as np

from perception.taxonomy import NUSCENES_LIDARSEG, ROAD_SCENE
from perception.types import IGNORE_INDEX


class Material(IntEnum):
    """What a surface looks like; :mod:`perception.world.shading` evaluates each."""

    ROAD = 0
    SIDE_ROAD = 1
    PAVING = 2
    KERB = 3
    GRASS = 4
    FACADE = 5
    ROOF = 6
    BARK = 7
    LEAF = 8
    PLAIN = 9
    PAINT = 10
    GREENHOUSE = 11
    GLASS = 12
    WHEEL = 13
    SIGN = 14
    BUS = 15
    LIGHT = 16
    FENCE = 17
    BRICK = 18


LIDAR_OF_SEMANTIC = {
    "road": "flat.driveable_surface", "sidewalk": "flat.sidewalk", "terrain": "flat.terrain",
    "building": "static.manmade", "wall": "static.manmade", "fence": "static.manmade", "pole": "static.manmade",
    "traffic_light": "static.manmade", "traffic_sign": "static.manmade", "vegetation": "static.vegetation",
}  # fmt: skip
"""The nuScenes-lidarseg class of what is not a detection object."""


@dataclass(frozen=True)
class Surface:
    """How the triangles of one shape look and what they are.

    Args:
        material: how it is shaded.
        semantic: class of :data:`perception.taxonomy.ROAD_SCENE`, or ``ignore`` for what it has no class for.
        color: linear RGB in 0..1.
        lidar: nuScenes-lidarseg category; by default the one that belongs to ``semantic``.
        style: row of the scene's facade table, or a variant number that the material knows.
    """

    material: Material
    semantic: str
    color: Sequence[float] | np.ndarray = (0.5, 0.5, 0.5)
    lidar: str | None = None
    style: int = 0


@dataclass
class Mesh:
    """Triangles with attributes.

    Shape:
        - vertices: ``(V, 3)`` float32 metres.
        - faces: ``(F, 3)`` int32.
        - uv: ``(F, 3, 2)`` float32 texture coordinates of the corners, metres unless the material says else.
        - normals: ``(F, 3, 3)`` float32 shading normals of the corners.
        - material, semantic, lidar: ``(F,)`` uint8.
        - color: ``(F, 3)`` float32 linear RGB.
        - style: ``(F,)`` int32.
        - instance: ``(F,)`` uint16, 0 for none.
    """

    vertices: np.ndarray
    faces: np.ndarray
    uv: np.ndarray
    normals: np.ndarray
    material: np.ndarray
    semantic: np.ndarray
    lidar: np.ndarray
    color: np.ndarray
    style: np.ndarray
    instance: np.ndarray

    def __len__(self) -> int:
        return len(self.faces)

    def moved(self, matrix: np.ndarray, instance: int | None = None) -> Mesh:
        """The mesh under a ``(4, 4)`` similarity, optionally as another instance."""
        linear = matrix[:3, :3].astype(np.float32)
        scale = np.float32(np.cbrt(abs(np.linalg.det(matrix[:3, :3]))))
        moved = replace(
            self,
            vertices=self.vertices @ linear.T + matrix[:3, 3].astype(np.float32),
            normals=self.normals @ (linear / scale).T,
        )
        if instance is not None:
            moved.instance = np.full(len(self), instance, np.uint16)
        return moved

    def tinted(self, factor: np.ndarray) -> Mesh:
        """The mesh with its colours multiplied by an RGB factor."""
        return replace(self, color=self.color * np.asarray(factor, np.float32))

    def bounds(self) -> tuple[np.ndarray, np.ndarray]:
        return self.vertices.min(axis=0), self.vertices.max(axis=0)


def merge(meshes: Sequence[Mesh]) -> Mesh:
    """One mesh of many; at least one is needed."""
    offsets = np.cumsum([0] + [len(mesh.vertices) for mesh in meshes[:-1]])
    merged = {item.name: np.concatenate([getattr(mesh, item.name) for mesh in meshes]) for item in fields(Mesh)}
    merged["faces"] = np.concatenate(
        [mesh.faces + np.int32(offset) for mesh, offset in zip(meshes, offsets, strict=True)]
    )
    return Mesh(**merged)


@dataclass
class Shape:
    """Bare geometry: ``vertices (V, 3)``, ``faces (F, 3)``, ``uv (F, 3, 2)`` and optional ``normals (F, 3, 3)``."""

    vertices: np.ndarray
    faces: np.ndarray
    uv: np.ndarray
    normals: np.ndarray | None = None

    def mesh(self, surface: Surface, crease_deg: float = 0.0) -> Mesh:
        """Give the shape a surface.

        Args:
            crease_deg: faces that meet at less than this angle are shaded as one smooth surface.
        """
        vertices = np.asarray(self.vertices, np.float32)
        faces = np.asarray(self.faces, np.int32)
        count = len(faces)
        normals = self.normals if self.normals is not None else corner_normals(vertices, faces, crease_deg)
        lidar = surface.lidar or LIDAR_OF_SEMANTIC[surface.semantic]
        semantic = IGNORE_INDEX if surface.semantic == "ignore" else ROAD_SCENE.index(surface.semantic)
        return Mesh(
            vertices=vertices,
            faces=faces,
            uv=np.asarray(self.uv, np.float32),
            normals=np.asarray(normals, np.float32),
            material=np.full(count, surface.material, np.uint8),
            semantic=np.full(count, semantic, np.uint8),
            lidar=np.full(count, NUSCENES_LIDARSEG.index(lidar), np.uint8),
            color=np.tile(np.asarray(surface.color, np.float32), (count, 1)),
            style=np.full(count, surface.style, np.int32),
            instance=np.zeros(count, np.uint16),
        )


def corner_normals(vertices: np.ndarray, faces: np.ndarray, crease_deg: float) -> np.ndarray:
    """``(F, 3, 3)`` normals, averaged over the faces around a vertex that lie within ``crease_deg`` of each other."""
    corners = vertices[faces]
    cross = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    unit = cross / np.maximum(np.linalg.norm(cross, axis=1, keepdims=True), 1e-12)
    flat = np.repeat(unit[:, None], 3, axis=1)
    if crease_deg <= 0:
        return flat
    _, merged = np.unique(np.round(vertices, 4), axis=0, return_inverse=True)
    vertex_of_corner = merged.reshape(-1)[faces].ravel()  # (F * 3)
    order = np.argsort(vertex_of_corner, kind="stable")
    smooth = flat.reshape(-1, 3).copy()
    limit = np.cos(np.radians(crease_deg))
    for group in np.split(order, np.flatnonzero(np.diff(vertex_of_corner[order])) + 1):
        around = group // 3
        near = (unit[around] @ unit[around].T) > limit
        total = near @ cross[around]
        smooth[group] = total / np.maximum(np.linalg.norm(total, axis=1, keepdims=True), 1e-12)
    return smooth.reshape(-1, 3, 3)
