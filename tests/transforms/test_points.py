"""Augmentation of point clouds: what moves, what stays, and where the randomness comes from."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from perception.errors import InputError
from perception.transforms.points import Flip, Jitter, MaxPoints, Rotate, Scale, train_points_transform
from perception.types import PointCloud


def random_cloud(count: int, seed: int = 0) -> PointCloud:
    rng = np.random.default_rng(seed)
    points = np.empty((count, 5), np.float32)
    points[:, :3] = rng.normal(0, [20, 20, 1], (count, 3))
    points[:, 3:] = rng.random((count, 2))
    return PointCloud(
        points=points,
        name="sweep",
        rows=np.arange(count),
        file_rows=count,
        labels=rng.integers(0, 16, count),
        instances=rng.integers(0, 4, count),
        view=rng.integers(-1, 6, count),
        pixel=rng.random((count, 2)).astype(np.float32),
    )


def distances(points: np.ndarray) -> np.ndarray:
    return np.linalg.norm(points[:, None, :3].astype(np.float64) - points[None, :, :3], axis=-1)


@pytest.mark.parametrize("transform", [Flip(1.0), Rotate(180.0)], ids=["flip", "rotate"])
def test_rigid_transforms_keep_distances_heights_and_everything_else(transform):
    cloud = random_cloud(40)
    before = cloud.points.copy()
    torch.manual_seed(3)
    out = transform(cloud)
    np.testing.assert_array_equal(cloud.points, before)
    assert np.abs(out.points[:, :2] - before[:, :2]).max() > 1
    np.testing.assert_allclose(distances(out.points), distances(before), atol=1e-3)
    np.testing.assert_array_equal(out.points[:, 2:], before[:, 2:])
    for name in ("rows", "labels", "instances", "view", "pixel"):
        np.testing.assert_array_equal(getattr(out, name), getattr(cloud, name))


def test_flip_mirrors_and_rotation_does_not():
    cloud = PointCloud(np.array([[1, 0, 0, 0, 0], [0, 1, 0, 0, 0]], np.float32), "x", np.arange(2), 2)
    np.testing.assert_array_equal(Flip(1.0)(cloud).points[:, :2], [[-1, 0], [0, -1]])
    np.testing.assert_array_equal(Flip(0.0)(cloud).points, cloud.points)
    torch.manual_seed(0)
    hands = []
    for _ in range(20):
        turned = Rotate(30.0)(cloud).points[:, :2]
        hands.append(np.linalg.det(turned))
        assert abs(np.degrees(np.arctan2(turned[0, 1], turned[0, 0]))) <= 30
    np.testing.assert_allclose(hands, 1, atol=1e-6)
    drawn = {tuple(np.sign(Flip(0.5)(cloud).points[[0, 1], [0, 1]])) for _ in range(60)}
    assert drawn == {(1, 1), (1, -1), (-1, 1), (-1, -1)}


def test_scale_multiplies_all_axes_alike_within_its_range():
    cloud = random_cloud(30)
    torch.manual_seed(0)
    factors = []
    for _ in range(200):
        ratio = Scale(0.9, 1.2)(cloud).points[:, :3] / cloud.points[:, :3]
        np.testing.assert_allclose(ratio, ratio[0, 0], rtol=1e-5)
        factors.append(ratio[0, 0])
    assert 0.9 - 1e-6 <= min(factors) < 0.92
    assert 1.18 < max(factors) <= 1.2 + 1e-6


def test_jitter_has_its_deviation_and_leaves_intensity_alone():
    cloud = random_cloud(20_000)
    torch.manual_seed(0)
    out = Jitter(0.05)(cloud)
    moved_m = out.points[:, :3] - cloud.points[:, :3]
    assert moved_m.std() == pytest.approx(0.05, rel=0.03)
    assert np.abs(moved_m).max() <= 0.15 + 1e-4
    np.testing.assert_array_equal(out.points[:, 3:], cloud.points[:, 3:])


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 60), st.integers(1, 70), st.integers(0, 1000))
def test_max_points_keeps_rows_that_belong_together(count, limit, seed):
    cloud = random_cloud(count)
    torch.manual_seed(seed)
    out = MaxPoints(limit)(cloud)
    assert len(out) == min(count, limit)
    assert (np.diff(out.rows) > 0).all()
    for name in ("points", "labels", "instances", "view", "pixel"):
        np.testing.assert_array_equal(getattr(out, name), getattr(cloud, name)[out.rows])


@pytest.mark.parametrize("count", [0, 1, 2000])
def test_the_pipeline_is_reproducible_and_takes_any_number_of_points(count):
    cloud = random_cloud(count)
    transform = train_points_transform(jitter_m=0.02, max_points=500)
    torch.manual_seed(7)
    first = transform(cloud)
    second = transform(cloud)
    torch.manual_seed(7)
    np.testing.assert_array_equal(transform(cloud).points, first.points)
    assert first.points.dtype == np.float32
    assert len(first) == min(count, 500)
    assert count == 0 or not np.array_equal(first.points, second.points)


def test_a_cloud_of_points_alone_passes():
    bare = replace(random_cloud(10), labels=None, instances=None, view=None, pixel=None)
    out = train_points_transform(max_points=5)(bare)
    assert len(out) == len(out.rows) == 5
    assert out.labels is None


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"flip": 1.5}, "flip 1.5"),
        ({"flip": float("nan")}, "flip nan"),
        ({"rotation_deg": 200}, "rotation_deg 200"),
        ({"scale": (1.1, 0.9)}, "scale"),
        ({"scale": (0.0, 1.0)}, "scale"),
        ({"scale": (1.0,)}, "scale"),
        ({"jitter_m": -1}, "jitter_m -1"),
        ({"jitter_m": float("nan")}, "jitter_m nan"),
        ({"max_points": 0}, "max_points 0"),
    ],
)
def test_options_out_of_range_are_refused(options, says):
    with pytest.raises(InputError, match=says):
        train_points_transform(**options)
