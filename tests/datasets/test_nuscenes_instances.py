"""Boxes from instance images, on painted objects and on a small set of the world."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from tiny_nuscenes import CAR_AHEAD_M, CAR_SPEED_MPS, KEYFRAME_S, ego_position, write_nuscenes

from perception.datasets.nuscenes import NuScenesDataset
from perception.datasets.nuscenes_boxes import projected_boxes
from perception.datasets.nuscenes_instances import MIN_VISIBLE_PX, _extents
from perception.errors import InputError
from perception.taxonomy import NUSCENES_DETECTION

CAR, PEDESTRIAN = NUSCENES_DETECTION.index("car"), NUSCENES_DETECTION.index("pedestrian")
SCENE = "scene-0061"


@given(st.lists(st.tuples(*[st.integers(0, 20)] * 2, *[st.integers(1, 12)] * 2, st.integers(1, 65535)), max_size=6))
def test_extents_are_those_of_the_pixels(rectangles):
    image = np.zeros((32, 32), np.uint16)
    for y, x, height, width, number in rectangles:
        image[y : y + height, x : x + width] = number  # later ones hide earlier ones
    expected = {}
    for number in set(image[image > 0].tolist()):
        rows, columns = np.nonzero(image == number)
        expected[number] = (len(rows), (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1))
    assert _extents(image) == expected


def label(root: Path, numbers: dict[str, str], paint: dict[int, tuple[int, int, int, int]]) -> None:
    """Say which object each number is and paint rectangles (x0, y0, x1, y1) of numbers into every instance image."""
    described = {"label_set": "road_scene", "instance_tokens": {SCENE: numbers}}
    (root / "dense" / "label_set.json").write_text(json.dumps(described))
    for path in (root / "dense" / "instance").rglob("*.png"):
        image = np.zeros_like(np.array(Image.open(path)))
        for number, (x0, y0, x1, y1) in paint.items():
            image[y0:y1, x0:x1] = number
        Image.fromarray(image).save(path)


@pytest.fixture
def own(tmp_path: Path) -> Path:
    return write_nuscenes(tmp_path / "data", scenes=(SCENE,), keyframes=2)


def test_keyframes_and_sweeps_get_the_boxes_of_the_pixels(own: Path) -> None:
    numbers = {"7": f"{SCENE}-ahead", "900": f"{SCENE}-walker", "3": f"{SCENE}-dog", "5": f"{SCENE}-beside"}
    few = (100, 10, 100 + MIN_VISIBLE_PX - 1, 11)
    label(own, numbers, {7: (10, 20, 50, 44), 900: (60, 30, 70, 60), 3: (80, 30, 99, 60), 5: few, 11: (0, 0, 9, 9)})
    dataset = NuScenesDataset(own, split="all", sweeps=True)
    assert [frame.is_keyframe for frame in dataset.frames] == [True, False, True]
    for i in range(3):
        boxes = dataset[i].boxes
        assert boxes is not None
        # Neither the class without a label, nor what is hardly seen, nor a number without an object.
        assert boxes.labels.tolist() == [CAR, PEDESTRIAN]
        assert boxes.xyxy.tolist() == [[10, 20, 50, 44], [60, 30, 70, 60]]
        assert boxes.visibility == pytest.approx([0.9, 0.7])
        seconds = i * KEYFRAME_S / 2
        ahead = CAR_AHEAD_M + CAR_SPEED_MPS * seconds - np.linalg.norm(ego_position(seconds) - ego_position(0.0))
        assert boxes.distance_m is not None
        assert boxes.distance_m[0] == pytest.approx(np.hypot(ahead, 0.5), abs=1e-3)


def test_a_hidden_object_has_no_box(own: Path) -> None:
    label(own, {"7": f"{SCENE}-ahead"}, {})
    boxes = NuScenesDataset(own, split="all")[0].boxes
    assert boxes is not None
    assert len(boxes) == 0


def test_distance_is_unknown_after_the_last_annotation(own: Path) -> None:
    table = own / "v1.0-mini" / "sample_annotation.json"
    records = [row for row in json.loads(table.read_text()) if row["token"] != f"{SCENE}-ahead-1"]
    for row in records:
        row["next"] = "" if row["token"] == f"{SCENE}-ahead-0" else row["next"]
    table.write_text(json.dumps(records))
    label(own, {"7": f"{SCENE}-ahead"}, {7: (10, 20, 50, 44)})
    dataset = NuScenesDataset(own, split="all", sweeps=True)
    known = [bool(np.isfinite(boxes.distance_m[0])) for boxes in (dataset[i].boxes for i in range(3))]
    assert known == [True, False, False]


@pytest.mark.parametrize("numbers", [["a"], {SCENE: {"seven": "x"}}, {SCENE: ["x"]}])
def test_a_list_of_objects_that_makes_no_sense_is_refused(own: Path, numbers: Any) -> None:
    (own / "dense" / "label_set.json").write_text(json.dumps({"label_set": "road_scene", "instance_tokens": numbers}))
    with pytest.raises(InputError, match=r"label_set\.json must be"):
        NuScenesDataset(own, split="all")


def test_the_world_agrees_with_its_own_annotations(tmp_path: Path) -> None:
    """Pixels come from the ray caster and 3D boxes from the tables: each must lie inside the other's projection."""
    pytest.importorskip("open3d")
    from perception.world.writer import write_dataset

    write_dataset(tmp_path / "world", scenes=2, keyframes=2, size=(120, 208), sweep_hz=4.0, workers=1)
    dataset = NuScenesDataset(tmp_path / "world", split="train", sweeps=True)
    assert [frame.is_keyframe for frame in dataset.frames] == [True, False, True]
    compared = 0
    for i, frame in enumerate(dataset.frames):
        sample = dataset[i]
        assert sample.camera is not None
        assert sample.boxes is not None
        assert sample.semantic is not None
        assert sample.speed_mps is not None
        assert sample.depth_m is not None
        assert len(sample.boxes) > 0
        assert 0.1 < float((sample.drivable == 1).float().mean()) < 0.7
        if not frame.is_keyframe:
            continue
        outer, _ = projected_boxes(dataset.tables, frame.token, sample.camera, NUSCENES_DETECTION)
        for box, cls in zip(sample.boxes.xyxy, sample.boxes.labels, strict=True):
            around = outer.xyxy[outer.labels == cls] + [-1, -1, 1, 1]
            assert ((around[:, :2] <= box[:2]) & (around[:, 2:] >= box[2:])).all(axis=1).any()
            compared += 1
    assert compared >= 10
