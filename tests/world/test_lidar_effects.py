from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from perception.taxonomy import NUSCENES_LIDARSEG
from perception.world import build_scene, scan_lidar
from perception.world.lidar_effects import (
    FARTHEST_M,
    NEAREST_M,
    STEP_M,
    detectable,
    drop_rate_per_m,
    extinction_per_m,
    weather_echoes,
)  # fmt: skip
from perception.world.sky import Daylight
from perception.world.weather import make_daylight

NOISE = NUSCENES_LIDARSEG.index("noise")


@pytest.fixture(scope="module")
def clear() -> Daylight:
    return make_daylight(np.random.default_rng(0), "clear")


def test_extinction_is_that_of_the_literature(clear: Daylight) -> None:
    assert extinction_per_m(clear) == 0
    assert extinction_per_m(replace(clear, visibility_m=100.0)) == pytest.approx(0.03912, rel=1e-3)
    heavy = replace(clear, rain_mm_h=25.0, visibility_m=800.0)
    db_per_km = extinction_per_m(heavy) * 1000 * 10 / np.log(10)
    assert db_per_km == pytest.approx(1.076 * 25**0.67, rel=1e-6)


def test_dry_air_changes_nothing(clear: Daylight) -> None:
    rng = np.random.default_rng(0)
    state = rng.bit_generator.state
    distance = np.array([5.0, 50.0, 90.0, np.inf])
    returned = np.array([0.2, 0.2, 1e-4, 0.0])
    echo = weather_echoes(clear, distance, returned, np.full(4, 0.5), rng)
    assert echo.range_m.tolist() == [5.0, 50.0, np.inf, np.inf]
    assert echo.returned == pytest.approx(returned)
    assert not echo.from_air.any()
    assert rng.bit_generator.state == state


def test_the_strongest_detectable_echo_wins(clear: Daylight) -> None:
    count = 20_000
    light = replace(clear, rain_mm_h=20.0, visibility_m=600.0)
    luck = np.full(count, 0.5)
    near_wall = weather_echoes(light, np.full(count, 5.0), np.full(count, 0.5), luck, np.random.default_rng(1))
    assert near_wall.from_air.mean() < 1e-3  # hardly a drop outshines a wall
    sky = weather_echoes(light, np.full(count, np.inf), np.zeros(count), luck, np.random.default_rng(1))
    assert (sky.from_air == np.isfinite(sky.range_m)).all()
    drops = sky.range_m[sky.from_air]
    assert drops.min() >= NEAREST_M
    assert drops.max() <= FARTHEST_M
    ranges = np.arange(NEAREST_M, FARTHEST_M, STEP_M) + STEP_M / 2
    expected = 1 - np.exp(-(drop_rate_per_m(20.0, ranges) * STEP_M).sum())
    assert sky.from_air.mean() == pytest.approx(expected, rel=0.15)
    assert (sky.returned[sky.from_air] > detectable(drops, np.asarray(0.5))).all()
    more = weather_echoes(replace(light, rain_mm_h=60.0), np.full(count, np.inf), np.zeros(count), luck,
                          np.random.default_rng(1))  # fmt: skip
    assert more.from_air.sum() > 1.5 * sky.from_air.sum()


def test_fog_shortens_the_range(clear: Daylight) -> None:
    distance = np.linspace(1, 99, 99)
    luck = np.full(99, 0.5)
    seen = {}
    for visibility in (60.0, 200.0, 5000.0):
        light = replace(clear, visibility_m=visibility)
        echo = weather_echoes(light, distance, np.full(99, 0.1), luck, np.random.default_rng(2))
        seen[visibility] = distance[~echo.from_air & np.isfinite(echo.range_m)].max()
        # The farthest detectable surface, by the formula.
        beta = extinction_per_m(light)
        assert seen[visibility] <= distance[0.1 * np.exp(-2 * beta * distance) > detectable(distance, luck)].max()
    assert seen[60.0] < 0.6 * seen[200.0] < 0.6 * seen[5000.0]


@pytest.mark.parametrize("weather", ["rain", "fog"])
def test_returns_of_the_air_are_labelled_noise(weather: str) -> None:
    dry, scan = (scan_lidar(build_scene(4, 0, 1.0, name), 0.5) for name in ("clear", weather))
    assert (dry.labels != NOISE).all()
    air = scan.labels == NOISE
    assert 10 < air.sum() < 0.6 * len(air)
    assert (scan.instance[air] == 0).all()
    distance = np.linalg.norm(scan.points[:, :3], axis=1)
    assert distance[air].max() < FARTHEST_M + 0.5
    assert scan.points[air, 3].mean() < scan.points[~air, 3].mean()
    # What is solid stands where it does in dry air.
    kept = {tuple(row) for row in np.round(dry.points[:, :3], 0).tolist()}
    solid = np.round(scan.points[~air, :3], 0).tolist()
    assert np.mean([tuple(row) in kept for row in solid]) > 0.97
    again = scan_lidar(build_scene(4, 0, 1.0, weather), 0.5)
    assert again.points.tobytes() == scan.points.tobytes()
    assert again.labels.tobytes() == scan.labels.tobytes()
