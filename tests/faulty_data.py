"""Faults for tests: each damages a nuScenes data set in place and says which records it broke.

``place`` counts the keyframes, so that several faults can hit different records.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

VERSION = "v1.0-mini"
Record = dict[str, Any]


def read_table(root: Path, name: str) -> list[Record]:
    return json.loads((root / VERSION / f"{name}.json").read_text())


def write_table(root: Path, name: str, rows: list[Record]) -> None:
    path = root / VERSION / f"{name}.json"
    path.unlink()  # it may be a hard link to the data of other tests
    path.write_text(json.dumps(rows))


def own_bytes(path: Path) -> bytes:
    """Content of a file that is removed, for it may be a hard link."""
    content = path.read_bytes()
    path.unlink()
    return content


def measured(root: Path, channel: str, keyframes: bool = True) -> list[Record]:
    """Records of a channel by time."""
    rows = [row for row in read_table(root, "sample_data") if f"/{channel}/" in row["filename"]]
    return sorted((row for row in rows if row["is_key_frame"] or not keyframes), key=lambda row: row["timestamp"])


def truncated_lidar(root: Path, place: int = 1) -> set[str]:
    row = measured(root, "LIDAR_TOP")[place]
    content = own_bytes(root / row["filename"])
    (root / row["filename"]).write_bytes(content[: len(content) // 2 + 3])
    return {row["token"]}


def nan_points(root: Path, place: int = 1) -> set[str]:
    row = measured(root, "LIDAR_TOP")[place]
    points = np.frombuffer(own_bytes(root / row["filename"]), np.float32).copy()
    points[7] = np.nan
    (root / row["filename"]).write_bytes(points.tobytes())
    return {row["token"]}


def missing_image(root: Path, place: int = 1) -> set[str]:
    row = measured(root, "CAM_FRONT")[place]
    (root / row["filename"]).unlink()
    return {row["token"]}


def truncated_image(root: Path, place: int = 1) -> set[str]:
    row = measured(root, "CAM_FRONT")[place]
    content = own_bytes(root / row["filename"])
    (root / row["filename"]).write_bytes(content[: len(content) // 2])
    return {row["token"]}


def broken_token(root: Path, place: int = 1) -> set[str]:
    broken = measured(root, "CAM_FRONT")[place]["token"]
    rows = read_table(root, "sample_data")
    for row in rows:
        if row["token"] == broken:
            row["ego_pose_token"] = "f" * 32
    write_table(root, "sample_data", rows)
    return {broken}


def broken_annotation(root: Path, place: int = 1) -> set[str]:
    rows = read_table(root, "sample_annotation")
    rows[place]["instance_token"] = "f" * 32
    write_table(root, "sample_annotation", rows)
    return {rows[place]["token"]}


def swapped_timestamps(root: Path, place: int = 1) -> set[str]:
    """The last sweep and the keyframe before it, wherever the other faults are."""
    channel = measured(root, "CAM_FRONT", keyframes=False)
    tokens = {channel[-3]["token"], channel[-2]["token"]}
    rows = read_table(root, "sample_data")
    a, b = (row for row in rows if row["token"] in tokens)
    a["timestamp"], b["timestamp"] = b["timestamp"], a["timestamp"]
    write_table(root, "sample_data", rows)
    return tokens


def path_outside(root: Path, place: int = 1) -> set[str]:
    broken = measured(root, "CAM_FRONT")[place]
    outside = root.parent / "outside.jpg"
    outside.write_bytes((root / broken["filename"]).read_bytes())
    rows = read_table(root, "sample_data")
    for row in rows:
        if row["token"] == broken["token"]:
            row["filename"] = "../outside.jpg"
    write_table(root, "sample_data", rows)
    return {broken["token"]}


def link_outside(root: Path, place: int = 1) -> set[str]:
    row = measured(root, "CAM_FRONT")[place]
    outside = root.parent / "outside.jpg"
    outside.write_bytes(own_bytes(root / row["filename"]))
    (root / row["filename"]).symlink_to(outside)
    return {row["token"]}


FAULTS: tuple[Callable[..., set[str]], ...] = (
    truncated_lidar,
    nan_points,
    missing_image,
    truncated_image,
    broken_token,
    broken_annotation,
    swapped_timestamps,
    path_outside,
    link_outside,
)
