"""Speeds of the CAN bus, as the nuScenes CAN bus expansion keeps them: a JSON list of messages per scene and sensor."""

from __future__ import annotations

import math
from bisect import bisect_right
from pathlib import Path
from typing import Any, TypeGuard

from perception.errors import InputError
from perception.files import inside
from perception.runtime.source import Frame, Source
from perception.runtime.sources.nuscenes import stream_json_list
from perception.runtime.speed import MAX_SPEED_MPS, SpeedReading

KMH = 1 / 3.6
SENSORS = ("pose", "zoe_veh_info", "vehicle_monitor")
"""Files that tell the speed, those with the most messages a second (50, 100 and 2) and a velocity first."""


class CanSpeed:
    """The last message at or before a frame, which is what a vehicle knows; its age tells how long ago that was.

    Understands ``vehicle_monitor`` (``vehicle_speed``, km/h), ``zoe_veh_info`` (``odom_speed``, km/h) and ``pose``
    (``vel``, m/s in the ego frame, with ``accel``). Messages without a finite time or speed are left out.

    Args:
        path: the JSON file.

    Raises:
        InputError: for a file that is missing, is no list of messages, or tells no speed.
    """

    def __init__(self, path: str | Path) -> None:
        path = Path(path)
        self.name = f"can {path.name}"
        readings = sorted(reading for message in stream_json_list(path) if (reading := _reading(message)) is not None)
        if not readings:
            raise InputError(
                f"{path} has no message with utime and vehicle_speed or odom_speed (km/h), or vel (m/s); "
                "use a nuScenes can_bus file of vehicle_monitor, zoe_veh_info or pose"
            )
        self._times_us = [time_us for time_us, _, _ in readings]
        self._readings = readings

    def at(self, frame: Frame, elapsed_s: float) -> SpeedReading | None:
        position = bisect_right(self._times_us, frame.timestamp_us) - 1
        if position < 0:
            return None
        time_us, speed_mps, acceleration_mps2 = self._readings[position]
        age_s = (frame.timestamp_us - time_us) / 1e6
        return SpeedReading(speed_mps, age_s, acceleration_mps2=acceleration_mps2)


def can_speed(path: str, source: Source | None) -> CanSpeed:
    """The CAN bus of a file or, where none is named, of the scene that the frames come from.

    Raises:
        InputError: if there is none.
    """
    if path:
        return CanSpeed(path)
    root, scene = getattr(source, "root", None), getattr(source, "scene", None)
    if root is None or scene is None:
        raise InputError("speed 'can' is not available for this source; use nuscenes:ROOT, or name a file: can:FILE")
    for sensor in SENSORS:
        file = inside(root, Path("can_bus") / f"{scene}_{sensor}.json")
        if file.is_file():
            return CanSpeed(file)
    raise InputError(
        f"speed 'can': {root}/can_bus has no CAN data of {scene} ({', '.join(SENSORS)}); use --speed pose, or unpack "
        "the CAN bus expansion there"
    )


def _reading(message: dict[str, Any]) -> tuple[int, float, float] | None:
    """Microseconds, m/s and m/s^2 of a message; ``None`` where it tells no speed that can be."""
    time_us = message.get("utime")
    speed, acceleration = message.get("vehicle_speed"), 0.0
    scale = KMH
    if speed is None:
        speed = message.get("odom_speed")
    if speed is None:
        velocity, scale = message.get("vel"), 1.0
        speed = velocity[0] if isinstance(velocity, list) and velocity else None
        accelerations = message.get("accel")
        if isinstance(accelerations, list) and accelerations and _is_number(accelerations[0]):
            acceleration = float(accelerations[0])
    if not _is_number(time_us) or not _is_number(speed):
        return None
    speed_mps = float(speed) * scale
    # Rolling back by a hair, or noise around standstill, is standstill.
    speed_mps = 0.0 if -0.5 < speed_mps < 0 else speed_mps
    return (int(time_us), speed_mps, acceleration) if 0 <= speed_mps <= MAX_SPEED_MPS else None


def _is_number(value: Any) -> TypeGuard[int | float]:
    try:
        return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    except OverflowError:  # JSON has integers of any length
        return False
