"""The policy that ``perception drive --policy`` asks for, made from the source, the engine and a calibration."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from perception.console import console, warn
from perception.errors import InputError
from perception.runtime.adaptive import PROVISIONAL_MISS_RATE, adaptive_policies, adaptive_policy, provisional_table
from perception.runtime.drift import DriftMonitor
from perception.runtime.engine import Engine
from perception.runtime.latency import LatencyTable
from perception.runtime.resolution import FixedPolicy, Policy, PolicySpec
from perception.runtime.sight import assumed_camera, looks_ahead, seen_range_m, turned_ahead
from perception.runtime.source import Frame, Source
from perception.runtime.stopping import StoppingModel
from perception.runtime.utility import Utility
from perception.types import Camera

PEEKED = 32
"""Frames that are read, at most, to learn the size of the pictures."""


@dataclass(frozen=True)
class Driving:
    """A policy, or one for each camera, what watches their latencies, and facts for the report."""

    policy: Policy | Mapping[str, Policy]
    name: str
    monitor: DriftMonitor | None
    facts: Mapping[str, Any]


def make_policy(
    spec: PolicySpec,
    source: Source,
    engine: Engine,
    calibration: Path | None,
    focal_px: float | None,
    min_height_px: float,
    utility: Path | None = None,
) -> Driving:
    """Build the policy.

    Args:
        calibration: table of ``perception calibrate``; without one the plans are timed for a moment.
        focal_px: of a camera without calibration.
        min_height_px: height in network pixels at which the model still sees a hazard.
        utility: figures of ``perception bench stream``, by which ``quality`` ranks the plans.

    Raises:
        InputError: for a calibration that is of something else, cameras that do not go together, or options that
            belong to the adaptive policy.
    """
    if spec.plan is not None:
        if calibration is not None:
            raise InputError("--calibration is for --policy adaptive; a fixed policy needs none")
        if utility is not None:
            raise InputError("--utility is for --policy adaptive; a fixed policy needs none")
        return Driving(FixedPolicy(spec.plan), f"fixed:{spec.plan.name}", None, {})
    assert spec.mode is not None
    merits = None if utility is None else Utility.load(utility)
    stopping = StoppingModel(camera_interval_s=source.interval_s, min_height_px=min_height_px)
    cameras = _cameras(source, focal_px)
    camera = min(cameras.values(), key=lambda each: not looks_ahead(each))
    if calibration is not None:
        table = LatencyTable.load(calibration)
        table.check(engine.info, camera.size)
    else:
        with console.status("timing the plans"):
            table = provisional_table(engine, camera, stopping)
        warn(
            f"latencies are provisional, from a few frames at a miss rate of {PROVISIONAL_MISS_RATE:g}; measure them "
            "with perception calibrate and pass --calibration FILE"
        )
    policy: Policy | Mapping[str, Policy]
    if len(cameras) == 1:
        policy, monitor = adaptive_policy(spec.mode, table, camera, stopping, merits)
    else:
        policy, monitor = adaptive_policies(spec.mode, table, cameras, stopping, merits)
    shown = camera if looks_ahead(camera) else turned_ahead(camera)
    plans = [
        {
            "name": plan.name,
            "seen_m": round(seen_range_m(plan, shown, stopping), 2),
            "bound_ms": round(table.bound_ms(plan), 3),
            "interval_ms": round(table.interval_ms(plan), 3),
        }
        for plan in table.plans
    ]
    assumptions = {name: value for name, value in asdict(stopping).items() if value != float("inf")}
    facts = {
        "calibration": str(calibration) if calibration else "provisional",
        "miss_rate": table.miss_rate,
        "utility": str(utility) if utility else None,
        "stopping": assumptions,
        "plans": plans,
    }
    name = f"adaptive:{spec.mode}" if spec.mode != "quality" else "adaptive"
    return Driving(policy, name if len(cameras) == 1 else f"{name}, shared", monitor, facts)


def _cameras(source: Source, focal_px: float | None) -> dict[str, Camera]:
    """The camera of each channel's pictures, or one that is assumed."""
    cameras: dict[str, Camera] = {}
    for frame in islice(iter(source), PEEKED):
        if frame.image is not None and frame.channel not in cameras:
            cameras[frame.channel] = _camera(frame, source, focal_px)
        if len(cameras) == len(source.channels):
            break
    if not cameras:
        raise InputError(f"none of the first {PEEKED} frames of {source.name} could be read")
    if missing := [channel for channel in source.channels if channel not in cameras]:
        raise InputError(f"no picture of {', '.join(missing)} in the first {PEEKED} frames of {source.name}")
    return {channel: cameras[channel] for channel in source.channels}


def _camera(frame: Frame, source: Source, focal_px: float | None) -> Camera:
    assert frame.image is not None
    size = (frame.image.shape[0], frame.image.shape[1])
    if frame.camera is not None:
        if focal_px is not None:
            raise InputError(f"{source.name} has its own calibration; leave --focal_px out")
        return frame.camera if frame.camera.size == size else frame.camera.resized(size)
    if focal_px is None:
        assumed = assumed_camera(size)
        warn(f"{source.name} has no calibration; assuming a focal length of {assumed.focal_px:.0f} px (--focal_px)")
        return assumed
    return assumed_camera(size, focal_px)
