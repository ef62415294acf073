"""The adaptive policy for a camera and a device: plans, what they see, and how long they take, put together."""

from __future__ import annotations

from perception.errors import InputError
from perception.runtime.calibration import QUIET, frames_for, make_table, measure
from perception.runtime.drift import DriftMonitor
from perception.runtime.engine import Engine
from perception.runtime.latency import LatencyTable, make_key
from perception.runtime.plan import MIN_SIDE_PX, SCALES
from perception.runtime.resolution import AdaptivePolicy
from perception.runtime.sight import build_plans, seen_range_m
from perception.runtime.stopping import StoppingModel
from perception.types import Camera

PROVISIONAL_MISS_RATE = 0.1


def adaptive_policy(
    mode: str, table: LatencyTable, camera: Camera, stopping: StoppingModel
) -> tuple[AdaptivePolicy, DriftMonitor]:
    """The policy over a table's plans, and the monitor that keeps its latencies true while driving.

    Args:
        mode: ``quality`` or ``eco``.
        camera: that takes the pictures, at their size.

    Raises:
        InputError: for a table whose fovea was made for other pictures.
    """
    for plan in table.plans:
        if plan.fovea is not None and plan.fovea.native != camera.size:
            raise InputError(
                f"plan {plan.name} was calibrated for pictures of {plan.fovea.native[0]}x{plan.fovea.native[1]}, the "
                f"camera gives {camera.size[0]}x{camera.size[1]}; run perception calibrate for this camera"
            )
    monitor = DriftMonitor(table)
    seen_m = [seen_range_m(plan, camera, stopping) for plan in table.plans]
    return AdaptivePolicy(table.plans, seen_m, monitor, stopping, mode), monitor


def provisional_table(engine: Engine, camera: Camera, stopping: StoppingModel) -> LatencyTable:
    """Latencies of the default plans from a handful of frames: enough to try the policy, not to rely on it.

    Rungs that would be too small for a network are left out. The frames are taken back to back at a miss rate of
    :data:`PROVISIONAL_MISS_RATE`.
    """
    rungs = [scale for scale in SCALES if scale * min(camera.size) >= MIN_SIDE_PX + 4] or [1.0]
    plans = build_plans(camera.size, rungs, camera=camera, stopping=stopping)
    condition = next(each for each in QUIET if not each.paced)
    measured = measure(engine, plans, camera.size, frames_for(PROVISIONAL_MISS_RATE), [condition])
    return make_table(measured, [condition.name], PROVISIONAL_MISS_RATE, make_key(engine.info, camera.size))
