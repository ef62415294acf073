"""One scene of the world, measured by its sensors and written as files, with its records for the tables."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from perception.files import write_png
from perception.geometry.frames import apply, quaternion_from_rotation, yaw_rotation
from perception.taxonomy import NUSCENES_LIDARSEG, ROAD_SCENE
from perception.types import Camera
from perception.world.actors import Actor
from perception.world.camera import CameraFrame, front_camera, render_camera
from perception.world.lidar import EGO_FROM_LIDAR, LidarScan, points_in_box, scan_lidar
from perception.world.raycast import Frame
from perception.world.scene import Scene, SpeedProfile, build_scene
from perception.world.tables import (
    CAMERA,
    LIDAR,
    LOCATIONS,
    VERSION,
    SceneTables,
    link,
    pose_record,
    scene_name,
    sensor_records,
    token,
)
from perception.world.visibility import level, visible_share

KEYFRAME_HZ = 2.0
ANNOTATION_RANGE_M = 80.0
DEPTH_SCALE = 256.0
EPOCH_US = 1_533_000_000_000_000
JPEG_QUALITY = 95
MAP_RESOLUTION_M = 0.1


@dataclass(frozen=True)
class Recording:
    """How a scene is recorded.

    Args:
        out: root of the data set.
        seed, weather: of the world.
        keyframes: at 2 Hz.
        size: ``(height, width)`` of the pictures.
        sweep_hz: camera rate between keyframes, 0 for none.
        speeds: the ego's speed profiles, which the scenes take in turn; none lets it drive with the traffic.
    """

    out: Path
    seed: int
    weather: str
    keyframes: int
    size: tuple[int, int]
    sweep_hz: float
    speeds: tuple[SpeedProfile, ...] = ()

    @property
    def per_keyframe(self) -> int:
        """Camera frames from one keyframe to the next."""
        return max(1, round(self.sweep_hz / KEYFRAME_HZ))

    @property
    def frames(self) -> int:
        """Camera frames of a scene: sweeps lie between keyframes, none after the last."""
        return (self.keyframes - 1) * self.per_keyframe + 1


def record_scene(recording: Recording, index: int, done: Callable[[], None]) -> SceneTables:
    """Write the files of scene ``index`` and return its records; ``done`` is called after each camera frame."""
    return _Recorder(recording, index).run(done)


class _Recorder:
    def __init__(self, recording: Recording, index: int) -> None:
        self.recording = recording
        self.name = scene_name(index)
        duration_s = (recording.keyframes - 1) / KEYFRAME_HZ
        speed = recording.speeds[index % len(recording.speeds)] if recording.speeds else None
        self.scene: Scene = build_scene(recording.seed, index, duration_s, recording.weather, speed)
        self.camera: Camera = front_camera(recording.size)
        self.log = f"world-{recording.seed}-{index:04d}"
        self.start_us = EPOCH_US + index * 1_000_000_000
        self.records = SceneTables()
        self.annotated: dict[int, Actor] = {}

    def run(self, done: Callable[[], None]) -> SceneTables:
        count = self.recording.per_keyframe
        for number in range(self.recording.frames):
            keyframe, between = divmod(number, count)
            time_s = (keyframe + between / count) / KEYFRAME_HZ
            self._frame(keyframe, time_s, between == 0)
            done()
        self._finish()
        return self.records

    def _frame(self, keyframe: int, time_s: float, is_key: bool) -> None:
        frame = Frame(self.scene, time_s)
        picture = render_camera(self.scene, time_s, self.camera, frame)
        stamp = self.start_us + round(time_s * 1e6)
        # As in nuScenes, a sweep belongs to the sample that follows it.
        self._write_camera(picture, keyframe if is_key else keyframe + 1, stamp, time_s, is_key)
        if is_key:
            self.records.add(
                "sample", token=self._sample(keyframe), timestamp=stamp, scene_token=token(self.name), prev="", next=""
            )
            scan = scan_lidar(self.scene, time_s, frame)
            self._write_lidar(scan, keyframe, stamp, time_s)
            self._annotate(picture, scan, keyframe, time_s)

    def _sample(self, keyframe: int) -> str:
        return token(self.name, "sample", keyframe)

    def _write_camera(self, picture: CameraFrame, keyframe: int, stamp: int, time_s: float, is_key: bool) -> None:
        out = self.recording.out
        stem = f"{self.log}__{CAMERA}__{stamp}"
        filename = f"{'samples' if is_key else 'sweeps'}/{CAMERA}/{stem}.jpg"
        (out / filename).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(picture.image).save(out / filename, quality=JPEG_QUALITY, subsampling=0)
        dense = out / "dense"
        write_png(dense / "semantic" / CAMERA / f"{stem}.png", picture.semantic, ROAD_SCENE.palette(), compress=1)
        write_png(dense / "instance" / CAMERA / f"{stem}.png", picture.instance, compress=1)
        depth = np.clip(np.round(picture.depth_m * DEPTH_SCALE), 0, 65535).astype(np.uint16)
        write_png(dense / "depth" / CAMERA / f"{stem}.png", depth, compress=1)
        self._data_record(CAMERA, filename, "jpg", keyframe, stamp, time_s, is_key)

    def _write_lidar(self, scan: LidarScan, keyframe: int, stamp: int, time_s: float) -> None:
        out = self.recording.out
        filename = f"samples/{LIDAR}/{self.log}__{LIDAR}__{stamp}.pcd.bin"
        (out / filename).parent.mkdir(parents=True, exist_ok=True)
        scan.points.astype("<f4").tofile(out / filename)
        identity = self._data_record(LIDAR, filename, "pcd", keyframe, stamp, time_s, True)
        labels = f"lidarseg/{VERSION}/{identity}_lidarseg.bin"
        (out / labels).parent.mkdir(parents=True, exist_ok=True)
        scan.labels.astype(np.uint8).tofile(out / labels)
        self.records.lidarseg.append({"token": identity, "sample_data_token": identity, "filename": labels})

    def _data_record(
        self, channel: str, filename: str, form: str, keyframe: int, stamp: int, time_s: float, is_key: bool
    ) -> str:
        identity = token(self.name, channel, stamp)
        height, width = self.recording.size if channel == CAMERA else (0, 0)
        self.records.tables["ego_pose"].append(pose_record(identity, stamp, self.scene.global_from_ego(time_s)))
        self.records.add(
            "sample_data", token=identity, sample_token=self._sample(keyframe), ego_pose_token=identity,
            calibrated_sensor_token=token(self.name, "calibrated_sensor", channel), timestamp=stamp, fileformat=form,
            is_key_frame=is_key, height=height, width=width, filename=filename, prev="", next="",
        )  # fmt: skip
        return identity

    def _annotate(self, picture: CameraFrame, scan: LidarScan, keyframe: int, time_s: float) -> None:
        """Boxes of everything within range that the LiDAR or the camera sees."""
        global_from_ego = self.scene.global_from_ego(time_s)
        cloud = apply(global_from_ego @ EGO_FROM_LIDAR, scan.points[:, :3])
        pixels = np.bincount(picture.instance.ravel(), minlength=len(self.scene.actors) + 1)
        for actor in self.scene.present(time_s):
            box = self.scene.box(actor, time_s)
            if np.hypot(*(box.center[:2] - global_from_ego[:2, 3])) > ANNOTATION_RANGE_M:
                continue
            points = points_in_box(cloud, box.center, box.size, box.yaw)
            if not points and not pixels[actor.instance]:
                continue
            share = 0.0
            if pixels[actor.instance]:
                share = visible_share(self.scene, actor, time_s, self.camera, picture.instance)
            self.annotated[actor.instance] = actor
            length, width, height = box.size
            attribute = actor.attribute(self.scene.road, time_s)
            self.records.add(
                "sample_annotation", token=token(self.name, "annotation", keyframe, actor.instance),
                sample_token=self._sample(keyframe), instance_token=self._instance(actor.instance),
                visibility_token=str(level(share)), attribute_tokens=[token("attribute", attribute)],
                translation=box.center.tolist(), size=[width, length, height],
                rotation=quaternion_from_rotation(yaw_rotation(box.yaw)).tolist(), prev="", next="",
                num_lidar_pts=points, num_radar_pts=0,
            )  # fmt: skip

    def _instance(self, number: int) -> str:
        return token(self.name, "instance", number)

    def _finish(self) -> None:
        tables = self.records.tables
        link(tables["sample"])
        for channel in (CAMERA, LIDAR):
            link([row for row in tables["sample_data"] if f"/{channel}/" in row["filename"]])
        for number, actor in sorted(self.annotated.items()):
            identity = self._instance(number)
            rows = [row for row in tables["sample_annotation"] if row["instance_token"] == identity]
            link(rows)
            self.records.add(
                "instance", token=identity, category_token=token("category", actor.category),
                nbr_annotations=len(rows), first_annotation_token=rows[0]["token"],
                last_annotation_token=rows[-1]["token"],
            )  # fmt: skip
            self.records.instance_tokens[str(number)] = identity
        tables["calibrated_sensor"] = sensor_records(self.name, self.camera)
        places = LOCATIONS[self.scene.road.drive_side]
        location = places[self.scene.index % len(places)]
        self.records.add(
            "log", token=token(self.name, "log"), logfile=self.log, vehicle="world", date_captured="2018-07-31",
            location=location,
        )  # fmt: skip
        samples = tables["sample"]
        self.records.add(
            "scene", token=token(self.name), name=self.name, log_token=token(self.name, "log"),
            description=f"{self.scene.district}, {self.scene.weather}", nbr_samples=len(samples),
            first_sample_token=samples[0]["token"], last_sample_token=samples[-1]["token"],
        )  # fmt: skip
        filename = f"maps/{token(self.name, 'map')}.png"
        write_png(self.recording.out / filename, drivable_map(self.scene))
        self.records.add(
            "map", token=token(self.name, "map"), log_tokens=[token(self.name, "log")], category="semantic_prior",
            filename=filename,
        )  # fmt: skip


def drivable_map(scene: Scene) -> np.ndarray:
    """``(H, W)`` uint8 mask, 255 on drivable surface, 0.1 m a pixel, the global origin at the bottom left."""
    mesh = scene.static
    drivable = mesh.lidar == NUSCENES_LIDARSEG.index("flat.driveable_surface")
    corners = mesh.vertices[mesh.faces[drivable]][:, :, :2] / MAP_RESOLUTION_M  # (F, 3, 2)
    width, height = (np.ceil(corners.reshape(-1, 2).max(axis=0)) + 100).astype(int)
    image = Image.new("L", (int(width), int(height)))
    draw = ImageDraw.Draw(image)
    for triangle in corners:
        draw.polygon([(float(x), float(height - 1 - y)) for x, y in triangle], fill=255)
    return np.array(image)
