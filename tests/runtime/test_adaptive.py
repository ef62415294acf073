"""The adaptive policy put together from a measured table and a camera."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from perception.errors import InputError
from perception.geometry.frames import transform, yaw_rotation
from perception.runtime.adaptive import adaptive_policies, adaptive_policy, provisional_table
from perception.runtime.plan import Plan
from perception.runtime.resolution import VehicleState
from perception.runtime.sight import assumed_camera, seen_range_m
from perception.runtime.stopping import StoppingModel
from perception.types import Prediction

CAMERA = assumed_camera((450, 800))
STOPPING = StoppingModel(min_height_px=10)


class Instant:
    """An engine that answers at once."""

    info: dict[str, Any] = {"engine": "fake", "device": "cpu"}  # noqa: RUF012
    labels = None

    def __init__(self) -> None:
        self.seen: list[str] = []

    def warm_up(self, plan: Plan, picture_size: tuple[int, int] | None = None) -> None:
        assert picture_size == CAMERA.size

    def __call__(self, image: np.ndarray, plan: Plan) -> Prediction:
        assert image.shape[:2] == CAMERA.size
        self.seen.append(plan.name)
        return Prediction()


def test_a_provisional_table_covers_the_ladder_and_the_fovea() -> None:
    engine = Instant()
    table = provisional_table(engine, CAMERA, STOPPING)  # type: ignore[arg-type]
    assert {plan.name for plan in table.plans} == set(engine.seen)
    assert any(plan.fovea is not None for plan in table.plans)
    policy, monitor = adaptive_policy("quality", table, CAMERA, STOPPING)
    assert policy.plans == table.plans
    decision = policy.choose(VehicleState(0, 1.0))
    assert decision.plan.size == CAMERA.size
    assert decision.seen_m == pytest.approx(seen_range_m(decision.plan, CAMERA, STOPPING))
    # The monitor's inflation reaches the policy.
    top = decision.plan
    for _ in range(20):
        monitor.observe(top, 5000.0)
    assert policy.choose(VehicleState(100_000, 10.0)).degraded
    assert monitor.bound_ms(top) > 1000


def test_a_table_of_another_camera_is_refused() -> None:
    table = provisional_table(Instant(), CAMERA, STOPPING)  # type: ignore[arg-type]
    with pytest.raises(InputError, match=r"calibrated for pictures of 450x800, the camera gives 900x1600"):
        adaptive_policy("eco", table, assumed_camera((900, 1600)), STOPPING)


def test_several_cameras_share_one_budget_the_one_that_looks_ahead_first() -> None:
    table = provisional_table(Instant(), CAMERA, STOPPING)  # type: ignore[arg-type]
    turn = transform(np.zeros(3), yaw_rotation(np.pi / 2))
    left = replace(CAMERA, ego_from_camera=turn @ CAMERA.ego_from_camera)
    policies, _ = adaptive_policies("quality", table, {"left": left, "front": CAMERA}, STOPPING)
    assert list(policies) == ["front", "left"]
    assert policies["front"].plans == table.plans
    assert policies["left"].plans == tuple(plan for plan in table.plans if plan.fovea is None)
    for name in policies:
        decision = policies[name].choose(VehicleState(0, 1.0))
        assert not decision.degraded
        assert decision.seen_m == pytest.approx(seen_range_m(decision.plan, CAMERA, STOPPING))
    small = replace(CAMERA, size=(225, 400))
    with pytest.raises(InputError, match="pictures of 225x400"):
        adaptive_policies("quality", table, {"front": CAMERA, "left": small}, STOPPING)
