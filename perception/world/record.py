"""One scene of the world, measured by its sensors and written as files, with its records for the tables."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from perception.errors import InputError
from perception.geometry.frames import apply, quaternion_from_rotation, yaw_rotation
from perception.types import Camera
from perception.world.actors import USUAL_MIX, Actor, TrafficMix
from perception.world.camera import CameraFrame, render_camera
from perception.world.can_bus import can_messages
from perception.world.lidar import LidarScan, points_in_box, scan_lidar, sweep_lidar
from perception.world.map_expansion import expansion_records
from perception.world.map_expansion_masks import drivable_mask
from perception.world.raycast import Frame
from perception.world.record_files import write_picture, write_point_labels, write_scan
from perception.world.rig import CAMERAS, EGO_FROM_LIDAR, FRONT, LIDAR, camera_delay_s, rig_camera
from perception.world.scene import Scene, SpeedProfile, build_scene
from perception.world.sensor import SENSORS, sensor_model
from perception.world.tables import (
    VERSION,
    SceneTables,
    attribute_tokens,
    link,
    pose_record,
    scene_name,
    sensor_records,
    token,
)
from perception.world.visibility import View, level, visible_share
from perception.world.weather import describe

KEYFRAME_HZ = 2.0
ANNOTATION_RANGE_M = 80.0
EPOCH_US = 1_533_000_000_000_000
SWEEP_INSTANTS = 3
"""Instants at which a LiDAR turn between keyframes looks at the world; at keyframes it shares those of the cameras."""
TIMINGS = ("auto", "instant", "turning")
SWITCH = ("auto", "on", "off")


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
        cameras: channels, of :data:`perception.world.rig.CAMERAS`.
        sweep_cameras: those of them that also record between keyframes.
        lidar_hz: rate of LiDAR turns, up to 20; those between keyframes have no labels.
        timing: ``instant``: all sensors measure the world at the keyframe's instant; ``turning``: the LiDAR turns
            while all moves, and each camera fires when the beam passes it, as in nuScenes; ``auto``: ``turning``
            unless there is one camera and no LiDAR turn between keyframes.
        masks: whether drivable and lane masks are written: ``on``, ``off``, or ``auto``: with more than one camera.
        sensor: ``ideal`` or ``real``, see :mod:`perception.world.sensor`.
        rolling_shutter: ``on`` or ``off``.
        mix: of the road users, and of parked bicycles.
    """

    out: Path
    seed: int
    weather: str
    keyframes: int
    size: tuple[int, int]
    sweep_hz: float
    speeds: tuple[SpeedProfile, ...] = ()
    cameras: tuple[str, ...] = (FRONT,)
    sweep_cameras: tuple[str, ...] = (FRONT,)
    lidar_hz: float = KEYFRAME_HZ
    timing: str = "auto"
    masks: str = "auto"
    sensor: str = "ideal"
    rolling_shutter: str = "off"
    mix: TrafficMix = USUAL_MIX

    def __post_init__(self) -> None:
        for name, value, allowed in (("timing", self.timing, TIMINGS), ("masks", self.masks, SWITCH),
                                     ("sensor", self.sensor, SENSORS),
                                     ("rolling_shutter", self.rolling_shutter, ("on", "off"))):  # fmt: skip
            if value not in allowed:
                raise InputError(f"unknown {name} {value!r}; use one of {', '.join(allowed)}")

    @property
    def per_keyframe(self) -> int:
        """Camera frames from one keyframe to the next."""
        return max(1, round(self.sweep_hz / KEYFRAME_HZ))

    @property
    def turns_per_keyframe(self) -> int:
        """LiDAR turns from one keyframe to the next."""
        return max(1, round(self.lidar_hz / KEYFRAME_HZ))

    @property
    def swept(self) -> tuple[str, ...]:
        """Cameras that record between keyframes."""
        return tuple(channel for channel in self.cameras if channel in self.sweep_cameras)

    @property
    def turning(self) -> bool:
        """Whether the sensors measure one after the other."""
        if self.timing == "auto":
            return len(self.cameras) > 1 or self.turns_per_keyframe > 1
        return self.timing == "turning"

    @property
    def with_masks(self) -> bool:
        return self.masks == "on" or (self.masks == "auto" and len(self.cameras) > 1)

    @property
    def frames(self) -> int:
        """Camera frames of a scene: sweeps lie between keyframes, none after the last."""
        return self.keyframes * len(self.cameras) + (self.keyframes - 1) * (self.per_keyframe - 1) * len(self.swept)

    def delay_s(self, channel: str) -> float:
        """When a camera fires, relative to the LiDAR."""
        return camera_delay_s(channel) if self.turning else 0.0


