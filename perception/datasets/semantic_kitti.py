"""SemanticKITTI: LiDAR sequences with a class and an object number for every point.

Paper: SemanticKITTI: A Dataset for Semantic Scene Understanding of LiDAR Sequences - arXiv 1904.01416
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from torch.utils.data import Dataset

from perception.datasets.semantic_kitti_labels import OFFICIAL, read_kitti_labels
from perception.errors import InputError
from perception.files import require_dir
from perception.geometry.frames import inverse, transform
from perception.taxonomy import SEMANTIC_KITTI
from perception.types import PointCloud

SPLITS = {
    "train": ("00", "01", "02", "03", "04", "05", "06", "07", "09", "10"),
    "val": ("08",),
    "test": tuple(f"{number:02d}" for number in range(11, 22)),
}
"""Sequences of the official splits; those of ``test`` have no public labels."""

SENSOR_HEIGHT_M = 1.73
"""Of the LiDAR over the road, as KITTI's authors measured it."""

EGO_FROM_LIDAR = transform(np.array([0.0, 0.0, SENSOR_HEIGHT_M]), np.eye(3))
"""The ego frame has its origin on the road below the sensor, since no file says where the rear axle is."""


@dataclass(frozen=True)
class Drive:
    """What the files beside the scans of a sequence say.

    Args:
        global_from_ego: ``(N, 4, 4)`` poses of the scans in the ego frame of the first; ``None`` without poses.
        times_s: ``(N,)`` times of the scans; ``None`` without times.
        labelled: whether the scans have labels.
    """

    global_from_ego: np.ndarray | None
    times_s: np.ndarray | None
    labelled: bool


class SemanticKittiDataset(Dataset[PointCloud]):
    """The scans of KITTI's odometry sequences, in the sensor's frame.

    Rows that are not finite are left out. A file of 0 bytes gives a cloud without points. Poses are read where
    ``poses.txt`` and ``calib.txt`` are there, times where ``times.txt`` is.

    Args:
        root: folder with ``sequences/XX/velodyne/*.bin``, and ``labels/*.label`` beside ``velodyne``.
        split: ``train``, ``val`` or ``test``.
        sequences: read these instead of the split's, such as ``["00", "04"]``.
        label_file: a ``semantic-kitti.yaml`` with another learning map than the official one.
        transform: applied to each cloud.

    Raises:
        InputError: for an unknown split, a sequence that is missing, empty or has no labels (but for ``test``), or
            broken poses, times or calibration. A broken scan or label file is found, and named, when it is read.
    """

    label_set = SEMANTIC_KITTI

    def __init__(
        self,
        root: str | Path,
        split: str = "train",
        sequences: Sequence[str] | None = None,
        label_file: str | Path | None = None,
        transform: Callable[[PointCloud], PointCloud] | None = None,
    ) -> None:
        if split not in SPLITS:
            raise InputError(f"unknown split {split!r} of SemanticKITTI; use one of {', '.join(SPLITS)}")
        self.root = require_dir(root, "SemanticKITTI folder")
        self.split = split
        self.transform = transform
        self.labels = OFFICIAL if label_file is None else read_kitti_labels(label_file)
        chosen = SPLITS[split] if sequences is None else tuple(sequences)
        self.drives = {name: self._drive(name) for name in chosen}
        self.tokens = [
            f"{name}/{path.stem}" for name in chosen for path in sorted(self._folder(name).glob("velodyne/*.bin"))
        ]
        if not self.tokens:
            raise InputError(f"sequences {', '.join(chosen) or '(none)'} of {self.root} have no velodyne/*.bin")

    def _folder(self, name: str) -> Path:
        return self.root / "sequences" / name

    def _drive(self, name: str) -> Drive:
        folder = self._folder(name)
        if not (folder / "velodyne").is_dir():
            raise InputError(
                f"{folder / 'velodyne'} does not exist; split {self.split!r} needs sequence {name}, or name those that "
                "are there with the option sequences"
            )
        labelled = (folder / "labels").is_dir()
        if not labelled and self.split != "test":
            raise InputError(f"{folder / 'labels'} does not exist; read data without labels as split 'test'")
        times = folder / "times.txt"
        return Drive(read_poses(folder), _numbers(times, 1)[:, 0] if times.is_file() else None, labelled)

    def __len__(self) -> int:
        return len(self.tokens)

    def __getitem__(self, index: int) -> PointCloud:
        cloud = self.read(index)
        return self.transform(cloud) if self.transform else cloud

    def read(self, index: int) -> PointCloud:
        """The cloud before the transform. Its ``token`` is ``XX/NNNNNN``: sequence and scan.

        Raises:
            InputError: for a broken scan or label file.
        """
        token = self.tokens[index]
        sequence, scan = token.split("/")
        drive = self.drives[sequence]
        path = self._folder(sequence) / "velodyne" / f"{scan}.bin"
        raw = read_scan(path)
        rows = np.flatnonzero(np.isfinite(raw).all(axis=1))
        labels = instances = None
        if drive.labelled:
            path = self._folder(sequence) / "labels" / f"{scan}.label"
            values = read_label_values(path, len(raw))
            try:
                labels = self.labels.to_classes(values & 0xFFFF)[rows]
            except InputError as error:
                raise InputError(f"{path}: {error}") from error
            # Numbers of objects count within a class; number and class together are unique in a scan.
            instances = np.where(values >> 16, values, 0).astype(np.int64)[rows]
        points = np.zeros((len(rows), 5), np.float32)
        points[:, :4] = raw[rows]
        time_s = _of_scan(drive.times_s, scan, self._folder(sequence) / "times.txt")
        return PointCloud(
            points=points,
            name=token,
            rows=rows.astype(np.int64),
            file_rows=len(raw),
            labels=labels,
            instances=instances,
            ego_from_lidar=EGO_FROM_LIDAR.copy(),
            global_from_ego=_of_scan(drive.global_from_ego, scan, self._folder(sequence) / "poses.txt"),
            timestamp_us=None if time_s is None else round(1e6 * float(time_s)),
            token=token,
        )


