"""A map expansion and LiDAR turns for the tiny nuScenes data set, written in the official formats by hand."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from tiny_nuscenes import HEADING, START, VERSION, ego_position, yaw_quaternion

LOCATION = "singapore-onenorth"
HALF_WIDTH_M = 4.0
HOLE = ((16.0, -3.0), (22.0, -1.0))
"""Corners of an island in the road: metres ahead of the start and to the left."""
CROSSING = ((9.0, -4.0), (12.0, 4.0))
LIDAR_LATE_US = 40_000
LIDAR_POSITION = np.array([0.94, 0.0, 1.84])

FORWARD = np.array([np.cos(HEADING), np.sin(HEADING)])
LEFT = np.array([-np.sin(HEADING), np.cos(HEADING)])


def place(along: float, across: float) -> np.ndarray:
    """Global x, y of metres ahead of the start and to its left."""
    return START[:2] + along * FORWARD + across * LEFT


def rectangle(low: tuple[float, float], high: tuple[float, float]) -> list[np.ndarray]:
    return [place(low[0], low[1]), place(high[0], low[1]), place(high[0], high[1]), place(low[0], high[1])]


def write_map(root: Path, hole: bool = False) -> Path:
    """A straight road with a centre line, a crossing, a car park beside it and, with ``hole``, an island."""
    content: dict[str, Any] = {
        name: []
        for name in (
            "node", "line", "polygon", "drivable_area", "road_segment", "road_block", "lane", "ped_crossing",
            "walkway", "stop_line", "carpark_area", "road_divider", "lane_divider", "traffic_light", "lane_connector",
        )
    } | {"version": "1.3", "canvas_edge": [1585.6, 2025.0], "arcline_path_3": {}, "connectivity": {}}  # fmt: skip

    def nodes(points: list[np.ndarray]) -> list[str]:
        tokens = [f"n{len(content['node']) + i}" for i in range(len(points))]
        for token, (x, y) in zip(tokens, points, strict=True):
            content["node"].append({"token": token, "x": float(x), "y": float(y)})
        return tokens

    def polygon(points: list[np.ndarray], holes: list[list[np.ndarray]]) -> str:
        token = f"p{len(content['polygon'])}"
        rings = [{"node_tokens": nodes(ring)} for ring in holes] + [{"node_tokens": []}]  # the real maps have such
        content["polygon"].append({"token": token, "exterior_node_tokens": nodes(points), "holes": rings})
        return token

    road = rectangle((-60, -HALF_WIDTH_M), (300, HALF_WIDTH_M))
    holes = [rectangle(*HOLE)] if hole else []
    content["drivable_area"].append({"token": "d", "polygon_tokens": [polygon(road[::-1], holes)]})
    content["ped_crossing"].append(
        {"token": "c", "polygon_token": polygon(rectangle(*CROSSING), []), "road_segment_token": ""}
    )
    park = polygon(rectangle((30, HALF_WIDTH_M), (50, 12)), [])
    content["carpark_area"].append({"token": "k", "polygon_token": park, "orientation": 0.0, "road_block_token": ""})
    for offset in (HALF_WIDTH_M, -HALF_WIDTH_M):
        low, high = sorted((offset, 2 * offset))
        content["walkway"].append(
            {"token": f"w{offset}", "polygon_token": polygon(rectangle((-60, low), (300, high)), [])}
        )
    line = [place(along, 0.0) for along in np.linspace(-60, 300, 30)]
    content["line"].append({"token": "l", "node_tokens": nodes(line)})
    content["lane_divider"].append({"token": "ld", "line_token": "l", "lane_divider_segments": []})
    path = root / "maps" / "expansion" / f"{LOCATION}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))
    change(root, "log", lambda rows: [row.update(location=LOCATION) for row in rows])
    return path


def change(root: Path, table: str, edit: Any) -> None:
    path = root / VERSION / f"{table}.json"
    rows = json.loads(path.read_text())
    edit(rows)
    path.write_text(json.dumps(rows))


def add_lidar(root: Path, points_global: np.ndarray, labels: np.ndarray | None = None) -> list[str]:
    """A turn for every keyframe, 40 ms after the cameras, that measures the given points; returns its tokens.

    Args:
        points_global: ``(N, 3)`` metres.
        labels: ``(N,)`` uint8 lidarseg labels.
    """
    turned = np.array([[0.0, 1, 0], [-1, 0, 0], [0, 0, 1]])  # lidar axes are x right, y ahead: ego from lidar
    samples = json.loads((root / VERSION / "sample.json").read_text())
    rows: dict[str, list[dict[str, Any]]] = {"sample_data": [], "ego_pose": [], "lidarseg": []}
    begin = {sample["scene_token"]: sample["timestamp"] for sample in samples if not sample["prev"]}
    for sample in samples:
        token = f"{sample['token']}-lidar"
        stamp = sample["timestamp"] + LIDAR_LATE_US
        position = ego_position((stamp - begin[sample["scene_token"]]) * 1e-6)
        cos, sin = np.cos(HEADING), np.sin(HEADING)
        ego = (points_global - position) @ np.array([[cos, -sin, 0], [sin, cos, 0], [0, 0, 1]])
        local = (ego - LIDAR_POSITION) @ turned
        filename = f"samples/LIDAR_TOP/{token}.pcd.bin"
        (root / filename).parent.mkdir(parents=True, exist_ok=True)
        extra = np.zeros((len(local), 2))
        np.concatenate([local, extra], axis=1).astype("<f4").tofile(root / filename)
        rows["ego_pose"].append(
            {"token": token, "timestamp": stamp, "translation": position.tolist(), "rotation": yaw_quaternion(HEADING)}
        )
        rows["sample_data"].append(
            {
                "token": token, "sample_token": sample["token"], "ego_pose_token": token,
                "calibrated_sensor_token": "calibration-LIDAR_TOP", "timestamp": stamp, "fileformat": "pcd",
                "is_key_frame": True, "height": 0, "width": 0, "filename": filename, "prev": "", "next": "",
            }
        )  # fmt: skip
        if labels is not None:
            name = f"lidarseg/{VERSION}/{token}_lidarseg.bin"
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            labels.astype(np.uint8).tofile(root / name)
            rows["lidarseg"].append({"token": token, "sample_data_token": token, "filename": name})
    half = float(np.sqrt(0.5))
    change(root, "sensor", lambda r: r.append({"token": "LIDAR_TOP", "channel": "LIDAR_TOP", "modality": "lidar"}))
    calibration = {
        "token": "calibration-LIDAR_TOP", "sensor_token": "LIDAR_TOP", "translation": LIDAR_POSITION.tolist(),
        "rotation": [half, 0.0, 0.0, -half], "camera_intrinsic": [],
    }  # fmt: skip
    change(root, "calibrated_sensor", lambda r: r.append(calibration))
    change(root, "ego_pose", lambda r: r.extend(rows["ego_pose"]))
    change(root, "sample_data", lambda r: r.extend(rows["sample_data"]))
    if labels is not None:
        (root / VERSION / "lidarseg.json").write_text(json.dumps(rows["lidarseg"]))
    return [row["token"] for row in rows["sample_data"]]
