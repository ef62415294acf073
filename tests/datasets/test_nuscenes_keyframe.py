"""A keyframe as a whole: points in boxes as the devkit counts them, and its picture."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from conftest import real_data
from nuscenes import NuScenes
from nuscenes.utils.data_classes import LidarPointCloud
from nuscenes.utils.geometry_utils import points_in_box
from tiny_map import add_lidar, place
from tiny_nuscenes import VERSION, write_nuscenes

from perception.datasets.nuscenes_boxes import boxes_at, projected_boxes
from perception.datasets.nuscenes_keyframe import MOSAIC, count_points, keyframe_views
from perception.datasets.nuscenes_tables import camera_of, open_tables
from perception.errors import InputError
from perception.geometry.camera import in_image, project
from perception.geometry.distance import estimate_distances
from perception.geometry.frames import apply, inverse
from perception.taxonomy import NUSCENES_DETECTION
from perception.viz.keyframe import draw_views


def devkit_counts(root: Path, sample: str) -> dict[str, int]:
    devkit = NuScenes(VERSION, str(root), verbose=False)
    path, boxes, _ = devkit.get_sample_data(devkit.get("sample", sample)["data"]["LIDAR_TOP"])
    points = LidarPointCloud.from_file(path).points[:3]
    return {box.token: int(points_in_box(box, points).sum()) for box in boxes}


def test_points_in_the_real_boxes_are_those_of_the_devkit() -> None:
    root = real_data("nuscenes_keyframe")
    tables = open_tables(root, VERSION)
    sample = tables.sample[0]["token"]
    counts = count_points(root, tables, sample)
    assert len(counts) == 68
    assert counts == devkit_counts(root, sample)
    assert counts == {token: tables.get("sample_annotation", token)["num_lidar_pts"] for token in counts}


def test_the_real_keyframe_shows_points_and_boxes_in_every_camera() -> None:
    views = keyframe_views(real_data("nuscenes_keyframe"))
    assert [view.name for view in views] == list(MOSAIC)
    assert all(len(view.boxes) == 68 for view in views)
    picture = draw_views(views, width=400)
    assert picture.shape == (2 * 225, 3 * 400, 3)
    bare = draw_views([type(v)(v.name, v.image, v.camera, v.points_ego[:0], ()) for v in views], width=400)
    for row in range(2):
        for column in range(3):
            tile = np.s_[row * 225 : row * 225 + 225, column * 400 : column * 400 + 400]
            assert (picture[tile] != bare[tile]).any(axis=2).mean() > 0.02


def test_distances_in_the_real_keyframe_are_those_of_the_near_sides() -> None:
    """Against the nearest point of each annotated box's footprint, for boxes with enough points."""
    root = real_data("nuscenes_keyframe")
    tables = open_tables(root, VERSION)
    errors = []
    for view in keyframe_views(root):
        token = tables.sample[0]["data"][view.name]
        boxes, annotations = projected_boxes(tables, token, view.camera, NUSCENES_DETECTION)
        found = estimate_distances(boxes.xyxy, view.camera, view.points_ego)
        assert boxes.visibility is not None
        by_token = {box.token: drawn for box, drawn in zip(boxes_at(tables, token), view.boxes, strict=True)}
        for i, annotation in enumerate(annotations):
            seen = tables.get("sample_annotation", annotation)["num_lidar_pts"] >= 3 and boxes.visibility[i] > 0.35
            if seen and found.source[i] == "lidar":
                near = np.hypot(*by_token[annotation].corners[:, :2].T).min()
                errors.append(abs(found.distance_m[i] - near) / near)
    assert len(errors) >= 25
    assert np.median(errors) < 0.05
    assert np.mean(np.array(errors) < 0.1) > 0.85


@pytest.fixture
def own(tmp_path: Path) -> Path:
    root = write_nuscenes(tmp_path / "data", scenes=("scene-0061",), keyframes=3)
    rng = np.random.default_rng(0)
    points = np.array([place(a, b) for a, b in zip(rng.uniform(3, 40, 4000), rng.uniform(-6, 6, 4000), strict=True)])
    add_lidar(root, np.column_stack([points, rng.uniform(0, 2, 4000)]))
    return root


def test_points_in_made_boxes_are_those_of_the_devkit(own: Path) -> None:
    tables = open_tables(own, VERSION)
    for sample in tables.sample:
        counts = count_points(own, tables, sample["token"])
        assert counts == devkit_counts(own, sample["token"])
        assert sum(counts.values()) > 20


def test_boxes_of_what_moves_are_those_of_the_shutter_s_instant(own: Path) -> None:
    """The car ahead drives at 9 m/s; a camera that fires 50 ms after the sample sees it 0.45 m further on."""
    tables = open_tables(own, VERSION)
    token = tables.sample[1]["data"]["CAM_FRONT"]
    before = {box.token: box.center for box in boxes_at(tables, token)}
    tables.get("sample_data", token)["timestamp"] += 50_000
    after = {box.token: box.center for box in boxes_at(tables, token)}
    moved = {name: float(np.linalg.norm(after[name] - before[name])) for name in before}
    assert moved["scene-0061-ahead-1"] == pytest.approx(0.45, abs=1e-6)
    assert moved["scene-0061-walker-1"] == pytest.approx(0, abs=1e-9)


def test_a_picture_of_a_small_keyframe(own: Path) -> None:
    views = keyframe_views(own, sample="scene-0061-sample-1")
    assert [view.name for view in views] == ["CAM_FRONT", "CAM_BACK"]
    assert draw_views(views, width=160).shape == (90, 320, 3)
    front = views[0]
    pixels, depth = project(front.camera, apply(inverse(front.camera.ego_from_camera), front.points_ego))
    seen = in_image(front.camera, pixels) & (depth > 0.1) & (depth < 8)
    column, row = pixels[seen].astype(int).T
    assert seen.sum() > 100
    picture = draw_views(views[:1], width=160)
    changed = (picture[row, column] != front.image[row, column]).any(axis=1)
    assert changed.all()


def test_a_sample_that_is_not_there_is_named(own: Path) -> None:
    with pytest.raises(InputError, match="no sample 'none' in"):
        keyframe_views(own, sample="none")
    with pytest.raises(InputError, match="has no LIDAR_TOP record"):
        keyframe_views(write_nuscenes(own.parent / "bare", keyframes=2))


def test_a_box_behind_another_is_less_visible(own: Path) -> None:
    tables = open_tables(own, VERSION)
    token = tables.sample[0]["data"]["CAM_FRONT"]
    camera = camera_of(tables, token)
    boxes, names = projected_boxes(tables, token, camera, NUSCENES_DETECTION)
    assert boxes.visibility is not None
    free = dict(zip(names, boxes.visibility, strict=True))["scene-0061-walker-0"]
    wall = tables.get("sample_annotation", "scene-0061-alongside-0")
    wall["translation"] = [*place(15.0, -3.0), 1.0]
    wall["size"] = [6.0, 0.2, 4.0]
    boxes, names = projected_boxes(tables, token, camera, NUSCENES_DETECTION)
    assert boxes.visibility is not None
    hidden = dict(zip(names, boxes.visibility, strict=True))["scene-0061-walker-0"]
    assert free == pytest.approx(0.7)
    assert hidden == pytest.approx(0.0)
