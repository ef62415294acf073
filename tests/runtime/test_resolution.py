"""Policies: what they choose, and what they never do."""

from __future__ import annotations

import itertools
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from perception.errors import InputError
from perception.runtime.plan import Plan, fovea_plan, ladder, uniform_plan
from perception.runtime.resolution import AdaptivePolicy, FixedPolicy, VehicleState, parse_policy
from perception.runtime.sight import assumed_camera, make_fovea, seen_range_m
from perception.runtime.stopping import StoppingModel
from perception.runtime.utility import Utility

CAMERA = assumed_camera((900, 1600))
STOPPING = StoppingModel()
UNIFORM = ladder((900, 1600))
FOVEA = fovea_plan((224, 400), make_fovea(CAMERA, (224, 400), STOPPING))
PLANS = (*UNIFORM, FOVEA)


class Proportional:
    """Latency in proportion to pixels; single plans can be overruled."""

    def __init__(self, ms_per_megapixel: float = 40.0, **overrule: float) -> None:
        self.rate, self.overrule = ms_per_megapixel, overrule

    def bound_ms(self, plan: Plan) -> float:
        return self.overrule.get(plan.name, self.rate * plan.pixels / 1e6)

    def interval_ms(self, plan: Plan) -> float:
        return self.bound_ms(plan)


def make(latencies: Proportional | None = None, plans: tuple[Plan, ...] = PLANS, **options: object) -> AdaptivePolicy:
    seen = [seen_range_m(plan, CAMERA, STOPPING) for plan in plans]
    return AdaptivePolicy(plans, seen, latencies or Proportional(), STOPPING, **options)  # type: ignore[arg-type]


def at(speed_mps: float | None, seconds: float = 0.0, **state: float) -> VehicleState:
    return VehicleState(round(seconds * 1e6), speed_mps, **state)


speeds = st.none() | st.floats(allow_nan=True, allow_infinity=True) | st.floats(0, 60)
states = st.builds(
    VehicleState,
    timestamp_us=st.integers(0, 10**9),
    speed_mps=speeds,
    speed_sigma_mps=st.floats(0, 3) | st.just(math.nan),
    speed_age_s=st.floats(-1, 2),
    acceleration_mps2=st.floats(-10, 10) | st.just(math.nan),
    grade_rad=st.floats(-0.3, 0.3) | st.just(math.nan),
    friction=st.none() | st.floats(0, 1.2) | st.just(math.nan),
)


@given(st.lists(states, min_size=1, max_size=30), st.sampled_from(["quality", "eco"]), st.floats(1, 2000))
def test_what_is_chosen_is_safe_or_said_to_be_degraded(
    sequence: list[VehicleState], mode: str, ms_per_megapixel: float
) -> None:
    policy = make(Proportional(ms_per_megapixel), mode=mode)
    for state in sequence:
        decision = policy.choose(state)
        assert decision.plan in policy.plans
        assert decision.speed_mps is not None
        assert decision.deadline_ms is not None
        latencies = policy._latencies
        latency_s, interval_s = latencies.bound_ms(decision.plan) / 1e3, latencies.interval_ms(decision.plan) / 1e3
        latency_ms = STOPPING.answer_s(latency_s, interval_s) * 1e3
        safe = decision.required_m <= decision.seen_m and latency_ms <= decision.deadline_ms  # type: ignore[operator]
        assert safe is not decision.degraded
        known = state.speed_mps is not None and state.speed_mps >= 0 and math.isfinite(state.speed_mps)
        assert decision.speed_mps >= (state.speed_mps if known else STOPPING.max_speed_mps)  # type: ignore[operator]
        if decision.degraded:
            assert decision.supported_mps < decision.speed_mps  # type: ignore[operator]


@given(st.floats(0, 50), st.floats(0, 50), st.sampled_from(["quality", "eco"]), st.floats(10, 400))
def test_choices_are_monotone_in_speed(a: float, b: float, mode: str, ms_per_megapixel: float) -> None:
    latencies = Proportional(ms_per_megapixel)
    slow, fast = (make(latencies, UNIFORM, mode=mode).choose(at(speed)) for speed in sorted((a, b)))
    if slow.degraded:
        assert fast.degraded
    if fast.degraded:
        return
    if mode == "quality":
        assert slow.plan.pixels >= fast.plan.pixels
    else:
        assert latencies.bound_ms(slow.plan) <= latencies.bound_ms(fast.plan)


