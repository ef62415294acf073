"""Camera projection against OpenCV, and the camera's own transforms."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from perception.geometry.camera import in_image, project, rays
from perception.types import Camera

INTRINSICS = np.array([[500.0, 0.0, 330.0], [0.0, 480.0, 200.0], [0.0, 0.0, 1.0]])
CAMERAS = {
    "pinhole": Camera(INTRINSICS, (400, 640)),
    "brown4": Camera(INTRINSICS, (400, 640), model="brown_conrady", distortion=(-0.2, 0.05, 0.002, -0.003)),
    "brown5": Camera(INTRINSICS, (400, 640), model="brown_conrady", distortion=(-0.2, 0.05, 0.002, -0.003, 0.01)),
    "fisheye": Camera(INTRINSICS, (400, 640), model="fisheye", distortion=(0.05, -0.01, 0.003, -0.001)),
}
points = st.lists(
    st.tuples(st.floats(-0.6, 0.6), st.floats(-0.4, 0.4), st.floats(0.2, 80)), min_size=1, max_size=10
).map(lambda rows: np.array([[x * z, y * z, z] for x, y, z in rows]))


@pytest.mark.parametrize("name", CAMERAS)
@settings(deadline=None, max_examples=50)
@given(xyz=points)
def test_projection_is_that_of_opencv(name, xyz):
    camera = CAMERAS[name]
    zero = np.zeros(3)
    if camera.model == "fisheye":
        expected, _ = cv2.fisheye.projectPoints(xyz[:, None], zero, zero, INTRINSICS, np.array(camera.distortion))
    else:
        distortion = np.array(camera.distortion) if camera.distortion else np.zeros(4)
        expected, _ = cv2.projectPoints(xyz[:, None], zero, zero, INTRINSICS, distortion)
    pixels, depth = project(camera, xyz)
    np.testing.assert_allclose(pixels, expected[:, 0], atol=1e-6)
    np.testing.assert_array_equal(depth, xyz[:, 2])


@pytest.mark.parametrize("name", CAMERAS)
@settings(deadline=None, max_examples=50)
@given(xyz=points)
def test_rays_undo_projection(name, xyz):
    camera = CAMERAS[name]
    np.testing.assert_allclose(rays(camera, project(camera, xyz)[0]) * xyz[:, 2:], xyz, rtol=1e-6, atol=1e-6)


def test_points_behind_have_no_pixel():
    pixels, depth = project(CAMERAS["brown5"], np.array([[0.0, 0, -1], [0, 0, 0], [0, 0, 1]]))
    assert np.isnan(pixels[:2]).all()
    np.testing.assert_allclose(pixels[2], [330, 200])
    assert depth.tolist() == [-1, 0, 1]
    assert in_image(CAMERAS["pinhole"], pixels).tolist() == [False, False, True]


def test_the_image_holds_its_first_edge_and_not_its_last():
    pixels = np.array([[0.0, 0.0], [640.0, 10], [10, 400.0], [639.99, 399.99], [-0.01, 5]])
    assert in_image(CAMERAS["pinhole"], pixels).tolist() == [True, False, False, True, False]


@pytest.mark.parametrize("name", CAMERAS)
@settings(deadline=None, max_examples=30)
@given(xyz=points)
def test_resized_cropped_and_flipped_cameras_move_the_pixels(name, xyz):
    camera = CAMERAS[name]
    x, y = project(camera, xyz)[0].T
    moved = camera.resized((200, 960)).cropped(top=30, left=-20, height=100, width=1000)
    np.testing.assert_allclose(project(moved, xyz)[0].T, [x * 1.5 + 20, y / 2 - 30], atol=1e-8)
    assert moved.size == (100, 1000)
    mirrored = project(camera.flipped(), xyz * [-1, 1, 1])[0]
    np.testing.assert_allclose(mirrored.T, [640 - x, y], atol=1e-8)


def test_a_flipped_skewed_camera_moves_the_pixels():
    intrinsics = INTRINSICS.copy()
    intrinsics[0, 1] = 25.0
    camera = Camera(intrinsics, (400, 640))
    xyz = np.array([[0.3, 0.2, 1.0]])
    x, y = project(camera, xyz)[0][0]
    np.testing.assert_allclose(project(camera.flipped(), xyz * [-1, 1, 1])[0][0], [640 - x, y])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"model": "equirectangular"}, "unknown camera model"),
        ({"model": "fisheye"}, "fisheye takes 4 distortion"),
        ({"distortion": (0.1,)}, "pinhole takes 0"),
        ({"intrinsics": np.eye(4)}, "finite 3x3"),
        ({"ego_from_camera": np.full((4, 4), np.nan)}, "finite 4x4"),
    ],
)
def test_bad_calibration_is_refused(options, message):
    with pytest.raises(ValueError, match=message):
        Camera(**{"intrinsics": INTRINSICS, "size": (400, 640), **options})
