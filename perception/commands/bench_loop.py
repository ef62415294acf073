"""``perception bench loop``: what the real-time loop costs besides the network."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

import perception
from perception.commands.bench import machine, ratio, take_turns
from perception.console import track
from perception.errors import InputError
from perception.geometry.size import parse_size
from perception.memory import keep_freed_memory
from perception.runtime.adaptive import adaptive_policy
from perception.runtime.calibration import Samples, make_table
from perception.runtime.engine import TorchEngine
from perception.runtime.latency import make_key
from perception.runtime.loop import DriveLoop, Status
from perception.runtime.plan import Plan, ladder, uniform_plan
from perception.runtime.resolution import FixedPolicy, VehicleState
from perception.runtime.sight import FOVEA_PLANS, assumed_camera, build_plans
from perception.runtime.source import Frame
from perception.runtime.speed import ConstantSpeed
from perception.runtime.stopping import StoppingModel

NATIVE = (900, 1600)
DECISIONS = 20_000
SCALES = (0.25, 0.4, 0.55, 0.7, 1.0)
PACED_FRAMES = 60


def main(
    model: str = "multitask_resnet18_slim", size: str = "360x640", frames: int = 300, device: str = "auto"
) -> dict[str, Any]:
    """Time a decision of the adaptive policy, a change of plan, and the loop's own share of a frame.

    The bare network and the whole loop take turns, frame by frame; the share is the median of the ratios of each
    turn.

    Args:
        model: zoo name, checkpoint or saved folder.
        size: HEIGHTxWIDTH of the pictures and of the plan.
        frames: timed frames.
        device: auto, cpu, cuda or cuda:N.

    Returns:
        ``decision``, ``switch``, ``milliseconds`` and ``ratios``.

    Raises:
        InputError: for too few frames, or a model or device that is not available.
    """
    if frames < 10:
        raise InputError(f"frames {frames} is below 10")
    height_width = parse_size(size)
    keep_freed_memory()
    network = perception.load(model)
    engine = TorchEngine(network, device)
    image = np.random.default_rng(0).integers(0, 256, (*height_width, 3), dtype=np.uint8)
    return {
        "bench": "loop",
        "model": model,
        "size": size,
        "decision": bench_decision(engine),
        "switch": bench_switch(engine, image, frames),
        **bench_overhead(network, engine, image, frames),
        "machine": machine(),
    }


def bench_decision(engine: TorchEngine, decisions: int = DECISIONS) -> dict[str, Any]:
    """Microseconds of a choice among seven plans, at speeds that rise and fall, with latencies that are watched."""
    camera, stopping = assumed_camera(NATIVE), StoppingModel()
    plans = build_plans(NATIVE, SCALES, camera=camera, stopping=stopping)
    assert len(plans) == len(SCALES) + FOVEA_PLANS
    random = np.random.default_rng(0)
    measured = {}
    for plan in plans:
        latency_ms = (5 + plan.pixels / 30_000 + random.gamma(2, 0.5, 120)).tolist()
        measured[plan] = {"back to back": Samples(latency_ms, latency_ms)}
    table = make_table(measured, ["back to back"], 0.01, make_key(engine.info, NATIVE))
    policy, _ = adaptive_policy("quality", table, camera, stopping)
    speeds = 18 + 18 * np.sin(np.arange(decisions) / 500) + random.normal(0, 0.1, decisions)
    states = [VehicleState(i * 83_333, max(float(v), 0.0), 0.1, 0.02) for i, v in enumerate(speeds)]
    for state in states[:1000]:
        policy.choose(state)
    times_us = []
    for state in states:
        start = time.perf_counter_ns()
        policy.choose(state)
        times_us.append((time.perf_counter_ns() - start) / 1e3)
    p50, p99 = np.quantile(times_us, (0.5, 0.99))
    return {"plans": len(plans), "decisions": decisions, "p50_us": round(float(p50), 2), "p99_us": round(float(p99), 2)}


def bench_switch(engine: TorchEngine, image: np.ndarray, frames: int) -> dict[str, Any]:
    """How much longer a frame takes right after a change of plan than the next one at the same plan."""
    plans = ladder((image.shape[0], image.shape[1]), (0.5, 1.0))
    for plan in plans:
        engine.warm_up(plan, (image.shape[0], image.shape[1]))
    changed: dict[Plan, list[float]] = {plan: [] for plan in plans}
    stayed: dict[Plan, list[float]] = {plan: [] for plan in plans}
    for turn in track(range(max(frames // 4, 5) + 1), "changing plans"):
        for plan in plans:
            for times in (changed[plan], stayed[plan]):
                start = time.perf_counter()
                engine(image, plan)
                if turn:
                    times.append((time.perf_counter() - start) * 1e3)
    extra = {
        plan.name: statistics.median(a - b for a, b in zip(changed[plan], stayed[plan], strict=True)) for plan in plans
    }
    return {"extra_ms": {name: round(value, 3) for name, value in extra.items()}}


class _Endless:
    """The same picture for ever."""

    name, channels, has_speed, rendered, total = "memory", ("camera",), False, False, None

    def __init__(self, image: np.ndarray, interval_s: float, frames: int | None = None) -> None:
        self._image, self.interval_s, self._frames = image, interval_s, frames

    def __iter__(self) -> Iterator[Frame]:
        index = 0
        while self._frames is None or index < self._frames:
            yield Frame(self._image, "", round(index * self.interval_s * 1e6), "camera")
            index += 1


def bench_overhead(network: Any, engine: TorchEngine, image: np.ndarray, frames: int) -> dict[str, Any]:
    """The loop against the bare network, and the loop's threads at the pace of a camera."""
    plan = uniform_plan((image.shape[0], image.shape[1]))
    loop = DriveLoop(_Endless(image, 1.0), ConstantSpeed(10.0), FixedPolicy(plan), engine)
    loop.warm_up()
    results = iter(loop)
    contestants: dict[str, Callable[[], object]] = {
        "network": _bare(network, image),
        "engine": lambda: engine(image, plan),
        "loop": lambda: next(results),
    }
    times = take_turns(contestants, frames)
    interval_s = 1.5 * float(np.quantile(times["loop"], 0.95)) / 1e3
    count = min(frames, PACED_FRAMES)
    paced = DriveLoop(
        _Endless(image, interval_s, count), ConstantSpeed(10.0), FixedPolicy(plan), engine, pace="camera",
        deadline_ms=1e6,
    )  # fmt: skip
    paced.warm_up()
    shares = []
    for result in track(paced, "at a camera's pace", count):
        if result.status is not Status.SKIPPED:
            shares.append(1 - (result.infer_ms + result.choose_ms) / result.latency_ms)
    return {
        "milliseconds": {name: round(statistics.median(values), 3) for name, values in times.items()},
        "ratios": {
            "not in the network / frame": round(1 - ratio(times, "network", "loop"), 4),
            "not in the engine / frame": round(1 - ratio(times, "engine", "loop"), 4),
            "between threads / frame, at a camera's pace": round(statistics.median(shares), 4),
        },
    }


