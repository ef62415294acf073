"""A tiny nuImages data set of painted frames, written without any code of the library."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from pycocotools import mask as rle

SIZE = (48, 80)
CATEGORIES = (
    "animal", "human.pedestrian.adult", "human.pedestrian.child", "movable_object.barrier", "vehicle.car",
    "vehicle.truck", "flat.driveable_surface", "vehicle.ego",
)  # fmt: skip
SPEED_MPS = 7.25
INTRINSICS = [[64.0, 0.0, 40.0], [0.0, 64.0, 24.0], [0.0, 0.0, 1.0]]


def encode(mask: np.ndarray) -> dict[str, Any]:
    code = rle.encode(np.asfortranarray(mask.astype(np.uint8)))
    return {"size": list(code["size"]), "counts": base64.b64encode(code["counts"]).decode()}


def block(top: int, left: int, bottom: int, right: int) -> np.ndarray:
    mask = np.zeros(SIZE, bool)
    mask[top:bottom, left:right] = True
    return mask


def write_nuimages(root: Path, version: str = "v1.0-mini", logs: int = 5, annotated: bool = True) -> Path:
    """One sample a log, each with a keyframe and a sweep before it."""
    tables: dict[str, list[dict[str, Any]]] = {
        name: []
        for name in (
            "attribute", "calibrated_sensor", "category", "ego_pose", "log", "object_ann", "sample", "sample_data",
            "sensor", "surface_ann",
        )
    }  # fmt: skip
    tables["category"] = [{"token": f"c-{name}", "name": name, "description": ""} for name in reversed(CATEGORIES)]
    for channel, modality in (("CAM_FRONT", "camera"), ("CAM_BACK", "camera"), ("LIDAR_TOP", "lidar")):
        tables["sensor"].append({"token": channel, "channel": channel, "modality": modality})
        tables["calibrated_sensor"].append(
            {
                "token": f"s-{channel}",
                "sensor_token": channel,
                "translation": [1.7, 0.0, 1.5],
                "rotation": [0.5, -0.5, 0.5, -0.5],
                "camera_intrinsic": INTRINSICS if modality == "camera" else [],
                "camera_distortion": [-0.3, 0.1, 0.0, 0.0, 0.0] if modality == "camera" else [],
            }
        )
    for number in range(logs):
        _write_sample(root, tables, number, annotated)
    (root / version).mkdir(parents=True)
    for name, rows in tables.items():
        (root / version / f"{name}.json").write_text(json.dumps(rows))
    return root


def _write_sample(root: Path, tables: dict[str, list[dict[str, Any]]], number: int, annotated: bool) -> None:
    channel = "CAM_BACK" if number == 1 else "CAM_FRONT"
    sample, key = f"sample-{number}", f"key-{number}"
    tables["log"].append({"token": f"log-{number}", "logfile": f"drive-{number}", "location": "boston-seaport"})
    tables["sample"].append(
        {
            "token": sample,
            "timestamp": 1000 + number,
            "log_token": f"log-{number}",
            "key_camera_token": key,
            "key_lidar_token": f"lidar-{number}",
        }
    )
    for token, time, is_key, sensor in (
        (f"sweep-{number}", 500 + number, False, channel),
        (key, 1000 + number, True, channel),
        (f"lidar-{number}", 1000 + number, True, "LIDAR_TOP"),
    ):
        name = f"{'samples' if is_key else 'sweeps'}/{sensor}/drive-{number}__{sensor}__{time}.png"
        tables["ego_pose"].append(
            {
                "token": f"p-{token}",
                "timestamp": time,
                "translation": [10.0 * number, 5.0, 0.0],
                "rotation": [1.0, 0.0, 0.0, 0.0],
                "speed": SPEED_MPS + number,
                "acceleration": [0, 0, 9.8],
                "rotation_rate": [0, 0, 0],
            }
        )
        tables["sample_data"].append(
            {
                "token": token,
                "sample_token": sample,
                "ego_pose_token": f"p-{token}",
                "calibrated_sensor_token": f"s-{sensor}",
                "filename": name,
                "fileformat": "png",
                "width": SIZE[1],
                "height": SIZE[0],
                "timestamp": time,
                "is_key_frame": is_key,
                "prev": "",
                "next": "",
            }
        )
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if sensor != "LIDAR_TOP":
            Image.fromarray(np.full((*SIZE, 3), 40 + number, np.uint8)).save(path)
    if annotated:
        _annotate(tables, key, number)


def _annotate(tables: dict[str, list[dict[str, Any]]], key: str, number: int) -> None:
    surfaces = [("flat.driveable_surface", block(24, 0, 48, 80)), ("vehicle.ego", block(44, 10, 48, 70))]
    for i, (name, mask) in enumerate(surfaces):
        tables["surface_ann"].append(
            {
                "token": f"surface-{number}-{i}",
                "sample_data_token": key,
                "category_token": f"c-{name}",
                "mask": encode(mask),
            }
        )
    # Overlapping objects whose tokens are not in the order of the table: the later token is painted over the earlier.
    objects: list[tuple[str, str, tuple[int, int, int, int], bool]] = [
        ("z", "human.pedestrian.adult", (18, 30, 34, 38), True),
        ("a", "vehicle.car", (20, 20, 32, 40 + number), True),
        ("m", "animal", (30, 60, 36, 66), True),
        ("k", "vehicle.truck", (-4, 70, 20, 95), False),  # amodal: reaches past the image, and has no mask
    ]
    for letter, name, (top, left, bottom, right), has_mask in objects:
        tables["object_ann"].append(
            {
                "token": f"{letter}-{number}",
                "sample_data_token": key,
                "category_token": f"c-{name}",
                "attribute_tokens": [],
                "bbox": [left, top, right, bottom],
                "mask": encode(block(top, left, bottom, right)) if has_mask else None,
            }
        )
