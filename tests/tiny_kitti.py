"""SemanticKITTI folders of a few points, written from the format's description."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from pathlib import Path

import numpy as np

RAW = (0, 1, 10, 40, 48, 70, 252, 259)
TURN = np.array([[0.0, -1.0, 0.0], [0.0, 0.0, -1.0], [1.0, 0.0, 0.0]])
"""Camera axes from LiDAR axes: right, down and forward from forward, left and up."""


def write_kitti_sequence(
    root: Path, name: str, scans: int = 3, points: int = 60, labelled: bool = True, speed_mps: float = 10.0
) -> Path:
    """A vehicle that drives straight on at 10 Hz, its camera 0.3 m before and 0.1 m below the LiDAR."""
    folder = root / "sequences" / name
    (folder / "velodyne").mkdir(parents=True)
    if labelled:
        (folder / "labels").mkdir()
    rng = np.random.default_rng(int(name))
    offset = TURN @ -np.array([0.3, 0.0, -0.1])
    row = " ".join(f"{value:.12e}" for value in np.column_stack([TURN, offset]).ravel())
    (folder / "calib.txt").write_text(f"P0: {' '.join(['1'] * 12)}\nTr: {row}\n")
    poses, times = [], []
    for scan in range(scans):
        position = np.column_stack([np.eye(3), [0.0, 0.0, 0.1 * scan * speed_mps]])  # the camera looks along z
        poses.append(" ".join(f"{value:.6e}" for value in position.ravel()))
        times.append(f"{0.1 * scan:.6e}")
        xyz = rng.normal(0, [15, 15, 1], (points, 3))
        rows = np.column_stack([xyz, rng.random(points)]).astype("<f4")
        (folder / "velodyne" / f"{scan:06d}.bin").write_bytes(rows.tobytes())
        if labelled:
            write_labels(folder, scan, rng.choice(RAW, points), rng.integers(0, 3, points))
    (folder / "poses.txt").write_text("\n".join(poses) + "\n")
    (folder / "times.txt").write_text("\n".join(times) + "\n")
    return folder


def write_labels(folder: Path, scan: int, raw: Sequence[int] | np.ndarray, objects: Sequence[int] | np.ndarray) -> None:
    content = b"".join(struct.pack("<HH", int(kind), int(thing)) for kind, thing in zip(raw, objects, strict=True))
    (folder / "labels" / f"{scan:06d}.label").write_bytes(content)
