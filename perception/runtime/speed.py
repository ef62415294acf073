"""How fast the vehicle is: a constant, a CSV log, the CAN bus, a function, or what the source says."""

from __future__ import annotations

import csv
import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from perception.errors import InputError
from perception.runtime.resolution import VehicleState
from perception.runtime.source import Frame, Source

MAX_SPEED_MPS = 100.0
MAX_GAP_S = 1.0
"""A logged speed older than this is stale: nothing is said about the speed rather than something old."""

_UNITS = {"": 1.0, "m/s": 1.0, "mps": 1.0, "km/h": 1 / 3.6, "kmh": 1 / 3.6, "kph": 1 / 3.6, "mph": 0.44704}
AVAILABLE = "a number in m/s ('13.9'), '50km/h', '30mph', a CSV file, 'pose', 'can' or 'can:FILE'"


@dataclass(frozen=True)
class SpeedReading:
    """A measured speed.

    Args:
        mps: metres per second.
        age_s: between the measurement and the capture of the frame.
        sigma_mps: standard deviation.
        acceleration_mps2: along the road, forward positive; 0 where it is not measured.
    """

    mps: float
    age_s: float = 0.0
    sigma_mps: float = 0.0
    acceleration_mps2: float = 0.0


class SpeedSource(Protocol):
    """Tells the speed at a frame."""

    @property
    def name(self) -> str: ...

    def at(self, frame: Frame, elapsed_s: float) -> SpeedReading | float | None:
        """Speed at the frame, ``elapsed_s`` after the first one.

        A plain number is m/s, exact and measured at the capture; ``None`` where it is not known.
        """
        ...


def checked(reading: SpeedReading | float | None) -> SpeedReading | None:
    """The reading, or ``None`` where it is missing, cannot be, or is older than :data:`MAX_GAP_S`.

    >>> checked(12.0)
    SpeedReading(mps=12.0, age_s=0.0, sigma_mps=0.0, acceleration_mps2=0.0)
    >>> checked(-1.0), checked(SpeedReading(12.0, age_s=3.0))
    (None, None)
    """
    if reading is None:
        return None
    if not isinstance(reading, SpeedReading):
        reading = SpeedReading(float(reading))
    known = 0 <= reading.mps <= MAX_SPEED_MPS and 0 <= reading.sigma_mps < math.inf
    known = known and -MAX_GAP_S <= reading.age_s <= MAX_GAP_S and math.isfinite(reading.acceleration_mps2)
    return reading if known else None


def vehicle_state(frame: Frame, reading: SpeedReading | None) -> VehicleState:
    """What a policy is told at a frame."""
    if reading is None:
        return VehicleState(frame.timestamp_us, None)
    return VehicleState(
        frame.timestamp_us, reading.mps, reading.sigma_mps, max(reading.age_s, 0.0), reading.acceleration_mps2
    )


class ConstantSpeed:
    """The same speed throughout."""

    def __init__(self, speed_mps: float) -> None:
        if not 0 <= speed_mps <= MAX_SPEED_MPS:
            raise InputError(f"speed {speed_mps:g} m/s is outside 0..{MAX_SPEED_MPS:g} m/s")
        self.speed_mps = speed_mps
        self.name = f"constant {speed_mps:.4g} m/s"

    def at(self, frame: Frame, elapsed_s: float) -> SpeedReading | None:
        return SpeedReading(self.speed_mps)


class PoseSpeed:
    """The speed that the source carries with its frames."""

    name = "pose"

    def at(self, frame: Frame, elapsed_s: float) -> SpeedReading | None:
        return checked(frame.speed_mps)


class CalledSpeed:
    """The speed that a function tells, such as one that returns the latest message of a vehicle's bus.

    Args:
        function: gives a reading, m/s, or ``None`` where the speed is not known; called once per frame, by the
            thread that runs the network.
    """

    def __init__(self, function: Callable[[], SpeedReading | float | None], name: str = "function") -> None:
        self._function = function
        self.name = name

    def at(self, frame: Frame, elapsed_s: float) -> SpeedReading | None:
        return checked(self._function())