def record_scene(recording: Recording, index: int, done: Callable[[], None]) -> SceneTables:
    """Write the files of scene ``index`` and return its records; ``done`` is called after each camera frame."""
    return _Recorder(recording, index).run(done)


class _Recorder:
    def __init__(self, recording: Recording, index: int) -> None:
        self.recording = recording
        self.name = scene_name(index)
        duration_s = (recording.keyframes - 1) / KEYFRAME_HZ
        speed = recording.speeds[index % len(recording.speeds)] if recording.speeds else None
        self.scene: Scene = build_scene(recording.seed, index, duration_s, recording.weather, speed, recording.mix)
        self.cameras: dict[str, Camera] = {name: rig_camera(name, recording.size) for name in recording.cameras}
        self.log = f"world-{recording.seed}-{index:04d}"
        self.start_us = EPOCH_US + index * 1_000_000_000
        self.sensor = sensor_model(recording.sensor, recording.rolling_shutter == "on")
        self.records = SceneTables(drive_side=self.scene.road.drive_side)
        self.annotated: dict[int, Actor] = {}
        self._frames: dict[float, Frame] = {}

    def run(self, done: Callable[[], None]) -> SceneTables:
        steps, turns = self.recording.per_keyframe, self.recording.turns_per_keyframe
        for keyframe in range(self.recording.keyframes):
            time_s = keyframe / KEYFRAME_HZ
            self._keyframe(keyframe, time_s, done)
            if keyframe == self.recording.keyframes - 1:
                break
            # As in nuScenes, a sweep belongs to the sample that follows it.
            for step in range(1, steps):
                self._frames.clear()
                for channel in self.recording.swept:
                    self._picture(channel, keyframe + 1, time_s + step / steps / KEYFRAME_HZ, False)
                    done()
            for turn in range(1, turns):
                self._frames.clear()
                self._turn(keyframe + 1, time_s + turn / turns / KEYFRAME_HZ, False)
        self._finish()
        return self.records

    def _keyframe(self, keyframe: int, time_s: float, done: Callable[[], None]) -> None:
        self._frames.clear()
        views = []
        for channel in sorted(self.cameras, key=self.recording.delay_s):
            picture = self._picture(channel, keyframe, time_s, True)
            views.append(View(self.cameras[channel], time_s + self.recording.delay_s(channel), picture.instance))
            done()
        self.records.add(
            "sample", token=self._sample(keyframe), timestamp=self._stamp(time_s), scene_token=token(self.name),
            prev="", next="",
        )  # fmt: skip
        scan = self._turn(keyframe, time_s, True)
        self._annotate(views, scan, keyframe, time_s)

    def _frame(self, time_s: float) -> Frame:
        """The world at an instant; those of the keyframe or sweep at hand are kept."""
        key = round(time_s, 6)
        if key not in self._frames:
            self._frames[key] = Frame(self.scene, time_s)
        return self._frames[key]

    def _sample(self, keyframe: int) -> str:
        return token(self.name, "sample", keyframe)

    def _stamp(self, time_s: float) -> int:
        return self.start_us + round(time_s * 1e6)

    def _picture(self, channel: str, keyframe: int, time_s: float, is_key: bool) -> CameraFrame:
        fired_s = time_s + self.recording.delay_s(channel)
        frame = self._frame(fired_s)
        picture = render_camera(
            self.scene, fired_s, self.cameras[channel], frame, list(CAMERAS).index(channel), self.sensor
        )
        filename, _ = self._data_record(channel, "jpg", keyframe, fired_s, is_key)
        write_picture(self.recording.out, filename, picture, self.recording.with_masks)
        return picture

    def _turn(self, keyframe: int, time_s: float, is_key: bool) -> LidarScan:
        if not self.recording.turning:
            scan = scan_lidar(self.scene, time_s, self._frame(time_s))
        else:
            delays = sorted(camera_delay_s(channel) for channel in CAMERAS)
            delays = delays if is_key else delays[1 :: len(delays) // SWEEP_INSTANTS]
            scan = sweep_lidar(self.scene, time_s, [time_s + delay for delay in delays], self._frame)
        filename, identity = self._data_record(LIDAR, "pcd.bin", keyframe, time_s, is_key)
        write_scan(self.recording.out, filename, scan)
        if is_key:
            labels = f"lidarseg/{VERSION}/{identity}_lidarseg.bin"
            write_point_labels(self.recording.out, labels, scan)
            self.records.lidarseg.append({"token": identity, "sample_data_token": identity, "filename": labels})
        return scan

    def _data_record(self, channel: str, suffix: str, keyframe: int, time_s: float, is_key: bool) -> tuple[str, str]:
        """Add the records of a measurement; its file name and token."""
        stamp = self._stamp(time_s)
        identity = token(self.name, channel, stamp)
        filename = f"{'samples' if is_key else 'sweeps'}/{channel}/{self.log}__{channel}__{stamp}.{suffix}"
        height, width = (0, 0) if channel == LIDAR else self.recording.size
        self.records.tables["ego_pose"].append(pose_record(identity, stamp, self.scene.global_from_ego(time_s)))
        self.records.add(
            "sample_data", token=identity, sample_token=self._sample(keyframe), ego_pose_token=identity,
            calibrated_sensor_token=token(self.name, "calibrated_sensor", channel), timestamp=stamp,
            fileformat=suffix.split(".")[0], is_key_frame=is_key, height=height, width=width, filename=filename,
            prev="", next="",
        )  # fmt: skip
        return filename, identity

    def _annotate(self, views: list[View], scan: LidarScan, keyframe: int, time_s: float) -> None:
        """Boxes of everything within range that the LiDAR or a camera sees, at the keyframe's instant."""
        global_from_ego = self.scene.global_from_ego(time_s)
        cloud = apply(global_from_ego @ EGO_FROM_LIDAR, scan.points[:, :3])
        pixels = np.sum([view.pixels for view in views], axis=0)
        for actor in self.scene.present(time_s):
            box = self.scene.box(actor, time_s)
            if np.hypot(*(box.center[:2] - global_from_ego[:2, 3])) > ANNOTATION_RANGE_M:
                continue
            points = points_in_box(cloud, box.center, box.size, box.yaw)
            if not points and not pixels[actor.instance]:
                continue
            share = visible_share(self.scene, actor, views) if pixels[actor.instance] else 0.0
            self.annotated[actor.instance] = actor
            length, width, height = box.size
            attribute = actor.attribute(self.scene.road, time_s)
            self.records.add(
                "sample_annotation", token=token(self.name, "annotation", keyframe, actor.instance),
                sample_token=self._sample(keyframe), instance_token=self._instance(actor.instance),
                visibility_token=str(level(share)), attribute_tokens=attribute_tokens(actor.category, attribute),
                translation=box.center.tolist(), size=[width, length, height],
                rotation=quaternion_from_rotation(yaw_rotation(box.yaw)).tolist(), prev="", next="",
                num_lidar_pts=points, num_radar_pts=0,
            )  # fmt: skip

    def _instance(self, number: int) -> str:
        return token(self.name, "instance", number)

    def _finish(self) -> None:
        tables = self.records.tables
        link(tables["sample"])
        for channel in (*self.cameras, LIDAR):
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
        tables["calibrated_sensor"] = sensor_records(self.name, self.cameras)
        self.records.add(
            "log", token=token(self.name, "log"), logfile=self.log, vehicle="world", date_captured="2018-07-31",
            location="",
        )  # fmt: skip
        samples = tables["sample"]
        self.records.add(
            "scene", token=token(self.name), name=self.name, log_token=token(self.name, "log"),
            description=describe(self.scene.weather, self.scene.district), nbr_samples=len(samples),
            first_sample_token=samples[0]["token"], last_sample_token=samples[-1]["token"],
        )  # fmt: skip
        layers = self.scene.map_layers()
        self.records.mask, self.records.mask_origin_m = drivable_mask(layers.drivable_area)
        self.records.can = can_messages(self.scene, self.start_us)
        self.records.expansion = expansion_records(layers, self.name)