@settings(max_examples=50)
@given(
    st.lists(st.floats(0, 40), min_size=20, max_size=200),
    st.sampled_from(["quality", "eco"]),
    st.floats(0.2, 3.0),
    st.floats(20, 300),
)
def test_relaxing_happens_at_most_once_per_dwell_time(
    trace: list[float], mode: str, dwell_s: float, ms_per_megapixel: float
) -> None:
    policy = make(Proportional(ms_per_megapixel), mode=mode, dwell_s=dwell_s)
    relaxed_at = []
    for number, speed in enumerate(trace):
        decision = policy.choose(at(speed, number / 12))
        if decision.reason == "relaxed":
            relaxed_at.append(number / 12)
    gaps = [later - earlier for earlier, later in itertools.pairwise(relaxed_at)]
    assert all(gap >= dwell_s - 1e-5 for gap in gaps)


def test_a_speed_that_hovers_at_a_bound_does_not_chatter() -> None:
    policy = make(Proportional(90), UNIFORM)
    bound = max(
        STOPPING.supported_speed_mps(
            policy._seen_m[i], 0.09 * plan.pixels / 1e6, STOPPING.reaction_s(0.09 * plan.pixels / 1e6, 0.0), 5.0
        )
        for i, plan in enumerate(UNIFORM[:-1])
    )
    chosen = [policy.choose(at(bound + 0.4 * math.sin(number), number / 12)).plan.name for number in range(1000)]
    assert sum(a != b for a, b in itertools.pairwise(chosen)) <= 1


def test_safety_moves_at_once_and_relaxing_takes_its_time() -> None:
    policy = make(Proportional(120), UNIFORM, dwell_s=1.0, band_mps=1.0)
    first = policy.choose(at(2.0, 0.0))
    assert first.plan.name == "900x1600"
    fast = policy.choose(at(15.0, 0.1))
    assert fast.reason == "needed"
    assert fast.plan.pixels < first.plan.pixels
    reasons = [policy.choose(at(2.0, 0.2 + number / 12)).reason for number in range(14)]
    assert reasons[:12] == ["kept for the dwell time"] * 12
    assert "relaxed" in reasons[12:]


def test_a_speed_just_below_the_bound_does_not_relax() -> None:
    latencies = Proportional(120)
    policy = make(latencies, UNIFORM, dwell_s=0.0, band_mps=1.0)
    top = UNIFORM[-1]
    limit = STOPPING.tolerance_m / STOPPING.answer_s(latencies.bound_ms(top) / 1e3, latencies.interval_ms(top) / 1e3)
    policy.choose(at(limit + 1.0, 0.0))
    assert policy.choose(at(limit - 0.5, 1.0)).plan != top
    assert policy.choose(at(limit - 1.5, 2.0)).plan == top


def test_the_fovea_waits_until_no_uniform_plan_is_safe() -> None:
    policy = make(Proportional(150))
    slow, fast = policy.choose(at(8.0)), make(Proportional(150)).choose(at(24.0))
    assert slow.plan.fovea is None
    assert fast.plan == FOVEA
    assert not fast.degraded
    without = make(Proportional(150), UNIFORM).choose(at(24.0))
    assert without.degraded
    assert without.supported_mps < 24.0  # type: ignore[operator]


@pytest.mark.parametrize(
    "state",
    [at(None), at(math.nan), at(-1.0), at(math.inf), at(5.0, speed_age_s=0.6), at(5.0, speed_sigma_mps=math.nan)],
)
def test_an_unknown_speed_is_the_worst_case(state: VehicleState) -> None:
    assert make().choose(state).speed_mps == STOPPING.max_speed_mps


def test_uncertainty_age_and_acceleration_raise_the_speed() -> None:
    policy = make()
    assert policy.choose(at(10.0)).speed_mps == 10.0
    assert policy.choose(at(10.0, speed_sigma_mps=0.5)).speed_mps == 11.0
    assert policy.choose(at(10.0, speed_age_s=0.2)).speed_mps == pytest.approx(10.4)
    assert policy.choose(at(10.0, speed_age_s=0.2, acceleration_mps2=4.0)).speed_mps == pytest.approx(10.8)
    assert policy.choose(at(45.0)).speed_mps == 45.0


