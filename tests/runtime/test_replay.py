from __future__ import annotations

import math

import numpy as np
import pytest
from latency_tables import made_up_table

from perception.errors import InputError
from perception.runtime.baselines import FrameFitPolicy, LinearDeadlinePolicy
from perception.runtime.conformal import conformal_bound
from perception.runtime.plan import ladder, uniform_plan
from perception.runtime.replay import ReplayedLatencies
from perception.runtime.resolution import VehicleState
from perception.runtime.sight import build_plans

LADDER = ladder((900, 1600))
SMALL, LARGE = LADDER[0], LADDER[-1]


def test_draws_are_the_samples_and_the_same_every_time() -> None:
    random = np.random.default_rng(0)
    samples = {plan: random.lognormal(3, 0.3, 200) for plan in (SMALL, LARGE)}
    replayed = ReplayedLatencies(samples)
    drawn = replayed.draw(5000, (1, 2))
    assert set(drawn[SMALL]) <= set(samples[SMALL])
    assert np.median(drawn[LARGE]) == pytest.approx(np.median(samples[LARGE]), rel=0.03)
    assert np.array_equal(drawn[SMALL], replayed.draw(5000, (1, 2))[SMALL])
    assert not np.array_equal(drawn[SMALL], replayed.draw(5000, (1, 3))[SMALL])
    order = np.argsort(drawn[SMALL], kind="stable")
    assert (np.diff(drawn[LARGE][order]) >= -1e-9).mean() > 0.95, "a slow moment is slow for every plan"


def test_bounds_are_conformal_where_the_samples_suffice() -> None:
    samples = np.random.default_rng(1).uniform(10, 20, 150)
    replayed = ReplayedLatencies({SMALL: samples, LARGE: 300.0})
    assert replayed.bound_ms(SMALL) == conformal_bound(samples, 0.01)
    assert replayed.bound_ms(LARGE) == 300.0 == replayed.interval_ms(LARGE)
    assert replayed.bound_ms(uniform_plan((33, 44))) == math.inf
    assert ReplayedLatencies({SMALL: samples[:50]}).bound_ms(SMALL) == samples[:50].max()


def test_a_table_keeps_its_quantiles_and_bounds() -> None:
    table = made_up_table(LADDER)
    replayed = ReplayedLatencies.from_table(table)
    assert replayed.plans == LADDER
    for entry in table.entries:
        worst = [entry.conditions[name] for name in table.counted]
        assert replayed.bound_ms(entry.plan) == table.bound_ms(entry.plan)
        assert replayed.interval_ms(entry.plan) == table.interval_ms(entry.plan)
        assert replayed.quantile_ms(entry.plan, 0.5) == pytest.approx(max(c.p50_ms for c in worst), rel=1e-3)
        assert replayed.quantile_ms(entry.plan, 0.99) == pytest.approx(max(c.p99_ms for c in worst), rel=1e-2)
        assert replayed.draw(3000, (0,))[entry.plan].max() <= max(c.max_ms for c in worst)


@pytest.mark.parametrize("samples", [{}, {SMALL: []}, {SMALL: [1.0, math.nan]}, {SMALL: 0.0}])
def test_bad_samples(samples) -> None:
    with pytest.raises(InputError, match="latencies"):
        ReplayedLatencies(samples)


def state(speed: float | None) -> VehicleState:
    return VehicleState(0, speed)


def test_the_linear_deadline_takes_smaller_rungs_when_faster() -> None:
    plans = build_plans((900, 1600))
    replayed = ReplayedLatencies({plan: plan.pixels / 4000 for plan in plans})  # 360 ms for the largest
    policy = LinearDeadlinePolicy(plans, replayed)
    assert set(policy.plans) == set(LADDER)
    assert policy.choose(state(5.0)).plan == LARGE  # 450 ms
    assert policy.choose(state(13.9)).plan == LARGE  # 361 ms
    assert policy.choose(state(14.1)).plan == LADDER[-2]  # 359 ms
    assert policy.choose(state(25.0)).deadline_ms == 250.0
    unknown = [policy.choose(state(speed)) for speed in (None, math.nan, -1.0, math.inf)]
    assert {decision.plan for decision in unknown} == {policy.choose(state(36.0)).plan}
    slow = ReplayedLatencies({plan: 1000.0 + plan.pixels for plan in plans})
    assert LinearDeadlinePolicy(plans, slow).choose(state(20.0)).plan == SMALL


def test_what_fits_the_frame_is_decided_once_by_the_99th_percentile() -> None:
    samples = {plan: np.r_[np.full(95, plan.pixels / 4000), np.full(5, plan.pixels / 2000)] for plan in LADDER}
    replayed = ReplayedLatencies(samples)
    policy = FrameFitPolicy(LADDER, replayed, 1000 / 12)
    assert policy.plans == (policy.choose(state(1.0)).plan,) == (policy.choose(state(30.0)).plan,)
    fits = [plan for plan in LADDER if plan.pixels / 2000 <= 1000 / 12]
    assert policy.plans[0] == fits[-1]
    assert FrameFitPolicy(LADDER, replayed, 1.0).plans == (SMALL,)
