"""2D boxes of a nuScenes image from an instance image: what is seen of each object, in keyframes and sweeps alike."""

from __future__ import annotations

from typing import Any

import numpy as np

from perception.datasets.nuscenes_boxes import visibility_share
from perception.datasets.nuscenes_tables import global_from_ego
from perception.geometry.frames import apply, inverse
from perception.taxonomy import NUSCENES_TO_DETECTION
from perception.types import Boxes

MIN_VISIBLE_PX = 10
"""Objects of which fewer pixels are seen get no box."""


def instance_boxes(
    tables: Any, token: str, instances: np.ndarray, instance_tokens: dict[int, str], classes: tuple[str, ...]
) -> Boxes:
    """Boxes around the visible pixels of each annotated object; hidden objects have none.

    Args:
        token: of a camera's ``sample_data`` record.
        instances: ``(H, W)`` unsigned integers, the same number on every pixel of an object, 0 elsewhere.
        instance_tokens: number in the image to token of the ``instance`` table; other numbers are left out.
        classes: box classes in label order; objects of other classes are left out.

    Returns:
        ``visibility`` is the middle of the visibility level of the object's annotation nearest in time.
        ``distance_m`` is measured along the ground from the ego origin to the object's centre, which is
        interpolated between its annotations; NaN before the first and after the last.
    """
    ego_from_global = inverse(global_from_ego(tables, token))
    timestamp_us = tables.get("sample_data", token)["timestamp"]
    xyxy, labels, visibility, distance = [], [], [], []
    for number, (count, box) in _extents(instances).items():
        if number not in instance_tokens or count < MIN_VISIBLE_PX:
            continue
        record = tables.get("instance", instance_tokens[number])
        name = NUSCENES_TO_DETECTION.get(tables.get("category", record["category_token"])["name"])
        if name not in classes:
            continue
        annotations = _annotations(tables, record)
        times = np.array([tables.get("sample", row["sample_token"])["timestamp"] for row in annotations])
        centers = np.array([row["translation"] for row in annotations])
        center = [np.interp(timestamp_us, times, values, left=np.nan, right=np.nan) for values in centers.T]
        nearest = annotations[int(np.abs(times - timestamp_us).argmin())]
        xyxy.append(box)
        labels.append(classes.index(name))
        visibility.append(visibility_share(tables, nearest["token"]))
        distance.append(np.linalg.norm(apply(ego_from_global, np.array([center]))[0, :2]))
    return Boxes(
        np.array(xyxy).reshape(-1, 4), np.array(labels, np.int64), None, np.array(visibility), np.array(distance)
    )


def _extents(instances: np.ndarray) -> dict[int, tuple[int, tuple[int, int, int, int]]]:
    """Number of each object in the image to its pixel count and its xyxy box."""
    rows, columns = np.nonzero(instances)
    numbers, which, counts = np.unique(instances[rows, columns], return_inverse=True, return_counts=True)
    low = np.full((len(numbers), 2), np.iinfo(np.int64).max)
    high = np.zeros((len(numbers), 2), np.int64)
    pixels = np.stack([columns, rows], axis=1)
    np.minimum.at(low, which, pixels)
    np.maximum.at(high, which, pixels + 1)
    return {
        int(number): (int(count), (int(x0), int(y0), int(x1), int(y1)))
        for number, count, (x0, y0), (x1, y1) in zip(numbers, counts, low, high, strict=True)
    }


def _annotations(tables: Any, instance: dict[str, Any]) -> list[dict[str, Any]]:
    """Annotations of an object in the order of time."""
    rows = [tables.get("sample_annotation", instance["first_annotation_token"])]
    while rows[-1]["next"]:
        rows.append(tables.get("sample_annotation", rows[-1]["next"]))
    return rows