class CsvSpeed:
    """Speeds of a log, interpolated linearly; the age of a reading is the distance in time to the nearest row.

    The file has a header with a time column, ``timestamp_us`` (or ``timestamp``: microseconds on the clock of
    the frames) or ``seconds`` (since the first frame), and a column ``speed_mps`` or ``speed_kmh``. Outside
    the log, or inside a gap, a value up to :data:`MAX_GAP_S` away still counts; beyond that the speed is unknown.

    Raises:
        InputError: for a missing file or column, a value that is not a finite number in range, or times
            that do not increase; the message has the line number.
    """

    def __init__(self, path: str | Path) -> None:
        path = Path(path)
        self.name = f"csv {path.name}"
        times, speeds, self._absolute = _read_log(path)
        self._times_s = np.array(times) / (1e6 if self._absolute else 1.0)
        self._speeds = np.array(speeds)

    def at(self, frame: Frame, elapsed_s: float) -> SpeedReading | None:
        time_s = frame.timestamp_us / 1e6 if self._absolute else elapsed_s
        after = int(np.searchsorted(self._times_s, time_s))
        before = max(after - 1, 0)
        after = min(after, len(self._times_s) - 1)
        gaps = abs(time_s - self._times_s[before]), abs(time_s - self._times_s[after])
        age_s = float(min(gaps))
        if age_s > MAX_GAP_S:
            return None
        if self._times_s[after] - self._times_s[before] > 2 * MAX_GAP_S:  # a gap: hold the nearer value
            return SpeedReading(float(self._speeds[before if gaps[0] <= gaps[1] else after]), age_s)
        return SpeedReading(float(np.interp(time_s, self._times_s, self._speeds)), age_s)


def parse_speed(text: str, source: Source | None = None) -> SpeedSource:
    """The speed source that a command-line value names.

    >>> parse_speed("36km/h").name
    'constant 10 m/s'

    Args:
        source: that the frames come from; ``can`` looks beside its data.

    Raises:
        InputError: naming what is available.
    """
    text = text.strip()
    if text == "pose":
        return PoseSpeed()
    if text == "can" or text.startswith("can:"):
        from perception.runtime.can import can_speed

        return can_speed(text.partition(":")[2], source)
    number = re.fullmatch(r"([-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?)\s*([a-z/]*)", text, re.ASCII)
    if number and number[2] in _UNITS:
        return ConstantSpeed(float(number[1]) * _UNITS[number[2]])
    if number and number[2]:
        raise InputError(f"unknown speed unit {number[2]!r} in {text!r}; use m/s, km/h or mph")
    if text.lower().endswith(".csv") or Path(text).is_file():
        return CsvSpeed(text)
    raise InputError(f"speed {text!r} is not available; use {AVAILABLE}")


def speeds_from_positions(
    times_us: np.ndarray, positions: np.ndarray, at_us: Sequence[int], window_s: float = 0.25
) -> list[float | None]:
    """Speed of a track at given times, in m/s: see :func:`slopes`.

    Args:
        times_us: ``(N,)`` int64 microseconds, increasing.
        positions: ``(N, 3)`` metres.
    """
    found = slopes(times_us, positions, at_us, window_s)
    speeds = [None if slope is None else float(np.linalg.norm(slope)) for slope in found]
    return [speed if speed is not None and speed <= MAX_SPEED_MPS else None for speed in speeds]


def yaw_rates_from_headings(
    times_us: np.ndarray, headings: np.ndarray, at_us: Sequence[int], window_s: float = 0.25
) -> list[float | None]:
    """How fast a vehicle turns at given times, in rad/s: see :func:`slopes`.

    Args:
        times_us: ``(N,)`` int64 microseconds, increasing.
        headings: ``(N,)`` radians, which may wrap around.
    """
    found = slopes(times_us, np.unwrap(headings)[:, None], at_us, window_s)
    return [None if slope is None else float(slope[0]) for slope in found]


