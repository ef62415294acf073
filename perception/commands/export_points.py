"""``perception export`` of LiDAR networks."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from perception.commands.bench import take_turns
from perception.commands.lidar_sweep import open_sweep
from perception.console import console
from perception.errors import InputError
from perception.export.fusion_file import export_fusion
from perception.export.point_file import export_points, open_point_engines
from perception.export.point_network import PointExportNetwork
from perception.export.timing import REFERENCE, timing_record
from perception.models.fusion import FusionModel
from perception.models.lidar.base import LidarModel
from perception.models.zoo import LIDAR_POINTS
from perception.runtime.exported_file import FileInfo


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
    timings = _time(network, out, sweep, timing) if timing else None
    return _report(name, out, described, parity, format, f"{len(sweep)} points", source, timings)


def export_cameras_and_lidar(
    name: str,
    model: FusionModel,
    out: Path,
    size: tuple[int, int],
    *,
    format: str,
    data: Path | None,
    camera_options: Mapping[str, bool],
) -> dict[str, Any]:
    """Write a network that joins cameras and LiDAR, and compare the file; the report of the command.

    Args:
        name: as the user gave it.
        data: sweep to compare on, see :func:`open_sweep`.
        camera_options: options that files of the camera part alone have, and whether they were given.

    Raises:
        InputError: for such an option, or what :func:`export_fusion` refuses.
    """
    given = [option for option, used in camera_options.items() if used]
    if given:
        raise InputError(f"--{given[0]} is for cameras alone; --lidar false exports the camera part of {name}")
    sweep, source = open_sweep(data, LIDAR_POINTS)
    with console.status(f"exporting {name}"):
        _, described, parity = export_fusion(model, out, size, sweep, format)
    return _report(name, out, described, parity, format, f"{size[0]}x{size[1]}, {len(sweep)} points", source, None)


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


def _time(network: PointExportNetwork, out: Path, sweep: np.ndarray, runs: int) -> dict[str, Any]:
    """Milliseconds of one sweep, against the network with its norms folded in torch."""
    folded = PointExportNetwork(network.model.fold(), network.postprocess).eval()  # it searches, as the engines do
    channels_last = copy.deepcopy(folded).to(memory_format=torch.channels_last)
    calls: dict[str, Callable[[], object]] = {
        "torch": lambda: _torch(folded, sweep),
        REFERENCE: lambda: _torch(channels_last, sweep),
    }
    for name, engine in open_point_engines(out).items():
        calls[name] = lambda engine=engine: engine.run(sweep)  # type: ignore[misc]
    samples = take_turns(calls, runs)
    return timing_record(f"{len(sweep)} points", samples)


def _torch(network: PointExportNetwork, sweep: np.ndarray) -> object:
    with torch.inference_mode():
        return network(torch.from_numpy(sweep))
