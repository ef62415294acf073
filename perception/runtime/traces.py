"""Speed over time as drives of a kind have it: urban, rural, motorway, stop-and-go, emergency braking.

A trace alternates holds and changes of speed. Each change is the quickest one that keeps to a limit of acceleration
and of jerk and begins and ends without acceleration: jerk is constant on up to three pieces, so speed is piecewise
quadratic, distance piecewise cubic, and both are exact at any time. How long and how fast to drive, and how hard to
brake, is drawn from the ranges of the kind (:data:`KINDS`). Limits and ranges are round figures of everyday driving:
comfortable braking up to 2.5 m/s^2, jerk up to 2 m/s^3, emergency braking up to 9 m/s^2 that builds up within half a
second. They are not fitted to a data set.
"""

from __future__ import annotations

import csv
import math
from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from perception.errors import InputError
from perception.files import atomic_path
from perception.runtime.source import Frame

Range = tuple[float, float]
MAX_DURATION_S = 24 * 3600.0
KMH = 1 / 3.6


@dataclass(frozen=True)
class Kind:
    """What drives of a kind are like; each range is drawn from uniformly.

    Args:
        cruise_mps: speed between events.
        cruise_s: how long it is held.
        event_mps: speed at an event, such as a bend, a queue or a red light.
        event_s: how long that is held.
        acceleration_mps2, braking_mps2: limits of the two directions; the strength of each change is at most these.
        jerk_mps3: limit of the change of acceleration.
        gentle: least strength of a change, as a share of its limit.
        ease: share of events that are a mild change of the cruising speed instead.
    """

    cruise_mps: Range
    cruise_s: Range
    event_mps: Range
    event_s: Range
    acceleration_mps2: float
    braking_mps2: float
    jerk_mps3: float
    gentle: float = 0.6
    ease: float = 0.4


KINDS = {
    "urban": Kind((30 * KMH, 55 * KMH), (2, 9), (0, 15 * KMH), (1, 8), 2.0, 2.5, 2.0),
    "rural": Kind((65 * KMH, 100 * KMH), (3, 12), (30 * KMH, 60 * KMH), (2, 6), 1.8, 2.5, 1.5),
    "motorway": Kind((100 * KMH, 130 * KMH), (5, 20), (75 * KMH, 95 * KMH), (3, 10), 1.2, 2.0, 1.0),
    "stop_and_go": Kind((8 * KMH, 30 * KMH), (0.5, 3), (0, 0), (0.5, 4), 1.8, 2.5, 2.0, ease=0.0),
    "emergency": Kind((50 * KMH, 120 * KMH), (2, 5), (0, 0), (1, 3), 2.5, 9.0, 20.0, gentle=0.8, ease=0.0),
}


