"""Every engine that runs a model on this device, side by side."""

from __future__ import annotations

import math
import tempfile
from pathlib import Path
from typing import Any

from perception.commands.bench import machine
from perception.errors import InputError
from perception.export.fastest import PLAIN, REFERENCE, contestants, measure_engines
from perception.geometry.size import parse_size
from perception.runtime.calibration import decode
from perception.runtime.host import cpu_flags
from perception.runtime.pictures import timing_pictures
from perception.runtime.plan import uniform_plan


def main(
    model: str = "multitask_resnet18_slim",
    size: str = "360x640",
    runs: int = 30,
    pictures: int = 4,
    device: str = "auto",
    precision: str = "auto",
    compile: bool = True,
) -> dict[str, Any]:
    """Time the engines that this device has in turns, from a picture on the host to results on the host.

    Args:
        model: checkpoint, saved folder, zoo name, or exported file.
        size: HEIGHTxWIDTH of the pictures and of the network's input.
        runs: timed runs of each engine.
        pictures: different pictures.
        device: auto, cpu, cuda or cuda:N.
        precision: auto, fp32, bf16 or fp16; ONNX Runtime runs in the precision of the file.
        compile: also torch.compile, which takes a minute or more.

    Raises:
        InputError: for bad input.
    """
    if runs < 1 or pictures < 1:
        raise InputError(f"runs {runs} and pictures {pictures} must be at least 1")
    plan = uniform_plan(parse_size(size))
    images = [decode(jpeg) for jpeg in timing_pictures(plan.size, pictures)]
    with tempfile.TemporaryDirectory() as folder:
        builders = contestants(model, plan, Path(folder), device, precision, compile=compile)
        contest = measure_engines(builders, plan, images, runs)
    times = {row.name: row.p50_ms for row in contest.rows}
    rows = []
    for row in contest.rows:
        entry: dict[str, Any] = {"engine": row.name, "error": row.error}
        if row.error is None:
            entry |= {"p50_ms": round(row.p50_ms, 2), "p90_ms": round(row.p90_ms, 2), "agreement": row.agreement}
            entry |= {"passed": row.passed}
            for base, name in ((REFERENCE, "over_channels_last"), (PLAIN, "over_plain")):
                if base in times and not math.isnan(times[base]):
                    entry[name] = round(times[base] / row.p50_ms, 2)
        rows.append(entry)
    return {
        "bench": "engines", "model": model, "size": size, "precision": precision, "engines": rows,
        "fastest": contest.fastest().name, "cpu_flags": cpu_flags(), "machine": machine(),
    }  # fmt: skip


def show(result: dict[str, Any]) -> None:
    from rich.console import Console
    from rich.table import Table

    title = f"{result['model']} at {result['size']}"
    table = Table("engine", "p50 ms", "p90 ms", "over torch channels_last", "over torch", "same as torch", title=title)
    for row in result["engines"]:
        if row["error"] is not None:
            table.add_row(row["engine"], row["error"])
            continue
        ratios = [f"{row[key]:.2f}x" if key in row else "" for key in ("over_channels_last", "over_plain")]
        same = f"{row['agreement']:.3%}" + ("" if row["passed"] else " DIFFERS")
        table.add_row(row["engine"], f"{row['p50_ms']:.1f}", f"{row['p90_ms']:.1f}", *ratios, same)
    Console().print(table)
    Console().print(f"fastest that agrees: [bold]{result['fastest']}[/]")
