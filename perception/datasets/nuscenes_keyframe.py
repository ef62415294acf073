"""One nuScenes keyframe as a whole: all cameras, the LiDAR turn and the boxes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from perception.datasets.nuscenes_boxes import boxes_at, corners_of
from perception.datasets.nuscenes_lidar import LIDAR, sweep_in_ego
from perception.datasets.nuscenes_tables import camera_of, global_from_ego, open_tables
from perception.errors import InputError
from perception.files import inside, read_image
from perception.geometry.boxes import inside_box
from perception.geometry.frames import apply, inverse
from perception.taxonomy import NUSCENES_DETECTION, NUSCENES_TO_DETECTION
from perception.viz.keyframe import Box3D, CameraView

MOSAIC = ("CAM_FRONT_LEFT", "CAM_FRONT", "CAM_FRONT_RIGHT", "CAM_BACK_LEFT", "CAM_BACK", "CAM_BACK_RIGHT")
"""The six cameras row by row, as they look around the vehicle."""


def keyframe_views(root: str | Path, version: str = "v1.0-mini", sample: str | None = None) -> list[CameraView]:
    """What :func:`perception.viz.keyframe.draw_views` draws of a keyframe.

    The LiDAR turn is moved to each camera's instant, and so are the boxes of what moves.

    Args:
        sample: token; by default the first of the table.

    Raises:
        InputError: for a missing data set, an unknown sample, or one without LiDAR or cameras.
    """
    root = Path(root)
    tables = open_tables(root, version)
    record = keyframe_record(tables, sample)
    views = []
    for channel in (c for c in MOSAIC if c in record["data"]):
        token = record["data"][channel]
        camera = camera_of(tables, token)
        pose = global_from_ego(tables, token)
        points = sweep_in_ego(root, tables, record["data"][LIDAR], token)[:, :3]
        image = read_image(inside(root, tables.get("sample_data", token)["filename"]))
        boxes = [keyframe_box(box, inverse(pose)) for box in boxes_at(tables, token)]
        views.append(CameraView(channel, image, camera, points[np.isfinite(points).all(axis=1)], boxes))
    if not views:
        raise InputError(f"sample {record['token']} of {root} has no camera image")
    return views


def count_points(root: str | Path, tables: Any, sample: str) -> dict[str, int]:
    """Annotation token to the number of LiDAR points of the keyframe's turn in its box, surface included."""
    record = keyframe_record(tables, sample)
    token = record["data"][LIDAR]
    points = sweep_in_ego(Path(root), tables, token, token)[:, :3]
    ego_from_global = inverse(global_from_ego(tables, token))
    return {
        box.token: int(inside_box(points, apply(ego_from_global, corners_of(box))).sum())
        for box in tables.get_boxes(token)
    }


def keyframe_record(tables: Any, token: str | None) -> dict[str, Any]:
    """The ``sample`` record of a token, the first of the table for ``None``.

    Raises:
        InputError: for an unknown one, or one without LiDAR.
    """
    if token is None:
        record = tables.sample[0]
    else:
        try:
            record = tables.get("sample", token)
        except KeyError:
            raise InputError(f"no sample {token!r} in {tables.table_root}") from None
    if LIDAR not in record["data"]:
        raise InputError(f"sample {record['token']} of {tables.dataroot} has no {LIDAR} record")
    return record


def keyframe_box(box: Any, ego_from_global: np.ndarray) -> Box3D:
    """A box of the devkit in the ego frame, named by its detection class where it has one."""
    name = NUSCENES_TO_DETECTION.get(box.name)
    label = -1 if name is None else NUSCENES_DETECTION.index(name)
    return Box3D(apply(ego_from_global, corners_of(box)), label, name or box.name.split(".")[-1])