def read_scan(path: str | Path) -> np.ndarray:
    """``(N, 4)`` float32 x, y, z in metres and remission in 0..1 of a ``.bin`` file, which may be empty.

    Raises:
        InputError: for a file that is missing or ends within a point.
    """
    values = _binary(path, "<f4", "scan")
    if len(values) % 4:
        raise InputError(f"scan {path} has {len(values)} numbers, not 4 for each point; download it again")
    return values.reshape(-1, 4)


def read_label_values(path: str | Path, count: int) -> np.ndarray:
    """``(N,)`` uint32 of a ``.label`` file: the class in the lower 16 bits, the object in the upper ones.

    Args:
        count: points of the scan.

    Raises:
        InputError: for a file that is missing or has another length.
    """
    values = _binary(path, "<u4", "label file")
    if len(values) != count:
        raise InputError(f"label file {path} has {len(values)} labels but its scan has {count} points")
    return values


def read_poses(folder: str | Path) -> np.ndarray | None:
    """``(N, 4, 4)`` float64 ``global_from_ego`` of a sequence, in the ego frame of its first pose.

    ``poses.txt`` has the left camera's pose in the frame of the first one, ``calib.txt`` the LiDAR's place on it.

    Returns:
        ``None`` where one of the two files is missing.

    Raises:
        InputError: for files of another form.
    """
    poses, calibration = Path(folder) / "poses.txt", Path(folder) / "calib.txt"
    if not poses.is_file() or not calibration.is_file():
        return None
    camera_from_lidar = _calibrated(calibration)
    world_from_camera = np.tile(np.eye(4), (len(numbers := _numbers(poses, 12)), 1, 1))
    world_from_camera[:, :3] = numbers.reshape(-1, 3, 4)
    camera_from_ego = camera_from_lidar @ inverse(EGO_FROM_LIDAR)
    global_from_world = EGO_FROM_LIDAR @ inverse(camera_from_lidar)
    return global_from_world @ world_from_camera @ camera_from_ego


def _calibrated(path: Path) -> np.ndarray:
    """``(4, 4)`` ``camera_from_lidar``: the line ``Tr:`` of ``calib.txt``."""
    for line in _text(path).splitlines():
        key, _, rest = line.partition(":")
        if key.strip() in ("Tr", "Tr_velo_to_cam"):
            try:
                matrix = np.vstack([np.array(rest.split(), np.float64).reshape(3, 4), [0, 0, 0, 1]])
            except ValueError as error:
                raise InputError(f"{path}: line {key.strip()}: needs 12 numbers") from error
            turned = matrix[:3, :3]
            if not np.allclose(turned @ turned.T, np.eye(3), atol=1e-2):
                raise InputError(f"{path}: line {key.strip()}: is no rigid transform")
            return matrix
    raise InputError(f"{path} has no line Tr:, the LiDAR's place on the left camera")


def _numbers(path: Path, columns: int) -> np.ndarray:
    """``(N, columns)`` float64 of a text file with so many numbers a line."""
    rows = [line.split() for line in _text(path).splitlines() if line.strip()]
    for number, row in enumerate(rows, start=1):
        if len(row) != columns:
            raise InputError(f"{path}: line {number} has {len(row)} numbers instead of {columns}")
    try:
        values = np.array(rows, dtype=np.float64).reshape(-1, columns)
    except ValueError as error:
        raise InputError(f"{path} holds something that is no number: {error}") from error
    if not np.isfinite(values).all():
        raise InputError(f"{path} holds a number that is not finite")
    return values


def _of_scan(values: np.ndarray | None, scan: str, path: Path) -> np.ndarray | None:
    if values is None:
        return None
    if not (scan.isascii() and scan.isdecimal()) or int(scan) >= len(values):
        raise InputError(f"{path} has {len(values)} lines, none for scan {scan}; complete it or remove it")
    return values[int(scan)]


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path} cannot be read as text: {error}") from error


def _binary(path: str | Path, kind: str, what: str) -> np.ndarray:
    try:
        content = Path(path).read_bytes()
    except FileNotFoundError:
        raise InputError(f"{what} {path} does not exist") from None
    except OSError as error:
        raise InputError(f"{what} {path} cannot be read: {error.strerror}") from error
    if len(content) % 4:
        raise InputError(f"{what} {path} has {len(content)} bytes, not a multiple of 4; download it again")
    return np.frombuffer(content, dtype=kind)
