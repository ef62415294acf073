"""Scenes of nuScenes-format data as a Rerun recording."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from perception.console import track
from perception.datasets.nuscenes import DENSE
from perception.datasets.nuscenes_boxes import projected_boxes
from perception.datasets.nuscenes_keyframe import MOSAIC, keyframe_record
from perception.datasets.nuscenes_lidar import LIDAR
from perception.datasets.nuscenes_points import point_view
from perception.datasets.nuscenes_tables import ALL_SCENES, camera_of, global_from_ego, open_tables
from perception.errors import InputError
from perception.files import atomic_path, inside, read_labels
from perception.geometry.frames import inverse
from perception.taxonomy import LIDARSEG, NUSCENES_DETECTION, LabelSet, get_label_set
from perception.viz.rerun_log import RerunLog


def record_scenes(
    root: str | Path,
    out: Path,
    version: str = "v1.0-mini",
    sample: str | None = None,
    scene: str | None = None,
    predictions: str | Path | None = None,
) -> dict[str, Any]:
    """Write the keyframes of scenes: cameras with masks and 2D boxes, points with labels, 3D boxes, and the path.

    The world frame is the global one, moved to where a scene starts, so that numbers stay small.

    Args:
        sample: token of a keyframe; its scene is recorded. Default the first.
        scene: name of the scene instead, or ``all``.
        predictions: folder of a lidarseg submission.

    Returns:
        Counts: scenes, keyframes, cameras, points, boxes, and the size of the file.

    Raises:
        InputError: for a missing data set, sample or scene, or files that are missing or broken.
        MissingExtra: without rerun-sdk.
    """
    root = Path(root)
    tables = open_tables(root, version)
    scenes = _choose_scenes(tables, sample, scene)
    channels = [c for c in MOSAIC if any(c in tables.get("sample", s["first_sample_token"])["data"] for s in scenes)]
    masks = _mask_labels(root)
    points = boxes = keyframes = 0
    compare = predictions is not None
    with atomic_path(out) as temporary, RerunLog(temporary, LIDARSEG, channels, masks, compare) as log:
        for chosen in scenes:
            records = _samples(tables, chosen)
            poses = [global_from_ego(tables, record["data"][LIDAR]) for record in records]
            world_from_global = np.eye(4)
            world_from_global[:3, 3] = -poses[0][:3, 3]
            path = np.stack([(world_from_global @ pose)[:3, 3] for pose in poses])
            log.start_scene(chosen["name"], records[0]["timestamp"], path)
            for record, pose in track(zip(records, poses, strict=True), chosen["name"], len(records)):
                view = point_view(tables, record, predictions)
                log.points(record["timestamp"], world_from_global @ pose, view)
                for channel in (c for c in channels if c in record["data"]):
                    _log_camera(log, root, tables, record, channel, inverse(pose), masks is not None)
                points, boxes, keyframes = points + len(view.points), boxes + len(view.boxes), keyframes + 1
    return {
        "out": str(out),
        "view": "recording",
        "scenes": [s["name"] for s in scenes],
        "keyframes": keyframes,
        "cameras": channels,
        "points": points,
        "boxes": boxes,
        "size_bytes": out.stat().st_size,
    }


def _log_camera(
    log: RerunLog,
    root: Path,
    tables: Any,
    record: dict[str, Any],
    channel: str,
    ego_from_global: np.ndarray,
    has_masks: bool,
) -> None:
    token = record["data"][channel]
    camera = camera_of(tables, token)
    path = inside(root, tables.get("sample_data", token)["filename"])
    if not path.is_file():
        raise InputError(f"image {path} does not exist")
    mask = None
    if has_masks:
        labels = inside(root, f"{DENSE}/semantic/{channel}/{path.stem}.png")
        mask = read_labels(labels) if labels.is_file() else None
    moved = ego_from_global @ global_from_ego(tables, token) @ camera.ego_from_camera
    found, _ = projected_boxes(tables, token, camera, NUSCENES_DETECTION)
    log.image(record["timestamp"], channel, moved, camera, path.read_bytes(), mask, found)


def _choose_scenes(tables: Any, sample: str | None, scene: str | None) -> list[dict[str, Any]]:
    if scene is None:
        return [tables.get("scene", keyframe_record(tables, sample)["scene_token"])]
    chosen = [row for row in tables.scene if scene in (ALL_SCENES, row["name"])]
    if not chosen:
        some = ", ".join(row["name"] for row in tables.scene[:8])
        raise InputError(f"no scene {scene!r} in {tables.dataroot}; use {ALL_SCENES} or a name such as {some}")
    return chosen


def _samples(tables: Any, scene: dict[str, Any]) -> list[dict[str, Any]]:
    """The keyframes of a scene in time, without those that have no LiDAR turn."""
    found = []
    token = scene["first_sample_token"]
    while token:
        record = tables.get("sample", token)
        if LIDAR in record["data"]:
            found.append(record)
        token = record["next"]
    if not found:
        raise InputError(f"scene {scene['name']} of {tables.dataroot} has no {LIDAR} record")
    return found


def _mask_labels(root: Path) -> LabelSet | None:
    """Label set of the dense masks beside the tables, ``None`` where there are none."""
    path = root / DENSE / "label_set.json"
    if not path.is_file():
        return None
    try:
        name = json.loads(path.read_text(encoding="utf-8"))["label_set"]
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(f"{path} must be a JSON object whose 'label_set' is a label set's name: {error}") from error
    return get_label_set(name)
