"""The sweep that LiDAR commands try networks on."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from perception.errors import InputError
from perception.geometry.sweep import spinning_sweep


def open_sweep(data: Path | None, points: int) -> tuple[np.ndarray, str]:
    """``(N, 5)`` float32 as :data:`perception.types.POINT_COLUMNS`, and where it came from.

    Args:
        data: a ``.pcd.bin`` sweep of nuScenes, a ``.bin`` scan of SemanticKITTI, or a nuScenes-format folder, whose
            first sweep is taken; ``None`` for a made-up scan.
        points: of the made-up scan.

    Raises:
        InputError: for a folder without sweeps, or a file that is missing, cut off or has no finite row.
    """
    if data is None:
        return spinning_sweep(points), "made-up scan"
    from perception.datasets.nuscenes_lidar import read_points
    from perception.datasets.semantic_kitti import read_scan

    path = data
    if data.is_dir():
        found = sorted((data / "samples" / "LIDAR_TOP").glob("*.pcd.bin"))
        if not found:
            raise InputError(f"{data} has no samples/LIDAR_TOP/*.pcd.bin; give a nuScenes-format folder or a sweep")
        path = found[0]
    if path.suffix == ".bin" and not path.name.endswith(".pcd.bin"):
        rows, brightest = read_scan(path), 1
    else:
        rows, brightest = read_points(path), 255
    rows = rows[np.isfinite(rows).all(axis=1)]
    if not len(rows):
        raise InputError(f"{path} has no point with finite coordinates; give another sweep")
    return np.column_stack([rows[:, :3], rows[:, 3] / brightest, np.zeros(len(rows))]).astype(np.float32), path.name
