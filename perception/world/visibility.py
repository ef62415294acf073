"""How much of each actor the cameras see."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from perception.geometry.camera import in_image, project
from perception.geometry.camera import rays as camera_rays
from perception.geometry.frames import apply, inverse
from perception.types import Camera
from perception.world.actors import Actor
from perception.world.raycast import Caster
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

    @cached_property
    def pixels(self) -> np.ndarray:
        """``(65536,)`` pixels of each instance."""
        return np.bincount(self.instance.ravel(), minlength=1 << 16)


def visible_share(scene: Scene, actor: Actor, views: Sequence[View]) -> float:
    """Share of the actor's outline in the cameras that their pictures show together.

    It is the share of the pixels which the actor by itself would fill that are the actor's, summed over the pictures,
    times the share of its surface facing the cameras that lies in one. For the latter every triangle votes with its
    projected area, the largest over the cameras that look its way (over all of them where none does).
    """
    if not views:
        return 0.0
    mesh = actor.mesh(views[-1].time_s)  # one pose of the gait: the cameras fire within a twentieth of a second
    alone = Caster(mesh)
    area, ahead = np.zeros(len(mesh)), np.zeros(len(mesh))
    filled = shown = 0
    for view in views:
        weight, inside, outline, own = _seen(scene, actor, alone, view)
        area = np.maximum(area, weight)
        ahead = np.maximum(ahead, np.where(inside, weight, 0.0))
        filled, shown = filled + outline, shown + own
    whole = np.where(ahead > 0, ahead, area).sum()
    return float(ahead.sum() / whole * shown / filled) if whole > 0 and filled else 0.0


def _seen(scene: Scene, actor: Actor, alone: Caster, view: View) -> tuple[np.ndarray, np.ndarray, int, int]:
    """``(F,)`` solid angle of front faces and whether they lie in the image; pixels of the outline, and those seen."""
    camera, mesh = view.camera, alone.mesh
    camera_from_global = inverse(scene.global_from_ego(view.time_s) @ camera.ego_from_camera)
    camera_from_local = camera_from_global @ actor.global_from_local(scene.road, view.time_s)
    corners = apply(camera_from_local, mesh.vertices.astype(np.float64))[mesh.faces]  # (F, 3, 3)
    middle = corners.mean(axis=1)
    normal = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    distance2 = np.maximum((middle**2).sum(axis=1), 1e-6)
    area = np.maximum(-(normal * middle).sum(axis=1), 0.0) / distance2**1.5
    pixels, _ = project(camera, middle)
    inside = in_image(camera, pixels)
    if not inside.any():
        return area, inside, 0, 0
    around = project(camera, corners[inside].reshape(-1, 3))[0]
    around = np.nan_to_num(around, posinf=1e6, neginf=-1e6).clip(0, camera.size[::-1])
    left, top = np.floor(around.min(axis=0)).astype(int)
    right, bottom = np.ceil(around.max(axis=0)).astype(int)
    outline = _outline(alone, camera, camera_from_local, (left, top, right, bottom))
    own = int(view.pixels[actor.instance])  # also those that a rolling shutter moved past the outline
    return area, inside, outline, min(own, outline)


def _outline(alone: Caster, camera: Camera, camera_from_local: np.ndarray, window: tuple[int, ...]) -> int:
    """How many pixels of a window ``(left, top, right, bottom)`` the actor fills with nothing before it."""
    left, top, right, bottom = window
    x, y = np.meshgrid(np.arange(left, right) + 0.5, np.arange(top, bottom) + 0.5)
    local_from_camera = inverse(camera_from_local)
    rays = np.empty((x.size, 6), np.float32)
    rays[:, :3] = local_from_camera[:3, 3]
    rays[:, 3:] = camera_rays(camera, np.stack([x.ravel(), y.ravel()], axis=1)) @ local_from_camera[:3, :3].T
    return int(np.isfinite(alone.cast(rays)["t_hit"].numpy()).sum())


def level(share: float) -> int:
    """nuScenes visibility level, 1 to 4.

    >>> [level(share) for share in (0.0, 0.4, 0.79, 1.0)]
    [1, 2, 3, 4]
    """
    return 1 + sum(share >= bound for bound in LEVELS)
