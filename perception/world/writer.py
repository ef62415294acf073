"""The world as a nuScenes v1.0-mini data set, with dense labels beside it."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from perception.errors import InputError
from perception.world.actors import USUAL_MIX, TrafficMix
from perception.world.raycast import open3d
from perception.world.record import KEYFRAME_HZ, SWITCH, Recording
from perception.world.rig import parse_cameras
from perception.world.scene import MAX_DURATION_S, SpeedProfile, check_scene_arguments
from perception.world.tables import splits
from perception.world.writer_assembly import assemble
from perception.world.writer_staging import Staging, arguments_of, check_target
from perception.world.writer_workers import record_all

MIN_SIDE_PX = 32
MAX_SWEEP_HZ = 24.0
MAX_LIDAR_HZ = 20.0


def write_dataset(
    out: str | Path,
    scenes: int = 10,
    keyframes: int = 20,
    size: tuple[int, int] = (225, 400),
    seed: int = 0,
    sweep_hz: float = 12.0,
    weather: str = "clear",
    workers: int = 2,
    speeds: Sequence[SpeedProfile] = (),
    cameras: str | Sequence[str] = "front",
    sweep_cameras: str | Sequence[str] = "front",
    lidar_hz: float = 2.0,
    timing: str = "auto",
    masks: str = "auto",
    sensor: str = "ideal",
    rolling_shutter: str = "off",
    maps: str = "auto",
    mix: TrafficMix = USUAL_MIX,
    overwrite: bool = False,
) -> dict[str, Any]:
    """Write a data set that the nuScenes devkit loads.

    Everything is written into a hidden folder ``.NAME.partial`` beside ``out``, whose contents take that name when
    they are complete. After an interruption the same call goes on with the first unfinished scene. The same arguments
    give the same bytes, whatever the number of workers and of interruptions.

    Args:
        out: folder to make; it must not exist or be empty.
        scenes: the first ten carry the official mini names, further ones are ``scene-2001`` and on.
        keyframes: per scene, at 2 Hz, with LiDAR and boxes.
        size: ``(height, width)`` of the pictures.
        seed: of the world.
        sweep_hz: camera rate between keyframes, rounded to a multiple of 2 Hz; 0 writes keyframes only.
        weather: a name of :data:`perception.world.weather.NAMES`, ``random``, or a comma list of them that scenes
            take in turn.
        workers: processes.
        speeds: the ego's speed in m/s at a time in seconds, one profile per scene in turn; they travel to the
            workers, so they must be picklable. By default the ego drives with the traffic.
        cameras: ``front``, ``all`` or channels of :data:`perception.world.rig.CAMERAS`.
        sweep_cameras: which of them record between keyframes, said likewise.
        lidar_hz: rate of LiDAR turns, rounded to a multiple of 2 Hz; 0 or 2 writes those of keyframes only.
        timing: ``instant``, ``turning`` or ``auto``, see :class:`perception.world.record.Recording`.
        masks: ``on``: also write drivable and lane masks; ``auto``: with more than one camera; ``off``.
        sensor: effects of the cameras, ``ideal`` or ``real``; rolling_shutter: ``on`` or ``off``.
        maps: ``on``: the scenes lie side by side on the canvases of nuScenes' four locations, with one mask and one
            map expansion file per location; ``off``: each scene has a place and a mask of its own; ``auto``: ``on``
            where all scenes fit.
        mix: of the road users, and of parked bicycles.
        overwrite: replace a data set that an earlier call wrote, and drop what an interrupted one left behind.

    Returns:
        What was written: ``scenes``, ``keyframes``, ``images``, ``seconds``, ``images_per_second``, ``path``.

    Raises:
        InputError: for arguments out of range, a folder that is in use, one in which something else was begun, or
            scenes that do not fit on the maps.
    """
    out = Path(out)
    _check(scenes, keyframes, size, sweep_hz, lidar_hz, workers)
    if maps not in SWITCH:
        raise InputError(f"unknown maps {maps!r}; use one of {', '.join(SWITCH)}")
    check_target(out, overwrite)
    check_scene_arguments(seed, 0, (keyframes - 1) / KEYFRAME_HZ, weather, mix)
    open3d()  # a missing extra is said here, not from a worker
    staging = Staging(out)
    recording = Recording(
        staging.data,
        seed,
        weather,
        keyframes,
        size,
        sweep_hz,
        tuple(speeds),
        parse_cameras(cameras),
        parse_cameras(sweep_cameras),
        lidar_hz,
        timing,
        masks,
        sensor,
        rolling_shutter,
        mix,
    )
    started = time.monotonic()
    with staging.opened(arguments_of(recording, scenes), overwrite):
        made = record_all(recording, staging, scenes, workers)
        mapped = assemble(recording, staging, scenes, maps)
        staging.finish()
    seconds = time.monotonic() - started
    return {
        "path": str(out),
        "scenes": scenes,
        "keyframes": scenes * keyframes,
        "images": scenes * recording.frames,
        "cameras": list(recording.cameras),
        "size": f"{size[0]}x{size[1]}",
        "seed": seed,
        "maps": mapped,
        "seconds": round(seconds, 2),
        "images_per_second": round(made / seconds, 2),
        "splits": splits(scenes),
    }


def _check(scenes: int, keyframes: int, size: tuple[int, int], sweep_hz: float, lidar_hz: float, workers: int) -> None:
    most = int(MAX_DURATION_S * KEYFRAME_HZ) + 1
    for name, value, low, high in (
        ("scenes", scenes, 1, 5000),
        ("keyframes", keyframes, 1, most),
        ("height", size[0], MIN_SIDE_PX, 4096),
        ("width", size[1], MIN_SIDE_PX, 8192),
        ("workers", workers, 1, 256),
    ):
        if not low <= value <= high:
            raise InputError(f"{name} must be {low} to {high}, got {value}")
    for name, rate, limit in (("sweep_hz", sweep_hz, MAX_SWEEP_HZ), ("lidar_hz", lidar_hz, MAX_LIDAR_HZ)):
        if not 0 <= rate <= limit:
            raise InputError(f"{name} must be 0 to {limit:g}, got {rate}")
