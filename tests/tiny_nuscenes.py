"""A tiny nuScenes v1.0-mini data set of painted frames, written without any code of the library.

The ego drives straight with constant acceleration along a heading, so speeds are known in closed form; the other
car drives at constant velocity, so positions between keyframes are known too.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

VERSION = "v1.0-mini"
HEADING = 0.3
START = np.array([300.0, 200.0, 0.0])
SPEED_MPS, ACCELERATION_MPS2 = 8.0, 1.5
CAR_AHEAD_M, CAR_SPEED_MPS = 14.0, 9.0
KEYFRAME_S = 0.5
CAMERA_HEIGHT_M = 1.5
ROAD_HALF_WIDTH_M = 4.0
CAMERAS = {"CAM_FRONT": [0.5, -0.5, 0.5, -0.5], "CAM_BACK": [0.5, -0.5, -0.5, 0.5]}
"""Rotations of a camera that looks ahead and of one that looks back: x right, y down, z forward, into the ego frame."""
ROAD, SIDEWALK, SKY, CAR, LANE = 0, 1, 10, 13, 19

Painter = Callable[[int, float], tuple[np.ndarray, np.ndarray, np.ndarray]]
"""Scene and seconds to an image ``(H, W, 3)``, classes ``(H, W)`` and depth in metres ``(H, W)``."""


def yaw_quaternion(yaw: float) -> list[float]:
    return [float(np.cos(yaw / 2)), 0.0, 0.0, float(np.sin(yaw / 2))]


def ego_position(seconds: float) -> np.ndarray:
    travelled = SPEED_MPS * seconds + ACCELERATION_MPS2 * seconds**2 / 2
    return START + travelled * np.array([np.cos(HEADING), np.sin(HEADING), 0.0])


def intrinsics(size: tuple[int, int]) -> list[list[float]]:
    focal = 0.8 * size[1]
    return [[focal, 0.0, size[1] / 2], [0.0, focal, size[0] / 2], [0.0, 0.0, 1.0]]


def flat_road(size: tuple[int, int]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A straight road with a centre line on a plain, and a block of car."""
    height, width = size
    focal = 0.8 * width
    rows, columns = np.mgrid[:height, :width] + 0.5
    below = rows - height / 2
    depth = np.where(below > 0, focal * CAMERA_HEIGHT_M / np.maximum(below, 1e-9), 0.0)
    depth = np.where(depth < 200, depth, 0.0)
    side = (columns - width / 2) * depth / focal
    semantic = np.full(size, SKY, np.uint8)
    semantic[below > 0] = SIDEWALK
    semantic[(below > 0) & (np.abs(side) < ROAD_HALF_WIDTH_M)] = ROAD
    semantic[(below > 0) & (np.abs(side) < 0.1)] = LANE
    semantic[height // 2 : height // 2 + height // 6, width // 2 - 6 : width // 2 + 6] = CAR
    semantic[-2:] = 255
    colors = np.zeros((256, 3), np.uint8)
    painted = [(80, 80, 80), (170, 150, 140), (90, 140, 200), (180, 20, 20), (255, 255, 255)]
    colors[[ROAD, SIDEWALK, SKY, CAR, LANE]] = painted
    return colors[semantic], semantic, depth


def write_nuscenes(
    root: Path,
    scenes: tuple[str, ...] = ("scene-0061", "scene-0103"),
    keyframes: int = 3,
    sweeps_between: int = 1,
    size: tuple[int, int] = (90, 160),
    dense: bool = True,
    paint: Painter | None = None,
) -> Path:
    """Write the tables, images and (with ``dense``) the side files; returns ``root``."""
    paint = paint or (lambda scene, seconds: flat_road(size))
    tables: dict[str, list[dict[str, Any]]] = {
        "attribute": [], "ego_pose": [], "instance": [], "log": [], "map": [], "sample": [], "sample_annotation": [],
        "sample_data": [], "scene": [], "sensor": [], "calibrated_sensor": [], "category": [],
        "visibility": [
            {"token": str(i + 1), "level": level, "description": ""}
            for i, level in enumerate(["v0-40", "v40-60", "v60-80", "v80-100"])
        ],
    }  # fmt: skip
    for i, name in enumerate(["vehicle.car", "human.pedestrian.adult", "animal"]):
        tables["category"].append({"token": name, "name": name, "description": "", "index": i})
    for channel, rotation in CAMERAS.items():
        tables["sensor"].append({"token": channel, "channel": channel, "modality": "camera"})
        tables["calibrated_sensor"].append(
            {
                "token": f"calibration-{channel}",
                "sensor_token": channel,
                "translation": [1.7, 0.0, CAMERA_HEIGHT_M],
                "rotation": rotation,
                "camera_intrinsic": intrinsics(size),
            }
        )
    (root / "maps").mkdir(parents=True)
    Image.new("L", (8, 8)).save(root / "maps" / "plain.png")
    tables["map"].append(
        {"token": "map", "category": "semantic_prior", "filename": "maps/plain.png", "log_tokens": ["log"]}
    )
    tables["log"].append({"token": "log", "logfile": "", "vehicle": "", "date_captured": "", "location": "plain"})
    for number, name in enumerate(scenes):
        _write_scene(root, tables, number, name, keyframes, sweeps_between, size, dense, paint)
    if dense:
        (root / "dense" / "label_set.json").write_text(json.dumps({"label_set": "road_scene"}))
    tables["sample_data"].reverse()  # nothing may rely on the order of the records
    (root / VERSION).mkdir()
    for name, records in tables.items():
        (root / VERSION / f"{name}.json").write_text(json.dumps(records))
    return root


def _write_scene(
    root: Path,
    tables: dict[str, list[dict[str, Any]]],
    number: int,
    name: str,
    keyframes: int,
    sweeps_between: int,
    size: tuple[int, int],
    dense: bool,
    paint: Painter,
) -> None:
    begin_us = 1_600_000_000_000_000 + number * 100_000_000
    samples = [f"{name}-sample-{k}" for k in range(keyframes)]
    tables["scene"].append(
        {
            "token": name,
            "name": name,
            "description": "",
            "log_token": "log",
            "nbr_samples": keyframes,
            "first_sample_token": samples[0],
            "last_sample_token": samples[-1],
        }
    )
    for k, token in enumerate(samples):
        stamp = begin_us + round(k * KEYFRAME_S * 1e6)
        tables["sample"].append(
            {"token": token, "timestamp": stamp, "scene_token": name, **_links(samples, k)},
        )
    _write_objects(tables, name, samples)
    steps = (keyframes - 1) * (sweeps_between + 1) + 1
    for channel in CAMERAS:
        tokens = [f"{name}-{channel}-{i}" for i in range(steps)]
        for i, token in enumerate(tokens):
            seconds = i * KEYFRAME_S / (sweeps_between + 1)
            stamp = begin_us + round(seconds * 1e6)
            is_key = i % (sweeps_between + 1) == 0
            filename = f"{'samples' if is_key else 'sweeps'}/{channel}/{name}__{channel}__{stamp}.png"
            tables["ego_pose"].append(
                {
                    "token": token,
                    "timestamp": stamp,
                    "translation": ego_position(seconds).tolist(),
                    "rotation": yaw_quaternion(HEADING),
                }
            )
            tables["sample_data"].append(
                {
                    "token": token,
                    "sample_token": samples[-(-i // (sweeps_between + 1))],  # the keyframe at or after it
                    "ego_pose_token": token,
                    "calibrated_sensor_token": f"calibration-{channel}",
                    "timestamp": stamp,
                    "fileformat": "png",
                    "is_key_frame": is_key,
                    "height": size[0],
                    "width": size[1],
                    "filename": filename,
                    **_links(tokens, i),
                }
            )
            image, semantic, depth = paint(number, seconds)
            _save(image, root / filename)
            if dense and channel == "CAM_FRONT":
                stem = Path(filename).name
                _save(semantic, root / "dense" / "semantic" / channel / stem)
                _save(np.round(depth * 256).astype(np.uint16), root / "dense" / "depth" / channel / stem)
                _save(np.zeros(size, np.uint16), root / "dense" / "instance" / channel / stem)


def _write_objects(tables: dict[str, list[dict[str, Any]]], scene: str, samples: list[str]) -> None:
    forward = np.array([np.cos(HEADING), np.sin(HEADING), 0.0])
    left = np.array([-np.sin(HEADING), np.cos(HEADING), 0.0])
    # Name, category, start (forward, left, up), speed, (width, length, height), yaw in the ego frame, visibility.
    objects: list[tuple[str, str, tuple[float, float, float], float, list[float], float, str]] = [
        ("ahead", "vehicle.car", (CAR_AHEAD_M, 0.5, 0.8), CAR_SPEED_MPS, [1.9, 4.5, 1.6], 0.1, "4"),
        ("beside", "vehicle.car", (7.0, 3.6, 0.8), SPEED_MPS, [1.9, 4.5, 1.6], 0.0, "2"),
        ("alongside", "vehicle.car", (3.5, -2.8, 0.8), SPEED_MPS, [1.9, 4.5, 1.6], 0.0, "4"),
        ("walker", "human.pedestrian.adult", (25.0, -4.0, 0.9), 0.0, [0.6, 0.6, 1.8], 1.0, "3"),
        ("behind", "vehicle.car", (-20.0, 1.0, 0.8), SPEED_MPS, [1.9, 4.5, 1.6], 0.0, "1"),
        ("dog", "animal", (20.0, 2.0, 0.3), 0.0, [0.3, 0.8, 0.6], 0.0, "4"),
    ]
    for name, category, start, speed, size, yaw, visibility in objects:
        token = f"{scene}-{name}"
        annotations = [f"{token}-{k}" for k in range(len(samples))]
        tables["instance"].append(
            {
                "token": token,
                "category_token": category,
                "nbr_annotations": len(samples),
                "first_annotation_token": annotations[0],
                "last_annotation_token": annotations[-1],
            }
        )
        for k, annotation in enumerate(annotations):
            along = start[0] + speed * k * KEYFRAME_S
            center = START + along * forward + start[1] * left + np.array([0.0, 0.0, start[2]])
            tables["sample_annotation"].append(
                {
                    "token": annotation,
                    "sample_token": samples[k],
                    "instance_token": token,
                    "visibility_token": visibility,
                    "attribute_tokens": [],
                    "translation": center.tolist(),
                    "size": size,
                    "rotation": yaw_quaternion(HEADING + yaw),
                    "num_lidar_pts": 5,
                    "num_radar_pts": 0,
                    **_links(annotations, k),
                }
            )


def _links(tokens: list[str], i: int) -> dict[str, str]:
    return {"prev": tokens[i - 1] if i else "", "next": tokens[i + 1] if i + 1 < len(tokens) else ""}


def _save(array: np.ndarray, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(array).save(path)
