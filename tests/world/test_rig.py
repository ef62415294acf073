"""The rig against the calibration and the times of a real nuScenes keyframe."""

from __future__ import annotations

import json

import numpy as np
import pytest
from conftest import real_data

from perception.errors import InputError
from perception.geometry.camera import project
from perception.geometry.frames import inverse, transform
from perception.world.rig import CAMERAS, EGO_FROM_LIDAR, LIDAR, TURN_S, camera_delay_s, parse_cameras, rig_camera


def _table(root, name: str) -> list[dict]:
    return json.loads((root / "v1.0-mini" / f"{name}.json").read_text())


def test_poses_and_lenses_are_those_of_a_nuscenes_vehicle() -> None:
    root = real_data("nuscenes_keyframe")
    channels = {row["token"]: row["channel"] for row in _table(root, "sensor")}
    checked = set()
    for row in _table(root, "calibrated_sensor"):
        channel = channels[row["sensor_token"]]
        real = transform(row["translation"], row["rotation"])
        ours = EGO_FROM_LIDAR if channel == LIDAR else rig_camera(channel, (900, 1600)).ego_from_camera
        assert np.abs(real[:3, 3] - ours[:3, 3]).max() < 0.05
        turn = np.arccos(np.clip((np.trace(real[:3, :3].T @ ours[:3, :3]) - 1) / 2, -1, 1))
        assert np.degrees(turn) < 3.0, channel
        if channel in CAMERAS:
            focal = rig_camera(channel, (900, 1600)).focal_px
            assert focal == pytest.approx(row["camera_intrinsic"][0][0], rel=0.005)
        checked.add(channel)
    assert checked == {*CAMERAS, LIDAR}


def test_cameras_fire_when_those_of_nuscenes_do() -> None:
    root = real_data("nuscenes_keyframe")
    rows = {row["filename"].split("/")[1]: row["timestamp"] for row in _table(root, "sample_data")}
    for channel in CAMERAS:
        assert camera_delay_s(channel) == pytest.approx((rows[channel] - rows[LIDAR]) / 1e6, abs=7e-4), channel
        assert -TURN_S < camera_delay_s(channel) <= 0


def test_cameras_see_all_around_and_scale_with_the_picture() -> None:
    around = np.radians(np.arange(360))
    points = np.stack([20 * np.cos(around), 20 * np.sin(around), np.full(360, 1.5)], axis=1)
    seen = np.zeros(360, bool)
    for channel in CAMERAS:
        for size in ((900, 1600), (90, 160)):
            camera = rig_camera(channel, size)
            local = points @ inverse(camera.ego_from_camera)[:3, :3].T + inverse(camera.ego_from_camera)[:3, 3]
            pixels, depth = project(camera, local)
            inside = (depth > 0) & (pixels[:, 0] >= 0) & (pixels[:, 0] < size[1])
            assert 55 <= inside.sum() <= 100
            seen |= inside
            ahead = local[round(CAMERAS[channel].yaw_deg) % 360]
            assert abs(ahead[0]) < 0.1 * ahead[2]  # what lies where it looks is in the middle
    assert seen.all()


def test_names_of_cameras() -> None:
    assert parse_cameras("front") == ("CAM_FRONT",)
    assert parse_cameras("all") == tuple(CAMERAS)
    assert len(CAMERAS) == 6
    assert parse_cameras(" CAM_BACK, CAM_FRONT") == ("CAM_FRONT", "CAM_BACK")
    assert parse_cameras(("CAM_BACK_LEFT",)) == ("CAM_BACK_LEFT",)
    for wrong in ("CAM_TOP", "", "CAM_BACK,CAM_BACK"):
        with pytest.raises(InputError, match="use front, all"):
            parse_cameras(wrong)
    with pytest.raises(InputError, match="unknown camera 'CAM_TOP'"):
        rig_camera("CAM_TOP", (9, 16))
