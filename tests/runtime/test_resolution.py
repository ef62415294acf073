"""Plans and policies."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from perception.errors import InputError
from perception.runtime.resolution import FixedPolicy, Plan, VehicleState, parse_policy


@given(st.integers(32, 8192), st.integers(32, 8192), st.none() | st.floats(0, 100))
def test_a_fixed_policy_always_chooses_its_only_plan(height: int, width: int, speed_mps: float | None) -> None:
    policy = parse_policy(f"fixed:{height}x{width}")
    decision = policy.choose(VehicleState(timestamp_us=0, speed_mps=speed_mps))
    assert policy.plans == (decision.plan,)
    assert decision.plan == Plan(f"{height}x{width}", (height, width))
    assert policy.name == f"fixed:{height}x{width}"
    assert isinstance(policy, FixedPolicy)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("adaptive", "policy 'adaptive' is not available; use fixed:HxW"),
        ("", "is not available"),
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
    for written in (text, f"fixed:{text}"):
        try:
            policy = parse_policy(written)
        except InputError:
            continue
        assert all(side >= 32 for plan in policy.plans for side in plan.size)
