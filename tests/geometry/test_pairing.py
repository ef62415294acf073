"""LiDAR points laid over images: the official devkit's projection, and the choice among cameras."""

from __future__ import annotations

import numpy as np
import pytest
from conftest import real_data

from perception.datasets.nuscenes_lidarseg import NuScenesLidarDataset
from perception.datasets.nuscenes_tables import camera_of, global_from_ego
from perception.geometry.pairing import choose_views, points_in_image
from perception.types import Camera, PointCloud


def test_pixels_are_those_of_the_devkit_on_a_real_keyframe() -> None:
    root = real_data("nuscenes_keyframe")
    explorer = pytest.importorskip("nuscenes.nuscenes").NuScenesExplorer
    clouds = NuScenesLidarDataset(root, split="all")
    cloud, tables = clouds[0], clouds.tables
    cameras = {k: v for k, v in tables.get("sample", cloud.sample_token)["data"].items() if k.startswith("CAM")}
    assert len(cameras) == 6
    for token in cameras.values():
        found = points_in_image(cloud, camera_of(tables, token), global_from_ego(tables, token))
        # the devkit leaves out points within a metre, and those on the outermost pixel
        wanted, _, image = explorer(tables).map_pointcloud_to_image(cloud.token, token, min_dist=1.0)
        seen = found[~np.isnan(found[:, 0])]
        near = np.all((seen > 1) & (seen < np.array(image.size) - 1), axis=1)
        # which goes through global coordinates of kilometres in float32, good to a twentieth of a pixel
        np.testing.assert_allclose(seen[near], wanted[:2].T, atol=0.05)


def test_points_behind_and_beside_are_unseen() -> None:
    camera = Camera(np.array([[50.0, 0, 50], [0, 50.0, 40], [0, 0, 1]]), (80, 100))
    points = np.array([[0, 0, 5], [0, 0, -5], [50, 0, 5], [0, 0, 0.05], [np.nextafter(5, 0), 0, 5]], np.float32)
    cloud = PointCloud(points, "c", np.arange(5), 5, global_from_ego=np.eye(4))
    pixels = points_in_image(cloud, camera, np.eye(4))
    np.testing.assert_allclose(pixels[0], [50, 40])
    assert np.isnan(pixels[1:4]).all()
    assert np.isnan(pixels[4]).all() or pixels[4, 0] < 100
    with pytest.raises(ValueError, match="no pose"):
        points_in_image(PointCloud(points, "c", np.arange(5), 5), camera, np.eye(4))


def test_the_camera_moves_with_the_vehicle() -> None:
    camera = Camera(np.array([[50.0, 0, 50], [0, 50.0, 40], [0, 0, 1]]), (80, 100))
    later = np.eye(4)
    later[2, 3] = 1.0  # one metre along the optical axis
    cloud = PointCloud(np.array([[1.0, 0, 11]], np.float32), "c", np.arange(1), 1, global_from_ego=np.eye(4))
    np.testing.assert_allclose(points_in_image(cloud, camera, later), [[50 + 50 * 1 / 10, 40]], rtol=1e-6)


def test_the_view_nearest_to_its_middle_wins() -> None:
    nan = [np.nan, np.nan]
    first = np.array([[90, 10], nan, nan, [50, 5]], np.float32)
    second = np.array([[30, 20], [1, 1], nan, [20, 5]], np.float32)
    view, pixel = choose_views([first, second], [(40, 100), (40, 50)], 4)
    assert view.tolist() == [1, 1, -1, 0]
    assert pixel.tolist() == [[30, 20], [1, 1], [0, 0], [50, 5]]
    view, pixel = choose_views([], [], 2)
    assert view.tolist() == [-1, -1]
