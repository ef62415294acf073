from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from perception.world.motion import LATERAL_LIMIT_MPS2, STEP_S, Driver, Light, Track, follow, steady
from perception.world.network import Network
from perception.world.road import Road, center_line, make_road

STRAIGHT = (np.array([0.0, 1e4]), np.zeros(2))


def history(driver: Driver) -> tuple[np.ndarray, np.ndarray]:
    s, v = np.array(driver.history).T
    return s, v


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10_000), bend=st.floats(0, 1.5))
def test_center_line_is_smooth_bounded_and_consistent(seed: int, bend: float) -> None:
    s, x, y, heading, curvature = center_line(np.random.default_rng(seed), 400.0, bend)
    assert np.hypot(np.diff(x), np.diff(y)) == pytest.approx(np.diff(s), rel=1e-3)
    assert np.abs(curvature).max() <= 1 / 70 + 1e-9
    assert np.abs(heading).max() < 2.0  # it never turns back on itself
    assert np.gradient(heading, s)[2:-2] == pytest.approx(curvature[2:-2], abs=1e-4)


@pytest.mark.parametrize("district", ["downtown", "residential", "avenue", "industrial"])
def test_road_places_lie_at_their_offset_square_to_the_road(district: str) -> None:
    road: Road = make_road(np.random.default_rng(4), 350.0, district, 70.0)
    network = Network(road, np.random.default_rng(5))
    s = np.linspace(5, 345, 50)
    for d in (-6.0, 3.0):
        across = road.points(s, d) - road.points(s, 0.0)
        assert np.hypot(*across.T) == pytest.approx(abs(d))
        forward = road.points(s + 0.05, 0.0) - road.points(s - 0.05, 0.0)
        assert (across * forward).sum(axis=1) == pytest.approx(0, abs=0.01)
    for side in (1, -1):
        section = road.section(side)
        centers = [abs(road.lane_center(side, lane)) for lane in range(section.lanes)]
        assert all(b - a == pytest.approx(section.lane_width) for a, b in itertools.pairwise(centers))
        assert centers[-1] + section.lane_width / 2 <= road.median + section.kerb + 1e-9
        for a, b in network.pavement_spans(side):
            assert all(not (a < j.s < b) for j in road.junctions if side in j.sides)


def test_a_free_driver_reaches_the_desired_speed_and_slows_for_bends() -> None:
    driver = Driver(0.0, 0.0, 4.5, 14.0)
    follow([driver], [], STRAIGHT, 0.0, 40.0)
    assert driver.v == pytest.approx(14.0, rel=0.02)
    radius = 40.0
    bend = (np.array([0.0, 150.0, 160.0, 1e4]), np.array([0.0, 0.0, 1 / radius, 1 / radius]))
    driver = Driver(0.0, 14.0, 4.5, 14.0)
    follow([driver], [], bend, 0.0, 40.0)
    s, v = history(driver)
    assert v[s > 200].max() ** 2 / radius <= LATERAL_LIMIT_MPS2 * 1.05


def test_a_driver_stops_at_the_line_while_it_is_red_and_then_goes() -> None:
    driver = Driver(0.0, 13.0, 4.5, 14.0)
    follow([driver], [Light(120.0, 0.0, 25.0)], STRAIGHT, 0.0, 40.0)
    s, v = history(driver)
    time = np.arange(len(s)) * STEP_S
    front = s + 4.5 / 2
    assert front[time < 25].max() < 120.0
    assert front[(time > 20) & (time < 25)].max() > 114
    assert v[(time > 22) & (time < 25)].max() < 0.3
    assert s[-1] > 150


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_followers_never_touch_and_never_brake_beyond_physics(seed: int) -> None:
    rng = np.random.default_rng(seed)
    drivers, s = [], 200.0
    for _ in range(6):
        v = float(rng.uniform(0, 12))
        if drivers:
            # No driver can avoid a car that it starts too close to: leave room to react and to brake at 3 m/s2.
            s -= 4.5 + 4 + v * 1.5 + max(0.0, v**2 - drivers[-1].v ** 2) / 6 + rng.exponential(15)
        drivers.append(Driver(s, v, 4.5, float(rng.uniform(8, 18))))
    follow(drivers, [Light(260.0, 0.0, 8.0)], STRAIGHT, 0.0, 25.0)
    for ahead, behind in itertools.pairwise(drivers):
        gap = history(ahead)[0] - history(behind)[0] - 4.5
        assert gap.min() > 0.2
    for driver in drivers:
        _, v = history(driver)
        assert v.min() >= 0
        assert np.diff(v).min() / STEP_S >= -6.0 - 1e-6
        assert np.diff(v).max() / STEP_S <= 1.8 + 1e-6


def test_a_track_s_rate_is_the_derivative_of_its_place() -> None:
    driver = Driver(0.0, 5.0, 4.5, 15.0)
    follow([driver], [Light(90.0, 0.0, 8.0)], STRAIGHT, -1.0, 12.0)
    s, v = history(driver)
    track = Track(-1.0, s, v, d=-2.0, sway=0.1)
    road = make_road(np.random.default_rng(1), 350.0, "residential", 70.0)
    for time_s in np.linspace(0.013, 11, 40):
        before, after = (track.place(road, time_s + h)[0] for h in (-1e-3, 1e-3))
        assert track.place(road, time_s)[2] == pytest.approx((after - before) / 2e-3, abs=0.06)
    s, v = steady(10.0, -1.5, -1.0, 5.0)
    assert Track(-1.0, s, v, d=0.0).along(2.0)[0] == pytest.approx(10.0 - 3.0)
