"""LiDAR sweeps of nuScenes-format keyframes with a class for every point.

Paper: Panoptic nuScenes: A Large-Scale Benchmark for LiDAR Panoptic Segmentation and Tracking - arXiv 2109.03805
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from torch.utils.data import Dataset

from perception.datasets.nuscenes_lidar import LIDAR, lidarseg_tokens, read_lidarseg, read_sweep, sweep_in_ego
from perception.datasets.nuscenes_points import challenge_labels
from perception.datasets.nuscenes_tables import global_from_ego, open_tables, split_scenes
from perception.datasets.quarantine import AUTO, remedy
from perception.errors import InputError
from perception.geometry.frames import apply, inverse, transform
from perception.taxonomy import LIDARSEG
from perception.types import IGNORE_INDEX, PointCloud

INTENSITY_MAX = 255.0


class NuScenesLidarDataset(Dataset[PointCloud]):
    """The LiDAR sweep of each keyframe, in the sensor's frame at its own time.

    Rows that are not finite are left out. A file of 0 bytes, as a sensor that failed leaves behind, gives a cloud
    without points.

    Args:
        root: folder with ``samples/``, ``sweeps/`` and the tables' folder.
        version: the tables' folder, such as ``v1.0-mini``.
        split: name of a split, see :func:`perception.datasets.nuscenes_tables.split_scenes`, or ``all``.
        sweeps: how many sweeps a cloud is made of: 1 is the keyframe's alone; earlier ones are moved by the vehicle's
            own motion, have their age in the last column, and no labels.
        transform: applied to each cloud.
        split_file: YAML or JSON file that maps names of splits to lists of scene names.
        quarantine: ``auto``, ``off`` or a path, see :func:`perception.datasets.quarantine.open_quarantine`.

    Raises:
        InputError: for a folder, table or split that is missing or does not fit, or a split without LiDAR. A missing
            or broken file is found, and named, when it is read.
        MissingExtra: without nuscenes-devkit.
    """

    label_set = LIDARSEG

    def __init__(
        self,
        root: str | Path,
        version: str = "v1.0-mini",
        split: str = "train",
        sweeps: int = 1,
        transform: Callable[[PointCloud], PointCloud] | None = None,
        split_file: str | Path | None = None,
        quarantine: str = AUTO,
    ) -> None:
        if sweeps < 1:
            raise InputError(f"sweeps must be at least 1, got {sweeps}")
        self.root = Path(root)
        self.tables = open_tables(self.root, version, quarantine)
        self.sweeps = sweeps
        self.transform = transform
        self._labels = lidarseg_tokens(self.tables)
        self._classes = self._class_table() if self._labels else None
        self.tokens = self._keyframes(split_scenes(self.tables, split, split_file))
        if not self.tokens:
            raise InputError(f"no keyframe of split {split!r} in {self.root} has a sweep of {LIDAR}")

    def _class_table(self) -> np.ndarray:
        """``(256,)`` uint8 from a category index, as ``category.json`` says it, to a class of the label set."""
        table = np.full(256, IGNORE_INDEX, np.uint8)
        known = np.array([row["index"] for row in self.tables.category if "index" in row], dtype=np.uint8)
        table[known] = challenge_labels(self.tables, known)
        return table

    def _keyframes(self, scenes: list[str]) -> list[str]:
        """Tokens of the keyframes' sweeps, scene after scene, in the order of time."""
        rank = {scene: place for place, scene in enumerate(scenes)}
        names = {scene["token"]: scene["name"] for scene in self.tables.scene}
        found = []
        for sample in self.tables.sample:
            scene = names[sample["scene_token"]]
            if scene in rank and LIDAR in sample["data"]:
                found.append((rank[scene], sample["timestamp"], sample["data"][LIDAR]))
        return [token for _, _, token in sorted(found)]

    def __len__(self) -> int:
        return len(self.tokens)

    def places(self) -> dict[str, int]:
        """Index of each keyframe's cloud by the keyframe's sample token."""
        return {self.tables.get("sample_data", token)["sample_token"]: i for i, token in enumerate(self.tokens)}

    def __getitem__(self, index: int) -> PointCloud:
        cloud = self.read(index)
        return self.transform(cloud) if self.transform else cloud

    def read(self, index: int) -> PointCloud:
        """The cloud before the transform.

        Raises:
            InputError: for a broken file or record; it names both and what to do.
        """
        token = self.tokens[index]
        record = self.tables.get("sample_data", token)
        try:
            return self._read(record)
        except (ValueError, KeyError, OSError) as error:
            what = f"no record has token {error}" if isinstance(error, KeyError) else str(error)
            raise InputError(f"{what} (sample_data {token}, {record['filename']}); {remedy(self.root)}") from error

    def _read(self, record: dict[str, Any]) -> PointCloud:
        token = record["token"]
        empty = (self.root / record["filename"]).is_file() and not (self.root / record["filename"]).stat().st_size
        raw = np.zeros((0, 5), np.float32) if empty else read_sweep(self.root, self.tables, token)
        labels = None
        if self._classes is not None and token in self._labels:
            labels = self._classes[read_lidarseg(self.root, self._labels[token], len(raw))]
        rows = np.flatnonzero(np.isfinite(raw[:, :4]).all(axis=1))
        sensor = self.tables.get("calibrated_sensor", record["calibrated_sensor_token"])
        cloud = PointCloud(
            points=_columns(raw[rows], 0.0),
            name=Path(record["filename"]).name.removesuffix(".pcd.bin"),
            rows=rows.astype(np.int64),
            file_rows=len(raw),
            labels=None if labels is None else labels[rows].astype(np.int64),
            ego_from_lidar=transform(sensor["translation"], sensor["rotation"]),
            global_from_ego=global_from_ego(self.tables, token),
            timestamp_us=int(record["timestamp"]),
            token=token,
            sample_token=record["sample_token"],
        )
        return self._with_earlier(cloud, record) if self.sweeps > 1 else cloud

    def _with_earlier(self, cloud: PointCloud, record: dict[str, Any]) -> PointCloud:
        lidar_from_ego = inverse(cloud.ego_from_lidar)
        parts, previous = [cloud.points], record
        while len(parts) < self.sweeps and previous["prev"]:
            previous = self.tables.get("sample_data", previous["prev"])
            points = sweep_in_ego(self.root, self.tables, previous["token"], record["token"])
            points = points[np.isfinite(points).all(axis=1)]
            points[:, :3] = apply(lidar_from_ego, points[:, :3])
            parts.append(_columns(points, 1e-6 * (record["timestamp"] - previous["timestamp"])))
        extra = sum(len(part) for part in parts[1:])
        cloud.points = np.concatenate(parts)
        cloud.rows = np.concatenate([cloud.rows, np.full(extra, -1)])
        if cloud.labels is not None:
            cloud.labels = np.concatenate([cloud.labels, np.full(extra, IGNORE_INDEX)])
        return cloud


def _columns(raw: np.ndarray, age_s: float) -> np.ndarray:
    """Rows of a file to :data:`perception.types.POINT_COLUMNS`."""
    points = np.empty((len(raw), 5), np.float32)
    points[:, :3] = raw[:, :3]
    points[:, 3] = raw[:, 3] / INTENSITY_MAX
    points[:, 4] = age_s
    return points
