"""LiDAR sweeps with labels, from the world and from a real keyframe."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from conftest import real_data

from perception.datamodules.collate_points import collate_points
from perception.datasets.nuscenes_lidarseg import NuScenesLidarDataset
from perception.errors import InputError
from perception.geometry.frames import apply, inverse
from perception.taxonomy import LIDARSEG, NUSCENES_LIDARSEG

COARSE = {
    "flat.driveable_surface": "driveable_surface",
    "static.manmade": "manmade",
    "static.vegetation": "vegetation",
    "vehicle.car": "car",
    "human.pedestrian.adult": "pedestrian",
    "flat.sidewalk": "sidewalk",
}


@pytest.fixture
def copied(tiny_world: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(tiny_world, tmp_path / "world"))


def test_points_and_classes_are_those_of_the_files(tiny_world: Path) -> None:
    dataset = NuScenesLidarDataset(tiny_world, split="all")
    cloud = dataset[0]
    tables = dataset.tables
    raw = np.fromfile(tiny_world / tables.get("sample_data", cloud.token)["filename"], np.float32).reshape(-1, 5)
    fine = np.fromfile(tiny_world / tables.get("lidarseg", cloud.token)["filename"], np.uint8)
    np.testing.assert_array_equal(cloud.points[:, :3], raw[:, :3])
    np.testing.assert_allclose(cloud.points[:, 3], raw[:, 3] / 255, atol=1e-6)
    assert cloud.points[:, 3].max() <= 1
    assert not cloud.points[:, 4].any()
    assert cloud.file_rows == len(raw)
    assert cloud.labels is not None
    for name, coarse in COARSE.items():
        of_class = fine == NUSCENES_LIDARSEG.index(name)
        assert (cloud.labels[of_class] == LIDARSEG.index(coarse)).all(), name
    assert (cloud.labels[fine == 0] == 255).all()


def test_earlier_sweeps_lie_where_the_vehicle_saw_them(tiny_world: Path) -> None:
    single = NuScenesLidarDataset(tiny_world, split="all")
    double = NuScenesLidarDataset(tiny_world, split="all", sweeps=2)
    # The second keyframe of the first scene has one before it.
    now, before, both = single[1], single[0], double[1]
    assert before.sample_token != now.sample_token
    assert len(both) == len(now) + len(before)
    earlier = both.rows == -1
    assert (both.labels[earlier] == 255).all()
    age_s = 1e-6 * (now.timestamp_us - before.timestamp_us)
    np.testing.assert_allclose(both.points[earlier, 4], age_s, rtol=1e-5)
    in_global = apply(before.global_from_ego @ before.ego_from_lidar, before.points[:, :3].astype(np.float64))
    wanted = apply(inverse(now.global_from_ego @ now.ego_from_lidar), in_global)
    np.testing.assert_allclose(both.points[earlier, :3], wanted, atol=1e-3)
    assert len(double[0]) == len(before)  # the first has none


def test_rows_that_are_not_finite_are_left_out(copied: Path) -> None:
    whole = NuScenesLidarDataset(copied, split="all")[0]
    path = copied / NuScenesLidarDataset(copied, split="all").tables.get("sample_data", whole.token)["filename"]
    raw = np.fromfile(path, np.float32).reshape(-1, 5)
    raw[3, 1], raw[7, 3] = np.nan, np.inf
    raw.tofile(path)
    cloud = NuScenesLidarDataset(copied, split="all")[0]
    assert cloud.file_rows == len(raw)
    np.testing.assert_array_equal(cloud.rows, np.delete(np.arange(len(raw)), [3, 7]))
    np.testing.assert_array_equal(cloud.labels, np.delete(whole.labels, [3, 7]))


def test_broken_files_are_named_and_empty_ones_are_clouds_without_points(copied: Path) -> None:
    dataset = NuScenesLidarDataset(copied, split="all")
    record = dataset.tables.get("sample_data", dataset.tokens[0])
    path = copied / record["filename"]
    content = path.read_bytes()
    path.write_bytes(content[:-7])
    with pytest.raises(InputError, match="cut off"):
        dataset[0]
    path.write_bytes(content[:-20])
    with pytest.raises(InputError, match=f"{dataset.tokens[0]}.*points"):
        dataset[0]
    labels = copied / dataset.tables.get("lidarseg", dataset.tokens[0])["filename"]
    path.write_bytes(b"")
    labels.write_bytes(b"")
    cloud = dataset[0]
    assert len(cloud) == cloud.file_rows == 0
    batch = collate_points([cloud, dataset[1], cloud])
    assert batch.clouds == 3
    assert set(batch.cloud.tolist()) == {1}


def test_bad_options_are_refused(tiny_world: Path) -> None:
    with pytest.raises(InputError, match="sweeps must be at least 1"):
        NuScenesLidarDataset(tiny_world, sweeps=0)
    with pytest.raises(InputError, match="unknown split"):
        NuScenesLidarDataset(tiny_world, split="nowhere")


def test_batches_keep_clouds_apart(tiny_world: Path) -> None:
    dataset = NuScenesLidarDataset(tiny_world, split="all")
    clouds = [dataset[0][:40], dataset[1][:0], dataset[1][:25]]
    batch = collate_points(clouds, neighbours=4)
    assert batch.cloud.bincount(minlength=3).tolist() == [40, 0, 25]
    assert (batch.cloud[batch.neighbours] == batch.cloud[:, None]).all()
    assert (batch.neighbours[:, 0] == np.arange(65)).all()
    clouds[0].labels = None
    mixed = collate_points(clouds)
    assert (mixed.labels[:40] == 255).all()
    np.testing.assert_array_equal(mixed.labels[40:], clouds[2].labels)


def test_a_real_keyframe_reads() -> None:
    cloud = NuScenesLidarDataset(real_data("nuscenes_keyframe"), split="all")[0]
    assert len(cloud) == 34_688
    assert cloud.labels is None
    assert np.abs(np.median(cloud.points[:, 2])) < 3
    assert cloud.points[:, 3].max() <= 1
