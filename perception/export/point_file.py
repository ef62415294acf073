"""LiDAR networks as files: ONNX with any number of points, OpenVINO from it, and whether they say what torch says."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from perception.errors import InputError
from perception.export.onnx_file import describe_model
from perception.export.point_network import PointExportNetwork
from perception.export.point_program import TRACED_POINTS, check_format, parity_records, write_network
from perception.models.lidar.base import LidarModel
from perception.runtime.exported_file import POINTS, FileInfo
from perception.runtime.file_runner import runtimes_of
from perception.runtime.point_engine import PointEngine
from perception.types import POINT_COLUMNS

SHARES = (1.0, 0.5, 0.25, 0.05)
"""Shares of a sweep on which files are compared; a single point is too."""


def export_points(
    model: LidarModel, out: Path, sweeps: Sequence[np.ndarray], format: str = "onnx", postprocess: bool = True
) -> tuple[PointExportNetwork, FileInfo, list[dict[str, Any]]]:
    """Write a LiDAR network into a file for any number of points, and compare it in every runtime that reads it.

    Args:
        sweeps: ``(P, 5)`` float32 to compare on, see :data:`perception.types.POINT_COLUMNS`.
        postprocess: see :class:`PointExportNetwork`.

    Returns:
        The network as it was before its norms were folded, the file's description, and one parity record for each
        runtime and number of points.

    Raises:
        InputError: for a network that cannot be exported, or an ending that does not fit the format.
        MissingExtra: without onnx, onnxscript and the runtimes.
    """
    check_format(out, format)
    model = model.eval().cpu()
    network = PointExportNetwork(model, postprocess).eval()
    folded, neighbours, voxel_m = network.without_search()
    described = describe_model(
        model, (TRACED_POINTS, len(POINT_COLUMNS)), free_size=True, input=POINTS, postprocess=postprocess,
        neighbours=neighbours, voxel_m=voxel_m,
    )  # fmt: skip
    inputs = folded.example(TRACED_POINTS, neighbours)
    with torch.no_grad():
        classes = model.label_set.classes
        wide = PointExportNetwork(model, postprocess=False).eval()(inputs["points"])[POINTS].shape[1]
    if wide != len(classes):
        raise InputError(f"the model has {wide} outputs, but label set {model.label_set.name} {len(classes)} classes")
    free = {name: {0: torch.export.Dim.DYNAMIC} for name in inputs}
    described = write_network(folded, inputs, [POINTS], free, described, out)
    return network, described, point_parities(network, open_point_engines(out), sweeps)


def open_point_engines(out: Path) -> dict[str, PointEngine]:
    """The file in each of its runtimes."""
    return {name: PointEngine(out, runtime=name) for name in runtimes_of(out)}


def point_parities(
    network: PointExportNetwork, engines: Mapping[str, PointEngine], sweeps: Sequence[np.ndarray]
) -> list[dict[str, Any]]:
    """One record for each runtime, sweep and share of it."""
    records: list[dict[str, Any]] = []
    for number, sweep in enumerate(sweeps):
        for points in _parts(sweep, number):
            with torch.inference_mode():
                wanted = network(torch.from_numpy(points))
            runs = {name: partial(engine.run, points) for name, engine in engines.items()}
            records += parity_records(wanted, runs, f"{len(points)} points")
    return records


def _parts(sweep: np.ndarray, seed: int) -> list[np.ndarray]:
    """The sweep, some of its points drawn at random, and one alone."""
    random = np.random.default_rng(seed)
    order = random.permutation(len(sweep))
    counts = sorted({max(1, round(share * len(sweep))) for share in SHARES} | {1}, reverse=True)
    return [np.ascontiguousarray(sweep[np.sort(order[:count])]) for count in counts]
