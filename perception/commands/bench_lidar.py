"""``perception bench lidar``: the LiDAR networks on one sweep and on growing ones, and what they are built on."""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from perception.commands.bench import machine, ratio, take_turns
from perception.commands.bench_scatter import bench_scatter
from perception.commands.lidar_sweep import open_sweep
from perception.console import track
from perception.errors import InputError
from perception.geometry.sweep import spinning_sweep
from perception.memory import keep_freed_memory
from perception.models.lidar.base import LidarModel
from perception.models.lidar.neighbours import batch_neighbours
from perception.models.zoo import LIDAR_POINTS, ZOO, create_model, list_models
from perception.types import PointBatch

SCALING = ("frnet_nano", "waffleiron_6_64")
SCALING_POINTS = (5_000, 10_000, 20_000, 50_000, 100_000, 200_000)
NEIGHBOURS = 16
PRECISIONS = ("fp32", "bf16")


def main(
    models: list[str] | None = None,
    scaling: list[str] | None = None,
    data: Path | None = None,
    points: int = LIDAR_POINTS,
    repeats: int = 20,
    limit_s: float = 20.0,
    scatter: bool = True,
    threads: int | None = None,
    device: str = "auto",
    precision: str = "fp32",
) -> dict[str, Any]:
    """Time the LiDAR networks, folded for inference, with random weights: they take as long as trained ones.

    Three parts: milliseconds per scan and points per second of each network; the time over sweeps of 5,000 to
    200,000 points, with the exponent of a power law fitted to it (1 is linear; below 1 where a fixed grid is part of
    the work) and a straight line; and the scatter operators of the networks against the other ways that torch
    offers, which take turns.
    Looking up neighbours is the loader's work: it is timed apart.

    Args:
        models: zoo names of kind ``lidar``; default all.
        scaling: those that are timed over growing sweeps; default the ones made for CPUs; ``[]`` for none.
        data: sweep to time on, a nuScenes ``.pcd.bin`` or a nuScenes-format data set, of which the first sweep is
            taken; by default a made-up scan of a spinning sensor.
        points: of the made-up scan.
        repeats: timed calls of each network after one that warms up.
        limit_s: a network stops being repeated after so many seconds, though not before two timed calls.
        scatter: whether to time the scatter operators.
        threads: of torch; default its own choice.
        device: auto, cpu or cuda.
        precision: fp32, or bf16 by autocast.

    Returns:
        ``networks``, ``scaling``, ``scatter`` and ``machine``.

    Raises:
        InputError: for unknown models, too few points or repeats, or data that cannot be read.
    """
    names, growing = models or list_models("lidar"), list(SCALING if scaling is None else scaling)
    for name in (*names, *growing):
        if name not in ZOO or ZOO[name].kind != "lidar":
            known = ", ".join(list_models("lidar"))
            raise InputError(f"bench lidar needs a LiDAR model, not {name!r}; use one of {known}")
    if repeats < 2 or points < 100:
        raise InputError(f"repeats {repeats} must be at least 2, and points {points} at least 100")
    if precision not in PRECISIONS:
        raise InputError(f"precision {precision!r} must be {' or '.join(PRECISIONS)}")
    where = _device(device)
    if threads is not None:
        if threads < 1:
            raise InputError(f"threads {threads} must be at least 1")
        torch.set_num_threads(threads)
    keep_freed_memory()
    sweep, source = open_sweep(data, points)
    batch = _batch(sweep, where)
    result: dict[str, Any] = {"bench": "lidar", "source": source, "points": len(sweep)}
    result |= {"device": where, "precision": precision}
    result["networks"] = [
        time_network(name, batch, repeats, limit_s, precision) for name in track(names, "timing networks")
    ]
    result["neighbours_ms"] = round(_lookup_ms(batch, min(repeats, 5)), 1)
    result["scaling"] = [scale_network(name, where, repeats, limit_s, precision) for name in growing]
    result["scatter"] = bench_scatter(batch, repeats) if scatter else []
    return result | {"machine": machine()}


def _device(device: str) -> str:
    if device == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    if device not in ("cpu", "cuda"):
        raise InputError(f"device {device!r} must be auto, cpu or cuda")
    if device == "cuda" and not torch.cuda.is_available():
        raise InputError("device cuda is not available here; use cpu")
    return device


def _batch(sweep: np.ndarray, device: str) -> PointBatch:
    """One cloud, with its neighbours looked up."""
    points = torch.from_numpy(sweep)
    cloud = torch.zeros(len(points), dtype=torch.int64)
    neighbours = batch_neighbours(points, cloud, 1, NEIGHBOURS)
    return PointBatch(points, cloud, 1, neighbours=neighbours).to(device)


def _network(name: str, device: str) -> LidarModel:
    torch.manual_seed(0)
    return create_model(name).fold().to(device, memory_format=torch.channels_last)


