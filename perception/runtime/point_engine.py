"""LiDAR files of ``perception export`` in ONNX Runtime or OpenVINO: needs numpy, scipy and the runtime, no torch."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from perception.errors import InputError
from perception.geometry.neighbours import nearest_neighbours
from perception.geometry.voxels import voxel_means
from perception.runtime.exported_file import POINTS
from perception.runtime.file_runner import FileRunner
from perception.types import POINT_COLUMNS


class PointEngine(FileRunner):
    """A class for every point of a sweep; see :class:`FileRunner` for arguments and errors.

    Example:
        >>> engine = PointEngine("frnet.onnx")  # doctest: +SKIP
        >>> engine(points)  # doctest: +SKIP
    """

    input = POINTS
    instead = "input, not LiDAR points alone"

    def run(self, points: np.ndarray) -> Mapping[str, np.ndarray]:
        """The file's output on one sweep: ``lidar``, classes ``(P,)`` uint8, or logits ``(P, C)``.

        Args:
            points: ``(P, 5)`` float32, see :data:`perception.types.POINT_COLUMNS`.

        Raises:
            InputError: for other shapes, or rows that are not finite.
        """
        points, rows = check_points(points), None
        if self.described.voxel_m:
            points, rows = voxel_means(points, self.described.voxel_m)
        inputs = {"points": points}
        if self.described.neighbours:
            inputs["neighbours"] = nearest_neighbours(points, self.described.neighbours)
        results = self._outputs(inputs)
        return results if rows is None else {name: value[rows] for name, value in results.items()}

    def __call__(self, points: np.ndarray) -> np.ndarray:
        """``(P,)`` uint8 class of each point."""
        result = self.run(points)[POINTS]
        return result if self.described.postprocess else result.argmax(1).astype(np.uint8)


def check_points(points: np.ndarray) -> np.ndarray:
    """Points as a file takes them.

    Raises:
        InputError: for other shapes than ``(P, 5)``, or rows that are not finite.
    """
    if points.ndim != 2 or points.shape[1] != len(POINT_COLUMNS):
        raise InputError(f"points have shape {points.shape}, not (P, {len(POINT_COLUMNS)}): {POINT_COLUMNS}")
    if not np.isfinite(points).all():
        raise InputError("points must be finite; leave out rows that are not")
    return np.ascontiguousarray(points, dtype=np.float32)
