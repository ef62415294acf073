"""Measuring how long plans take, from the camera's compressed picture to the answer on the host."""

from __future__ import annotations

import io
import math
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from perception.errors import InputError
from perception.files import read_image
from perception.runtime.conformal import conformal_bound, samples_needed
from perception.runtime.corunner import CoRunner
from perception.runtime.engine import Engine
from perception.runtime.latency import ConditionLatency, LatencyTable, PlanLatency
from perception.runtime.pictures import timing_pictures
from perception.runtime.plan import Plan

HEADROOM = 1.2
"""How many times the samples that a miss rate needs are taken by default."""


@dataclass(frozen=True)
class Condition:
    """How frames follow each other, and beside what.

    Args:
        paced: each frame waits for the camera; otherwise it follows the one before at once.
        corunner: another process keeps one core busy meanwhile.
    """

    name: str
    paced: bool
    corunner: bool = False


QUIET = (Condition("paced", True), Condition("back to back", False))
BUSY = (Condition("paced, co-runner", True, True), Condition("back to back, co-runner", False, True))


@dataclass
class Samples:
    """Times of one plan under one condition, in the order in which they were taken.

    Args:
        latency_ms: from the moment when the compressed picture is there to the answer on the host.
        interval_ms: from the answer before to this one; empty where frames wait for the camera.
    """

    latency_ms: list[float] = field(default_factory=list)
    interval_ms: list[float] = field(default_factory=list)


Measured = dict[Plan, dict[str, Samples]]


def frames_for(miss_rate: float) -> int:
    """How many frames of each plan are timed by default, under each condition."""
    return math.ceil(HEADROOM * samples_needed(miss_rate))


def measure(
    engine: Engine,
    plans: Sequence[Plan],
    native: tuple[int, int],
    frames: int,
    conditions: Sequence[Condition] = QUIET,
    pictures: Sequence[bytes] | None = None,
    interval_s: float = 1 / 12,
    clock: Callable[[], float] = time.perf_counter,
    sleep: Callable[[float], None] = time.sleep,
    corunner: Callable[[], AbstractContextManager[Any]] = CoRunner,
    progress: Callable[[int, int], None] | None = None,
) -> Measured:
    """Time every plan under every condition.

    Plans take turns, frame by frame, so that a machine whose speed drifts treats them alike. The first turn of a
    condition is not counted. Where frames are paced, the latency begins when the camera's picture is due, so it
    includes how late the system wakes this process; a frame that takes longer than the camera's interval skips
    pictures rather than queue them.

    Args:
        native: ``(height, width)`` of the camera's pictures.
        frames: counted frames of each plan under each condition.
        pictures: compressed pictures of that size, decoded anew for each frame; made up by default.
        interval_s: time between two pictures of the camera.
        clock: monotonic seconds.
        corunner: context in which the conditions with a co-runner are measured.
        progress: told how many frames are done, and of how many.

    Raises:
        InputError: for nothing to measure, a picture of another size, or a plan that cannot run.
    """
    if frames < 1 or not plans or not conditions:
        raise InputError(f"{frames} frames of {len(plans)} plans under {len(conditions)} conditions: nothing to time")
    if not 0 < interval_s < math.inf:
        raise InputError(f"camera interval of {interval_s:g} s is not a positive number")
    pictures = pictures or timing_pictures(native)
    for jpeg in pictures:
        height, width = decode(jpeg).shape[:2]
        if (height, width) != native:
            raise InputError(f"a picture of {height}x{width} is not of the camera's size {native[0]}x{native[1]}")
    for plan in plans:
        engine.warm_up(plan, native)
    measured: Measured = {plan: {condition.name: Samples() for condition in conditions} for plan in plans}
    done, total = 0, len(conditions) * (frames + 1) * len(plans)
    for condition in conditions:
        with corunner() if condition.corunner else nullcontext():
            start = answered = clock()
            for turn in range(frames + 1):
                for position, plan in enumerate(plans):
                    begin = answered
                    if condition.paced:
                        begin = start + (math.floor((answered - start) / interval_s) + 1) * interval_s
                        sleep(max(0.0, begin - clock()))
                    engine(decode(pictures[(turn + position) % len(pictures)]), plan)
                    finished = clock()
                    if turn:
                        samples = measured[plan][condition.name]
                        samples.latency_ms.append((finished - begin) * 1e3)
                        if not condition.paced:
                            samples.interval_ms.append((finished - answered) * 1e3)
                    answered = finished
                    done += 1
                    if progress is not None:
                        progress(done, total)
    return measured


def make_table(
    measured: Mapping[Plan, Mapping[str, Samples]], counted: Sequence[str], miss_rate: float, key: Mapping[str, Any]
) -> LatencyTable:
    """The table of what was measured.

    Args:
        counted: names of the conditions whose worst is the bound.
        miss_rate: share of frames that may exceed a bound.
        key: from :func:`perception.runtime.latency.make_key`.

    Raises:
        InputError: for too few samples, saying how many are needed.
    """
    entries = tuple(
        PlanLatency(plan, {name: _condition_latency(samples, miss_rate) for name, samples in conditions.items()})
        for plan, conditions in measured.items()
    )
    return LatencyTable(entries, tuple(counted), miss_rate, key)


def decode(jpeg: bytes) -> np.ndarray:
    """``(H, W, 3)`` uint8 RGB, the way that sources read their files."""
    return read_image(io.BytesIO(jpeg))


def _condition_latency(samples: Samples, miss_rate: float) -> ConditionLatency:
    bound_ms = conformal_bound(samples.latency_ms, miss_rate)
    ordered = sorted(samples.latency_ms)
    p50, p90, p99 = (ordered[math.ceil(len(ordered) * percent / 100) - 1] for percent in (50, 90, 99))
    return ConditionLatency(
        samples=len(ordered),
        p50_ms=_rounded(p50),
        p90_ms=_rounded(p90),
        p99_ms=_rounded(p99),
        max_ms=_rounded(ordered[-1]),
        bound_ms=_rounded(bound_ms),
        interval_ms=_rounded(conformal_bound(samples.interval_ms, miss_rate)) if samples.interval_ms else None,
    )


def _rounded(value_ms: float) -> float:
    """Up to a tenth of a microsecond: a bound must not shrink, and the file stays readable."""
    return math.ceil(value_ms * 1e4) / 1e4
