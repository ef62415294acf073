"""Shares of actors that are seen, against their outlines drawn as polygons."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from perception.geometry.camera import project
from perception.geometry.frames import apply, inverse
from perception.types import Camera
from perception.world import build_scene, front_camera, render_camera
from perception.world.actors import Actor
from perception.world.scene import Scene
from perception.world.visibility import View, visible_share

SIZE = (225, 400)
TIME_S = 0.7
FINE = 8
"""The polygons are drawn that much larger."""


@pytest.fixture(scope="module")
def scene() -> Scene:
    return build_scene(11, 2, 2.0)


@pytest.fixture(scope="module")
def camera() -> Camera:
    return front_camera(SIZE)


@pytest.fixture(scope="module")
def instances(scene: Scene, camera: Camera) -> np.ndarray:
    return render_camera(scene, TIME_S, camera).instance


def drawn(scene: Scene, actor: Actor, camera: Camera) -> np.ndarray | None:
    """``(8 H, 8 W)`` bool: the outline of an actor with nothing before it; ``None`` where the picture cuts it."""
    pose = inverse(scene.global_from_ego(TIME_S) @ camera.ego_from_camera)
    mesh = actor.mesh(TIME_S)
    pixels, depth = project(camera, apply(pose @ actor.global_from_local(scene.road, TIME_S), mesh.vertices))
    if not ((depth > 1) & (pixels > 1).all(axis=1) & (pixels < np.array(SIZE[::-1]) - 1).all(axis=1)).all():
        return None
    canvas = np.zeros((FINE * SIZE[0], FINE * SIZE[1]), np.uint8)
    for triangle in np.round(FINE * pixels - 0.5).astype(np.int32)[mesh.faces]:
        cv2.fillConvexPoly(canvas, triangle, 1)
    return canvas > 0


def test_shares_are_those_of_the_pixels_of_the_outline(scene: Scene, camera: Camera, instances: np.ndarray) -> None:
    checked = hidden = 0
    for number in np.unique(instances[instances > 0]):
        actor = scene.actors[number - 1]
        outline = drawn(scene, actor, camera)
        if outline is None or outline.sum() < 40 * FINE**2:
            continue
        expected = (instances == number).sum() * FINE**2 / outline.sum()
        share = visible_share(scene, actor, [View(camera, TIME_S, instances)])
        assert share == pytest.approx(expected, abs=0.1), actor.category
        checked, hidden = checked + 1, hidden + (expected < 0.8)
    assert checked >= 6
    assert hidden >= 2


@pytest.mark.parametrize("axis", [0, 1])
def test_of_a_small_actor_that_is_half_hidden_half_is_seen(
    scene: Scene, camera: Camera, instances: np.ndarray, axis: int
) -> None:
    checked = 0
    for number in np.unique(instances[instances > 0]):
        actor, own = scene.actors[number - 1], instances == number
        places = np.nonzero(own)[axis]
        if len(places) < 12 or np.ptp(places) > 14:
            continue
        if visible_share(scene, actor, [View(camera, TIME_S, instances)]) < 0.97:
            continue
        shown = own & (np.indices(own.shape)[axis] > np.median(places))
        share = visible_share(scene, actor, [View(camera, TIME_S, np.where(shown, number, 0))])
        assert share == pytest.approx(shown.sum() / own.sum(), abs=0.06), actor.category
        checked += 1
    assert checked >= 2
