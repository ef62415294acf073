"""Whether poses, boxes, calibrations, names and times of a nuScenes data set make sense."""

from __future__ import annotations

import bisect
import json
import re
from collections.abc import Hashable, Sequence

import numpy as np

from perception.checks.report import Report
from perception.checks.tables import Record, Tables
from perception.datasets.quarantine import Broken
from perception.taxonomy import NUSCENES_LIDARSEG

POSES, CALIBRATION, BOXES, NAMES, TIMES, SPLITS = (
    "poses", "calibrations", "boxes", "names", "timestamps", "splits",
)  # fmt: skip

ATTRIBUTES = (
    "vehicle.moving", "vehicle.stopped", "vehicle.parked", "cycle.with_rider", "cycle.without_rider",
    "pedestrian.sitting_lying_down", "pedestrian.standing", "pedestrian.moving",
)  # fmt: skip
MODALITIES = ("camera", "lidar", "radar")
UNIT_TOLERANCE = 1e-3
"""How far the length of a quaternion may be from 1."""
MAX_SIDE_M = 100.0
MAX_COORDINATE_M = 1e6
POSE_TOLERANCE_US = 25_000
"""Half the time between turns of a 20 Hz LiDAR: beyond it a pose belongs to another measurement."""
KEYFRAME_TOLERANCE_US = 250_000
SWEEP_TOLERANCE_US = 1_500_000
"""Measurements between keyframes belong to the sample that follows them, at 2 Hz; gaps of the logs are longer."""
STAMP = re.compile(r"__(\d{16})\.")


def check_poses(tables: Tables, report: Report) -> None:
    """Positions are finite and quaternions have length 1, of ego poses, sensors and boxes."""
    for table, check in (("ego_pose", POSES), ("calibrated_sensor", CALIBRATION), ("sample_annotation", BOXES)):
        rows = tables.rows.get(table, [])
        report.count(check, len(rows))
        if not rows:
            continue
        position = np.array([row["translation"] for row in rows], dtype=np.float64)  # (N, 3)
        rotation = np.array([row["rotation"] for row in rows], dtype=np.float64)  # (N, 4)
        with np.errstate(invalid="ignore", over="ignore"):
            near = (np.abs(position) < MAX_COORDINATE_M).all(axis=1)
            length = np.linalg.norm(rotation, axis=1)
            unit = np.abs(length - 1) < UNIT_TOLERANCE
        for i in np.flatnonzero(~near):
            report.add(Broken(check, table, rows[i]["token"], f"translation {rows[i]['translation']} is out of range"))
        for i in np.flatnonzero(~unit):
            report.add(Broken(check, table, rows[i]["token"], f"rotation has length {length[i]:.4g}, not 1"))


def check_calibrations(tables: Tables, report: Report) -> None:
    """Cameras have a finite 3x3 matrix with positive focal lengths and a size; sensors have a known modality."""
    report.count(CALIBRATION, len(tables.rows["sensor"]))
    for row in tables.rows["sensor"]:
        if row["modality"] not in MODALITIES:
            reason = f"modality {row['modality']!r} is none of {', '.join(MODALITIES)}"
            report.add(Broken(CALIBRATION, "sensor", row["token"], reason))
    for row in tables.rows["calibrated_sensor"]:
        sensor = tables.get("sensor", row["sensor_token"])
        if sensor is None or sensor["modality"] != "camera":
            continue
        matrix = np.array(row["camera_intrinsic"], dtype=np.float64)
        if matrix.shape != (3, 3) or not np.isfinite(matrix).all() or min(matrix[0, 0], matrix[1, 1]) <= 0:
            reason = "camera_intrinsic is not a finite 3x3 matrix with positive focal lengths"
            report.add(Broken(CALIBRATION, "calibrated_sensor", row["token"], reason, channel=sensor["channel"]))


def check_boxes(tables: Tables, report: Report) -> None:
    """Boxes have positive sizes, counts of points that are not negative, and at most one attribute."""
    rows = tables.rows["sample_annotation"]
    report.count(BOXES, 0)
    for row in rows:
        if not all(0 < side < MAX_SIDE_M for side in row["size"]):  # NaN compares false
            report.add(_box(row, f"size {row['size']} is not within 0..{MAX_SIDE_M:g} m"))
        if row["num_lidar_pts"] < 0 or row["num_radar_pts"] < 0:
            report.add(_box(row, "counts of points are negative"))
        if len(row["attribute_tokens"]) > 1:
            report.add(_box(row, f"{len(row['attribute_tokens'])} attributes; a box has one at most"))


def check_names(tables: Tables, report: Report) -> None:
    """Categories and attributes are those of nuScenes; names of scenes and label indices are there once."""
    for table, known in (("category", NUSCENES_LIDARSEG), ("attribute", ATTRIBUTES)):
        report.count(NAMES, len(tables.rows[table]))
        for row in tables.rows[table]:
            if row["name"] not in known:
                report.add(Broken(NAMES, table, row["token"], f"{table} {row['name']!r} is none of nuScenes'"))
    for table, name in (("category", "name"), ("category", "index"), ("scene", "name"), ("sensor", "channel")):
        seen: set[Hashable] = set()
        for row in tables.rows[table]:
            value = row.get(name)
            if value is None:
                continue
            if not isinstance(value, str | int) or value in seen:
                report.add(Broken(NAMES, table, row["token"], f"{name} {value!r} is there twice or is no name"))
            else:
                seen.add(value)
    if "lidarseg" in tables.rows:
        for row in tables.rows["category"]:
            if not isinstance(row.get("index"), int) or not 0 <= row["index"] < 256:
                report.add(Broken(NAMES, "category", row["token"], f"index {row.get('index')!r} is not 0..255"))