def _bare(network: Any, image: np.ndarray) -> Callable[[], None]:
    """The network and the decoding of its outputs, on a picture that lies ready on the device."""
    import torch

    device = next(network.parameters()).device
    picture = torch.from_numpy(image).to(device).permute(2, 0, 1)[None].float().div_(255)
    picture = picture.contiguous(memory_format=torch.channels_last)

    def call() -> None:
        with torch.inference_mode():
            network.decode(network(picture))
        if device.type == "cuda":
            torch.cuda.synchronize()

    return call


def show(result: dict[str, Any]) -> None:
    """Print the figures for people."""
    from rich.console import Console
    from rich.table import Table

    console = Console()
    console.print(f"{result['model']} at {result['size']}", highlight=False)
    decision = result["decision"]
    table = Table("", "", show_header=False)
    table.add_row(
        f"decision among {decision['plans']} plans", f"median {decision['p50_us']} us, p99 {decision['p99_us']} us"
    )
    for name, value in result["switch"]["extra_ms"].items():
        table.add_row(f"first frame after a change to {name}", f"{value:+.3f} ms")
    for name, value in result["milliseconds"].items():
        table.add_row(name, f"{value:.2f} ms")
    for name, value in result["ratios"].items():
        table.add_row(name, f"{value:.2%}")
    console.print(table)
    facts = result["machine"]
    console.print(f"{facts['device']}, {facts['cores']} cores, {facts['threads']} threads, torch {facts['torch']}")