@dataclass(frozen=True)
class Trace:
    """Speed over time; also a ``SpeedSource`` for the loop. Before 0 and after its end the speed stays the same.

    Args:
        name: as shown in reports.
        times_s: where the pieces begin, from 0.
        speeds_mps, accelerations_mps2: at those times.
        jerks_mps3: constant within each piece.
        duration_s: end of the last piece.
    """

    name: str
    times_s: tuple[float, ...]
    speeds_mps: tuple[float, ...]
    accelerations_mps2: tuple[float, ...]
    jerks_mps3: tuple[float, ...]
    duration_s: float

    def speed(self, time_s: float) -> float:
        """Speed in m/s."""
        i, dt = self._piece(time_s)
        return max(0.0, self.speeds_mps[i] + dt * (self.accelerations_mps2[i] + dt * self.jerks_mps3[i] / 2))

    __call__ = speed

    def acceleration(self, time_s: float) -> float:
        """Acceleration in m/s^2; zero outside the trace."""
        if not 0 <= time_s <= self.duration_s:
            return 0.0
        i, dt = self._piece(time_s)
        return self.accelerations_mps2[i] + dt * self.jerks_mps3[i]

    def distance(self, time_s: float) -> float:
        """Metres driven since time 0."""
        inside = min(max(time_s, 0.0), self.duration_s)
        last, dt = self._piece(inside)
        driven = sum(self._length(i, self.times_s[i + 1] - self.times_s[i]) for i in range(last))
        return driven + self._length(last, dt) + (time_s - inside) * self.speed(inside)

    def sample(self, rate_hz: float) -> tuple[np.ndarray, np.ndarray]:
        """Times in seconds and speeds in m/s, both ``(N,)``, from 0 to the last multiple within the trace.

        Raises:
            InputError: for a rate that is not a positive number.
        """
        if not 0 < rate_hz <= 1e4:
            raise InputError(f"rate_hz {rate_hz:g} is outside 0..10000")
        count = math.floor(self.duration_s * rate_hz * (1 + 1e-12)) + 1
        times = np.minimum(np.arange(count) / rate_hz, self.duration_s)
        return times, np.array([self.speed(float(time)) for time in times])

    def at(self, frame: Frame, elapsed_s: float) -> float:
        """Speed at a frame, ``elapsed_s`` after the first one."""
        return self.speed(elapsed_s)

    def write_csv(self, path: str | Path, rate_hz: float = 20.0) -> None:
        """Write ``seconds,speed_mps`` rows, a log that ``--speed FILE.csv`` takes."""
        times, speeds = self.sample(rate_hz)
        with atomic_path(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            writer.writerow(("seconds", "speed_mps"))
            writer.writerows((f"{time:.6f}", f"{speed:.6f}") for time, speed in zip(times, speeds, strict=True))

    def _piece(self, time_s: float) -> tuple[int, float]:
        inside = min(max(time_s, 0.0), self.duration_s)
        i = bisect_right(self.times_s, inside) - 1
        return i, inside - self.times_s[i]

    def _length(self, i: int, dt: float) -> float:
        return dt * (self.speeds_mps[i] + dt * (self.accelerations_mps2[i] / 2 + dt * self.jerks_mps3[i] / 6))


def make_trace(kind: str, seed: int = 0, duration_s: float = 60.0) -> Trace:
    """A drive of a kind; the same arguments give the same trace.

    A trace begins in the middle of a cruise, so that short ones differ. Emergency braking comes within the first
    five seconds, then the vehicle sets off again.

    >>> make_trace("urban", 3).speed(10.0) == make_trace("urban", 3).speed(10.0)
    True

    Raises:
        InputError: for an unknown kind, or a duration or seed out of range.
    """
    if kind not in KINDS:
        raise InputError(f"unknown speed trace {kind!r}; use one of {', '.join(KINDS)}")
    if not 0 < duration_s <= MAX_DURATION_S:
        raise InputError(f"duration_s {duration_s:g} is outside 0..{MAX_DURATION_S:g}")
    if seed < 0:
        raise InputError(f"seed {seed} is negative")
    style = KINDS[kind]
    random = np.random.default_rng([seed, list(KINDS).index(kind)])

    def draw(limits: Range) -> float:
        return float(random.uniform(*limits))

    speed = draw(style.cruise_mps)
    track = _Track(speed, style.jerk_mps3)
    track.hold(draw(style.cruise_s) * float(random.uniform(0.1, 1.0)))
    while track.time_s < duration_s:
        if random.uniform() < style.ease:
            track.change(draw(style.cruise_mps), _strength(style, draw))
            track.hold(draw(style.cruise_s))
            continue
        track.change(draw(style.event_mps), _strength(style, draw))
        track.hold(draw(style.event_s))
        track.change(draw(style.cruise_mps), _strength(style, draw))
        track.hold(draw(style.cruise_s))
    return track.trace(f"{kind} {seed}", duration_s)


def _strength(style: Kind, draw: Callable[[Range], float]) -> tuple[float, float]:
    """Acceleration and braking of the next change, in m/s^2."""
    share = draw((style.gentle, 1.0))
    return share * style.acceleration_mps2, share * style.braking_mps2


class _Track:
    """Pieces of constant jerk, appended one after the other."""

    def __init__(self, speed_mps: float, jerk_mps3: float) -> None:
        self.time_s = 0.0
        self._speed = speed_mps
        self._limit = jerk_mps3
        self._pieces: list[tuple[float, float, float, float]] = []

    def hold(self, seconds: float) -> None:
        self._append(seconds, 0.0, 0.0)

    def change(self, target_mps: float, strength_mps2: Sequence[float]) -> None:
        """Go to a speed: acceleration rises, stays, and falls back to zero."""
        gain = target_mps - self._speed
        if gain == 0:
            return
        sign = math.copysign(1.0, gain)
        peak = min(strength_mps2[0 if gain > 0 else 1], math.sqrt(abs(gain) * self._limit))
        ramp_s = peak / self._limit
        flat_s = max(abs(gain) / peak - ramp_s, 0.0)
        self._append(ramp_s, 0.0, sign * self._limit)
        self._append(flat_s, sign * peak, 0.0)
        self._append(ramp_s, sign * peak, -sign * self._limit)
        self._speed = target_mps  # exactly, where the sums round

    def trace(self, name: str, duration_s: float) -> Trace:
        pieces = [piece for piece in self._pieces if piece[0] < duration_s]
        times, speeds, accelerations, jerks = zip(*pieces, strict=True)
        return Trace(name, times, speeds, accelerations, jerks, duration_s)

    def _append(self, seconds: float, acceleration: float, jerk: float) -> None:
        if seconds <= 0:
            return
        self._pieces.append((self.time_s, self._speed, acceleration, jerk))
        self.time_s += seconds
        self._speed = max(0.0, self._speed + seconds * (acceleration + seconds * jerk / 2))
