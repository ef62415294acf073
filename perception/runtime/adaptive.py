"""The adaptive policy for a camera and a device: plans, what they see, and how long they take, put together."""

from __future__ import annotations

from collections.abc import Mapping

from perception.errors import InputError
from perception.runtime.calibration import QUIET, frames_for, make_table, measure
from perception.runtime.cameras import BudgetedPolicy, shared_policies
from perception.runtime.drift import DriftMonitor
from perception.runtime.engine import Engine
from perception.runtime.latency import LatencyTable, make_key
from perception.runtime.plan import MIN_SIDE_PX, trained_scales
from perception.runtime.resolution import AdaptivePolicy
from perception.runtime.sight import build_plans, looks_ahead, seen_range_m, turned_ahead
from perception.runtime.stopping import StoppingModel
from perception.runtime.utility import Utility
from perception.types import Camera

PROVISIONAL_MISS_RATE = 0.1


def adaptive_policy(
    mode: str, table: LatencyTable, camera: Camera, stopping: StoppingModel, utility: Utility | None = None
) -> tuple[AdaptivePolicy, DriftMonitor]:
    """The policy over a table's plans, and the monitor that keeps its latencies true while driving.

    Args:
        mode: ``quality`` or ``eco``.
        camera: that takes the pictures, at their size.
        utility: of the plans by speed, by which ``quality`` ranks them; by default their pixels.

    Raises:
        InputError: for utilities that lack a plan, or a table whose fovea was made for other pictures.
    """
    _check_foveas(table, camera.size)
    monitor = DriftMonitor(table)
    seen_m = [seen_range_m(plan, camera, stopping) for plan in table.plans]
    return AdaptivePolicy(table.plans, seen_m, monitor, stopping, mode, utility=utility), monitor


def adaptive_policies(
    mode: str,
    table: LatencyTable,
    cameras: Mapping[str, Camera],
    stopping: StoppingModel,
    utility: Utility | None = None,
) -> tuple[dict[str, BudgetedPolicy], DriftMonitor]:
    """A policy for each of several cameras on one engine, within one budget; see :func:`adaptive_policy`.

    Cameras that look ahead come first in importance, then the order of the mapping. A camera that looks elsewhere is
    asked to see as far along its own axis, and has no plans with a fovea.

    Raises:
        InputError: also for pictures of different sizes.
    """
    order = sorted(cameras, key=lambda name: not looks_ahead(cameras[name]))
    plans, seen_m = {}, {}
    for name in order:
        camera = cameras[name]
        if camera.size != cameras[order[0]].size:
            raise InputError(
                f"{name} has pictures of {camera.size[0]}x{camera.size[1]}, {order[0]} of "
                f"{cameras[order[0]].size[0]}x{cameras[order[0]].size[1]}; one calibration needs one size"
            )
        _check_foveas(table, camera.size)
        ahead = looks_ahead(camera)
        plans[name] = [plan for plan in table.plans if ahead or plan.fovea is None]
        shown = camera if ahead else turned_ahead(camera)
        seen_m[name] = [seen_range_m(plan, shown, stopping) for plan in plans[name]]
    monitor = DriftMonitor(table)
    return shared_policies(monitor, plans, seen_m, stopping=stopping, mode=mode, utility=utility), monitor


def _check_foveas(table: LatencyTable, size: tuple[int, int]) -> None:
    for plan in table.plans:
        if plan.fovea is not None and plan.fovea.native != size:
            raise InputError(
                f"plan {plan.name} was calibrated for pictures of {plan.fovea.native[0]}x{plan.fovea.native[1]}, the "
                f"camera gives {size[0]}x{size[1]}; run perception calibrate for this camera"
            )


def provisional_table(engine: Engine, camera: Camera, stopping: StoppingModel) -> LatencyTable:
    """Latencies of the plans that the network was trained for, or the default ones, from a handful of frames: enough to
    try the policy, not to rely on it.

    Rungs that would be too small for a network are left out. The frames are taken back to back at a miss rate of
    :data:`PROVISIONAL_MISS_RATE`.
    """
    rungs = [scale for scale in trained_scales(engine.info) if scale * min(camera.size) >= MIN_SIDE_PX + 4] or [1.0]
    plans = build_plans(camera.size, rungs, camera=camera, stopping=stopping)
    condition = next(each for each in QUIET if not each.paced)
    measured = measure(engine, plans, camera.size, frames_for(PROVISIONAL_MISS_RATE), [condition])
    return make_table(measured, [condition.name], PROVISIONAL_MISS_RATE, make_key(engine.info, camera.size))