def slopes(times_us: np.ndarray, values: np.ndarray, at_us: Sequence[int], window_s: float) -> list[np.ndarray | None]:
    """Change per second of values at given times: the slope of a straight line fitted around each.

    A fit over a window, rather than a difference of neighbours, because the poses of different sensors lie
    milliseconds apart and their noise would be divided by that.

    Args:
        times_us: ``(N,)`` int64 microseconds, increasing.
        values: ``(N, K)``.
        at_us: where to tell the slope.
        window_s: half width of the window; it is widened to the neighbours where it holds too little.

    Returns:
        ``(K,)`` each, or ``None`` where the values say nothing within two seconds.
    """
    found: list[np.ndarray | None] = []
    seconds = (times_us - (times_us[0] if len(times_us) else 0)) / 1e6
    for time_us in at_us:
        time_s = (time_us - int(times_us[0])) / 1e6 if len(times_us) else 0.0
        low = int(np.searchsorted(times_us, time_us - round(window_s * 1e6), side="left"))
        high = int(np.searchsorted(times_us, time_us + round(window_s * 1e6), side="right"))
        if high - low < 2 or seconds[high - 1] - seconds[low] < 0.03:
            near = int(np.searchsorted(seconds, time_s))
            low, high = max(min(low, near - 1), 0), min(max(high, near + 2), len(seconds))
        span = seconds[low:high]
        if len(span) < 2 or span[-1] - span[0] < 0.01 or span[0] > time_s + 2 or span[-1] < time_s - 2:
            found.append(None)
            continue
        centred = span - span.mean()
        slope = centred @ values[low:high] / (centred @ centred)
        found.append(slope if np.isfinite(slope).all() else None)
    return found


def _read_log(path: Path) -> tuple[list[float], list[float], bool]:
    if not path.is_file():
        raise InputError(f"speed log {path} does not exist; speed is {AVAILABLE}")
    times: list[float] = []
    speeds: list[float] = []
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file, skipinitialspace=True)
            header = [name.strip() for name in reader.fieldnames or []]
            reader.fieldnames = header
            time_name = _pick(header, ("timestamp_us", "timestamp", "seconds"), path)
            speed_name = _pick(header, ("speed_mps", "speed_kmh"), path)
            scale = 1.0 if speed_name == "speed_mps" else 1 / 3.6
            for row in reader:
                where = f"{path}, line {reader.line_num}"
                time = _number(row.get(time_name), time_name, where)
                speed = _number(row.get(speed_name), speed_name, where) * scale
                if not 0 <= speed <= MAX_SPEED_MPS:
                    raise InputError(f"{where}: speed {speed:g} m/s is outside 0..{MAX_SPEED_MPS:g} m/s")
                if times and time <= times[-1]:
                    raise InputError(f"{where}: {time_name} {time:.16g} is not after {times[-1]:.16g}; sort the log")
                times.append(time)
                speeds.append(speed)
    except (UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"speed log {path} is not a CSV text file: {error}") from None
    if not times:
        raise InputError(f"speed log {path} has no rows")
    return times, speeds, time_name != "seconds"


def _pick(header: list[str], names: tuple[str, ...], path: Path) -> str:
    for name in names:
        if name in header:
            return name
    found = ", ".join(header) or "empty"
    raise InputError(f"speed log {path} has no column {' or '.join(names)}; its header is {found}")


def _number(text: str | None, column: str, where: str) -> float:
    try:
        value = float(text or "")
    except (TypeError, ValueError):
        value = math.nan
    if not math.isfinite(value):
        raise InputError(f"{where}: {column} {text!r} is not a finite number")
    return value
