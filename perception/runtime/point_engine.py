"""LiDAR files of ``perception export`` in ONNX Runtime or OpenVINO: needs numpy, scipy and the runtime, no torch."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from perception.errors import InputError
from perception.geometry.neighbours import nearest_neighbours
from perception.geometry.voxels import voxel_means
from perception.runtime.exported_file import POINTS, open_exported
from perception.runtime.host import cpu_name
from perception.runtime.onnx_engine import open_session
from perception.runtime.openvino_engine import open_network
from perception.types import POINT_COLUMNS

RUNTIMES = ("onnxruntime", "openvino")


class PointEngine:
    """A class for every point of a sweep.

    Args:
        path: ``.onnx``, or ``.xml`` with its ``.bin``.
        runtime: ``onnxruntime`` or ``openvino``; ``auto`` is the one that the file was written for.
        device: ``auto``, ``cpu``, or ``cuda`` where this build of ONNX Runtime has it.

    Attributes:
        labels: what the classes mean.

    Raises:
        MissingExtra: without the runtime.
        InputError: for a file that is damaged, not of this library or not of a LiDAR network, or a device or runtime
            that does not run it.

    Example:
        >>> engine = PointEngine("frnet.onnx")  # doctest: +SKIP
        >>> engine(points)  # doctest: +SKIP
    """

    def __init__(self, path: str | Path, runtime: str = "auto", device: str = "auto") -> None:
        path = Path(path)
        described = open_exported(path)
        if described.input != POINTS:
            raise InputError(f"{path} takes pictures, not LiDAR points; perception drive runs it")
        if runtime == "auto":
            runtime = "onnxruntime" if path.suffix == ".onnx" else "openvino"
        if runtime not in RUNTIMES or (runtime == "onnxruntime" and path.suffix != ".onnx"):
            raise InputError(f"{path.name} does not run in {runtime!r}; use --engine openvino or a .onnx file")
        self.path, self.described, self.runtime = path, described, runtime
        self.labels = described.labels(path)
        if runtime == "onnxruntime":
            self._session, self._device, _, _ = open_session(path, device)
            self._names = [output.name for output in self._session.get_outputs()]
        else:
            network, compiled = open_network(path, device)
            self._compiled, self._device = compiled, "cpu"
            self._names = [output.get_any_name() for output in network.outputs]

    @property
    def info(self) -> dict[str, Any]:
        """What runs, on what."""
        name = cpu_name() if self._device == "cpu" else self._device
        return {"engine": self.runtime, "device": self._device, "device_name": name, "model": self.described.model}

    def run(self, points: np.ndarray) -> Mapping[str, np.ndarray]:
        """The file's output on one sweep: ``lidar``, classes ``(P,)`` uint8, or logits ``(P, C)``.

        Args:
            points: ``(P, 5)`` float32, see :data:`perception.types.POINT_COLUMNS`.

        Raises:
            InputError: for other shapes, or rows that are not finite.
        """
        if points.ndim != 2 or points.shape[1] != len(POINT_COLUMNS):
            raise InputError(f"points have shape {points.shape}, not (P, {len(POINT_COLUMNS)}): {POINT_COLUMNS}")
        if not np.isfinite(points).all():
            raise InputError("points must be finite; leave out rows that are not")
        points = np.ascontiguousarray(points, dtype=np.float32)
        count, rows = len(points), None
        if self.described.voxel_m:
            points, rows = voxel_means(points, self.described.voxel_m)
        inputs = {"points": points}
        if self.described.neighbours:
            inputs["neighbours"] = nearest_neighbours(points, self.described.neighbours)
        try:
            if self.runtime == "onnxruntime":
                results = self._session.run(self._names, inputs)
            else:
                found = self._compiled(inputs)
                results = [np.array(found[index]) for index in range(len(self._names))]  # the next sweep overwrites
        except Exception as error:  # the runtimes have types of their own
            reason = str(error).splitlines()[0]
            raise InputError(f"{self.path} does not run on {count} points: {reason}") from None
        if rows is not None:
            results = [result[rows] for result in results]
        return dict(zip(self._names, results, strict=True))

    def __call__(self, points: np.ndarray) -> np.ndarray:
        """``(P,)`` uint8 class of each point."""
        result = self.run(points)[POINTS]
        return result if self.described.postprocess else result.argmax(1).astype(np.uint8)
