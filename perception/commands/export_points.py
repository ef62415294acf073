"""``perception export`` of LiDAR networks."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from perception.commands.bench import take_turns
from perception.commands.lidar_sweep import open_sweep
from perception.console import console
from perception.errors import InputError
from perception.export.fusion_file import (
    FusionExportNetwork,
    example_inputs,
    export_fusion,
    open_fusion_engines,
)
from perception.export.point_file import export_points, open_point_engines
from perception.export.point_network import PointExportNetwork
from perception.export.timing import REFERENCE, timing_record
from perception.models.fusion import FusionModel
from perception.models.lidar.base import LidarModel
from perception.models.zoo import LIDAR_POINTS
from perception.runtime.exported_file import FileInfo
from perception.runtime.fusion_engine import FusionEngine
from perception.runtime.point_engine import PointEngine

CAMERAS = 6
"""Pictures beside a sweep that files are timed with: those of nuScenes' vehicle."""


def export_lidar(
    name: str,
    model: LidarModel,
    out: Path,
    *,
    format: str,
    postprocess: bool,
    data: Path | None,
    timing: int,
    camera_options: Mapping[str, bool],
) -> dict[str, Any]:
    """Write a LiDAR network, compare the file on a sweep and parts of it, and time it; the report of the command.

    Args:
        name: as the user gave it.
        data: sweep to compare on, see :func:`open_sweep`.
        timing: timed runs of each runtime.
        camera_options: options that a LiDAR file has no use for, and whether they were given.

    Raises:
        InputError: for such an option, or what :func:`export_points` refuses.
    """
    given = [option for option, used in camera_options.items() if used]
    if given:
        raise InputError(
            f"--{given[0]} is for camera models; {name} is a LiDAR model, whose file takes any number of points"
        )
    sweep, source = open_sweep(data, LIDAR_POINTS)
    with console.status(f"exporting {name}"):
        network, described, parity = export_points(model, out, [sweep], format, postprocess)
    timings = _time_points(network, out, sweep, timing) if timing else None
    return _report(name, out, described, parity, format, f"{len(sweep)} points", source, timings)


def export_cameras_and_lidar(
    name: str,
    model: FusionModel,
    out: Path,
    size: tuple[int, int],
    *,
    format: str,
    data: Path | None,
    timing: int,
    camera_options: Mapping[str, bool],
) -> dict[str, Any]:
    """Write a network that joins cameras and LiDAR, compare the file, and time it; the report of the command.

    Args:
        name: as the user gave it.
        data: sweep to compare on, see :func:`open_sweep`.
        timing: timed runs of each runtime, with the pictures of six cameras.
        camera_options: options that files of the camera part alone have, and whether they were given.

    Raises:
        InputError: for such an option, or what :func:`export_fusion` refuses.
    """
    given = [option for option, used in camera_options.items() if used]
    if given:
        raise InputError(f"--{given[0]} is for cameras alone; --lidar false exports the camera part of {name}")
    sweep, source = open_sweep(data, LIDAR_POINTS)
    with console.status(f"exporting {name}"):
        network, described, parity = export_fusion(model, out, size, sweep, format)
    timings = _time_fusion(network, out, size, sweep, timing) if timing else None
    return _report(name, out, described, parity, format, f"{size[0]}x{size[1]}, {len(sweep)} points", source, timings)


def _report(
    name: str,
    out: Path,
    described: FileInfo,
    parity: list[dict[str, Any]],
    format: str,
    size: str,
    source: str,
    timing: dict[str, Any] | None,
) -> dict[str, Any]:
    return {
        "model": name,
        "out": str(out),
        "format": format,
        "size": size,
        "source": source,
        "free_size": described.free_size,
        "opset": described.opset,
        "digest": described.digest,
        "files": [out.name, *described.data],
        "passed": all(entry["passed"] for entry in parity),
        "parity": parity,
        "quantised": None,
        "timing": timing,
    }


def _time_points(network: PointExportNetwork, out: Path, sweep: np.ndarray, runs: int) -> dict[str, Any]:
    """Milliseconds of one sweep, against the network with its norms folded in torch."""
    folded = PointExportNetwork(network.model.fold(), network.postprocess).eval()  # it searches, as the engines do
    return _time(folded, open_point_engines(out), {"points": sweep}, f"{len(sweep)} points", runs)


def _time_fusion(
    network: FusionExportNetwork, out: Path, size: tuple[int, int], sweep: np.ndarray, runs: int
) -> dict[str, Any]:
    """Milliseconds of the pictures of all cameras and one sweep."""
    shown = f"{CAMERAS} x {size[0]}x{size[1]}, {len(sweep)} points"
    return _time(network.folded(), open_fusion_engines(out), example_inputs(sweep, CAMERAS, size), shown, runs)


def _time(
    network: torch.nn.Module,
    engines: Mapping[str, PointEngine] | Mapping[str, FusionEngine],
    inputs: Mapping[str, np.ndarray],
    size: str,
    runs: int,
) -> dict[str, Any]:
    def torch_call(own: torch.nn.Module) -> object:
        with torch.inference_mode():
            return own(*map(torch.from_numpy, inputs.values()))

    channels_last = copy.deepcopy(network).to(memory_format=torch.channels_last)
    calls: dict[str, Callable[[], object]] = {
        "torch": partial(torch_call, network),
        REFERENCE: partial(torch_call, channels_last),
        **{name: partial(engine.run, *inputs.values()) for name, engine in engines.items()},
    }
    return timing_record(size, take_turns(calls, runs))
