from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from perception.cli import main
from perception.errors import InputError
from perception.geometry.boxes import box_corners
from perception.geometry.camera import project
from perception.geometry.frames import apply, inverse, rotation_from_quaternion, transform
from perception.taxonomy import NUSCENES_LIDARSEG, ROAD_SCENE
from perception.world import record
from perception.world.camera import front_camera
from perception.world.tables import TABLES, scene_name, splits
from perception.world.writer import write_dataset

SIZE = (96, 160)


@pytest.fixture(scope="module")
def devkit(tiny_world: Path):
    from nuscenes.nuscenes import NuScenes

    return NuScenes("v1.0-mini", str(tiny_world), verbose=False)


def _pose(record: dict) -> np.ndarray:
    return transform(np.array(record["translation"]), np.array(record["rotation"]))


def test_devkit_loads_every_table_and_link(devkit, tiny_world: Path) -> None:
    assert [scene["name"] for scene in devkit.scene] == ["scene-0061", "scene-0103", "scene-0553", "scene-0916"]
    assert len(devkit.sample) == 12
    cameras = [row for row in devkit.sample_data if row["channel"] == "CAM_FRONT"]
    assert len(cameras) == 4 * 5  # 3 keyframes and 2 sweeps a scene
    assert sum(row["is_key_frame"] for row in cameras) == 12
    for name in TABLES:
        records = json.loads((tiny_world / "v1.0-mini" / f"{name}.json").read_text())
        for row in records:
            for key, value in row.items():
                if key in ("prev", "next") and value:
                    other = devkit.get(name, value)
                    assert other[{"prev": "next", "next": "prev"}[key]] == row["token"]
                elif key.endswith("_token") and value:
                    table = key.removesuffix("_token")
                    table = {
                        "first_annotation": "sample_annotation", "last_annotation": "sample_annotation",
                        "first_sample": "sample", "last_sample": "sample",
                    }.get(table, table)  # fmt: skip
                    devkit.get(table, value)
    for row in devkit.sample_data:
        assert (tiny_world / row["filename"]).is_file()
    for scene in devkit.scene:
        first = devkit.get("sample", scene["first_sample_token"])
        assert first["prev"] == ""
        assert set(first["data"]) == {"CAM_FRONT", "LIDAR_TOP"}
        stamps = []
        token = first["data"]["CAM_FRONT"]
        while token:
            row = devkit.get("sample_data", token)
            stamps.append(row["timestamp"])
            token = row["next"]
        assert np.diff(stamps).tolist() == [250_000] * 4


def test_official_lidarseg_evaluation_of_the_truth_is_one(devkit, tiny_world: Path, tmp_path: Path) -> None:
    from nuscenes.eval.lidarseg.evaluate import LidarSegEval
    from nuscenes.eval.lidarseg.utils import LidarsegClassMapper, get_samples_in_eval_set

    folder = tmp_path / "lidarseg" / "mini_val"
    folder.mkdir(parents=True)
    (tmp_path / "mini_val").mkdir()
    flags = {f"use_{name}": name == "lidar" for name in ("camera", "lidar", "radar", "map", "external")}
    (tmp_path / "mini_val" / "submission.json").write_text(json.dumps({"meta": flags}))
    mapper = LidarsegClassMapper(devkit)
    for sample in get_samples_in_eval_set(devkit, "mini_val"):
        token = devkit.get("sample", sample)["data"]["LIDAR_TOP"]
        labels = np.fromfile(tiny_world / devkit.get("lidarseg", token)["filename"], np.uint8)
        mapped = mapper.convert_label(labels).astype(np.uint8)
        mapped[mapped == 0] = 11  # what the evaluator ignores still needs a class
        mapped.tofile(folder / f"{token}_lidarseg.bin")
    result = LidarSegEval(devkit, str(tmp_path), "mini_val").evaluate()
    assert result["miou"] == 1.0
    assert sum(value == 1.0 for value in result["iou_per_class"].values()) >= 6


