"""3D boxes and their 2D boxes against dense samples of their surfaces."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from nuscenes.utils.data_classes import Box
from pyquaternion import Quaternion

from perception.geometry.boxes import EDGES, FACES, box_corners, project_box
from perception.geometry.camera import in_image, project
from perception.types import Camera

CAMERA = Camera(np.array([[300.0, 0, 200], [0, 300, 120], [0, 0, 1]]), (240, 400))
STEPS = 120


def surface(center, size, yaw) -> np.ndarray:
    """Points spread over the faces of a box that stands on the camera's x-z plane (turned about y)."""
    a, b = np.meshgrid(np.linspace(-0.5, 0.5, STEPS), np.linspace(-0.5, 0.5, STEPS))
    faces = []
    for axis in range(3):
        for side in (-0.5, 0.5):
            face = np.empty((STEPS * STEPS, 3))
            face[:, axis] = side
            face[:, (axis + 1) % 3], face[:, (axis + 2) % 3] = a.ravel(), b.ravel()
            faces.append(face)
    turn = np.array([[np.cos(yaw), 0, np.sin(yaw)], [0, 1, 0], [-np.sin(yaw), 0, np.cos(yaw)]])
    return (np.concatenate(faces) * size) @ turn.T + center


@settings(deadline=None, max_examples=150)
@given(
    center=st.tuples(st.floats(-12, 12), st.floats(-3, 3), st.floats(-2, 30)).map(np.array),
    size=st.tuples(st.floats(0.4, 5), st.floats(0.4, 3), st.floats(0.4, 8)).map(np.array),
    yaw=st.floats(-np.pi, np.pi),
)
def test_the_box_holds_what_is_seen_and_no_more(center, size, yaw):
    turn = np.array([[np.cos(yaw), 0, np.sin(yaw)], [0, 1, 0], [-np.sin(yaw), 0, np.cos(yaw)]])
    corners = box_corners(center, size, turn)
    points = surface(center, size, yaw)
    points = points[points[:, 2] >= 0.1]
    pixels = project(CAMERA, points)[0]
    seen = pixels[in_image(CAMERA, pixels)]
    result = project_box(CAMERA, corners)
    if result is None:
        assert len(seen) == 0
        return
    box, share = result
    assert 0 < share <= 1 + 1e-9
    assert (box[:2] >= 0).all()
    assert (box[2:] <= [400, 240]).all()
    if not len(seen):
        return  # a sliver between samples
    assert (seen.min(axis=0) >= box[:2] - 1e-6).all()
    assert (seen.max(axis=0) <= box[2:] + 1e-6).all()
    # Tight up to the spacing of the samples, which is coarse in pixels only close to the camera.
    assume(points[:, 2].min() > 2)
    spacing = size.max() / STEPS * 300 / 2 * 3
    assert np.abs(np.concatenate([seen.min(axis=0), seen.max(axis=0)]) - box).max() < spacing


def test_the_share_is_that_of_the_unclipped_box():
    corners = box_corners(np.array([0.0, 0, 10]), np.array([2.0, 2.0, 1e-9]), np.eye(3))
    box, share = project_box(CAMERA, corners)
    np.testing.assert_allclose(box, [170, 90, 230, 150])
    assert share == pytest.approx(1)
    shifted = corners + [20 / 3, 0, 0]  # 200 px to the right: half of it leaves the image
    box, share = project_box(CAMERA, shifted)
    np.testing.assert_allclose(box, [370, 90, 400, 150])
    assert share == pytest.approx(0.5)
    assert project_box(CAMERA, corners + [8, 0, 0]) is None
    assert project_box(CAMERA, corners - [0, 0, 20]) is None


def test_an_object_alongside_gets_the_box_of_its_visible_part():
    """From 3 m behind to 7 m ahead, 2 m to the right, 1 m up and down: only its front is in the image."""
    corners = box_corners(np.array([3.0, 0, 2.0]), np.array([2.0, 2.0, 10.0]), np.eye(3))
    box, share = project_box(CAMERA, corners)
    # The near side, x = 2, enters the image at depth 3 (2 / 3 * 300 = 200 px) and ends at depth 7.
    np.testing.assert_allclose(box, [200 + 300 * 2 / 7, 120 - 100, 400, 120 + 100])
    assert share < 0.1


def test_corners_are_those_of_the_devkit():
    rotation = Quaternion(axis=[0.2, -0.4, 1.0], angle=0.7)
    center, (length, width, height) = np.array([3.0, -2.0, 1.0]), (4.5, 1.9, 1.6)
    ours = box_corners(center, np.array([length, width, height]), rotation.rotation_matrix)
    devkit = Box(center, [width, length, height], rotation).corners().T
    nearest = np.linalg.norm(ours[:, None] - devkit[None], axis=2)
    assert nearest.min(axis=1).max() < 1e-12
    assert sorted(nearest.argmin(axis=1)) == list(range(8))
    np.testing.assert_allclose(
        box_corners(center, np.array([length, width, height]), 0.3),
        box_corners(center, np.array([length, width, height]), Quaternion(axis=[0, 0, 1], angle=0.3).rotation_matrix),
    )


def test_edges_and_faces_are_those_of_a_box():
    corners = box_corners(np.zeros(3), np.array([4.0, 2.0, 1.0]), 0.0)
    lengths = np.linalg.norm(corners[EDGES[:, 0]] - corners[EDGES[:, 1]], axis=1)
    assert sorted(lengths.tolist()) == [1.0] * 4 + [2.0] * 4 + [4.0] * 4
    for face in FACES:
        around = np.linalg.norm(corners[face] - corners[np.roll(face, -1)], axis=1)
        assert around[0] == around[2]
        assert around[1] == around[3]
        assert np.ptp(corners[face], axis=0).min() == 0  # all four in one plane
    assert len({tuple(sorted(face)) for face in FACES.tolist()}) == 6
