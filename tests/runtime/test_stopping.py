"""Required range, deadline and supported speed, against hand-worked figures and against each other."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from perception.errors import InputError
from perception.runtime.stopping import GRAVITY_MPS2, StoppingModel

KMH = 1 / 3.6


@pytest.mark.parametrize(
    ("speed_kmh", "required_m", "deadline_ms"), [(50, 30, 108), (80, 65, 67.5), (100, 96, 54), (120, 133, 45)]
)
def test_the_worked_example(speed_kmh: float, required_m: float, deadline_ms: float) -> None:
    model = StoppingModel()
    reaction = model.reaction_s(0.030, 0.0)
    assert reaction == pytest.approx(2 / 12 + 0.030 + 0.4)
    found = model.required_range_m(speed_kmh * KMH, reaction, model.braking_mps2())
    assert found == pytest.approx(required_m, abs=0.6)
    assert model.deadline_s(speed_kmh * KMH) * 1e3 == pytest.approx(deadline_ms, abs=0.5)


def test_grip_and_slope_limit_the_braking() -> None:
    model = StoppingModel()
    assert model.braking_mps2() == pytest.approx(5.0)
    assert model.braking_mps2(friction=0.1) == pytest.approx(0.1 * GRAVITY_MPS2)
    assert model.braking_mps2(grade_rad=-0.1) == pytest.approx(5.0 * math.cos(0.1) - GRAVITY_MPS2 * math.sin(0.1))
    assert model.braking_mps2(grade_rad=0.1) > 5.0
    icy_descent = model.braking_mps2(grade_rad=-0.2, friction=0.1)
    assert icy_descent < 0
    assert model.required_range_m(1.0, 0.5, icy_descent) == math.inf
    assert model.required_range_m(0.0, 0.5, icy_descent) == model.standoff_m
    assert model.supported_speed_mps(100.0, 0.01, 0.5, icy_descent) == 0.0


@given(
    seen_m=st.floats(0, 300) | st.just(math.inf),
    latency_s=st.floats(0, 1.0),
    interval_s=st.floats(0, 1.0),
    braking=st.floats(0.1, 9.0),
    appear_m=st.floats(1, 500) | st.just(math.inf),
)
def test_the_supported_speed_is_where_the_bounds_are_met(
    seen_m: float, latency_s: float, interval_s: float, braking: float, appear_m: float
) -> None:
    model = StoppingModel(appear_range_m=appear_m)
    reaction = model.reaction_s(latency_s, interval_s)
    latency_s = model.answer_s(latency_s, interval_s)
    speed = model.supported_speed_mps(seen_m, latency_s, reaction, braking)

    def safe(v: float) -> bool:
        return model.required_range_m(v, reaction, braking) <= min(seen_m, appear_m) and latency_s <= model.deadline_s(
            v
        )

    if math.isinf(speed):
        assert safe(1e3)
    elif speed > 0:
        assert safe(speed * (1 - 1e-9))
        assert not safe(speed * (1 + 1e-6) + 1e-9)
    else:
        assert not safe(1e-3)


@given(st.floats(0, 100), st.floats(0, 100))
def test_faster_needs_more_range_and_an_earlier_answer(a: float, b: float) -> None:
    model, slow, fast = StoppingModel(), min(a, b), max(a, b)
    assert model.required_range_m(slow, 0.5, 5.0) <= model.required_range_m(fast, 0.5, 5.0)
    assert model.deadline_s(slow) >= model.deadline_s(fast)
    assert model.deadline_s(slow) <= model.max_answer_s


@pytest.mark.parametrize(
    "option", [{"friction": 0.0}, {"tolerance_m": -1.0}, {"actuation_s": math.nan}, {"min_height_px": math.inf}]
)
def test_assumptions_out_of_range_are_refused(option: dict[str, float]) -> None:
    with pytest.raises(InputError, match=next(iter(option))):
        StoppingModel(**option)  # type: ignore[arg-type]
