"""``perception world``: the procedural driving world as a data set."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rich.console import Console

from perception.errors import InputError
from perception.geometry.size import parse_size
from perception.runtime.traces import KINDS, Trace, make_trace
from perception.world.record import KEYFRAME_HZ
from perception.world.writer import write_dataset


def main(
    out: Path,
    scenes: int = 10,
    keyframes: int = 20,
    size: str = "225x400",
    seed: int = 0,
    weather: str = "clear",
    sweep_hz: float = 12.0,
    speed: str = "traffic",
    workers: int = 2,
) -> dict[str, Any]:
    """Write a nuScenes-format data set from the procedural driving world.

    Args:
        out: folder to make; it must not exist or be empty.
        scenes: number of scenes; the first ten carry the names of the official mini split.
        keyframes: keyframes per scene, at 2 Hz, with LiDAR and boxes.
        size: image size ``HxW`` in pixels.
        seed: the same seed gives the same bytes.
        weather: ``clear``, ``overcast`` or ``random``.
        sweep_hz: camera rate between keyframes, all of it labelled; 0 writes keyframes only.
        speed: how fast the ego drives: ``traffic`` (as others, bends and lights let it), a kind of speed trace
            (``urban``, ``rural``, ``motorway``, ``stop_and_go``, ``emergency``), or ``mixed``: all kinds in turn.
        workers: processes.
    """
    speeds = _speeds(speed, scenes, max((keyframes - 1) / KEYFRAME_HZ, 1.0), seed)
    return write_dataset(out, scenes, keyframes, parse_size(size), seed, sweep_hz, weather, workers, speeds)


def _speeds(kind: str, scenes: int, duration_s: float, seed: int) -> list[Trace]:
    """A trace for each scene; none for ``traffic``."""
    if kind == "traffic":
        return []
    if kind != "mixed" and kind not in KINDS:
        raise InputError(f"unknown speed {kind!r}; use traffic, mixed or one of {', '.join(KINDS)}")
    kinds = list(KINDS) if kind == "mixed" else [kind]
    return [make_trace(kinds[i % len(kinds)], 1000 * seed + i, duration_s) for i in range(scenes)]


def show(result: dict[str, Any]) -> None:
    names = result["splits"]
    Console().print(
        f"{result['path']}: {result['scenes']} scenes ({len(names['train'])} train, {len(names['val'])} val), "
        f"{result['keyframes']} keyframes, {result['images']} camera images of {result['size']} in "
        f"{result['seconds']:.0f} s ({result['images_per_second']:.1f} a second)",
        soft_wrap=True,
        highlight=False,
    )