def test_boxes_hold_the_pixels_and_points_of_their_objects(devkit, tiny_world: Path) -> None:
    """Instance pixels unprojected by the depth image lie in the annotated box; so do counted LiDAR points."""
    tokens = json.loads((tiny_world / "dense" / "label_set.json").read_text())["instance_tokens"]
    camera = front_camera(SIZE)
    checked = 0
    for sample in devkit.sample:
        scene = devkit.get("scene", sample["scene_token"])["name"]
        number_of = {token: int(number) for number, token in tokens[scene].items()}
        row = devkit.get("sample_data", sample["data"]["CAM_FRONT"])
        stem = Path(row["filename"]).stem
        instance = np.array(Image.open(tiny_world / "dense" / "instance" / "CAM_FRONT" / f"{stem}.png"))
        depth = np.array(Image.open(tiny_world / "dense" / "depth" / "CAM_FRONT" / f"{stem}.png")) / 256
        global_from_camera = _pose(devkit.get("ego_pose", row["ego_pose_token"])) @ camera.ego_from_camera
        _, boxes, _ = devkit.get_sample_data(sample["data"]["LIDAR_TOP"])
        cloud = np.fromfile(tiny_world / devkit.get_sample_data_path(sample["data"]["LIDAR_TOP"]), np.float32)
        cloud = cloud.reshape(-1, 5)[:, :3]
        from nuscenes.utils.geometry_utils import points_in_box

        for box in boxes:
            annotation = devkit.get("sample_annotation", box.token)
            assert points_in_box(box, cloud.T).sum() == annotation["num_lidar_pts"]
            rows, columns = np.nonzero(instance == number_of[annotation["instance_token"]])
            if len(rows) < 3:
                continue
            inverse_intrinsics = np.linalg.inv(camera.intrinsics)
            pixels = np.stack([columns + 0.5, rows + 0.5, np.ones(len(rows))], axis=1)
            points = apply(global_from_camera, (pixels @ inverse_intrinsics.T) * depth[rows, columns, None])
            rotation = rotation_from_quaternion(np.array(annotation["rotation"]))
            width, length, height = annotation["size"]
            local = (points - annotation["translation"]) @ rotation
            assert (np.abs(local) <= np.array([length, width, height]) / 2 + 0.06).all()
            checked += 1
    assert checked > 30


def test_road_pixels_lie_on_the_ground_and_sky_has_no_depth(devkit, tiny_world: Path) -> None:
    row = next(row for row in devkit.sample_data if row["channel"] == "CAM_FRONT")
    stem = Path(row["filename"]).stem
    semantic = np.array(Image.open(tiny_world / "dense" / "semantic" / "CAM_FRONT" / f"{stem}.png"))
    depth = np.array(Image.open(tiny_world / "dense" / "depth" / "CAM_FRONT" / f"{stem}.png")) / 256
    camera = front_camera(SIZE)
    rows, columns = np.nonzero((semantic == ROAD_SCENE.index("road")) & (depth < 40))
    pixels = np.stack([columns + 0.5, rows + 0.5, np.ones(len(rows))], axis=1)
    points = apply(camera.ego_from_camera, (pixels @ np.linalg.inv(camera.intrinsics).T) * depth[rows, columns, None])
    assert len(points) > 1000
    assert np.abs(points[:, 2]).max() < 0.1
    assert not depth[semantic == ROAD_SCENE.index("sky")].any()
    assert set(np.unique(semantic)) <= {*range(len(ROAD_SCENE.classes)), 255}


def test_lidar_has_the_sensor_s_form_and_labels(devkit, tiny_world: Path) -> None:
    for row in devkit.sample_data:
        if row["channel"] != "LIDAR_TOP":
            continue
        points = np.fromfile(tiny_world / row["filename"], np.float32).reshape(-1, 5)
        labels = np.fromfile(tiny_world / devkit.get("lidarseg", row["token"])["filename"], np.uint8)
        assert len(points) == len(labels) > 15_000
        assert np.isfinite(points).all()
        assert set(np.unique(points[:, 4])) <= set(range(32))
        assert 0 <= points[:, 3].min() <= points[:, 3].max() <= 255
        drivable = labels == NUSCENES_LIDARSEG.index("flat.driveable_surface")
        assert drivable.mean() > 0.1
        assert np.abs(points[drivable, 2] + 1.84).max() < 0.25  # the sensor stands 1.84 m above the road


def test_the_ego_drives_on_the_drivable_map_at_the_speed_it_says(devkit, tiny_world: Path) -> None:
    from perception.world.scene import build_scene

    for index, scene in enumerate(devkit.scene):
        log = devkit.get("log", scene["log_token"])
        (world_map,) = [row for row in devkit.map if log["token"] in row["log_tokens"]]
        built = build_scene(1, index, 1.0)
        samples = [row for row in devkit.sample if row["scene_token"] == scene["token"]]
        places = []
        for sample in samples:
            row = devkit.get("sample_data", sample["data"]["LIDAR_TOP"])
            x, y, _ = devkit.get("ego_pose", row["ego_pose_token"])["translation"]
            assert world_map["mask"].is_on_mask(np.array([x]), np.array([y]))[0]
            places.append((x, y))
        moved = np.array(places) - [built.global_from_ego(t)[:2, 3] for t in (0.0, 0.5, 1.0)]
        assert np.allclose(moved, moved[0], atol=1e-9)  # the scene lies elsewhere on the map, whole metres away
        assert np.allclose(moved[0], np.round(moved[0]), atol=1e-9)
        steps = [built.global_from_ego(t)[:2, 3] for t in (0.45, 0.55)]
        assert np.linalg.norm(steps[1] - steps[0]) / 0.1 == pytest.approx(built.speed_mps(0.5), rel=0.05, abs=0.05)


