"""``perception bench``: timings side by side in one run, given as ratios."""

from __future__ import annotations

import os
import platform
import statistics
import time
from collections.abc import Callable, Mapping
from typing import Any

from rich.console import Console
from rich.table import Table

from perception.console import track
from perception.errors import InputError
from perception.geometry.size import parse_size
from perception.memory import keep_freed_memory

WHAT = ("multitask", "train")
OTHERS = ("compare", "domains", "engines", "export", "fusion", "lidar", "loop", "maps", "rungs", "stream", "zoo")
"""Benches with options of their own."""


def main(
    what: str,
    model: str = "multitask_resnet18_slim",
    size: str = "360x640",
    rounds: int = 15,
    batch_size: int = 8,
    precision: str = "32-true",
) -> dict[str, Any]:
    """Time things against each other.

    The contestants take turns, round after round, so that a machine whose speed drifts treats them alike; the
    ratio is the median of the ratios of each round. `perception bench compare`, `domains`, `engines`, `export`,
    `fusion`, `lidar`, `loop`, `maps`, `rungs`, `stream` and `zoo` have options of their own.

    Args:
        what: ``multitask``: all heads against the semantic head alone and against four separate models.
            ``train``: a step through Lightning against a bare PyTorch loop of the same model and data.
        model: zoo name of a multitask model.
        size: image size ``HxW``.
        rounds: timed rounds after one that warms up.
        batch_size: images a step, for ``train``.
        precision: for ``train``: ``32-true`` or ``bf16-mixed``.
    """
    if what not in WHAT:
        raise InputError(f"unknown bench {what!r}; use one of {', '.join((*WHAT, *OTHERS))}")
    if rounds < 1:
        raise InputError(f"rounds must be at least 1, got {rounds}")
    height_width = parse_size(size)
    keep_freed_memory()
    if what == "multitask":
        result = bench_multitask(model, height_width, rounds)
    else:
        from perception.commands.bench_train import bench_train

        result = bench_train(model, height_width, rounds, batch_size, precision)
    return {"bench": what, "model": model, "size": size, **result, "machine": machine()}


def machine() -> dict[str, Any]:
    """What the figures were taken on."""
    import torch

    device = torch.cuda.get_device_name(0) if torch.cuda.is_available() else platform.processor() or "cpu"
    return {
        "device": device,
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "python": platform.python_version(),
    }


def take_turns(contestants: Mapping[str, Callable[[], object]], rounds: int) -> dict[str, list[float]]:
    """Milliseconds of each call: every contestant once a round, after one round that is not counted."""
    times: dict[str, list[float]] = {name: [] for name in contestants}
    for number in track(range(rounds + 1), "timing"):
        for name, call in contestants.items():
            start = time.perf_counter()
            call()
            if number:
                times[name].append((time.perf_counter() - start) * 1e3)
    return times


def ratio(times: dict[str, list[float]], numerator: str, *denominators: str) -> float:
    """Median over the rounds of one contestant's time over the sum of others'."""
    pairs = zip(times[numerator], *(times[name] for name in denominators), strict=True)
    return statistics.median(top / sum(rest) for top, *rest in pairs)


def bench_multitask(model: str, size: tuple[int, int], rounds: int) -> dict[str, Any]:
    """One image through all heads, through the semantic head alone, and through a separate model per head."""
    import torch

    from perception.models.base import HEADS
    from perception.models.zoo import ZOO, create_model

    if model not in ZOO or ZOO[model].kind != "multitask":
        raise InputError(f"bench multitask needs a multitask_* model, not {model!r}")
    device = "cuda" if torch.cuda.is_available() else "cpu"
    image = torch.rand(1, 3, *size).to(device, memory_format=torch.channels_last)

    def contestant(heads: tuple[str, ...]) -> Callable[[], None]:
        network = create_model(model, heads=heads).eval().to(device)
        network.to(memory_format=torch.channels_last)

        def call() -> None:
            with torch.inference_mode():
                network.decode(network(image))
            if device == "cuda":
                torch.cuda.synchronize()

        return call

    contestants = {"all heads": contestant(HEADS)} | {f"{name} only": contestant((name,)) for name in HEADS}
    times = take_turns(contestants, rounds)
    singles = [f"{name} only" for name in HEADS]
    return {
        "milliseconds": {name: round(statistics.median(values), 2) for name, values in times.items()},
        "ratios": {
            "all heads / semantic only": round(ratio(times, "all heads", "semantic only"), 3),
            "all heads / four separate models": round(ratio(times, "all heads", *singles), 3),
        },
    }


def show(result: dict[str, Any]) -> None:
    console = Console()
    console.print(f"{result['model']} at {result['size']}", highlight=False)
    table = Table("contestant", "median ms")
    for name, value in result["milliseconds"].items():
        table.add_row(name, f"{value:.1f}")
    console.print(table)
    for name, value in result["ratios"].items():
        console.print(f"{name}: [bold]{value:.3f}[/]")
    for name, value in result.get("figures", {}).items():
        console.print(f"{name}: {value}")
    facts = result["machine"]
    console.print(f"{facts['device']}, {facts['cores']} cores, {facts['threads']} threads, torch {facts['torch']}")