def _call(network: LidarModel, batch: PointBatch, precision: str) -> Callable[[], None]:
    device = batch.points.device.type

    def call() -> None:
        with torch.inference_mode(), torch.autocast(device, torch.bfloat16, enabled=precision == "bf16"):
            network(batch)["lidar"].argmax(1)
        if batch.points.is_cuda:
            torch.cuda.synchronize()

    return call


def time_call(call: Callable[[], object], repeats: int, limit_s: float) -> list[float]:
    """Milliseconds of each of up to ``repeats`` calls, at least two, after one that is not counted."""
    times: list[float] = []
    begin = time.perf_counter()
    for number in range(repeats + 1):
        start = time.perf_counter()
        call()
        if number:
            times.append((time.perf_counter() - start) * 1e3)
        if number >= 2 and time.perf_counter() - begin > limit_s:
            break
    return times


def time_network(name: str, batch: PointBatch, repeats: int, limit_s: float, precision: str) -> dict[str, Any]:
    """Median and 90th percentile of the milliseconds of a scan."""
    network = _network(name, batch.points.device.type)
    times = time_call(_call(network, batch, precision), repeats, limit_s)
    median = statistics.median(times)
    return {
        "model": name,
        "ms_per_scan": round(median, 2),
        "p90_ms": round(float(np.quantile(times, 0.9)), 2),
        "points_per_s": round(len(batch.points) / median * 1e3),
        "repeats": len(times),
        "params": sum(parameter.numel() for parameter in create_model(name).parameters()),
    }


def scale_network(name: str, device: str, repeats: int, limit_s: float, precision: str) -> dict[str, Any]:
    """Milliseconds at each size of the made-up scan, the laws fitted to them, and what folding saves."""
    network, times = _network(name, device), []
    for points in track(SCALING_POINTS, f"growing sweeps, {name}"):
        call = _call(network, _batch(spinning_sweep(points), device), precision)
        times.append(statistics.median(time_call(call, repeats, limit_s)))
    batch = _batch(spinning_sweep(LIDAR_POINTS), device)
    plain = create_model(name).eval().to(device, memory_format=torch.channels_last)
    turns = take_turns(
        {"folded": _call(network, batch, precision), "plain": _call(plain, batch, precision)}, min(repeats, 10)
    )
    slope, fixed = np.polyfit(SCALING_POINTS, times, 1)
    return {
        "model": name,
        "points": list(SCALING_POINTS),
        "ms": [round(value, 2) for value in times],
        "exponent": round(fitted_exponent(SCALING_POINTS, times), 3),
        "fixed_ms": round(fixed, 2),
        "us_per_point": round(slope * 1e3, 4),
        "folded / plain": round(ratio(turns, "folded", "plain"), 3),
    }


def fitted_exponent(sizes: tuple[int, ...], times: list[float]) -> float:
    """Slope of the logarithm of time over that of size, by least squares.

    >>> round(fitted_exponent((10, 100, 1000), [3.0, 30.0, 300.0]), 6)
    1.0
    """
    slope, _ = np.polyfit([math.log(size) for size in sizes], [math.log(value) for value in times], 1)
    return float(slope)


def _lookup_ms(batch: PointBatch, repeats: int) -> float:
    def call() -> None:
        batch_neighbours(batch.points, batch.cloud, batch.clouds, NEIGHBOURS)
        if batch.points.is_cuda:
            torch.cuda.synchronize()

    return statistics.median(time_call(call, repeats, 10.0))


def show(result: dict[str, Any]) -> None:
    from rich.console import Console
    from rich.table import Table

    console = Console()
    console.print(
        f"{result['source']}, {result['points']} points, {result['device']}, {result['precision']}",
        highlight=False,
        soft_wrap=True,
    )
    table = Table("network", "M params", "ms a scan", "90 %", "points a second")
    for row in result["networks"]:
        speed = f"{row['points_per_s']:,}"
        table.add_row(
            row["model"], f"{row['params'] / 1e6:.2f}", f"{row['ms_per_scan']:.1f}", f"{row['p90_ms']:.1f}", speed
        )
    console.print(table)
    console.print(f"looking up {NEIGHBOURS} neighbours, the loader's work: {result['neighbours_ms']:.0f} ms")
    if result["scaling"]:
        table = Table("points", *(f"{row['model']} ms" for row in result["scaling"]))
        for i, points in enumerate(result["scaling"][0]["points"]):
            table.add_row(f"{points:,}", *(f"{row['ms'][i]:.1f}" for row in result["scaling"]))
        for name in ("exponent", "fixed_ms", "us_per_point", "folded / plain"):
            table.add_row(name.replace("_", " "), *(f"{row[name]:.2f}" for row in result["scaling"]))
        console.print(table)
    if result["scatter"]:
        table = Table("scatter", "way", "ms", "ours / way")
        for part in result["scatter"]:
            for name, value in part["milliseconds"].items():
                share = f"{part['ratios'][name]:.2f}" if name in part["ratios"] else ""
                table.add_row(part["what"], name, f"{value:.2f}", share)
        console.print(table)
    facts = result["machine"]
    console.print(f"{facts['device']}, {facts['cores']} cores, {facts['threads']} threads, torch {facts['torch']}")
