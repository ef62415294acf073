"""The budget that several cameras share: kept in every round, and spent on those that matter."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from perception.errors import InputError
from perception.runtime.cameras import CameraBudget, shared_policies
from perception.runtime.plan import Plan, uniform_plan
from perception.runtime.resolution import AdaptivePolicy, VehicleState
from perception.runtime.stopping import StoppingModel

PLANS = tuple(uniform_plan((32 * n, 64 * n)) for n in range(1, 6))
CAMERAS = ("front", "left", "right", "rear")


class Table:
    def __init__(self, bounds_ms: dict[Plan, float]) -> None:
        self.bounds_ms = bounds_ms

    def bound_ms(self, plan: Plan) -> float:
        return self.bounds_ms[plan]

    def interval_ms(self, plan: Plan) -> float:
        return self.bounds_ms[plan]


BOUNDS = st.lists(st.floats(1, 200), min_size=5, max_size=5).map(lambda values: dict(zip(PLANS, values, strict=True)))


@settings(max_examples=200)
@given(BOUNDS, st.integers(1, 4), st.lists(st.tuples(st.permutations(CAMERAS), st.floats(1, 1000)), max_size=6),
       st.randoms(use_true_random=False))  # fmt: skip
def test_a_round_keeps_within_its_deadline_in_any_order(
    bounds_ms: dict[Plan, float], count: int, rounds: list[tuple[list[str], float]], random: object
) -> None:
    cameras = CAMERAS[:count]
    budget = CameraBudget(Table(bounds_ms), dict.fromkeys(cameras, PLANS))
    cheapest = min(bounds_ms.values())
    for order, deadline_ms in rounds:
        total = 0.0
        for camera in (name for name in order if name in cameras):
            allowed_ms = budget.begin(camera, deadline_ms)
            choices = [plan for plan in PLANS if math.isfinite(budget.share(camera).bound_ms(plan))]
            assert choices == [plan for plan in PLANS if bounds_ms[plan] <= allowed_ms]
            assert choices, "the cheapest plan is always allowed"
            plan = random.choice(choices)  # type: ignore[attr-defined]
            assert budget.share(camera).bound_ms(plan) == pytest.approx(total + bounds_ms[plan])
            budget.take(camera, plan)
            total += bounds_ms[plan]
        assert budget.taken_ms == pytest.approx(total)
        assert total <= max(deadline_ms, cheapest * count) * (1 + 1e-9)


@settings(max_examples=200)
@given(BOUNDS, st.integers(1, 4), st.floats(10, 1000))
def test_in_order_of_importance_each_takes_all_that_the_others_can_spare(
    bounds_ms: dict[Plan, float], count: int, deadline_ms: float
) -> None:
    budget = CameraBudget(Table(bounds_ms), dict.fromkeys(CAMERAS[:count], PLANS))
    cheapest, left = min(bounds_ms.values()), deadline_ms
    for position, camera in enumerate(CAMERAS[:count]):
        allowed_ms = budget.begin(camera, deadline_ms)
        assert allowed_ms == pytest.approx(max(left - cheapest * (count - position - 1), cheapest))
        plan = max((plan for plan in PLANS if bounds_ms[plan] <= allowed_ms), key=lambda plan: plan.pixels)
        budget.take(camera, plan)
        left -= bounds_ms[plan]


def test_a_picture_that_comes_first_takes_nothing_from_a_more_important_camera() -> None:
    bounds_ms = dict(zip(PLANS, (10.0, 20.0, 40.0, 60.0, 80.0), strict=True))
    budget = CameraBudget(Table(bounds_ms), dict.fromkeys(("front", "rear"), PLANS))
    assert budget.begin("front", 100.0) == pytest.approx(90)
    budget.take("front", PLANS[4])
    assert budget.begin("rear", 100.0) == pytest.approx(20)
    budget.take("rear", PLANS[1])
    assert budget.begin("rear", 100.0) == pytest.approx(20)  # a new round, in which the rear picture comes first
    budget.take("rear", PLANS[0])
    assert budget.begin("front", 100.0) == pytest.approx(90)
    assert budget.share("front").interval_ms(PLANS[0]) == pytest.approx(10 + 10)


def test_what_a_camera_had_last_may_be_banned_since() -> None:
    bounds_ms = dict(zip(PLANS, (10.0, 20.0, 40.0, 60.0, 80.0), strict=True))
    budget = CameraBudget(Table(bounds_ms), dict.fromkeys(("front", "rear"), PLANS))
    budget.begin("front", 100.0)
    budget.take("front", PLANS[4])
    budget.begin("rear", 100.0)
    budget.take("rear", PLANS[0])
    bounds_ms[PLANS[4]] = math.inf
    assert budget.begin("rear", 100.0) == pytest.approx(90)


@settings(deadline=None, max_examples=100)
@given(
    BOUNDS, st.lists(st.tuples(st.floats(0, 40), st.sampled_from([("front", "rear"), ("rear", "front")])), max_size=12)
)
def test_policies_over_a_budget_choose_as_alone_where_there_is_time(
    bounds_ms: dict[Plan, float], drive: list[tuple[float, tuple[str, str]]]
) -> None:
    seen_m = [20.0 * n for n in range(1, 6)]
    table = Table(bounds_ms)
    stopping = StoppingModel(max_answer_s=5.0, tolerance_m=1000.0)  # time enough for everything
    policies = shared_policies(
        table, dict.fromkeys(("front", "rear"), PLANS), dict.fromkeys(("front", "rear"), seen_m),
        stopping=stopping, dwell_s=0.0, band_mps=0.0,
    )  # fmt: skip
    assert policies["front"].plans == PLANS
    for index, (speed_mps, order) in enumerate(drive):
        state = VehicleState(index * 100_000, speed_mps)
        total = 0.0
        for camera in order:
            decision = policies[camera].choose(state)
            total += bounds_ms[decision.plan]
            if not decision.degraded:
                assert decision.required_m is not None
                assert decision.seen_m is not None
                assert decision.required_m <= decision.seen_m
        assert total <= stopping.deadline_s(speed_mps) * 1e3


def test_the_second_camera_takes_what_the_first_leaves() -> None:
    bounds_ms = dict(zip(PLANS, (5.0, 10.0, 20.0, 27.0, 54.0), strict=True))
    seen_m = dict.fromkeys(("front", "rear"), [200.0] * 5)
    plans = dict.fromkeys(("front", "rear"), PLANS)
    state = VehicleState(0, 20.0)  # 1.5 m at 20 m/s: 75 ms
    policies = shared_policies(Table(bounds_ms), plans, seen_m)
    assert [policies[camera].choose(state).plan for camera in plans] == [PLANS[4], PLANS[2]]
    alone = AdaptivePolicy(PLANS, [200.0] * 5, Table(bounds_ms))
    assert alone.choose(state).plan == PLANS[4]


def test_a_budget_for_nobody() -> None:
    with pytest.raises(InputError, match="at least one camera"):
        CameraBudget(Table({}), {})
    with pytest.raises(InputError, match="plans for each"):
        CameraBudget(Table({}), {"front": ()})
