"""LiDAR sweeps of nuScenes in the ego frame of another instant, and their labels projected into a camera.

Paper: Panoptic nuScenes: A Large-Scale Benchmark for LiDAR Panoptic Segmentation and Tracking - arXiv 2109.03805
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from perception.datasets.nuscenes_tables import global_from_ego
from perception.errors import InputError
from perception.files import inside
from perception.geometry.camera import in_image, project
from perception.geometry.frames import apply, inverse, transform
from perception.geometry.occlusion import in_sight
from perception.taxonomy import NUSCENES_TO_SEMANTIC, LabelSet
from perception.types import IGNORE_INDEX, Camera

LIDAR = "LIDAR_TOP"
COLUMNS = 5
"""x, y, z in metres, intensity 0..255, ring."""


def read_sweep(root: Path, tables: Any, token: str) -> np.ndarray:
    """``(N, 5)`` float32: x, y, z in metres in the sensor's frame, intensity 0..255, ring.

    Raises:
        InputError: for a file that is missing, empty or cut off.
    """
    return read_points(inside(root, tables.get("sample_data", token)["filename"]))


def read_points(path: Path) -> np.ndarray:
    """``(N, 5)`` float32 of one ``.pcd.bin`` file, as :func:`read_sweep` gives them.

    Raises:
        InputError: for a file that is missing, empty or cut off.
    """
    if not path.is_file():
        raise InputError(f"LiDAR file {path} does not exist")
    values = np.fromfile(path, dtype="<f4") if path.stat().st_size % 4 == 0 else np.zeros(1, np.float32)
    if not len(values) or len(values) % COLUMNS:
        raise InputError(
            f"LiDAR file {path} has {path.stat().st_size} bytes, not a positive multiple of {4 * COLUMNS} "
            f"({COLUMNS} float32 a point); it is cut off"
        )
    return values.reshape(-1, COLUMNS)


def sweep_in_ego(root: Path, tables: Any, token: str, at_token: str) -> np.ndarray:
    """``(N, 5)`` float64: the points of a sweep in the ego frame of another record's instant.

    The vehicle's own motion between the two instants is taken out; what moved by itself stays where the LiDAR saw it.
    Rows that are not finite stay, as NaN, so that labels stay aligned.

    Args:
        token: of the LiDAR's ``sample_data`` record; ``at_token``: of the record whose ego frame is wanted.
    """
    points = read_sweep(root, tables, token).astype(np.float64)
    sensor = tables.get("calibrated_sensor", tables.get("sample_data", token)["calibrated_sensor_token"])
    ego_from_lidar = transform(sensor["translation"], sensor["rotation"])
    motion = inverse(global_from_ego(tables, at_token)) @ global_from_ego(tables, token)
    points[~np.isfinite(points).all(axis=1)] = np.nan
    points[:, :3] = apply(motion @ ego_from_lidar, points[:, :3])
    return points


def lidarseg_tokens(tables: Any) -> dict[str, str]:
    """LiDAR ``sample_data`` token to the file of its labels; empty where the data set has no lidarseg table."""
    return {row["sample_data_token"]: row["filename"] for row in getattr(tables, "lidarseg", [])}


def read_lidarseg(root: Path, filename: str, count: int) -> np.ndarray:
    """``(N,)`` uint8 category index of each point of a sweep of ``count`` points.

    Raises:
        InputError: for a file that is missing or has another length.
    """
    path = inside(root, filename)
    if not path.is_file():
        raise InputError(f"lidarseg file {path} does not exist")
    labels = np.fromfile(path, dtype=np.uint8)
    if len(labels) != count:
        raise InputError(f"lidarseg file {path} has {len(labels)} labels but its sweep has {count} points")
    return labels


def semantic_table(tables: Any, label_set: LabelSet) -> np.ndarray:
    """``(256,)`` uint8 from a lidarseg category index, as ``category.json`` says it, to a class of the label set."""
    table = np.full(256, IGNORE_INDEX, np.uint8)
    for row in tables.category:
        name = NUSCENES_TO_SEMANTIC.get(row["name"])
        if "index" in row and name in label_set.classes:
            table[int(row["index"])] = label_set.index(name)
    return table


def sparse_labels(
    camera: Camera, points_ego: np.ndarray, labels: np.ndarray, surfaces: np.ndarray | None = None, splat_px: int = 1
) -> np.ndarray:
    """Labels of LiDAR points as a label image.

    Args:
        points_ego: ``(N, 3+)`` metres in the ego frame of the image's instant.
        labels: ``(N,)`` uint8 classes; points with 255 are left out.
        surfaces: ``(H, W)`` depth of surfaces; points behind them are left out. The LiDAR looks over what hides the
            ground from a camera, so a point's label may belong to something that the picture does not show.
        splat_px: side of the square of pixels that each point labels, odd.

    Returns:
        ``(H, W)`` uint8, 255 where no point says anything. Where points meet, the nearest wins.
    """
    if splat_px < 1 or splat_px % 2 == 0:
        raise InputError(f"splat_px must be an odd number of pixels from 1 on, got {splat_px}")
    pixels, depth = project(camera, apply(inverse(camera.ego_from_camera), points_ego[:, :3]))
    finite = np.isfinite(points_ego[:, :3]).all(axis=1) & (labels != IGNORE_INDEX)
    seen = finite & in_image(camera, pixels) & (depth > 0.1)
    if surfaces is not None:
        seen[seen] = in_sight(pixels[seen], depth[seen], camera, surfaces)
    image = np.full(camera.size, IGNORE_INDEX, np.uint8)
    order = np.argsort(-depth[seen], kind="stable")  # the nearest are drawn last
    column, row = pixels[seen][order].astype(np.int64).T
    values = labels[seen][order]
    reach = np.arange(splat_px) - splat_px // 2
    rows = row[:, None, None] + reach[:, None]
    columns = column[:, None, None] + reach
    rows, columns = np.broadcast_arrays(rows, columns)
    inside_image = (rows >= 0) & (rows < camera.size[0]) & (columns >= 0) & (columns < camera.size[1])
    # numpy keeps the last of repeated indices
    image[rows[inside_image], columns[inside_image]] = np.broadcast_to(values[:, None, None], rows.shape)[inside_image]
    return image
