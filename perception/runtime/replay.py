"""Measured latencies replayed: what a plan takes on a frame of a simulated drive, and the bounds that policies use."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

from perception.errors import InputError
from perception.runtime.conformal import conformal_bound, samples_needed
from perception.runtime.latency import LatencyTable
from perception.runtime.plan import Plan
from perception.runtime.resolution import Latencies


class ReplayedLatencies:
    """Latencies of plans, drawn from what was measured; implements ``Latencies`` of the adaptive policy.

    A frame has one quantile for all plans: where the machine is slow, it is slow whatever runs, so that policies
    are compared under the same luck. Frames are independent of each other.

    Args:
        samples_ms: per plan, measured latencies; one number stands for a plan that always takes as long.
        bounds: bounds that the policies reckon with; by default the conformal bound of the samples where they
            suffice for ``miss_rate``, else their maximum.
        miss_rate: share of frames that may exceed a bound.

    Raises:
        InputError: for no plans, no samples, or a sample that is not a positive number.
    """

    def __init__(
        self,
        samples_ms: Mapping[Plan, Sequence[float] | np.ndarray | float],
        bounds: Latencies | None = None,
        miss_rate: float = 0.01,
    ) -> None:
        if not samples_ms:
            raise InputError("no latencies to replay")
        self._samples: dict[Plan, np.ndarray] = {}
        self._own_bound_ms: dict[Plan, float] = {}
        self._bounds = bounds
        enough = samples_needed(miss_rate)
        for plan, values in samples_ms.items():
            samples = np.sort(np.atleast_1d(np.asarray(values, dtype=np.float64)))
            if samples.ndim != 1 or not len(samples) or not (np.isfinite(samples) & (samples > 0)).all():
                raise InputError(f"latencies of plan {plan.name} must be positive numbers of milliseconds")
            self._samples[plan] = samples
            self._own_bound_ms[plan] = (
                conformal_bound(samples, miss_rate) if len(samples) >= enough else float(samples[-1])
            )

    @classmethod
    def from_table(cls, table: LatencyTable, points: int = 1000) -> ReplayedLatencies:
        """Latencies with the quantiles of a table, whose bounds the policies use.

        A table has the median, the 90th and 99th percentile and the maximum of each condition. Between them the
        quantile function is taken to be straight, and below the median to be the median: never too fast.
        """
        at = (np.arange(points) + 0.5) / points
        samples = {}
        for entry in table.entries:
            conditions = [entry.conditions[name] for name in table.counted]
            worst = [max(getattr(c, name) for c in conditions) for name in ("p50_ms", "p90_ms", "p99_ms", "max_ms")]
            samples[entry.plan] = np.interp(at, (0.5, 0.9, 0.99, 1.0), worst)
        return cls(samples, bounds=table)

    @property
    def plans(self) -> tuple[Plan, ...]:
        """In the order in which they were given."""
        return tuple(self._samples)

    def bound_ms(self, plan: Plan) -> float:
        """Upper bound from capture to answer; infinite for a plan that was not measured."""
        if self._bounds is not None:
            return self._bounds.bound_ms(plan)
        return self._own_bound_ms.get(plan, math.inf)

    def interval_ms(self, plan: Plan) -> float:
        """Time between two answers back to back."""
        return self.bound_ms(plan) if self._bounds is None else self._bounds.interval_ms(plan)

    def quantile_ms(self, plan: Plan, share: float) -> float:
        """The smallest sample that at least ``share`` of the samples do not exceed."""
        samples = self._samples[plan]
        return float(samples[max(math.ceil(share * len(samples)) - 1, 0)])

    def draw(self, frames: int, seed: Sequence[int]) -> dict[Plan, np.ndarray]:
        """``(frames,)`` milliseconds per plan: what each would take on each frame of a drive."""
        shares = np.random.default_rng(list(seed)).uniform(size=frames)
        return {
            plan: samples[np.minimum((shares * len(samples)).astype(np.int64), len(samples) - 1)]
            for plan, samples in self._samples.items()
        }
