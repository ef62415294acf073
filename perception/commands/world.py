"""``perception world``: the procedural driving world as a data set."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rich.console import Console

from perception.geometry.size import parse_size
from perception.world.writer import write_dataset


def main(
    out: Path,
    scenes: int = 10,
    keyframes: int = 20,
    size: str = "225x400",
    seed: int = 0,
    weather: str = "clear",
    sweep_hz: float = 12.0,
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
        workers: processes.
    """
    return write_dataset(out, scenes, keyframes, parse_size(size), seed, sweep_hz, weather, workers)


def show(result: dict[str, Any]) -> None:
    names = result["splits"]
    Console().print(
        f"{result['path']}: {result['scenes']} scenes ({len(names['train'])} train, {len(names['val'])} val), "
        f"{result['keyframes']} keyframes, {result['images']} camera images of {result['size']} in "
        f"{result['seconds']:.0f} s ({result['images_per_second']:.1f} a second)",
        soft_wrap=True,
        highlight=False,
    )
