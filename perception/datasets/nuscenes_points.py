"""The LiDAR turn of one nuScenes keyframe with its labels, predictions and boxes, to look at."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import numpy as np

from perception.datasets.nuscenes_keyframe import keyframe_box, keyframe_record
from perception.datasets.nuscenes_lidar import LIDAR, lidarseg_tokens, read_lidarseg, sweep_in_ego
from perception.datasets.nuscenes_tables import global_from_ego, open_tables
from perception.errors import InputError, require
from perception.files import require_dir
from perception.geometry.frames import inverse
from perception.taxonomy import LIDARSEG
from perception.types import IGNORE_INDEX
from perception.viz.pointcloud_view import PointView


def open_point_view(
    root: str | Path, version: str = "v1.0-mini", sample: str | None = None, predictions: str | Path | None = None
) -> PointView:
    """A keyframe's points in the ego frame of its LiDAR turn; see :func:`point_view`.

    Args:
        sample: token; by default the first of the table.
    """
    tables = open_tables(root, version)
    return point_view(tables, keyframe_record(tables, sample), predictions)


def point_view(tables: Any, record: dict[str, Any], predictions: str | Path | None = None) -> PointView:
    """What is known of the points of a keyframe; points that are not finite are left out.

    Args:
        record: of the ``sample`` table.
        predictions: folder of a lidarseg submission, see :mod:`perception.submissions.lidarseg`.

    Raises:
        InputError: for missing or cut-off files, or a submission that lacks this keyframe.
    """
    root, token = Path(tables.dataroot), record["data"][LIDAR]
    points = sweep_in_ego(root, tables, token, token)
    keep = np.isfinite(points).all(axis=1)
    labels = None
    files = lidarseg_tokens(tables)
    if token in files:
        labels = challenge_labels(tables, read_lidarseg(root, files[token], len(points)))[keep]
    guesses = None
    if predictions is not None:
        guesses = read_predictions(predictions, token, len(points))[keep]
    ego_from_global = inverse(global_from_ego(tables, token))
    return PointView(
        points[keep, :3],
        np.clip(points[keep, 3] / 255, 0, 1),
        f"keyframe {record['token'][:8]}",
        LIDARSEG,
        labels,
        guesses,
        [keyframe_box(box, ego_from_global) for box in tables.get_boxes(token)],
    )


def challenge_labels(tables: Any, categories: np.ndarray) -> np.ndarray:
    """``(N,)`` uint8 category indices to classes of :data:`perception.taxonomy.LIDARSEG`, 255 for what has none."""
    require("nuscenes.eval.lidarseg.utils", "nuscenes")
    mapper = importlib.import_module("nuscenes.eval.lidarseg.utils").LidarsegClassMapper(tables)
    return _from_challenge(mapper.convert_label(categories).astype(np.uint8))


def read_predictions(folder: str | Path, token: str, count: int) -> np.ndarray:
    """``(N,)`` uint8 classes of :data:`perception.taxonomy.LIDARSEG` of a sweep in a lidarseg submission.

    Args:
        folder: of the submission; the sweep may be in any of its splits.
        token: of the LiDAR's ``sample_data`` record.
        count: points of the sweep.

    Raises:
        InputError: where the submission has no labels of the sweep, or another number or unknown ones.
    """
    require_dir(folder, "folder of predictions")
    found = sorted(Path(folder).glob(f"lidarseg/*/{token}_lidarseg.bin"))
    if not found:
        raise InputError(f"{folder} has no lidarseg/<split>/{token}_lidarseg.bin; choose a sample of its split")
    labels = np.fromfile(found[0], dtype=np.uint8)
    if len(labels) != count:
        raise InputError(f"{found[0]} has {len(labels)} labels but its sweep has {count} points")
    if len(labels) and labels.max() > len(LIDARSEG.classes):
        raise InputError(f"{found[0]} has a label {labels.max()}; a submission holds 1..{len(LIDARSEG.classes)}")
    return _from_challenge(labels)


def _from_challenge(labels: np.ndarray) -> np.ndarray:
    """Label 1 of the challenge is class 0; 0 is none."""
    return np.where(labels == 0, IGNORE_INDEX, labels.astype(np.int64) - 1).astype(np.uint8)
