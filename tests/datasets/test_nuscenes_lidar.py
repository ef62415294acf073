"""LiDAR turns moved to a camera's instant and their labels, against the official devkit's projection."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from lidar_turns import CAMERA, CAMERA_FROM_EGO
from nuscenes import NuScenes
from nuscenes.nuscenes import NuScenesExplorer
from tiny_map import add_lidar, change, place
from tiny_nuscenes import VERSION, write_nuscenes

from perception.datasets.nuscenes import NuScenesDataset
from perception.datasets.nuscenes_labels import LabelSources
from perception.datasets.nuscenes_lidar import read_lidarseg, read_sweep, sparse_labels, sweep_in_ego
from perception.datasets.nuscenes_tables import open_tables
from perception.errors import InputError
from perception.geometry.camera import in_image, project
from perception.geometry.frames import apply, inverse
from perception.taxonomy import NUSCENES_LIDARSEG, NUSCENES_TO_DETECTION, NUSCENES_TO_SEMANTIC, ROAD_SCENE

SCENE = "scene-0061"
CATEGORIES = ("animal", "human.pedestrian.adult", "vehicle.car")


def cloud(count: int = 400) -> np.ndarray:
    rng = np.random.default_rng(0)
    along, across, up = rng.uniform(5, 50, count), rng.uniform(-12, 12, count), rng.uniform(0, 4, count)
    return np.column_stack([np.array([place(a, b) for a, b in zip(along, across, strict=True)]), up])


@pytest.fixture
def own(tmp_path: Path) -> Path:
    return write_nuscenes(tmp_path / "data", scenes=(SCENE,), keyframes=2, dense=False)


def test_points_fall_where_the_devkit_projects_them(own: Path) -> None:
    tokens = add_lidar(own, cloud())
    tables = open_tables(own, VERSION)
    explorer = NuScenesExplorer(NuScenes(VERSION, str(own), verbose=False))
    dataset = NuScenesDataset(own, split="all")
    for frame, lidar in zip(dataset.frames, tokens, strict=True):
        camera = dataset.read(dataset.frames.index(frame)).camera
        assert camera is not None
        points = sweep_in_ego(own, tables, lidar, frame.token)
        pixels, depth = project(camera, apply(inverse(camera.ego_from_camera), points[:, :3]))
        # The devkit keeps what is further than 1 m and more than a pixel inside.
        seen = (depth > 1) & ((pixels > 1) & (pixels < [camera.size[1] - 1, camera.size[0] - 1])).all(axis=1)
        expected, expected_depth, _ = explorer.map_pointcloud_to_image(lidar, frame.token)
        assert seen.sum() > 30
        np.testing.assert_allclose(pixels[seen], expected[:2].T, atol=1e-2)
        np.testing.assert_allclose(depth[seen], expected_depth, atol=1e-3)


def test_the_ego_s_motion_is_taken_out(own: Path) -> None:
    points = cloud()
    (first, _) = add_lidar(own, points)
    tables = open_tables(own, VERSION)
    (frame, _) = NuScenesDataset(own, split="all").frames
    moved = sweep_in_ego(own, tables, first, frame.token)[:, :3]
    from perception.datasets.nuscenes_tables import global_from_ego

    np.testing.assert_allclose(apply(global_from_ego(tables, frame.token), moved), points, atol=1e-4)
    still = sweep_in_ego(own, tables, first, first)[:, :3]
    assert 0.2 < (still - moved)[:, 0].mean() * -1 < 0.5  # 8 m/s for 40 ms


def test_labels_become_classes_by_the_index_of_the_table(own: Path) -> None:
    points = np.array([[*place(10, 0.0), 1.5], [*place(10, 1.0), 1.5], [*place(10, -1.0), 1.5], [*place(10, 2), 1.5]])
    change(own, "category", lambda rows: [row.update(index=7 * row["index"] + 1) for row in rows])
    add_lidar(own, points, np.array([1, 8, 15, 77]))  # car, pedestrian, animal, an index that the table lacks
    sources = LabelSources(splat_px=3, drivable="semantic", lane="semantic")
    sample = NuScenesDataset(own, split="all", sweeps=True, sources=sources).read(0)
    assert sample.semantic is not None
    assert sample.drivable is not None
    semantic = sample.semantic.numpy()
    values, counts = np.unique(semantic, return_counts=True)
    car, person = ROAD_SCENE.index("car"), ROAD_SCENE.index("person")
    assert dict(zip(values.tolist(), counts.tolist(), strict=True)) == {person: 9, car: 9, 255: semantic.size - 18}
    rows, columns = np.nonzero(semantic == car)
    # The point lies where four pixels meet; of which of them it is, is rounding.
    assert (rows.mean() + 0.5, columns.mean() + 0.5) == pytest.approx((45, 80), abs=0.6)
    assert columns.mean() > np.nonzero(semantic == person)[1].mean()
    np.testing.assert_array_equal(sample.drivable.numpy() == 0, semantic != 255)
    assert sample.lane is None  # no label of a point tells a marking from the road
    sweep = NuScenesDataset(own, split="all", sweeps=True, sources=sources).read(1)
    assert sweep.semantic is None  # its nearest labelled turn is 210 ms away


def test_without_labels_there_are_none(own: Path) -> None:
    assert NuScenesDataset(own, split="all").read(0).semantic is None
    add_lidar(own, cloud())
    assert NuScenesDataset(own, split="all").read(0).semantic is None


def test_the_nearest_point_wins_and_hidden_points_are_left_out() -> None:
    near, far, beside = [12.0, 0.0, 1.5], [30.0, 0.0, 1.5], [30.0, -3.0, 1.5]
    points = np.array([near, far, beside, [np.nan] * 3, [-9.0, 0, 1]])
    labels = np.array([1, 2, 3, 4, 5], np.uint8)
    image = sparse_labels(CAMERA, points, labels)
    assert sorted(np.unique(image)) == [1, 3, 255]
    pixel = project(CAMERA, apply(CAMERA_FROM_EGO, points[:1]))[0][0].astype(int)
    assert image[pixel[1], pixel[0]] == 1
    surfaces = np.full(CAMERA.size, 20.0)
    assert sorted(np.unique(sparse_labels(CAMERA, points, labels, surfaces))) == [1, 255]
    assert (sparse_labels(CAMERA, points[:1], labels[:1], splat_px=5) == 1).sum() == 25
    assert (sparse_labels(CAMERA, points, np.full(5, 255, np.uint8)) == 255).all()
    with pytest.raises(InputError, match="splat_px must be an odd number"):
        sparse_labels(CAMERA, points, labels, splat_px=2)


def test_points_at_the_border_label_only_the_image() -> None:
    rng = np.random.default_rng(1)
    points = np.column_stack([rng.uniform(3, 8, 500), rng.uniform(-8, 8, 500), rng.uniform(-1, 4, 500)])
    image = sparse_labels(CAMERA, points, np.full(500, 6, np.uint8), splat_px=7)
    pixels, depth = project(CAMERA, apply(CAMERA_FROM_EGO, points))
    inside = in_image(CAMERA, pixels) & (depth > 0.1)
    column, row = pixels[inside].astype(int).T
    assert (image[row, column] == 6).all()
    assert (image == 6).sum() <= 49 * inside.sum()


def test_every_detection_class_has_a_semantic_class_or_is_no_vehicle_or_person() -> None:
    assert set(NUSCENES_TO_SEMANTIC) <= set(NUSCENES_LIDARSEG)
    assert set(NUSCENES_TO_SEMANTIC.values()) <= set(ROAD_SCENE.classes)
    unmapped = {name for name in NUSCENES_TO_DETECTION if name not in NUSCENES_TO_SEMANTIC}
    assert unmapped == {"movable_object.barrier", "movable_object.trafficcone"}


@pytest.mark.parametrize("damage", ["missing", "odd", "cut", "empty"])
def test_a_broken_turn_is_named(own: Path, damage: str) -> None:
    (token, _) = add_lidar(own, cloud(20))
    tables = open_tables(own, VERSION)
    path = own / tables.get("sample_data", token)["filename"]
    content = path.read_bytes()
    if damage == "missing":
        path.unlink()
    else:
        path.write_bytes({"odd": content[:-3], "cut": content[:-8], "empty": b""}[damage])
    with pytest.raises(InputError, match=f"LiDAR file .*{path.name} (does not exist|has .* bytes, not a positive)"):
        read_sweep(own, tables, token)


def test_labels_of_another_length_are_refused(own: Path) -> None:
    add_lidar(own, cloud(20), np.zeros(19, np.uint8))
    with pytest.raises(InputError, match="has 19 labels but its sweep has 20 points"):
        NuScenesDataset(own, split="all").read(0)
    with pytest.raises(InputError, match="does not exist"):
        read_lidarseg(own, "lidarseg/none.bin", 3)
