"""nuScenes tables through the official devkit: opening, splits, camera frames, poses and ego speed."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from perception.datasets.quarantine import AUTO, open_quarantine, remedy, say_left_out
from perception.errors import InputError, require
from perception.files import require_dir
from perception.geometry.frames import transform
from perception.types import Camera

TABLES = (
    "attribute", "calibrated_sensor", "category", "ego_pose", "instance", "log", "map", "sample", "sample_annotation",
    "sample_data", "scene", "sensor", "visibility",
)  # fmt: skip

ALL_SCENES = "all"


@dataclass(frozen=True)
class Frame:
    """One camera image of the tables.

    Args:
        token: of its ``sample_data`` record.
        sample_token: of the sample that it belongs to.
        scene: name of the scene, such as ``scene-0061``.
        channel: camera name, such as ``CAM_FRONT``.
        filename: of the image, relative to the data folder.
        is_keyframe: whether the annotations belong to this very instant.
    """

    token: str
    sample_token: str
    scene: str
    channel: str
    filename: str
    timestamp_us: int
    is_keyframe: bool

    @property
    def name(self) -> str:
        """The file's name without its suffix; it is unique within a data set."""
        return Path(self.filename).stem


def open_tables(root: str | Path, version: str, quarantine: str = AUTO) -> Any:
    """The devkit's ``NuScenes`` over ``root``, without the records of a quarantine list.

    Args:
        quarantine: ``auto``, ``off`` or a path, see :func:`perception.datasets.quarantine.open_quarantine`.

    Raises:
        MissingExtra: without nuscenes-devkit.
        InputError: for a missing folder or table, or tables that do not fit together.
    """
    root = require_dir(root, "nuScenes data folder")
    folder = root / version
    if not folder.is_dir():
        present = sorted(path.parent.name for path in root.glob("*/sample_data.json"))
        hint = f"it has {', '.join(present)}" if present else "no folder in it has a sample_data.json"
        raise InputError(f"nuScenes data folder {root} has no version {version!r}; {hint}")
    missing = [name for name in TABLES if not (folder / f"{name}.json").is_file()]
    if missing:
        raise InputError(f"{folder} lacks the nuScenes table {', '.join(f'{name}.json' for name in missing)}")
    require("nuscenes", "nuscenes")
    left_out = open_quarantine(root, quarantine)
    try:
        tables = importlib.import_module("perception.datasets.nuscenes_devkit").load(version, root, left_out)
    except Exception as error:  # the devkit raises assertions, lookups and bare exceptions for bad tables
        raise InputError(
            f"the nuScenes tables in {folder} do not load: {type(error).__name__}: {error}; {remedy(root)}"
        ) from error
    if left_out.path is not None and tables.left_out:
        say_left_out(left_out.path, tables.left_out)
    return tables


def split_scenes(tables: Any, split: str, split_file: str | Path | None = None) -> list[str]:
    """Names of the scenes of a split that are present, in the order of the tables.

    ``split_file`` comes first; then ``<version>/splits.json`` where there is one; then the devkit's official splits,
    in which ``train`` and ``val`` mean the mini splits for ``v1.0-mini``. ``all`` is every scene.

    Args:
        split_file: YAML or JSON file that maps names of splits to lists of scene names.

    Raises:
        InputError: for an unknown split, one of which no scene is present, or a split file that is missing, has
            another form, or names a scene that is not present.
    """
    present = [scene["name"] for scene in tables.scene]
    if split == ALL_SCENES:
        return present
    known = _splits(tables)
    if split_file is not None:
        own = _read_splits(Path(split_file))
        absent = sorted({name for names in own.values() for name in names} - set(present))
        if absent:
            raise InputError(
                f"split file {split_file} names {absent[0]!r}, which is not a scene of {tables.dataroot} "
                f"({tables.version})"
            )
        known = {**known, **own}
    if split not in known:
        raise InputError(f"unknown split {split!r}; use {ALL_SCENES} or one of {', '.join(known)}")
    chosen = [name for name in present if name in set(known[split])]
    if not chosen:
        some = ", ".join(present[:12]) + (f" and {len(present) - 12} more" if len(present) > 12 else "")
        raise InputError(
            f"no scene of split {split!r} is in {tables.dataroot} ({tables.version}); present: {some or 'none'}; "
            f"choose another split or {ALL_SCENES!r}"
        )
    return chosen


