"""``perception world``: the procedural driving world as a data set."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rich.console import Console

from perception.errors import InputError
from perception.geometry.size import parse_size
from perception.runtime.traces import KINDS, Trace, make_trace
from perception.world.actors import USUAL_MIX, TrafficMix
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
    cameras: str = "front",
    sweep_cameras: str = "front",
    lidar_hz: float = 2.0,
    timing: str = "auto",
    masks: str = "auto",
    sensor: str = "ideal",
    rolling_shutter: str = "off",
    maps: str = "auto",
    motorcycles: float = USUAL_MIX.motorcycles,
    large_vehicles: float = USUAL_MIX.large_vehicles,
    cyclists: float = USUAL_MIX.cyclists,
    parked_bicycles: float = USUAL_MIX.parked_bicycles,
    pedestrians: float = USUAL_MIX.pedestrians,
    children: float = USUAL_MIX.children,
    parked_motorcycles: float = USUAL_MIX.parked_motorcycles,
    overwrite: bool = False,
) -> dict[str, Any]:
    """Write a nuScenes-format data set from the procedural driving world.

    An interrupted run goes on where it stopped when it is started again with the same arguments.

    Args:
        out: folder to make; it must not exist or be empty.
        scenes: number of scenes; the first ten carry the names of the official mini split.
        keyframes: keyframes per scene, at 2 Hz, with LiDAR and boxes.
        size: image size ``HxW`` in pixels.
        seed: the same seed gives the same bytes.
        weather: ``clear``, ``overcast``, ``rain``, ``fog``, ``dusk``, ``night``, a time of day with rain or fog such as
            ``night+rain``, ``random``, or a comma list of them that scenes take in turn.
        sweep_hz: camera rate between keyframes, all of it labelled; 0 writes keyframes only.
        speed: how fast the ego drives: ``traffic`` (as others, bends and lights let it), a kind of speed trace
            (``urban``, ``rural``, ``motorway``, ``stop_and_go``, ``emergency``), or ``mixed``: all kinds in turn.
        workers: processes.
        cameras: ``front``, ``all`` six, or a comma list such as ``CAM_FRONT,CAM_BACK``.
        sweep_cameras: which of them also record between keyframes, said likewise.
        lidar_hz: LiDAR turns a second, up to 20; 0 or 2 writes those of keyframes only.
        timing: ``instant`` (all sensors at once), ``turning`` (each camera fires as the turning LiDAR passes it, as
            in nuScenes), or ``auto``: ``turning`` with more than one camera or with LiDAR turns between keyframes.
        masks: ``on``: also write drivable and lane masks as files; ``auto``: with more than one camera; ``off``.
        sensor: ``ideal``: sharp pictures with little noise; ``real``: shot and read noise, motion blur, errors of the
            automatic exposure, stronger JPEG. Labels stay those of the sharp picture.
        rolling_shutter: ``on``: rows are exposed one after the other within 16 ms, ``off``: all at once.
        maps: ``on`` (scenes lie side by side on the maps of the four nuScenes locations, with map expansion files),
            ``off``, or ``auto``: on where all scenes fit.
        motorcycles: their share of the vehicles that drive; more of them for a network that misses them.
        large_vehicles: share of buses and trucks, likewise; cars make up the rest.
        cyclists: how many ride in bicycle lanes, in times of the usual number; they keep 12 m at least.
        parked_bicycles: how many stand on the pavements, likewise.
        pedestrians: how many walk, stand and wait to cross, likewise.
        children: their share of the pedestrians.
        parked_motorcycles: their share of the vehicles parked along the kerb, at most 0.9.
        overwrite: ``true``: replace a data set written earlier, and drop what an interrupted run left behind.
    """
    speeds = _speeds(speed, scenes, max((keyframes - 1) / KEYFRAME_HZ, 1.0), seed)
    return write_dataset(
        out,
        scenes=scenes,
        keyframes=keyframes,
        size=parse_size(size),
        seed=seed,
        sweep_hz=sweep_hz,
        weather=weather,
        workers=workers,
        speeds=speeds,
        cameras=cameras,
        sweep_cameras=sweep_cameras,
        lidar_hz=lidar_hz,
        timing=timing,
        masks=masks,
        sensor=sensor,
        rolling_shutter=rolling_shutter,
        maps=maps,
        mix=TrafficMix(
            motorcycles, large_vehicles, cyclists, parked_bicycles, pedestrians, children, parked_motorcycles
        ),
        overwrite=overwrite,
    )


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
