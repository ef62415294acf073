"""``--engine auto`` of the commands that run a network."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from perception.errors import InputError
from perception.runtime.calibration import decode
from perception.runtime.engine import Engine
from perception.runtime.latency import LatencyTable
from perception.runtime.pictures import timing_pictures
from perception.runtime.plan import Plan
from perception.runtime.resolution import PolicySpec

AUTO = "auto"


def auto_engine(
    model: str,
    plan: Plan,
    jpegs: Sequence[bytes] | None = None,
    device: str = "auto",
    precision: str = "auto",
    score: float = 0.3,
    compile: bool = False,
) -> Engine:
    """The engine that runs a plan fastest; see :func:`perception.export.fastest.fastest_engine`.

    Args:
        jpegs: pictures to measure on; made-up ones by default.
    """
    if compile:
        raise InputError("--engine auto does not go with --compile; name --engine torch")
    from perception.export.fastest import fastest_engine

    pictures: list[np.ndarray] = [decode(jpeg) for jpeg in jpegs or timing_pictures(plan.output_size, 4)][:4]
    return fastest_engine(model, plan, pictures, device, precision, score)


def engine_plan(spec: PolicySpec, calibration: Path | None) -> Plan:
    """The plan at which engines are compared: a fixed policy's, or the largest whole-picture plan of a calibration.

    Raises:
        InputError: for an adaptive policy without calibration.
    """
    if spec.plan is not None:
        return spec.plan
    if calibration is None:
        raise InputError("--engine auto with an adaptive policy needs --calibration; perception calibrate makes one")
    plans = [plan for plan in LatencyTable.load(calibration).plans if plan.fovea is None]
    return max(plans, key=lambda plan: plan.pixels)
