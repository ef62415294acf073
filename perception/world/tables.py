"""The tables of a nuScenes data set, as the official schema has them."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from perception.geometry.frames import quaternion_from_rotation
from perception.taxonomy import NUSCENES_LIDARSEG
from perception.types import Camera
from perception.world.rig import EGO_FROM_LIDAR, LIDAR

VERSION = "v1.0-mini"
LOCATIONS = {
    -1: ("boston-seaport",),
    1: ("singapore-onenorth", "singapore-queenstown", "singapore-hollandvillage"),
}
"""The map locations that the devkit knows, by the side one drives on there: -1 right, +1 left."""
MINI_SCENES = (
    "scene-0061", "scene-0103", "scene-0553", "scene-0916", "scene-0655", "scene-0757", "scene-0796", "scene-1077",
    "scene-1094", "scene-1100",
)  # fmt: skip
"""The official mini scenes, ordered so that four of them already hold both of the validation split."""
MINI_VAL = ("scene-0103", "scene-0916")
VAL_EVERY = 5
"""Of the scenes beyond the mini ones, every fifth is for validation."""

ATTRIBUTES = (
    "vehicle.moving", "vehicle.stopped", "vehicle.parked", "cycle.with_rider", "cycle.without_rider",
    "pedestrian.sitting_lying_down", "pedestrian.standing", "pedestrian.moving",
)  # fmt: skip
VISIBILITIES = {1: "v0-40", 2: "v40-60", 3: "v60-80", 4: "v80-100"}

TABLES = (
    "attribute", "calibrated_sensor", "category", "ego_pose", "instance", "log", "map", "sample",
    "sample_annotation", "sample_data", "scene", "sensor", "visibility",
)  # fmt: skip

Record = dict[str, Any]


def token(*parts: object) -> str:
    """A 32-digit token that depends on nothing but its parts."""
    return hashlib.md5("/".join(map(str, parts)).encode(), usedforsecurity=False).hexdigest()


def scene_name(index: int) -> str:
    """Name of the world's scene ``index``, counted from 0.

    >>> scene_name(0), scene_name(10)
    ('scene-0061', 'scene-2001')
    """
    return MINI_SCENES[index] if index < len(MINI_SCENES) else f"scene-{2001 + index - len(MINI_SCENES)}"


def splits(count: int) -> dict[str, list[str]]:
    """Names of the training and validation scenes of a world of ``count`` scenes."""
    names = [scene_name(index) for index in range(count)]
    further = names[len(MINI_SCENES) :]
    held = {*MINI_VAL, *further[VAL_EVERY - 1 :: VAL_EVERY]}
    return {"train": [n for n in names if n not in held], "val": [n for n in names if n in held]}


@dataclass
class SceneTables:
    """Records of one scene; all that is said in the global frame is in the scene's own.

    Args:
        tables: by table name.
        lidarseg: records of that table.
        instance_tokens: by number in the instance images.
        drive_side: on which one drives, -1 right, +1 left.
        can: messages of the CAN bus, by file.
        expansion: layers of the map expansion, see :mod:`perception.world.map_expansion`.
        mask: ``(H, W)`` uint8 drivable surface, 255 inside, 0.1 m a pixel, the first row in the north.
        mask_origin_m: its south-west corner, whole metres.
    """

    tables: dict[str, list[Record]] = field(default_factory=lambda: {name: [] for name in TABLES})
    lidarseg: list[Record] = field(default_factory=list)
    instance_tokens: dict[str, str] = field(default_factory=dict)
    drive_side: int = -1
    can: dict[str, Any] = field(default_factory=dict)
    expansion: dict[str, Any] = field(default_factory=dict)
    mask: np.ndarray = field(default_factory=lambda: np.zeros((10, 10), np.uint8))
    mask_origin_m: tuple[int, int] = (0, 0)

    def add(self, table: str, **record: Any) -> None:
        self.tables[table].append(record)


def link(records: Sequence[Record]) -> None:
    """Fill ``prev`` and ``next`` of records in order; "" at the ends."""
    for before, after in itertools.pairwise(records):
        before["next"], after["prev"] = after["token"], before["token"]


def shared_tables(cameras: Sequence[str]) -> dict[str, list[Record]]:
    """Tables that do not depend on the scenes, for a rig of some cameras and the LiDAR."""
    return {
        "attribute": [{"token": token("attribute", n), "name": n, "description": n} for n in ATTRIBUTES],
        "category": [
            {"token": token("category", name), "name": name, "description": name, "index": index}
            for index, name in enumerate(NUSCENES_LIDARSEG)
        ],
        "sensor": [
            {
                "token": token("sensor", channel),
                "channel": channel,
                "modality": "lidar" if channel == LIDAR else "camera",
            }
            for channel in (*cameras, LIDAR)
        ],
        "visibility": [
            {"token": str(number), "level": name, "description": f"visibility of {name[1:]} percent"}
            for number, name in VISIBILITIES.items()
        ],
    }


def attribute_tokens(category: str, attribute: str) -> list[str]:
    """Tokens of an object's attribute: none for categories that have none in nuScenes."""
    has = category.startswith(("vehicle.", "human.pedestrian.")) and attribute in ATTRIBUTES
    return [token("attribute", attribute)] if has else []


def sensor_records(name: str, cameras: Mapping[str, Camera]) -> list[Record]:
    """``calibrated_sensor`` records of a scene."""
    rows = []
    sensors = {channel: (camera.ego_from_camera, camera.intrinsics.tolist()) for channel, camera in cameras.items()}
    for channel, (ego_from_sensor, intrinsic) in {**sensors, LIDAR: (EGO_FROM_LIDAR, [])}.items():
        rows.append(
            {
                "token": token(name, "calibrated_sensor", channel),
                "sensor_token": token("sensor", channel),
                **_pose(ego_from_sensor),
                "camera_intrinsic": intrinsic,
            }
        )
    return rows


def pose_record(identity: str, timestamp_us: int, global_from_ego: np.ndarray) -> Record:
    return {"token": identity, "timestamp": timestamp_us, **_pose(global_from_ego)}


def _pose(target_from_source: np.ndarray) -> Record:
    rotation = quaternion_from_rotation(target_from_source[:3, :3])
    return {"translation": target_from_source[:3, 3].tolist(), "rotation": rotation.tolist()}
