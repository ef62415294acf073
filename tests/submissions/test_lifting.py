"""Boxes and labels that are lifted from images, against the truth of the world."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from perception.datasets.nuscenes import NuScenesDataset
from perception.datasets.nuscenes_boxes import projected_boxes
from perception.datasets.nuscenes_lidar import LIDAR, lidarseg_tokens, read_lidarseg, sweep_in_ego
from perception.errors import InputError
from perception.geometry.boxes import box_corners, project_box
from perception.geometry.frames import apply, inverse, transform
from perception.submissions.detection import DetectedBox, without_duplicates
from perception.submissions.lidarseg import CHALLENGE_CLASSES
from perception.submissions.lifting import COMMON, class_priors, lift_boxes
from perception.submissions.point_labels import challenge_table, fill_unseen, labels_in_view
from perception.taxonomy import CAMVID, NUSCENES_DETECTION, NUSCENES_TO_DETECTION
from perception.types import Boxes, Camera

FORWARD = transform(np.array([1.5, 0.0, 1.5]), np.array([0.5, -0.5, 0.5, -0.5]))
CAMERA = Camera(np.array([[400.0, 0, 320], [0, 400.0, 180], [0, 0, 1]]), (360, 640), FORWARD)


@pytest.fixture(scope="module")
def dataset(tiny_world: Path) -> NuScenesDataset:
    return NuScenesDataset(tiny_world, split="all")


def true_box(center: tuple[float, float], name: str) -> tuple[np.ndarray, np.ndarray]:
    """A box of typical size on the ground, heading as the ego does, and its box in the image."""
    size = np.array(COMMON[name].size)
    middle = np.array([*center, size[2] / 2])
    seen = project_box(CAMERA, apply(inverse(CAMERA.ego_from_camera), box_corners(middle, size, 0.0)))
    assert seen is not None
    return middle, seen[0]


@pytest.mark.parametrize("name", ["car", "pedestrian", "truck"])
@pytest.mark.parametrize("center", [(15.0, 0.0), (25.0, 6.0), (30.0, -8.0)])
def test_a_box_of_typical_size_is_lifted_to_its_place(name: str, center: tuple[float, float]) -> None:
    middle, xyxy = true_box(center, name)
    pose = transform(np.array([100.0, -50.0, 2.0]), np.array([np.cos(0.4), 0, 0, np.sin(0.4)]))
    boxes = Boxes(xyxy, np.array([NUSCENES_DETECTION.index(name)]), np.array([0.9]))
    (lifted,) = lift_boxes(boxes, CAMERA, pose, COMMON)
    found = apply(inverse(pose), lifted.center[None])[0]
    assert np.hypot(*(found - middle)[:2]) < 0.12 * np.hypot(*center)
    assert found[2] == pytest.approx(middle[2], abs=1e-6)
    assert lifted.yaw == pytest.approx(0.8)
    assert (lifted.name, lifted.attribute, lifted.score) == (name, COMMON[name].attribute, pytest.approx(0.9))


def test_lidar_points_say_the_distance_better_than_the_ground() -> None:
    middle, xyxy = true_box((25.0, 2.0), "car")
    xyxy = xyxy + np.array([0, 0, 0, 4], np.float32)  # a lower edge that is off by four pixels
    boxes = Boxes(xyxy, np.array([0]), np.array([0.9]))
    random = np.random.default_rng(0)
    rear = np.stack([np.full(40, 25 - 2.3), random.uniform(1.2, 2.8, 40), random.uniform(0.4, 1.5, 40)], axis=1)
    error = [
        float(np.hypot(*(lift_boxes(boxes, CAMERA, np.eye(4), COMMON, points)[0].center - middle)[:2]))
        for points in (None, rear)
    ]
    assert error[1] < 0.5 < error[0]


def test_boxes_above_the_horizon_have_no_place() -> None:
    boxes = Boxes(np.array([[300, 20, 340, 60]]), np.array([0]), np.array([0.9]))
    assert lift_boxes(boxes, CAMERA, np.eye(4), COMMON) == []
    assert lift_boxes(Boxes.empty(), CAMERA, np.eye(4), COMMON) == []


def test_priors_are_those_of_the_annotations(dataset: NuScenesDataset) -> None:
    tables: Any = dataset.tables
    scene = tables.scene[0]
    priors = class_priors(tables, [scene["name"]])
    samples = {row["token"] for row in tables.sample if row["scene_token"] == scene["token"]}
    rows = [row for row in tables.sample_annotation if row["sample_token"] in samples]
    cars = [row for row in rows if NUSCENES_TO_DETECTION.get(row["category_name"]) == "car"]
    width, length, height = np.mean([row["size"] for row in cars], axis=0)
    assert priors["car"].size == pytest.approx((length, width, height))
    present = {NUSCENES_TO_DETECTION.get(row["category_name"]) for row in rows}
    absent = next(name for name in NUSCENES_DETECTION if name not in present)
    assert priors[absent] == COMMON[absent]


def test_true_boxes_of_the_world_are_lifted_near_the_truth(dataset: NuScenesDataset) -> None:
    tables = dataset.tables
    priors = class_priors(tables, [scene["name"] for scene in tables.scene])
    errors = []
    for i, frame in enumerate(dataset.frames):
        sample = dataset.read(i)
        assert sample.camera is not None
        assert sample.global_from_ego is not None
        boxes, tokens = projected_boxes(tables, frame.token, sample.camera, NUSCENES_DETECTION)
        sweep = tables.get("sample", frame.sample_token)["data"][LIDAR]
        points = sweep_in_ego(dataset.root, tables, sweep, frame.token)
        assert boxes.visibility is not None
        assert boxes.distance_m is not None
        for j in np.flatnonzero((boxes.visibility > 0.8) & (boxes.distance_m < 40)):
            lifted = lift_boxes(boxes[j : j + 1], sample.camera, sample.global_from_ego, priors, points)
            truth = np.array(tables.get("sample_annotation", tokens[j])["translation"])
            errors += [float(np.hypot(*(box.center - truth)[:2])) for box in lifted]
    assert len(errors) >= 5
    assert np.median(errors) < 1.5


def test_true_masks_of_the_world_label_the_points_they_cover(dataset: NuScenesDataset) -> None:
    from nuscenes.eval.lidarseg.utils import LidarsegClassMapper

    tables = dataset.tables
    table = challenge_table()
    files = lidarseg_tokens(tables)
    agree, covered = [], []
    for i in range(0, len(dataset), 3):
        sample = dataset.read(i)
        assert sample.camera is not None
        assert sample.semantic is not None
        frame = dataset.frames[i]
        sweep = tables.get("sample", frame.sample_token)["data"][LIDAR]
        points = sweep_in_ego(dataset.root, tables, sweep, frame.token)
        truth = LidarsegClassMapper(tables).convert_label(read_lidarseg(dataset.root, files[sweep], len(points)))
        labels = labels_in_view(sample.camera, points, table[sample.semantic.numpy()])
        counted = (labels > 0) & (truth > 0)
        agree.append((labels == truth)[counted].mean())
        covered.append((labels > 0).mean())
        filled = fill_unseen(points, labels)
        assert (filled > 0).all()
        assert (filled[labels > 0] == labels[labels > 0]).all()
    assert np.mean(agree) > 0.85
    assert 0.05 < np.mean(covered) < 0.35  # a camera of 70 of 360 degrees


def test_points_without_a_label_take_that_of_their_neighbours() -> None:
    car, ground, manmade = (CHALLENGE_CLASSES.index(name) for name in ("car", "driveable_surface", "manmade"))
    points = np.array([[0, 0, 1], [0.2, 0, 1], [0.4, 0, 1], [0.3, 0.1, 1], [50, 0, 0.1], [50, 0, 4.0]])
    labels = np.array([car, car, ground, 0, 0, 0], np.uint8)
    assert fill_unseen(points, labels).tolist() == [car, car, ground, car, ground, manmade]
    assert fill_unseen(points, np.zeros(6, np.uint8)).tolist() == [manmade] * 4 + [ground, manmade]
    assert fill_unseen(points[:0], labels[:0]).tolist() == []


def test_a_label_set_without_common_classes_is_refused() -> None:
    assert challenge_table()[0] == CHALLENGE_CLASSES.index("driveable_surface")
    table = challenge_table(CAMVID)
    assert table[CAMVID.index("car")] == CHALLENGE_CLASSES.index("car")
    from dataclasses import replace

    with pytest.raises(InputError, match="no class of the LiDAR challenge"):
        challenge_table(replace(CAMVID, classes=tuple(f"class{i}" for i in range(len(CAMVID.classes)))))


def test_what_two_cameras_see_is_one_box() -> None:
    def box(x: float, score: float, name: str = "car") -> DetectedBox:
        return DetectedBox(np.array([x, 0.0, 1.0]), np.array(COMMON[name].size), 0.0, name, score)

    kept = without_duplicates([box(0, 0.5), box(1.5, 0.9), box(10, 0.3), box(1.5, 0.2, "pedestrian")])
    assert [(k.center[0], k.score) for k in kept] == [(1.5, 0.9), (10, 0.3), (1.5, 0.2)]
