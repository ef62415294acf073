"""The nuScenes reader against generated tables, the official devkit's projection, and a real keyframe."""

from __future__ import annotations

import json
import pickle
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conftest import real_data
from nuscenes import NuScenes
from nuscenes.scripts.export_2d_annotations_as_json import post_process_coords
from nuscenes.utils.geometry_utils import BoxVisibility, view_points
from PIL import Image
from tiny_nuscenes import (
    ACCELERATION_MPS2,
    CAR_AHEAD_M,
    CAR_SPEED_MPS,
    KEYFRAME_S,
    LANE,
    ROAD,
    SKY,
    SPEED_MPS,
    VERSION,
    write_nuscenes,
)

from perception.datamodules.nuscenes import NuScenesDataModule
from perception.datasets.nuscenes import NuScenesDataset
from perception.datasets.nuscenes_boxes import projected_boxes
from perception.errors import InputError
from perception.geometry.camera import project
from perception.geometry.frames import inverse
from perception.taxonomy import NUSCENES_DETECTION, NUSCENES_TO_DETECTION

SIX_CAMERAS = ("CAM_FRONT", "CAM_FRONT_RIGHT", "CAM_BACK_RIGHT", "CAM_BACK", "CAM_BACK_LEFT", "CAM_FRONT_LEFT")
CAR, PEDESTRIAN = NUSCENES_DETECTION.index("car"), NUSCENES_DETECTION.index("pedestrian")


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Read only; tests that damage something write their own."""
    return write_nuscenes(tmp_path_factory.mktemp("nuscenes") / "data")


@pytest.fixture
def own(tmp_path: Path) -> Path:
    return write_nuscenes(tmp_path / "data", scenes=("scene-0061",), keyframes=2)


def reference_boxes(tables: Any, token: str) -> dict[str, np.ndarray | None]:
    """Annotation token to 2D box by the devkit's projection; ``None`` where a corner is behind the camera, which the
    devkit cannot clip."""
    record = tables.get("sample_data", token)
    _, boxes, intrinsics = tables.get_sample_data(token, box_vis_level=BoxVisibility.NONE)
    found: dict[str, np.ndarray | None] = {}
    for box in boxes:
        corners = box.corners()
        if box.name not in NUSCENES_TO_DETECTION or (corners[2] < 0.1).all():
            continue
        if (corners[2] < 0.1).any():
            found[box.token] = None
            continue
        pixels = view_points(corners, intrinsics, normalize=True)[:2].T.tolist()
        clipped = post_process_coords(pixels, imsize=(record["width"], record["height"]))
        if clipped is not None and clipped[2] > clipped[0] and clipped[3] > clipped[1]:
            found[box.token] = np.array(clipped)
    return found


def assert_boxes_agree(dataset: NuScenesDataset) -> int:
    """Compare every frame's boxes with the devkit's; returns how many were compared."""
    devkit = NuScenes(version=VERSION, dataroot=str(dataset.root), verbose=False)
    compared = 0
    for frame in dataset.frames:
        camera = dataset.read(dataset.frame_names.index(frame.name)).camera
        assert camera is not None
        boxes, tokens = projected_boxes(dataset.tables, frame.token, camera, NUSCENES_DETECTION)
        reference = reference_boxes(devkit, frame.token)
        crossing = {token for token, box in reference.items() if box is None}
        assert set(tokens) - crossing == set(reference) - crossing
        for i, token in enumerate(tokens):
            expected = reference[token]
            if expected is not None:
                np.testing.assert_allclose(boxes.xyxy[i], expected, atol=0.01)
                compared += 1
        for box in boxes.xyxy:
            assert 0 <= box[0] < box[2] <= camera.size[1]
            assert 0 <= box[1] < box[3] <= camera.size[0]
    return compared


def test_frames_come_by_scene_camera_and_time(world: Path) -> None:
    dataset = NuScenesDataset(world, split="all", cameras=("CAM_BACK", "CAM_FRONT"), sweeps=True)
    keys = [(frame.scene, frame.channel) for frame in dataset.frames]
    assert len(dataset) == 2 * 2 * 5
    assert list(dict.fromkeys(keys)) == [
        (s, c) for s in ("scene-0061", "scene-0103") for c in ("CAM_BACK", "CAM_FRONT")
    ]
    for key in set(keys):
        times = [frame.timestamp_us for frame in dataset.frames if (frame.scene, frame.channel) == key]
        assert times == sorted(times)
        assert len(times) == 5
    keyframes = NuScenesDataset(world, split="all")
    assert [frame.is_keyframe for frame in keyframes.frames] == [True] * 6
    assert len(set(dataset.frame_names)) == len(dataset)


def test_train_and_val_mean_the_mini_splits(world: Path) -> None:
    assert {frame.scene for frame in NuScenesDataset(world, split="train").frames} == {"scene-0061"}
    assert {frame.scene for frame in NuScenesDataset(world, split="val").frames} == {"scene-0103"}
    assert {frame.scene for frame in NuScenesDataset(world, split="mini_train").frames} == {"scene-0061"}


def test_a_splits_file_comes_first(own: Path) -> None:
    (own / VERSION / "splits.json").write_text(json.dumps({"val": ["scene-0061"], "night": ["scene-0061"]}))
    for split in ("val", "night", "train"):
        assert {frame.scene for frame in NuScenesDataset(own, split=split).frames} == {"scene-0061"}


def test_a_sample_carries_image_labels_and_calibration(world: Path) -> None:
    sample = NuScenesDataset(world, split="train")[1]
    assert (sample.image.shape, sample.image.dtype) == ((3, 90, 160), torch.uint8)
    assert sample.semantic is not None
    assert sample.drivable is not None
    assert sample.lane is not None
    assert sample.depth_m is not None
    assert sample.camera is not None
    semantic = sample.semantic.numpy()
    np.testing.assert_array_equal(sample.drivable == 1, (semantic == ROAD) | (semantic == LANE))
    np.testing.assert_array_equal(sample.lane == 1, semantic == LANE)
    np.testing.assert_array_equal(sample.drivable == 255, semantic == 255)
    assert (sample.image.permute(1, 2, 0).numpy()[semantic == ROAD] == 80).all()
    # Row 60 lies 15.5 pixels below the horizon of a camera 1.5 m up with a focal length of 128 pixels.
    assert sample.depth_m[60, 10] == pytest.approx(128 * 1.5 / 15.5, abs=1 / 256)
    assert (sample.depth_m.numpy()[semantic == SKY] == 0).all()
    assert sample.camera.size == (90, 160)
    assert sample.camera.focal_px == pytest.approx(128)
    np.testing.assert_allclose(sample.camera.ego_from_camera @ [0, 0, 1, 0], [1, 0, 0, 0], atol=1e-12)
    assert sample.timestamp_us == 1_600_000_000_500_000


def test_speed_is_the_central_difference_of_the_poses(world: Path) -> None:
    dataset = NuScenesDataset(world, split="train", sweeps=True)
    speeds = [dataset[i].speed_mps for i in range(5)]
    inner = [SPEED_MPS + ACCELERATION_MPS2 * 0.25 * i for i in (1, 2, 3)]  # exact for constant acceleration
    assert speeds[1:4] == pytest.approx(inner)
    assert speeds[0] == pytest.approx(SPEED_MPS + ACCELERATION_MPS2 * 0.125)
    assert speeds[4] == pytest.approx(SPEED_MPS + ACCELERATION_MPS2 * 0.875)


def test_boxes_agree_with_the_devkit(world: Path) -> None:
    dataset = NuScenesDataset(world, split="all", cameras=("CAM_FRONT", "CAM_BACK"), sweeps=True)
    assert assert_boxes_agree(dataset) >= 40


def test_boxes_say_class_distance_and_visibility(world: Path) -> None:
    dataset = NuScenesDataset(world, split="train", sweeps=True)
    for i in (0, 1, 3):
        seconds = i * KEYFRAME_S / 2
        boxes = dataset[i].boxes
        assert boxes is not None
        assert boxes.distance_m is not None
        assert boxes.visibility is not None
        travelled = SPEED_MPS * seconds + ACCELERATION_MPS2 * seconds**2 / 2
        ahead = CAR_AHEAD_M + CAR_SPEED_MPS * seconds - travelled
        # Between keyframes the position is interpolated, which is exact at constant velocity.
        nearest = int(np.abs(boxes.distance_m - np.hypot(ahead, 0.5)).argmin())
        assert boxes.distance_m[nearest] == pytest.approx(np.hypot(ahead, 0.5), abs=1e-4)
        assert boxes.labels[nearest] == CAR
        assert boxes.visibility[nearest] == pytest.approx(0.9)  # fully inside, level v80-100
        walkers = boxes[boxes.labels == PEDESTRIAN]
        assert walkers.visibility == pytest.approx([0.7])
        assert len(boxes) == 4  # neither what is behind nor the class without a label


def test_boxes_of_hidden_objects_are_left_out_of_training_on_request(world: Path) -> None:
    every = NuScenesDataset(world, split="train")[0].boxes
    clear = NuScenesDataset(world, split="train", min_visibility=0.6)[0].boxes
    assert every is not None
    assert clear is not None
    assert every.visibility is not None
    assert 0 < len(clear) < len(every)
    assert np.array_equal(clear.xyxy, every.xyxy[every.visibility >= 0.6])
    data = NuScenesDataModule(str(world), train_split="train", val_split="train", min_visibility=0.6)
    trained, evaluated = data.build_dataset("train")[0].boxes, data.build_dataset("val")[0].boxes
    assert trained is not None
    assert evaluated is not None
    assert np.array_equal(trained.xyxy, clear.xyxy)
    assert np.array_equal(evaluated.xyxy, every.xyxy)
    with pytest.raises(InputError, match="min_visibility 60 is outside"):
        NuScenesDataset(world, split="train", min_visibility=60)


def test_a_box_that_passes_the_camera_is_clipped_at_the_border(world: Path) -> None:
    boxes = NuScenesDataset(world, split="train")[0].boxes
    assert boxes is not None
    assert boxes.visibility is not None
    reaching_out = boxes[(boxes.xyxy[:, 2] == 160) & (boxes.labels == CAR)]
    assert len(reaching_out) == 1
    assert reaching_out.visibility is not None
    assert 0 < reaching_out.visibility[0] < 0.5


def test_frames_without_labels_have_none(own: Path, tmp_path: Path) -> None:
    bare = NuScenesDataset(write_nuscenes(tmp_path / "bare", keyframes=2, dense=False), split="all", sweeps=True)
    samples = [bare[i] for i in range(3)]
    assert not bare.has_dense
    assert all(sample.semantic is None and sample.drivable is None and sample.depth_m is None for sample in samples)
    assert [sample.boxes is None for sample in samples] == [False, True, False]
    back = NuScenesDataset(own, split="all", cameras=("CAM_BACK",))[0]
    assert back.semantic is None
    assert back.boxes is not None


def test_the_transform_is_applied_and_workers_can_have_a_copy(world: Path) -> None:
    dataset = NuScenesDataset(world, split="train", transform=lambda sample: replace(sample, name="seen"))
    assert dataset[0].name == "seen"
    assert dataset.read(0).name == dataset.frame_names[0]
    plain = NuScenesDataset(world, split="train")
    assert torch.equal(pickle.loads(pickle.dumps(plain))[0].image, plain[0].image)


def test_a_missing_root_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"nuScenes data folder .*nowhere does not exist"):
        NuScenesDataset(tmp_path / "nowhere")


def test_a_missing_version_names_those_present(world: Path) -> None:
    with pytest.raises(InputError, match=r"no version 'v1.0-trainval'; it has v1.0-mini"):
        NuScenesDataset(world, version="v1.0-trainval")


@pytest.mark.parametrize("table", ["calibrated_sensor", "sample_annotation"])
def test_a_missing_table_is_named(own: Path, table: str) -> None:
    (own / VERSION / f"{table}.json").unlink()
    with pytest.raises(InputError, match=f"lacks the nuScenes table {table}.json"):
        NuScenesDataset(own)


@pytest.mark.parametrize(("table", "text"), [("ego_pose", "[{"), ("map", "[]"), ("instance", "[]")])
def test_tables_that_do_not_fit_together_are_refused(own: Path, table: str, text: str) -> None:
    (own / VERSION / f"{table}.json").write_text(text)
    with pytest.raises(InputError, match="do not load"):
        NuScenesDataset(own)


def test_a_split_without_scenes_says_what_is_there(own: Path) -> None:
    with pytest.raises(InputError, match=r"no scene of split 'val' is in .*present: scene-0061; choose"):
        NuScenesDataset(own, split="val")
    with pytest.raises(InputError, match=r"unknown split 'dusk'; use all or one of"):
        NuScenesDataset(own, split="dusk")


def test_an_unknown_camera_names_the_cameras(world: Path) -> None:
    with pytest.raises(InputError, match=r"no image of camera 'CAM_TOP' .*CAM_BACK, CAM_FRONT"):
        NuScenesDataset(world, split="all", cameras=("CAM_FRONT", "CAM_TOP"))


def test_a_missing_or_broken_image_is_named_when_read(own: Path) -> None:
    dataset = NuScenesDataset(own, split="all")
    first, second = (own / frame.filename for frame in dataset.frames)
    first.unlink()
    second.write_bytes(second.read_bytes()[:60])
    with pytest.raises(InputError, match=f"{first.name} does not exist"):
        dataset[0]
    with pytest.raises(InputError, match=f"{second.name} does not decode"):
        dataset[1]


def test_an_image_of_another_size_than_its_record_is_refused(own: Path) -> None:
    dataset = NuScenesDataset(own, split="all")
    Image.new("RGB", (80, 45)).save(own / dataset.frames[0].filename)
    with pytest.raises(InputError, match=r"is 45x80 but its sample_data record says 90x160"):
        dataset[0]


def test_a_label_out_of_range_is_refused(own: Path) -> None:
    dataset = NuScenesDataset(own, split="all")
    path = own / "dense" / "semantic" / "CAM_FRONT" / f"{dataset.frame_names[0]}.png"
    labels = np.array(Image.open(path))
    labels[3, 4] = 20
    Image.fromarray(labels).save(path)
    with pytest.raises(InputError, match=r"has value 20; label set road_scene has classes 0\.\.19"):
        dataset[0]
    Image.fromarray(labels[:-1]).save(path)
    with pytest.raises(InputError, match=r"is \(89, 160\) but its camera image is \(90, 160\)"):
        dataset[0]


def test_labels_of_another_label_set_are_refused(own: Path) -> None:
    (own / "dense" / "label_set.json").write_text(json.dumps({"label_set": "camvid"}))
    with pytest.raises(InputError, match="says label set 'camvid' but 'road_scene' is asked for"):
        NuScenesDataset(own)
    (own / "dense" / "label_set.json").write_text("[]")
    with pytest.raises(InputError, match="must be a JSON object"):
        NuScenesDataset(own)


def test_a_path_outside_the_root_is_refused(own: Path) -> None:
    table = own / VERSION / "sample_data.json"
    records = json.loads(table.read_text())
    for record in records:
        record["filename"] = "../../secret.png"
    table.write_text(json.dumps(records))
    Image.new("RGB", (160, 90)).save(own.parent.parent / "secret.png")
    with pytest.raises(InputError, match="leads outside the data folder"):
        NuScenesDataset(own, split="all")[0]


@pytest.mark.parametrize("bad", [[], [[0.0, 0, 80], [0, 0.0, 45], [0, 0, 1]], [[float("nan"), 0, 1]] * 3])
def test_a_calibration_without_focal_lengths_is_refused(own: Path, bad: list[Any]) -> None:
    table = own / VERSION / "calibrated_sensor.json"
    records = json.loads(table.read_text())
    for record in records:
        record["camera_intrinsic"] = bad
    table.write_text(json.dumps(records))
    with pytest.raises(InputError, match="camera_intrinsic with positive focal lengths"):
        NuScenesDataset(own, split="all")[0]


def test_the_real_keyframe_agrees_with_the_devkit() -> None:
    dataset = NuScenesDataset(real_data("nuscenes_keyframe"), split="mini_train", cameras=SIX_CAMERAS)
    assert len(dataset) == 6
    assert not dataset.has_dense
    assert assert_boxes_agree(dataset) >= 80
    sample = dataset[0]
    assert sample.image.shape == (3, 900, 1600)
    assert sample.speed_mps is None
    assert sample.camera is not None
    assert sample.camera.focal_px == pytest.approx(1266.417, abs=1e-3)
    # A point on the road 20 m ahead is below the middle of the front camera's image.
    point = inverse(sample.camera.ego_from_camera) @ [20.0, 0.0, 0.0, 1.0]
    pixel = project(sample.camera, point[None, :3])[0][0]
    assert 700 < pixel[0] < 900
    assert 500 < pixel[1] < 650
