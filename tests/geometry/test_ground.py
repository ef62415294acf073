"""The ground seen by cameras that are high, tilted, turned and distorted: project back and arrive."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from perception.geometry.camera import in_image, project
from perception.geometry.frames import apply, inverse, transform
from perception.geometry.ground import ground_distance, ground_points
from perception.types import Camera

LEVEL = np.array([[0.0, 0, 1], [-1, 0, 0], [0, -1, 0]])


def camera_at(height_m=1.5, yaw=0.0, pitch=0.0, roll=0.0, model="pinhole", distortion=()) -> Camera:
    turn = Rotation.from_euler("ZYX", [yaw, pitch, roll]).as_matrix()
    pose = transform(np.array([1.7, -0.2, height_m]), turn @ LEVEL)
    return Camera(np.array([[300.0, 0, 200], [0, 300, 120], [0, 0, 1]]), (240, 400), pose, model, distortion)


@pytest.mark.parametrize(
    ("model", "distortion"), [("pinhole", ()), ("brown_conrady", (-0.1, 0.01, 0.001, 0.001)), ("fisheye", (0.02,) * 4)]
)
@settings(deadline=None, max_examples=50)
@given(
    height=st.floats(0.5, 4), yaw=st.floats(-3, 3), pitch=st.floats(-0.1, 0.5), roll=st.floats(-0.2, 0.2),
    bearing=st.floats(-0.5, 0.5), range_m=st.floats(3, 60),
)  # fmt: skip
def test_a_ground_point_is_found_from_its_pixel(model, distortion, height, yaw, pitch, roll, bearing, range_m):
    camera = camera_at(height, yaw, pitch, roll, model, distortion)
    point = np.array([[1.7 + range_m * np.cos(yaw + bearing), -0.2 + range_m * np.sin(yaw + bearing), 0.0]])
    pixel, _ = project(camera, apply(inverse(camera.ego_from_camera), point))
    if in_image(camera, pixel)[0]:
        np.testing.assert_allclose(ground_points(camera, pixel)[0], point[0, :2], atol=1e-5 * range_m**2)


def test_distance_of_a_level_camera_follows_similar_triangles():
    distance = ground_distance(camera_at())
    rows = np.arange(240) + 0.5
    expected = np.where(rows > 120, 1.7 + 300 * 1.5 / np.maximum(rows - 120, 1e-9), np.inf)
    np.testing.assert_allclose(distance, np.repeat(expected[:, None], 400, axis=1))


def test_sky_has_no_ground():
    assert np.isinf(ground_distance(camera_at(pitch=-0.6))).all()
    assert np.isnan(ground_points(camera_at(), np.array([[200.0, 119.0], [10.0, 0.0], [3.0, 120.0]]))).all()


def test_resizing_the_camera_keeps_the_ground():
    camera = camera_at(pitch=0.1, yaw=0.2)
    small = ground_points(camera.resized((120, 100)), np.array([[50.0, 100.0]]))
    np.testing.assert_allclose(small, ground_points(camera, np.array([[200.0, 200.0]])))
