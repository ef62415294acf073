"""Scenes whose ego keeps to a speed profile."""

from __future__ import annotations

import math

import numpy as np
import pytest

from perception.errors import InputError
from perception.world.scene import build_scene


def hilly(time_s: float) -> float:
    return 20.0 + 8.0 * math.sin(time_s)


def test_the_ego_drives_as_the_profile_says() -> None:
    scene = build_scene(3, 1, 6.0, speed=hilly)
    for time_s in np.linspace(0.3, 5.7, 13):
        assert scene.speed_mps(float(time_s)) == pytest.approx(hilly(float(time_s)), abs=0.7)
    places = np.array([scene.global_from_ego(t)[:2, 3] for t in np.linspace(0, 6, 601)])
    driven = np.linalg.norm(np.diff(places, axis=0), axis=1).sum()
    expected = np.mean([hilly(t) for t in np.linspace(0, 6, 601)]) * 6.0
    assert driven == pytest.approx(expected, rel=0.02)


def test_it_can_stand_still_and_nobody_is_run_over() -> None:
    assert build_scene(4, 0, 3.0, speed=lambda t: 0.0).speed_mps(1.0) < 0.2
    scene = build_scene(3, 1, 6.0, speed=hilly)
    for time_s in np.arange(0, 6.01, 0.5):
        pose = scene.global_from_ego(float(time_s))
        for actor in scene.present(float(time_s)):
            box = scene.box(actor, float(time_s))
            x, y = np.linalg.inv(pose)[:2] @ np.array([*box.center, 1.0])
            if actor.category.startswith("vehicle") and actor.track is not None:
                assert not (-0.5 < x < 3.0 and abs(y) < 0.8), (time_s, actor.category)


@pytest.mark.parametrize("speed", [lambda t: -1.0, lambda t: math.nan, lambda t: 60.0])
def test_profiles_out_of_range(speed: object) -> None:
    with pytest.raises(InputError, match="ego's speed"):
        build_scene(0, 0, 2.0, speed=speed)  # type: ignore[arg-type]


def test_without_a_profile_nothing_changes() -> None:
    """The draws of randomness stay in step, so that data sets keep their bytes."""
    one, two = build_scene(5, 2, 3.0), build_scene(5, 2, 3.0, speed=None)
    assert np.array_equal(one.ego.s, two.ego.s)
