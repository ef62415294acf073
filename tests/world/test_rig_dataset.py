"""A world of all cameras, with LiDAR sweeps, CAN bus and maps, through the official devkit."""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from perception.geometry.frames import apply, inverse, transform
from perception.taxonomy import NUSCENES_LIDARSEG, ROAD_SCENE
from perception.world.rig import CAMERAS, LIDAR, camera_delay_s
from perception.world.scene import build_scene
from perception.world.writer import write_dataset

pytest.importorskip("nuscenes")
SIZE = (96, 160)
SEED = 3


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("rig") / "data"
    write_dataset(
        path, scenes=2, keyframes=3, size=SIZE, seed=SEED, sweep_hz=4.0, cameras="all",
        sweep_cameras="CAM_FRONT,CAM_BACK", lidar_hz=6.0,
    )  # fmt: skip
    return path


@pytest.fixture(scope="module")
def devkit(root: Path):
    from nuscenes.nuscenes import NuScenes

    return NuScenes("v1.0-mini", str(root), verbose=False)


def _pose(record: dict) -> np.ndarray:
    return transform(np.array(record["translation"]), np.array(record["rotation"]))


def _global_from_sensor(devkit, row: dict) -> np.ndarray:
    pose = _pose(devkit.get("ego_pose", row["ego_pose_token"]))
    return pose @ _pose(devkit.get("calibrated_sensor", row["calibrated_sensor_token"]))


def _chain(devkit, scene: dict, channel: str) -> list[dict]:
    rows = [devkit.get("sample_data", devkit.get("sample", scene["first_sample_token"])["data"][channel])]
    while rows[-1]["next"]:
        rows.append(devkit.get("sample_data", rows[-1]["next"]))
        assert rows[-1]["prev"] == rows[-2]["token"]
    return rows