def test_utility_decides_among_safe_plans() -> None:
    rows = zip(PLANS, [1.0, 2.0, 5.0, 4.0, 3.0, 2.5, 4.5], [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0], strict=True)
    utility = Utility((1.0, 3.0), {plan.name: (slow, fast) for plan, slow, fast in rows})
    quick = Proportional(1)
    assert make(quick, utility=utility).choose(at(1.0)).plan == PLANS[2]
    assert make(quick, utility=utility).choose(at(3.0)).plan == FOVEA  # measured, a fovea need not wait
    assert make(quick, utility=utility, mode="eco").choose(at(3.0)).plan == UNIFORM[0]
    assert make(quick).choose(at(3.0)).plan == UNIFORM[-1]
    with pytest.raises(InputError, match="no values for 900x1600"):
        make(utility=Utility((0.0,), {plan.name: (1.0,) for plan in PLANS if plan.size != (900, 1600)}))


@given(speeds, st.lists(st.floats(-1, 1), min_size=14, max_size=14))
def test_utility_never_overrules_safety(speed: float | None, values: list[float]) -> None:
    utility = Utility((2.0, 20.0), {plan.name: (values[i], values[i + 7]) for i, plan in enumerate(PLANS)})
    plain, ranked = make().choose(at(speed)), make(utility=utility).choose(at(speed))
    assert plain.degraded == ranked.degraded
    if not ranked.degraded:
        assert ranked.required_m <= ranked.seen_m  # type: ignore[operator]


def test_a_network_slower_than_the_camera_lets_pictures_wait() -> None:
    def supported(ms: float) -> float:
        plan = UNIFORM[-1]
        decision = make(Proportional(1, **{plan.name: ms}), (plan,)).choose(at(1.0))
        assert decision.supported_mps is not None
        return decision.supported_mps

    assert supported(80) == pytest.approx(STOPPING.tolerance_m / 0.080)
    assert supported(90) == pytest.approx(STOPPING.tolerance_m / (0.090 + 1 / 12))


def test_a_banned_plan_is_left_at_once() -> None:
    latencies = Proportional(40)
    policy = make(latencies)
    before = policy.choose(at(3.0)).plan
    latencies.overrule[before.name] = math.inf
    assert policy.choose(at(3.0, 0.01)).plan != before


def test_where_nothing_runs_the_decision_supports_no_speed() -> None:
    policy = make(Proportional(math.inf))
    decision = policy.choose(at(0.0))
    assert decision.degraded
    assert decision.supported_mps == 0.0


@given(st.integers(32, 8192), st.integers(32, 8192), st.none() | st.floats(0, 100))
def test_a_fixed_policy_always_chooses_its_only_plan(height: int, width: int, speed_mps: float | None) -> None:
    spec = parse_policy(f"fixed:{height}x{width}")
    assert spec.plan is not None
    policy = FixedPolicy(spec.plan)
    decision = policy.choose(VehicleState(timestamp_us=0, speed_mps=speed_mps))
    assert policy.plans == (decision.plan,)
    assert decision.plan == uniform_plan((height, width))
    assert policy.name == f"fixed:{height}x{width}"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("adaptive:", "unknown mode ''"),
        ("adaptive:fast", "unknown mode 'fast'"),
        ("", "is not available; use fixed:HxW, adaptive"),
        ("fixed", "names no size"),
        ("fixed:", "is not HEIGHTxWIDTH"),
        ("fixed:360", "is not HEIGHTxWIDTH"),
        ("fixed:360x640x3", "is not HEIGHTxWIDTH"),
        ("fixed:-360x640", "is not HEIGHTxWIDTH"),
        ("fixed:31x640", "each side must be at least 32 pixels"),
        ("fixed:360x99999", "out of range"),
    ],
)
def test_bad_policies(text: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        parse_policy(text)


@given(st.text(max_size=16))
def test_any_text_is_a_policy_or_an_input_error(text: str) -> None:
    for written in (text, f"fixed:{text}", f"adaptive:{text}"):
        try:
            spec = parse_policy(written)
        except InputError:
            continue
        assert (spec.plan is None) != (spec.mode is None)


@pytest.mark.parametrize("options", [{"mode": "fast"}, {"dwell_s": -1.0}, {"band_mps": math.nan}])
def test_bad_options(options: dict[str, object]) -> None:
    with pytest.raises(InputError):
        make(**options)  # type: ignore[arg-type]


def test_plans_need_distinct_names() -> None:
    with pytest.raises(InputError, match="distinct names"):
        AdaptivePolicy([UNIFORM[0], UNIFORM[0]], [10.0, 10.0], Proportional())