def test_annotated_boxes_project_onto_visible_objects(devkit) -> None:
    camera = front_camera(SIZE)
    sample = devkit.sample[0]
    pose = devkit.get("ego_pose", devkit.get("sample_data", sample["data"]["CAM_FRONT"])["ego_pose_token"])
    camera_from_global = inverse(_pose(pose) @ camera.ego_from_camera)
    for token in sample["anns"]:
        annotation = devkit.get("sample_annotation", token)
        if annotation["visibility_token"] != "4":
            continue
        width, length, height = annotation["size"]
        rotation = rotation_from_quaternion(np.array(annotation["rotation"]))
        corners = box_corners(np.array(annotation["translation"]), np.array([length, width, height]), rotation)
        pixels, depth = project(camera, apply(camera_from_global, corners))
        assert (depth > 0).all()
        assert (pixels.mean(axis=0) > 0).all()


def _digest(root: Path) -> dict[str, str]:
    return {
        str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(root.rglob("*"))
        if path.is_file()
    }


def test_same_seed_same_bytes_whatever_the_workers(tmp_path: Path) -> None:
    options = {"scenes": 2, "keyframes": 1, "size": (48, 64), "seed": 5, "sweep_hz": 0.0, "weather": "random"}
    write_dataset(tmp_path / "one", workers=1, **options)
    write_dataset(tmp_path / "two", workers=2, **options)
    assert _digest(tmp_path / "one") == _digest(tmp_path / "two")
    assert len(_digest(tmp_path / "one")) > 20
    write_dataset(tmp_path / "other", workers=1, **{**options, "seed": 6, "scenes": 1})
    first = next((tmp_path / "one" / "samples" / "CAM_FRONT").glob("*0000__*.jpg")).read_bytes()
    assert next((tmp_path / "other" / "samples" / "CAM_FRONT").glob("*.jpg")).read_bytes() != first


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"scenes": 0}, "scenes must be 1 to 5000, got 0"),
        ({"keyframes": 1000}, "keyframes must be 1 to 241, got 1000"),
        ({"size": (8, 64)}, "height must be 32 to 4096, got 8"),
        ({"sweep_hz": -1.0}, "sweep_hz must be 0 to 24"),
        ({"weather": "lava"}, "unknown weather 'lava'"),
        ({"seed": -1}, "must not be negative"),
    ],
)
def test_arguments_out_of_range_are_refused(options, message, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=message):
        write_dataset(tmp_path / "out", **options)
    assert not list(tmp_path.iterdir())


def test_a_folder_in_use_and_a_failure_lose_nothing(tmp_path: Path, monkeypatch) -> None:
    (tmp_path / "used").mkdir()
    (tmp_path / "used" / "mine.txt").write_text("keep")
    with pytest.raises(InputError, match="exists and is not empty"):
        write_dataset(tmp_path / "used")
    assert (tmp_path / "used" / "mine.txt").read_text() == "keep"

    def full(*arguments, **options):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(record, "scan_lidar", full)
    with pytest.raises(OSError, match="No space left"):
        write_dataset(tmp_path / "new", scenes=1, keyframes=1, size=(32, 32), workers=1)
    assert [path.name for path in tmp_path.iterdir()] == ["used"]


def test_names_and_splits_follow_the_official_mini_split() -> None:
    assert splits(4) == {"train": ["scene-0061", "scene-0553"], "val": ["scene-0103", "scene-0916"]}
    assert scene_name(10) == "scene-2001"
    fifty = splits(50)
    assert len(fifty["train"]) == 8 + 32
    assert fifty["val"] == ["scene-0103", "scene-0916", *(f"scene-{2000 + 5 * k}" for k in range(1, 9))]


def test_command_prints_one_json_object(tmp_path: Path, capsys) -> None:
    arguments = ["--scenes", "1", "--keyframes", "1", "--size", "32x48", "--sweep_hz", "0", "--workers", "1", "--json"]
    assert main(["world", str(tmp_path / "w"), *arguments]) == 0
    result = json.loads(capsys.readouterr().out)
    assert result["images"] == 1
    assert (tmp_path / "w" / "v1.0-mini" / "scene.json").is_file()
    assert main(["world", str(tmp_path / "w"), *arguments]) == 2
    assert "exists and is not empty" in capsys.readouterr().err
