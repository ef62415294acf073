"""Cameras that follow their picture, and boxes that stay together with what is said of them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from perception.geometry.camera import project
from perception.geometry.frames import apply, inverse, transform
from perception.types import Batch, Boxes, Camera

LOOKING_AHEAD = np.array([[0.0, 0, 1], [-1, 0, 0], [0, -1, 0]])
TURNED = LOOKING_AHEAD @ np.array([[0.96, 0.0, 0.28], [0.0, 1.0, 0.0], [-0.28, 0.0, 0.96]])
DISTORTIONS = {
    "pinhole": (),
    "brown_conrady": (-0.2, 0.05, 0.003, -0.004, 0.001),
    "fisheye": (0.05, -0.01, 0.002, -0.0005),
}


def camera(model: str = "pinhole") -> Camera:
    """Off-centre, with skew, turned to the side and mounted off the vehicle's axis."""
    intrinsics = np.array([[320.0, 1.5, 210.0], [0.0, 310.0, 118.0], [0.0, 0.0, 1.0]])
    return Camera(intrinsics, (225, 400), transform(np.array([1.7, 0.4, 1.5]), TURNED), model, DISTORTIONS[model])


def points(seed: int) -> np.ndarray:
    """``(20, 3)`` in front of the camera, in its frame."""
    random = np.random.default_rng(seed)
    depth = random.uniform(2, 50, 20)
    return np.stack([random.uniform(-0.5, 0.5, 20) * depth, random.uniform(-0.3, 0.3, 20) * depth, depth], axis=1)


models = st.sampled_from(list(DISTORTIONS))
seeds = st.integers(0, 2**32 - 1)


@given(model=models, seed=seeds, height=st.integers(10, 2000), width=st.integers(10, 2000))
def test_a_resized_camera_scales_the_pixels(model: str, seed: int, height: int, width: int) -> None:
    original = camera(model)
    pixels, depth = project(original, points(seed))
    resized = original.resized((height, width))
    scaled, same_depth = project(resized, points(seed))
    np.testing.assert_allclose(scaled, pixels * [width / 400, height / 225], rtol=1e-9, atol=1e-6)
    np.testing.assert_array_equal(depth, same_depth)
    assert resized.size == (height, width)
    assert resized.focal_px == pytest.approx(320 * width / 400)


@given(model=models, seed=seeds, top=st.integers(-50, 200), left=st.integers(-50, 300))
def test_a_cropped_camera_shifts_the_pixels(model: str, seed: int, top: int, left: int) -> None:
    pixels, _ = project(camera(model), points(seed))
    cropped = camera(model).cropped(top, left, 60, 90)
    np.testing.assert_allclose(project(cropped, points(seed))[0], pixels - [left, top], atol=1e-9)
    assert cropped.size == (60, 90)


@given(model=models, seed=seeds)
def test_a_flipped_camera_sees_the_mirrored_scene_mirrored(model: str, seed: int) -> None:
    original, flipped = camera(model), camera(model).flipped()
    in_ego = apply(original.ego_from_camera, points(seed))
    pixels, depth = project(original, points(seed))
    mirrored, same_depth = project(flipped, apply(inverse(flipped.ego_from_camera), in_ego * [1, -1, 1]))
    np.testing.assert_allclose(mirrored[:, 0], 400 - pixels[:, 0], atol=1e-8)
    np.testing.assert_allclose(mirrored[:, 1], pixels[:, 1], atol=1e-8)
    np.testing.assert_allclose(same_depth, depth)


@pytest.mark.parametrize("model", DISTORTIONS)
def test_flipping_twice_is_no_change(model: str) -> None:
    original, twice = camera(model), camera(model).flipped().flipped()
    np.testing.assert_allclose(twice.intrinsics, original.intrinsics)
    np.testing.assert_allclose(twice.ego_from_camera, original.ego_from_camera)
    assert twice.distortion == original.distortion


def test_a_flipped_pose_stays_a_rotation() -> None:
    rotation = camera().flipped().ego_from_camera[:3, :3]
    np.testing.assert_allclose(rotation @ rotation.T, np.eye(3), atol=1e-12)
    assert np.linalg.det(rotation) == pytest.approx(1)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"model": "plenoptic"}, "unknown camera model 'plenoptic'; use one of pinhole, brown_conrady, fisheye"),
        ({"distortion": (0.1,)}, "camera model pinhole takes 0 distortion coefficients, got 1"),
        ({"model": "brown_conrady"}, "takes 4 or 5 distortion coefficients, got 0"),
        ({"model": "fisheye", "distortion": (0.1,) * 5}, "takes 4 distortion coefficients, got 5"),
        ({"intrinsics": np.eye(4)}, r"intrinsics must be a finite 3x3 matrix, got shape \(4, 4\)"),
        ({"intrinsics": np.full((3, 3), np.nan)}, "intrinsics must be a finite 3x3 matrix"),
        ({"ego_from_camera": np.eye(3)}, r"ego_from_camera must be a finite 4x4 matrix, got shape \(3, 3\)"),
    ],
)
def test_a_camera_that_cannot_be_is_refused(change: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        replace(camera(), **change)  # type: ignore[arg-type]


def boxes() -> Boxes:
    corners = np.arange(5)[:, None] * 10.0 + [0, 1, 5, 8]
    return Boxes(corners, np.arange(5), np.arange(5) / 10, None, np.array([3.0, np.nan, 5.0, 6.0, 7.0]))


@pytest.mark.parametrize(
    ("index", "rows"),
    [
        (np.array([True, False, False, True, False]), [0, 3]),
        (np.array([4, 0, 4]), [4, 0, 4]),
        (slice(1, 3), [1, 2]),
        (np.zeros(5, bool), []),
    ],
)
def test_selected_boxes_keep_their_fields_together(index: object, rows: list[int]) -> None:
    picked = boxes()[index]
    assert len(picked) == len(rows)
    np.testing.assert_array_equal(picked.labels, rows)
    np.testing.assert_array_equal(picked.xyxy[:, 0], [10.0 * row for row in rows])
    np.testing.assert_allclose(picked.scores, [row / 10 for row in rows], rtol=1e-6)
    np.testing.assert_array_equal(picked.distance_m, boxes().distance_m[rows])  # type: ignore[index]
    assert picked.visibility is None


def test_boxes_take_their_data_types() -> None:
    made = Boxes([[1, 2, 3, 4]], [7], scores=[0.5])  # type: ignore[arg-type]
    assert (made.xyxy.dtype, made.labels.dtype) == (np.float32, np.int64)
    assert made.scores is not None
    assert made.scores.dtype == np.float32
    assert (len(Boxes.empty()), Boxes.empty().xyxy.shape) == (0, (0, 4))


@pytest.mark.parametrize("name", ["labels", "scores", "visibility", "distance_m"])
def test_boxes_of_different_lengths_are_refused(name: str) -> None:
    values: dict[str, np.ndarray] = {"labels": np.zeros(3, np.int64), name: np.zeros(2)}
    with pytest.raises(ValueError, match=f"3 boxes but 2 {name}"):
        Boxes(np.zeros((3, 4)), **values)


def test_a_batch_moves_only_its_tensors() -> None:
    batch = Batch(torch.zeros(2, 3, 4, 4), ["a", "b"], lane=torch.ones(2, 4, 4), cameras=[None, camera()])
    moved = batch.to("meta")
    assert moved.lane is not None
    assert {moved.image.device.type, moved.lane.device.type} == {"meta"}
    assert moved.semantic is None
    assert (moved.names, moved.cameras) == (batch.names, batch.cameras)
    assert len(moved) == 2
