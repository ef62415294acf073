"""The annotations themselves as submissions: what the official evaluators can give at most."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from perception.datasets.nuscenes_lidar import LIDAR, read_lidarseg, read_sweep
from perception.errors import InputError, require
from perception.geometry.frames import rotation_from_quaternion
from perception.submissions.detection import RESULTS, DetectedBox, write_detections
from perception.submissions.lidarseg import CHALLENGE_CLASSES, write_lidarseg, write_lidarseg_meta
from perception.taxonomy import NUSCENES_TO_DETECTION


def write_true_lidarseg(tables: Any, folder: str | Path, split: str, samples: Sequence[str]) -> None:
    """Write the LiDAR labels of some samples, as classes of the challenge.

    Points of classes that the challenge leaves out must have a label all the same; they become ``barrier``, which the
    evaluator does not count.
    """
    require("nuscenes.eval.lidarseg.utils", "nuscenes")
    mapper = importlib.import_module("nuscenes.eval.lidarseg.utils").LidarsegClassMapper(tables)
    files = {row["sample_data_token"]: row["filename"] for row in tables.lidarseg}
    root = Path(tables.dataroot)
    for sample in samples:
        token = tables.get("sample", sample)["data"][LIDAR]
        labels = read_lidarseg(root, files[token], len(read_sweep(root, tables, token)))
        coarse = mapper.convert_label(labels)
        coarse[coarse == 0] = CHALLENGE_CLASSES.index("barrier")
        write_lidarseg(folder, split, token, coarse)
    write_lidarseg_meta(folder, split, ("lidar",))


def write_true_detections(tables: Any, folder: str | Path, samples: Sequence[str]) -> Path:
    """Write the annotated boxes of some samples.

    Boxes without a LiDAR or radar point are left out, as the evaluator leaves them out of the truth. A velocity that
    the annotations do not tell is 0.

    Raises:
        InputError: for a box with several attributes, which the evaluator refuses in the truth.
    """
    names = {row["token"]: row["name"] for row in tables.attribute}
    boxes: dict[str, list[DetectedBox]] = {}
    for sample in samples:
        boxes[sample] = []
        for token in tables.get("sample", sample)["anns"]:
            row = tables.get("sample_annotation", token)
            name = NUSCENES_TO_DETECTION.get(row["category_name"])
            if name is None or row["num_lidar_pts"] + row["num_radar_pts"] == 0:
                continue
            if len(row["attribute_tokens"]) > 1:
                raise InputError(f"sample_annotation {token} has {len(row['attribute_tokens'])} attributes, not one")
            width, length, height = row["size"]
            rotation = rotation_from_quaternion(np.array(row["rotation"]))
            speed = np.nan_to_num(tables.box_velocity(token)[:2])
            boxes[sample].append(
                DetectedBox(
                    np.array(row["translation"]),
                    np.array([length, width, height]),
                    float(np.arctan2(rotation[1, 0], rotation[0, 0])),
                    name,
                    1.0,
                    names[row["attribute_tokens"][0]] if row["attribute_tokens"] else "",
                    (float(speed[0]), float(speed[1])),
                )
            )
    path = Path(folder) / RESULTS
    write_detections(path, boxes, samples, ())
    return path