def _splits(tables: Any) -> dict[str, Sequence[str]]:
    official = require("nuscenes.utils.splits", "nuscenes").create_splits_scenes()
    if tables.version.endswith("mini"):
        official = {**official, "train": official["mini_train"], "val": official["mini_val"]}
    path = Path(tables.table_root) / "splits.json"
    if not path.is_file():
        return official
    return {**official, **_read_splits(path)}


def _read_splits(path: Path) -> dict[str, Sequence[str]]:
    """Splits of a JSON or YAML file."""
    if not path.is_file():
        raise InputError(f"split file {path} does not exist")
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))  # JSON is YAML
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        problem = str(error).replace("\n", " ")
        raise InputError(f"{path} is not JSON or YAML: {problem}") from error
    fits = isinstance(content, dict) and all(
        isinstance(names, list) and all(isinstance(name, str) for name in names) for names in content.values()
    )
    if not fits:
        raise InputError(f"{path} must map split names to lists of scene names")
    return {str(name): names for name, names in content.items()}


def camera_frames(tables: Any, scenes: Sequence[str], cameras: Sequence[str], sweeps: bool) -> list[Frame]:
    """The frames of some cameras, by scene, then camera, then time.

    Args:
        sweeps: also the images between keyframes.

    Raises:
        InputError: for a camera that the scenes do not have.
    """
    scene_of_sample = {}
    names = {scene["token"]: scene["name"] for scene in tables.scene}
    for sample in tables.sample:
        scene_of_sample[sample["token"]] = names[sample["scene_token"]]
    rank = {(scene, camera): i for i, (scene, camera) in enumerate((s, c) for s in scenes for c in cameras)}
    frames = []
    for record in tables.sample_data:
        scene = scene_of_sample[record["sample_token"]]
        if (scene, record["channel"]) not in rank or not (sweeps or record["is_key_frame"]):
            continue
        frames.append(
            Frame(
                token=record["token"],
                sample_token=record["sample_token"],
                scene=scene,
                channel=record["channel"],
                filename=record["filename"],
                timestamp_us=int(record["timestamp"]),
                is_keyframe=bool(record["is_key_frame"]),
            )
        )
    for camera in cameras:
        if not any(frame.channel == camera for frame in frames):
            known = sorted(sensor["channel"] for sensor in tables.sensor if sensor["modality"] == "camera")
            raise InputError(f"no image of camera {camera!r} in the chosen scenes; cameras: {', '.join(known)}")
    return sorted(frames, key=lambda frame: (rank[frame.scene, frame.channel], frame.timestamp_us))


def camera_of(tables: Any, token: str) -> Camera:
    """The calibrated camera of an image.

    Raises:
        InputError: where the calibration is not that of a camera.
    """
    record = tables.get("sample_data", token)
    sensor = tables.get("calibrated_sensor", record["calibrated_sensor_token"])
    intrinsics = np.asarray(sensor["camera_intrinsic"], dtype=np.float64)
    if intrinsics.shape != (3, 3) or not np.isfinite(intrinsics).all() or min(intrinsics[0, 0], intrinsics[1, 1]) <= 0:
        raise InputError(
            f"{record['filename']}: calibrated_sensor {sensor['token']} has no 3x3 camera_intrinsic with positive "
            "focal lengths"
        )
    size = (int(record["height"]), int(record["width"]))
    return Camera(intrinsics, size, transform(sensor["translation"], sensor["rotation"]))


def global_from_ego(tables: Any, token: str) -> np.ndarray:
    """``(4, 4)`` pose of the vehicle at the instant of a ``sample_data`` record."""
    pose = tables.get("ego_pose", tables.get("sample_data", token)["ego_pose_token"])
    return transform(pose["translation"], pose["rotation"])


def ego_speed_mps(tables: Any, token: str) -> float | None:
    """Speed over ground by the central difference of the ego poses of the same sensor's neighbouring records;
    one-sided at the ends of a scene, ``None`` for a record without neighbours."""
    record = tables.get("sample_data", token)
    ends = [tables.get("sample_data", record[link]) if record[link] else record for link in ("prev", "next")]
    seconds = (ends[1]["timestamp"] - ends[0]["timestamp"]) * 1e-6
    if seconds <= 0:
        return None
    positions = [np.array(tables.get("ego_pose", end["ego_pose_token"])["translation"]) for end in ends]
    return float(np.linalg.norm(positions[1] - positions[0]) / seconds)
