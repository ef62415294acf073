"""Latency tables that tests make without measuring."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from perception.runtime.calibration import Samples, make_table
from perception.runtime.latency import LatencyTable, make_key
from perception.runtime.plan import Plan

NATIVE = (900, 1600)
INFO = {
    "engine": "torch", "device": "cpu", "device_name": "a processor", "precision": "fp32", "compiled": False,
    "threads": 2, "architecture": "MultiTaskModel", "parameters": 12_345, "torch": "2.14.1", "cuda_graphs": 0,
}  # fmt: skip


def typical_ms(plan: Plan) -> float:
    """The median latency of a plan on a made-up machine."""
    return 5 + plan.pixels / 20_000


def made_up_table(
    plans: Sequence[Plan], samples: int = 119, spread: float = 0.1, miss_rate: float = 0.01, seed: int = 0
) -> LatencyTable:
    """Lognormal latencies around :func:`typical_ms`, paced and back to back."""
    random = np.random.default_rng(seed)

    def draw(plan: Plan) -> list[float]:
        return random.lognormal(np.log(typical_ms(plan)), spread, samples).tolist()

    measured = {plan: {"paced": Samples(draw(plan)), "back to back": Samples(draw(plan), draw(plan))} for plan in plans}
    return make_table(measured, ("paced", "back to back"), miss_rate, make_key(INFO, NATIVE))