def test_every_sensor_has_its_chain_and_its_times(devkit, root: Path) -> None:
    for scene in devkit.scene:
        for channel in (*CAMERAS, LIDAR):
            rows = _chain(devkit, scene, channel)
            rate = 6 if channel == LIDAR else 4 if channel in ("CAM_FRONT", "CAM_BACK") else 2
            assert len(rows) == rate + 1
            assert np.diff([row["timestamp"] for row in rows]) == pytest.approx(1e6 / rate, abs=1)
            assert [row["is_key_frame"] for row in rows] == [k % (rate // 2) == 0 for k in range(rate + 1)]
            assert all((root / row["filename"]).is_file() for row in rows)
            for row in rows:
                sample = devkit.get("sample", row["sample_token"])
                delay = 0.0 if channel == LIDAR else camera_delay_s(channel)
                ahead = (sample["timestamp"] + delay * 1e6 - row["timestamp"]) / 1e6
                assert 0 - 1e-5 <= ahead < 0.5  # a sweep belongs to the sample that follows it
                assert (ahead < 1e-5) == row["is_key_frame"]
                pose = devkit.get("ego_pose", row["ego_pose_token"])
                assert pose["timestamp"] == row["timestamp"]
    assert set(devkit.sample[0]["data"]) == {*CAMERAS, LIDAR}


def test_the_ego_is_where_the_scene_has_it_at_each_sensor_s_time(devkit) -> None:
    built = build_scene(SEED, 0, 1.0)
    samples = devkit.sample[:1]
    for row in (devkit.get("sample_data", token) for token in samples[0]["data"].values()):
        time_s = (row["timestamp"] - samples[0]["timestamp"]) / 1e6
        pose = _pose(devkit.get("ego_pose", row["ego_pose_token"]))
        base = devkit.get("ego_pose", devkit.get("sample_data", samples[0]["data"][LIDAR])["ego_pose_token"])
        relative = inverse(built.global_from_ego(0.0)) @ built.global_from_ego(time_s)
        assert np.allclose(inverse(_pose(base)) @ pose, relative, atol=1e-5)


def test_point_counts_are_the_devkit_s_own(devkit, root: Path) -> None:
    from nuscenes.utils.geometry_utils import points_in_box

    counted = 0
    for sample in devkit.sample:
        path, boxes, _ = devkit.get_sample_data(sample["data"][LIDAR])
        cloud = np.fromfile(path, np.float32).reshape(-1, 5)[:, :3]
        for box in boxes:
            annotation = devkit.get("sample_annotation", box.token)
            assert points_in_box(box, cloud.T).sum() == annotation["num_lidar_pts"]
            assert annotation["num_radar_pts"] == 0
            counted += annotation["num_lidar_pts"] > 0
    assert counted > 20


def test_ground_points_of_a_turn_lie_on_the_ground_and_walls_stand_still(devkit, root: Path) -> None:
    """Static points of a keyframe and of the sweeps before it fall together in the global frame."""
    from nuscenes.utils.data_classes import LidarPointCloud

    ground = NUSCENES_LIDARSEG.index("flat.driveable_surface")
    for scene in devkit.scene:
        rows = _chain(devkit, scene, LIDAR)
        for row in rows:
            points = np.fromfile(root / row["filename"], np.float32).reshape(-1, 5)
            assert len(points) > 15_000
            if row["is_key_frame"]:
                labels = np.fromfile(root / devkit.get("lidarseg", row["token"])["filename"], np.uint8)
                assert len(labels) == len(points)
                placed = apply(_global_from_sensor(devkit, row), points[labels == ground, :3].astype(float))
                assert np.abs(placed[:, 2]).max() < 0.25
        sample = devkit.get("sample", scene["last_sample_token"])
        _, times = LidarPointCloud.from_file_multisweep(devkit, sample, LIDAR, LIDAR, nsweeps=4)
        assert len(np.unique(times)) == 4


def test_pictures_of_all_cameras_agree_with_the_boxes(devkit, root: Path) -> None:
    """Instance pixels unprojected lie in their box, moved on to the camera's instant."""
    tokens = json.loads((root / "dense" / "label_set.json").read_text())["instance_tokens"]
    checked = dict.fromkeys(CAMERAS, 0)
    for sample in devkit.sample:
        scene = devkit.get("scene", sample["scene_token"])["name"]
        number_of = {token: int(number) for number, token in tokens[scene].items()}
        annotations = [devkit.get("sample_annotation", token) for token in sample["anns"]]
        for channel in CAMERAS:
            row = devkit.get("sample_data", sample["data"][channel])
            stem = Path(row["filename"]).stem
            instance = np.array(Image.open(root / "dense" / "instance" / channel / f"{stem}.png"))
            depth = np.array(Image.open(root / "dense" / "depth" / channel / f"{stem}.png")) / 256
            sensor = devkit.get("calibrated_sensor", row["calibrated_sensor_token"])
            back = np.linalg.inv(np.array(sensor["camera_intrinsic"]))
            for annotation in annotations:
                rows, columns = np.nonzero(instance == number_of[annotation["instance_token"]])
                if len(rows) < 3:
                    continue
                pixels = np.stack([columns + 0.5, rows + 0.5, np.ones(len(rows))], axis=1)
                points = apply(_global_from_sensor(devkit, row), (pixels @ back.T) * depth[rows, columns, None])
                width, length, height = annotation["size"]
                local = apply(inverse(_pose(annotation)), points)
                slack = 0.06 + 16.0 * abs(row["timestamp"] - sample["timestamp"]) / 1e6
                assert (np.abs(local) <= np.array([length, width, height]) / 2 + slack).all()
                checked[channel] += 1
    assert sum(checked.values()) > 40
    assert min(checked.values()) > 0


def test_visibility_is_the_share_over_all_cameras(devkit, root: Path) -> None:
    """An object that two cameras share is as visible as one that lies in one picture; hidden ones are not."""
    tokens = json.loads((root / "dense" / "label_set.json").read_text())["instance_tokens"]
    levels: dict[str, list[int]] = {"none": [], "some": []}
    for sample in devkit.sample:
        scene = devkit.get("scene", sample["scene_token"])["name"]
        number_of = {token: int(number) for number, token in tokens[scene].items()}
        pixels: dict[int, int] = {}
        for channel in CAMERAS:
            stem = Path(devkit.get("sample_data", sample["data"][channel])["filename"]).stem
            numbers, counts = np.unique(
                np.array(Image.open(root / "dense" / "instance" / channel / f"{stem}.png")), return_counts=True
            )
            for number, count in zip(numbers.tolist(), counts.tolist(), strict=True):
                pixels[number] = pixels.get(number, 0) + count
        for token in sample["anns"]:
            annotation = devkit.get("sample_annotation", token)
            seen = pixels.get(number_of[annotation["instance_token"]], 0)
            assert seen or annotation["num_lidar_pts"]
            levels["some" if seen else "none"].append(int(annotation["visibility_token"]))
    assert set(levels["none"]) <= {1}
    assert levels["some"].count(4) > 10


def test_velocities_and_attributes_make_sense(devkit) -> None:
    moving = 0
    for annotation in devkit.sample_annotation:
        velocity = devkit.box_velocity(annotation["token"])
        (attribute,) = [devkit.get("attribute", token)["name"] for token in annotation["attribute_tokens"]] or [""]
        kind = annotation["category_name"].split(".")[0]
        prefixes = {"vehicle": ("vehicle.", "cycle."), "human": ("pedestrian.",)}.get(kind, ("",))
        assert attribute.startswith(prefixes)
        if kind not in ("vehicle", "human"):
            assert attribute == ""
        if np.isnan(velocity).any():
            continue
        speed = float(np.linalg.norm(velocity))
        assert speed < 25
        if attribute in ("vehicle.parked", "cycle.without_rider"):
            assert speed < 0.05
        moving += attribute == "vehicle.moving" and speed > 0.3
    assert moving > 5


def test_masks_are_those_that_the_labels_say(devkit, root: Path) -> None:
    road = [ROAD_SCENE.index(name) for name in ROAD_SCENE.drivable]
    paths = sorted((root / "dense" / "semantic").glob("*/*.png"))
    assert len(paths) == len([row for row in devkit.sample_data if row["sensor_modality"] == "camera"])
    for path in paths[:: len(paths) // 9]:
        semantic = np.array(Image.open(path))
        drivable = np.array(Image.open(root / "dense" / "drivable" / path.parent.name / path.name))
        lane = np.array(Image.open(root / "dense" / "lane" / path.parent.name / path.name))
        known = semantic != 255
        assert np.array_equal(drivable[known] == 1, np.isin(semantic, road)[known])
        assert np.array_equal(lane[known] == 1, (semantic == ROAD_SCENE.index("lane_marking"))[known])
        assert (drivable[~known] == 255).all()


def test_the_official_map_has_the_ego_on_its_road(devkit, root: Path) -> None:
    from nuscenes.map_expansion.map_api import NuScenesMap
    from shapely import Point, unary_union

    assert {path.stem for path in (root / "maps" / "expansion").glob("*.json")} == {
        "boston-seaport", "singapore-onenorth", "singapore-queenstown", "singapore-hollandvillage",
    }  # fmt: skip
    for scene in devkit.scene:
        log = devkit.get("log", scene["log_token"])
        official = NuScenesMap(str(root), log["location"])
        for row in _chain(devkit, scene, LIDAR):
            x, y, _ = devkit.get("ego_pose", row["ego_pose_token"])["translation"]
            on = official.layers_on_point(x, y)
            assert on["drivable_area"]
            assert on["road_segment"]
        (world_map,) = [row for row in devkit.map if log["token"] in row["log_tokens"]]
        places = np.random.default_rng(0).uniform([x - 60, y - 60], [x + 60, y + 60], (400, 2))
        areas = [official.extract_polygon(token) for row in official.drivable_area for token in row["polygon_tokens"]]
        drivable, edge = unary_union(areas), unary_union([area.boundary for area in areas])
        clear = np.array([edge.distance(Point(*place)) > 0.12 for place in places])
        inside = np.array([drivable.contains(Point(*place)) for place in places])
        assert 20 < inside.sum() < 380
        assert np.array_equal(world_map["mask"].is_on_mask(*places.T)[clear], inside[clear])
        lane = official.get_closest_lane(x, y, radius=5)
        poses = np.array(official.discretize_lanes([lane], 0.5)[lane])
        assert np.linalg.norm(poses[:, :2] - [x, y], axis=1).min() < 2.0
        records = official.get_records_in_patch((x - 40, y - 40, x + 40, y + 40))
        assert records["lane"]


def test_the_official_can_bus_tells_the_ego_s_motion(devkit, root: Path) -> None:
    from nuscenes.can_bus.can_bus_api import NuScenesCanBus

    can = NuScenesCanBus(str(root))
    for scene in devkit.scene:
        poses = can.get_messages(scene["name"], "pose")
        assert np.diff([message["utime"] for message in poses]) == pytest.approx(20_000, abs=1)
        places = np.array([message["pos"] for message in poses])
        times = np.array([message["utime"] for message in poses])
        for row in _chain(devkit, scene, "CAM_FRONT"):
            ego = devkit.get("ego_pose", row["ego_pose_token"])
            told = [np.interp(row["timestamp"], times, values) for values in places.T]
            assert np.linalg.norm(np.array(told) - ego["translation"]) < 0.01
        speeds = np.linalg.norm(np.gradient(places, times / 1e6, axis=0), axis=1)
        assert np.array([message["vel"][0] for message in poses]) == pytest.approx(speeds, abs=0.05)
        for message in poses[:: len(poses) // 5]:
            assert np.linalg.norm(message["orientation"]) == pytest.approx(1.0)
            assert message["accel"][2] == pytest.approx(9.81)
        for monitor in can.get_messages(scene["name"], "vehicle_monitor"):
            nearest = int(np.abs(times - monitor["utime"]).argmin())
            assert monitor["vehicle_speed"] / 3.6 == pytest.approx(speeds[nearest], abs=0.1)
            rpm = (monitor["rear_left_rpm"] + monitor["rear_right_rpm"]) / 2
            assert rpm * 1.98 / 60 == pytest.approx(speeds[nearest], abs=0.1)
        meta = can.get_messages(scene["name"], "meta")
        assert meta["vehicle_monitor"]["message_freq"] == pytest.approx(2.0)
        assert meta["zoe_veh_info"]["message_freq"] == pytest.approx(100.0)
        route, driven = can.get_pose_and_route(scene["name"])
        assert len(route) == len(driven)
    assert can.list_misaligned_routes() == []


def test_the_runtime_reads_the_speed_from_the_can_bus(devkit, root: Path) -> None:
    from perception.runtime.can import CanSpeed
    from perception.runtime.source import Frame

    name = devkit.scene[0]["name"]
    row = _chain(devkit, devkit.scene[0], "CAM_FRONT")[2]
    time_s = (row["timestamp"] - devkit.sample[0]["timestamp"]) / 1e6
    expected = build_scene(SEED, 0, 1.0).speed_mps(time_s)
    frame = Frame(image=np.zeros((1, 1, 3), np.uint8), name="", timestamp_us=row["timestamp"], channel="CAM_FRONT")
    for message, age_s in (("pose", 0.02), ("zoe_veh_info", 0.01), ("vehicle_monitor", 0.5)):
        reading = CanSpeed(root / "can_bus" / f"{name}_{message}.json").at(frame, 0.0)
        assert reading is not None
        assert reading.mps == pytest.approx(expected, abs=0.05 + 2 * age_s)
        assert 0 <= reading.age_s <= age_s


def test_tables_have_no_token_twice(root: Path) -> None:
    for path in itertools.chain((root / "v1.0-mini").glob("*.json"), (root / "maps" / "expansion").glob("*.json")):
        content = json.loads(path.read_text())
        lists = (
            [content] if isinstance(content, list) else [rows for rows in content.values() if isinstance(rows, list)]
        )
        for rows in lists:
            tokens = [row["token"] for row in rows if isinstance(row, dict)] if isinstance(rows, list) else []
            assert len(set(tokens)) == len(tokens), path