def check_times(tables: Tables, report: Report) -> None:
    """Times rise along every chain, and agree with the ego pose, the file's name and the sample."""
    report.count(TIMES, len(tables.rows["sample"]) + len(tables.rows["sample_data"]))
    for table in ("sample", "sample_data"):
        for chain in chains(tables, table):
            for i in out_of_order([row["timestamp"] for row in chain]):
                report.add(_time(tables, table, chain[i], f"timestamp {chain[i]['timestamp']} is out of order"))
    for row in tables.rows["sample_data"]:
        for reason in _disagreements(tables, row):
            report.add(_time(tables, "sample_data", row, reason))


def _disagreements(tables: Tables, row: Record) -> list[str]:
    time_us = row["timestamp"]
    reasons = []
    pose = tables.get("ego_pose", row["ego_pose_token"])
    if pose is not None and abs(pose["timestamp"] - time_us) >= POSE_TOLERANCE_US:
        reasons.append(f"timestamp {time_us} is {(time_us - pose['timestamp']) / 1000:.1f} ms from its ego pose's")
    named = STAMP.search(row["filename"])
    if named and int(named[1]) != time_us:
        reasons.append(f"timestamp {time_us} is not that in its file's name")
    sample = tables.get("sample", row["sample_token"])
    if sample is not None:
        limit_us = KEYFRAME_TOLERANCE_US if row["is_key_frame"] else SWEEP_TOLERANCE_US
        apart_us = abs(sample["timestamp"] - time_us)
        if apart_us > limit_us:
            reasons.append(f"timestamp {time_us} is {apart_us / 1e6:.2f} s from its sample's")
    return reasons


def check_annotated_times(tables: Tables, report: Report) -> None:
    """The annotations of an instance belong to samples of one scene, one each."""
    report.count(BOXES, 0)
    scene: dict[str, str] = {}
    seen: set[tuple[str, str]] = set()
    for row in tables.rows["sample_annotation"]:
        here = tables.scene_of(row)
        if not here:
            continue
        if scene.setdefault(row["instance_token"], here) != here:
            report.add(_box(row, "its sample lies outside the scene of its instance"))
        key = (row["instance_token"], row["sample_token"])
        if key in seen:
            report.add(_box(row, "its instance has another box in the same sample"))
        seen.add(key)


def check_splits(tables: Tables, report: Report) -> None:
    """``splits.json``, where there is one, maps names to scenes that exist."""
    path = tables.folder / "splits.json"
    if not path.is_file():
        return
    file = f"{tables.version}/splits.json"
    try:
        splits = json.loads(path.read_text(encoding="utf-8"))
        rows = [(split, scene) for split, scenes in splits.items() for scene in list(scenes)]
        if not all(isinstance(scene, str) for _, scene in rows) or any(isinstance(s, str) for s in splits.values()):
            raise ValueError("it must map names of splits to lists of names of scenes")
    except (OSError, ValueError, TypeError, AttributeError, RecursionError) as error:
        report.count(SPLITS, 1)
        report.add(Broken(SPLITS, "splits", "", f"does not parse: {' '.join(str(error).split())}", file=file))
        return
    names = {row["name"] for row in tables.rows["scene"]}
    report.count(SPLITS, len(rows))
    for split, scene in rows:
        if scene not in names:
            report.add(Broken(SPLITS, "splits", "", f"split {split!r} names {scene!r}, which is no scene", file=file))


def chains(tables: Tables, table: str) -> list[list[Record]]:
    """The records of each chain from head to tail; broken links end it."""
    index = tables.index[table]
    found: list[list[Record]] = []
    reached: set[str] = set()
    for row in tables.rows[table]:
        if row["prev"] in index:
            continue
        chain = []
        at: Record | None = row
        while at is not None and at["token"] not in reached:
            reached.add(at["token"])
            chain.append(at)
            at = index.get(at["next"])
        found.append(chain)
    return found


def out_of_order(times: Sequence[int]) -> list[int]:
    """Places that must go for the rest to rise strictly, as few as possible.

    >>> out_of_order([10, 20, 15, 30])
    [1]
    """
    tails: list[int] = []  # the least last value of a rising sequence of each length
    ends: list[int] = []
    before = [-1] * len(times)
    for i, time in enumerate(times):
        length = bisect.bisect_left(tails, time)
        before[i] = ends[length - 1] if length else -1
        tails[length : length + 1] = [time]
        ends[length : length + 1] = [i]
    kept = set()
    at = ends[-1] if ends else -1
    while at >= 0:
        kept.add(at)
        at = before[at]
    return [i for i in range(len(times)) if i not in kept]


def _box(row: Record, reason: str) -> Broken:
    return Broken(BOXES, "sample_annotation", row["token"], reason)


def _time(tables: Tables, table: str, row: Record, reason: str) -> Broken:
    if table != "sample_data":
        return Broken(TIMES, table, row["token"], reason)
    return Broken(TIMES, table, row["token"], reason, channel=tables.channel(row), file=row["filename"])
