"""All checks of a nuImages data set."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from perception.checks.file_faults import Root, fault_of_image
from perception.checks.links import check_references
from perception.checks.measurements import IMAGES, PATHS, Findings, run_in_threads
from perception.checks.report import Report
from perception.checks.tables import (
    LINKS,
    POSE,
    Record,
    Schema,
    Tables,
    find_version,
    is_flag,
    is_integer,
    is_intrinsic,
    is_number,
    is_text,
    is_token,
    is_tokens,
    numbers,
)
from perception.checks.values import BOXES, POSES, check_calibrations, check_poses
from perception.datasets.nuimages_masks import category_indices, decode_mask
from perception.datasets.quarantine import Broken
from perception.errors import InputError

MASKS, NAMES, DEPENDENTS = "masks", "names", "dependents"


def is_mask(value: Any) -> bool:
    """A run-length code, or none, as tiny objects have it."""
    return value is None or (isinstance(value, dict) and {"size", "counts"} <= set(value))


SCHEMA: Schema = {
    "attribute": {"name": is_token},
    "category": {"name": is_token},
    "log": {"logfile": is_text},
    "sensor": {"channel": is_token, "modality": is_token},
    "calibrated_sensor": {"sensor_token": is_token, **POSE, "camera_intrinsic": is_intrinsic},
    "ego_pose": {"timestamp": is_integer, **POSE, "speed": is_number},
    "sample": {"timestamp": is_integer, "log_token": is_token, "key_camera_token": is_token},
    "sample_data": {
        "sample_token": is_token,
        "ego_pose_token": is_token,
        "calibrated_sensor_token": is_token,
        "timestamp": is_integer,
        "is_key_frame": is_flag,
        "height": is_integer,
        "width": is_integer,
        "filename": is_token,
        **LINKS,
    },
    "object_ann": {
        "sample_data_token": is_token,
        "category_token": is_token,
        "attribute_tokens": is_tokens,
        "bbox": numbers(4),
        "mask": is_mask,
    },
    "surface_ann": {"sample_data_token": is_token, "category_token": is_token, "mask": is_mask},
}

REFERENCES = {
    "calibrated_sensor": {"sensor_token": "sensor"},
    "sample": {"log_token": "log", "key_camera_token": "sample_data"},
    "sample_data": {
        "sample_token": "sample",
        "ego_pose_token": "ego_pose",
        "calibrated_sensor_token": "calibrated_sensor",
    },
    "object_ann": {"sample_data_token": "sample_data", "category_token": "category", "attribute_tokens": "attribute"},
    "surface_ann": {"sample_data_token": "sample_data", "category_token": "category"},
}
HANGING = (
    ("calibrated_sensor", "sensor_token", "sensor"),
    ("sample", "log_token", "log"),
    ("sample_data", "sample_token", "sample"),
    ("sample_data", "ego_pose_token", "ego_pose"),
    ("sample_data", "calibrated_sensor_token", "calibrated_sensor"),
    ("object_ann", "category_token", "category"),
    ("surface_ann", "category_token", "category"),
)
"""What cannot be read without the other record, in the order in which it comes to be missing."""


def check_nuimages(root: Path, version: str = "auto", full: bool = False, workers: int = 4) -> Report:
    """Check tables, links, values, and the images of keyframes, which are those with labels.

    Args:
        version: the tables' folder, or ``auto`` for the only one.
        full: also decode every image and every mask.
        workers: threads that read files.

    Raises:
        InputError: for a folder without tables.
    """
    version = find_version(root, version, "nuImages")
    report = Report()
    tables = Tables(root, version, report, SCHEMA)
    check_references(tables, report, REFERENCES)
    check_poses(tables, report)
    check_calibrations(tables, report)
    _check_speeds(tables, report)
    _check_names(tables, report)
    _check_boxes(tables, report)
    paths = Root(root)
    cameras = [row for row in tables.rows["sample_data"] if row["is_key_frame"] and tables.modality(row) == "camera"]

    def images(rows: Sequence[Record]) -> Findings:
        broken = []
        for row in rows:
            path, fault = paths.find(row["filename"])
            check = PATHS if fault else IMAGES
            fault = fault or fault_of_image(path, (row["height"], row["width"]), full)
            if fault:
                channel = tables.channel(row)
                broken.append(Broken(check, "sample_data", row["token"], fault, channel, row["filename"]))
        return {PATHS: len(rows), IMAGES: len(rows)}, broken

    run_in_threads(images, cameras, "images", report, workers)
    if full:
        for table in ("object_ann", "surface_ann"):
            rows = [row for row in tables.rows[table] if row["mask"] is not None]
            run_in_threads(lambda chunk, name=table: _masks(tables, name, chunk), rows, table, report, workers)  # type: ignore[misc]
    _add_dependents(tables, report)
    return report


def _check_speeds(tables: Tables, report: Report) -> None:
    for row in tables.rows["ego_pose"]:
        if not np.isfinite(row["speed"]) or row["speed"] < 0:
            report.add(Broken(POSES, "ego_pose", row["token"], f"speed {row['speed']} is no speed in m/s"))


def _check_names(tables: Tables, report: Report) -> None:
    rows = tables.rows["category"]
    report.count(NAMES, len(rows))
    try:
        category_indices(rows)
    except InputError as error:
        report.add(Broken(NAMES, "category", "", str(error), file=f"{tables.version}/category.json"))


def _check_boxes(tables: Tables, report: Report) -> None:
    """Boxes are finite, not turned over, and touch their image."""
    report.count(BOXES, len(tables.rows["object_ann"]))
    for row in tables.rows["object_ann"]:
        image = tables.get("sample_data", row["sample_data_token"])
        x0, y0, x1, y1 = row["bbox"]
        whole = np.isfinite(row["bbox"]).all() and x0 <= x1 and y0 <= y1
        if not whole or (
            image is not None and not (x0 < image["width"] and y0 < image["height"] and x1 > 0 and y1 > 0)
        ):
            report.add(Broken(BOXES, "object_ann", row["token"], f"bbox {row['bbox']} is no box of its image"))


def _masks(tables: Tables, table: str, rows: Sequence[Record]) -> Findings:
    broken = []
    for row in rows:
        image = tables.get("sample_data", row["sample_data_token"])
        if image is None:
            continue
        try:
            decode_mask(row["mask"], (image["height"], image["width"]))
        except InputError as error:
            broken.append(Broken(MASKS, table, row["token"], str(error), tables.channel(image), image["filename"]))
    return {MASKS: len(rows)}, broken


def _add_dependents(tables: Tables, report: Report) -> None:
    """The reader leaves out the records that the list names, and no others: it must name what hangs on them, too."""
    gone: dict[str, set[str]] = {table: set() for table in SCHEMA}
    for item in report.broken:
        gone.setdefault(item.table, set()).add(item.token)
    for table, name, target in HANGING:
        for row in tables.rows[table]:
            if row[name] in gone[target] and row["token"] not in gone[table]:
                gone[table].add(row["token"])
                report.add(Broken(DEPENDENTS, table, row["token"], f"its {target} {row[name]!r} is broken"))
