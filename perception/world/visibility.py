"""How much of each actor the camera sees."""

from __future__ import annotations

import numpy as np

from perception.geometry.camera import in_image, project
from perception.geometry.frames import apply, inverse
from perception.types import Camera
from perception.world.actors import Actor
from perception.world.scene import Scene

LEVELS = (0.4, 0.6, 0.8)
"""Upper ends of nuScenes' visibility levels 1 to 3; 4 is the rest."""


def visible_share(scene: Scene, actor: Actor, time_s: float, camera: Camera, instance: np.ndarray) -> float:
    """Share of the actor's surface facing the camera that the picture shows.

    Every triangle that faces the camera votes with its projected area; it is seen if one of the pixels around
    its centre belongs to the actor.

    Args:
        instance: ``(H, W)`` uint16 instance image.
    """
    mesh = actor.mesh(time_s)
    camera_from_local = inverse(scene.global_from_ego(time_s) @ camera.ego_from_camera) @ actor.global_from_local(
        scene.road, time_s
    )
    corners = apply(camera_from_local, mesh.vertices.astype(np.float64))[mesh.faces]  # (F, 3, 3)
    middle = corners.mean(axis=1)
    normal = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    distance2 = np.maximum((middle**2).sum(axis=1), 1e-6)
    area = np.maximum(-(normal * middle).sum(axis=1), 0.0) / distance2**1.5  # solid angle of front faces
    if area.sum() <= 0:
        return 0.0
    pixels, _ = project(camera, middle)
    inside = in_image(camera, pixels)
    seen = np.zeros(len(middle), bool)
    height, width = camera.size
    column, row = (pixels[inside].astype(np.int64)).T
    for dy in (-1, 0, 1):
        for dx in (-1, 0, 1):
            y, x = np.clip(row + dy, 0, height - 1), np.clip(column + dx, 0, width - 1)
            seen[inside] |= instance[y, x] == actor.instance
    return float(area[seen].sum() / area.sum())


def level(share: float) -> int:
    """nuScenes visibility level, 1 to 4.

    >>> [level(share) for share in (0.0, 0.4, 0.79, 1.0)]
    [1, 2, 3, 4]
    """
    return 1 + sum(share >= bound for bound in LEVELS)
