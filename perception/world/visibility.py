"""How much of each actor the cameras see."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from perception.geometry.camera import in_image, project
from perception.geometry.frames import apply, inverse
from perception.types import Camera
from perception.world.actors import Actor
from perception.world.mesh import Mesh
from perception.world.scene import Scene

LEVELS = (0.4, 0.6, 0.8)
"""Upper ends of nuScenes' visibility levels 1 to 3; 4 is the rest."""


@dataclass(frozen=True)
class View:
    """What a camera saw.

    Args:
        time_s: when it fired.
        instance: ``(H, W)`` uint16 instance image.
    """

    camera: Camera
    time_s: float
    instance: np.ndarray


def visible_share(scene: Scene, actor: Actor, views: Sequence[View]) -> float:
    """Share of the actor's surface facing the cameras that their pictures show together.

    Every triangle votes with its projected area, the largest over the cameras that it faces and that look its way
    (over all of them where none does); it is seen if in one picture a pixel around its centre belongs to the actor.
    With one camera that is the share of the object's outline that is neither hidden nor outside the picture.
    """
    if not views:
        return 0.0
    mesh = actor.mesh(views[-1].time_s)  # one pose of the gait: the cameras fire within a twentieth of a second
    area, ahead = np.zeros(len(mesh)), np.zeros(len(mesh))
    shown = np.zeros(len(mesh), bool)
    for view in views:
        weight, inside, seen = _votes(scene, actor, mesh, view)
        area = np.maximum(area, weight)
        ahead = np.maximum(ahead, np.where(inside, weight, 0.0))
        shown |= seen & (weight > 0)
    area = np.where(ahead > 0, ahead, area)
    return min(float(area[shown].sum() / area.sum()), 1.0) if area.sum() > 0 else 0.0


def _votes(scene: Scene, actor: Actor, mesh: Mesh, view: View) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """``(F,)`` solid angle of front faces, whether they lie in the image, and whether they are seen there."""
    camera = view.camera
    camera_from_global = inverse(scene.global_from_ego(view.time_s) @ camera.ego_from_camera)
    camera_from_local = camera_from_global @ actor.global_from_local(scene.road, view.time_s)
    corners = apply(camera_from_local, mesh.vertices.astype(np.float64))[mesh.faces]  # (F, 3, 3)
    middle = corners.mean(axis=1)
    normal = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    distance2 = np.maximum((middle**2).sum(axis=1), 1e-6)
    area = np.maximum(-(normal * middle).sum(axis=1), 0.0) / distance2**1.5
    pixels, _ = project(camera, middle)
    inside = in_image(camera, pixels)
    seen = np.zeros(len(middle), bool)
    if inside.any():
        height, width = camera.size
        column, row = (pixels[inside].astype(np.int64)).T
        for dy in (-1, 0, 1):
            for dx in (-1, 0, 1):
                y, x = np.clip(row + dy, 0, height - 1), np.clip(column + dx, 0, width - 1)
                seen[inside] |= view.instance[y, x] == actor.instance
    return area, inside, seen


def level(share: float) -> int:
    """nuScenes visibility level, 1 to 4.

    >>> [level(share) for share in (0.0, 0.4, 0.79, 1.0)]
    [1, 2, 3, 4]
    """
    return 1 + sum(share >= bound for bound in LEVELS)
