from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from perception.world.following import LATERAL_LIMIT_MPS2, Driver, GiveWay, Lane, SpeedLimit, Stop, simulate
from perception.world.motion import STEP_S, Track, steady
from perception.world.network import Network
from perception.world.paths import path, turn
from perception.world.road import Curve, Road, center_line, make_road


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
    simulate([driver], 0.0, 40.0)
    assert driver.v == pytest.approx(14.0, rel=0.02)
    radius = 40.0
    radius = 40.0
    angle = np.arange(0, 2.5, 0.01)
    arc = radius * np.stack([np.sin(angle), 1 - np.cos(angle)], axis=1)
    bend = path(np.concatenate([np.stack([np.arange(-150.0, 0, 0.5), np.zeros(300)], axis=1), arc]))
    driver = Driver(0.0, 14.0, 4.5, 14.0, SpeedLimit(bend))
    simulate([driver], 0.0, 24.0)
    s, v = history(driver)
    assert s[-1] > 200
    assert v[(s > 151) & (s < 235)].max() ** 2 / radius <= LATERAL_LIMIT_MPS2 * 1.05


def test_a_driver_stops_at_the_line_while_it_is_red_and_then_goes() -> None:
    driver = Driver(0.0, 13.0, 4.5, 14.0, stops=[Stop(120.0, [(0.0, 25.0)])])
    simulate([driver], 0.0, 40.0)
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
    drivers, s, lane = [], 200.0, Lane()
    for _ in range(6):
        v = float(rng.uniform(0, 12))
        if drivers:
            # No driver can avoid a car that it starts too close to: leave room to react and to brake at 3 m/s2.
            s -= 4.5 + 4 + v * 1.5 + max(0.0, v**2 - drivers[-1].v ** 2) / 6 + rng.exponential(15)
        drivers.append(Driver(s, v, 4.5, float(rng.uniform(8, 18)), stops=[Stop(260.0, [(0.0, 8.0)])]))
        lane.join(drivers[-1])
    simulate(drivers, 0.0, 25.0)
    for ahead, behind in itertools.pairwise(drivers):
        gap = history(ahead)[0] - history(behind)[0] - 4.5
        assert gap.min() > 0.2
    for driver in drivers:
        _, v = history(driver)
        assert v.min() >= 0
        assert np.diff(v).min() / STEP_S >= -6.0 - 1e-6
        assert np.diff(v).max() / STEP_S <= 1.8 + 1e-6


def test_a_track_s_rate_is_the_derivative_of_its_place() -> None:
    driver = Driver(0.0, 5.0, 4.5, 15.0, stops=[Stop(90.0, [(-1.0, 8.0)])])
    simulate([driver], -1.0, 12.0)
    s, v = history(driver)
    track = Track(-1.0, s, v, d=-2.0, sway=0.1)
    road = make_road(np.random.default_rng(1), 350.0, "residential", 70.0)
    for time_s in np.linspace(0.013, 11, 40):
        before, after = (track.place(road, time_s + h)[0] for h in (-1e-3, 1e-3))
        assert track.place(road, time_s)[2] == pytest.approx((after - before) / 2e-3, abs=0.06)
    s, v = steady(10.0, -1.5, -1.0, 5.0)
    assert Track(-1.0, s, v, d=0.0).along(2.0)[0] == pytest.approx(10.0 - 3.0)


def test_places_at_many_times_are_those_at_each() -> None:
    road = make_road(np.random.default_rng(1), 350.0, "residential", 70.0)
    s, v = steady(30.0, 9.0, -1.0, 9.0)
    way = path(turn(np.zeros(2), 0.0, np.array([60.0, 50.0]), np.pi / 2), None)
    times = np.linspace(0, 8, 30)
    for track in (Track(-1.0, s, v, d=2.0, sway=0.2), Track(-1.0, s, v, d=0.0, way=way)):
        places, yaws, there = track.places(road, times)
        for k, time_s in enumerate(times):
            place, yaw, velocity = track.place(road, float(time_s))
            assert places[k] == pytest.approx(place)
            assert yaws[k] == pytest.approx(yaw)
            assert there[k] == track.present(road, float(time_s))
            if there[k]:
                later, before = (track.place(road, float(time_s) + h)[0] for h in (1e-3, -1e-3))
                assert velocity == pytest.approx((later - before) / 2e-3, abs=0.3)


def test_one_who_gives_way_waits_for_a_gap_and_then_goes() -> None:
    lane, own = Lane(), Lane()
    others = [Driver(float(s), 10.0, 4.5, 10.0) for s in (60, 30, 0, -30, -110)]
    for other in others:
        lane.join(other)
    waiting = Driver(-30.0, 5.0, 4.5, 8.0, stops=[GiveWay(0.0, [(lane, 95.0, 105.0)], 4.0)])
    own.join(waiting)
    simulate([*others, waiting], 0.0, 30.0)
    s, v = history(waiting)
    time = np.arange(len(s)) * STEP_S
    inside = (s + 2.25 > 0.5) & (s - 2.25 < 10)
    assert s[-1] > 20
    assert v[(time > 6) & (s < 0)].min() < 0.3
    for other in others:
        there = (history(other)[0] + 2.25 > 95) & (history(other)[0] - 2.25 < 105)
        assert not (there & inside).any()


@pytest.mark.parametrize(
    ("end", "heading"), [((20.0, 15.0), np.pi / 2), ((20.0, -9.0), -np.pi / 2), ((30.0, 3.0), 0.0)]
)
def test_a_turn_leaves_and_arrives_in_the_right_direction(end: tuple[float, float], heading: float) -> None:
    points = turn(np.zeros(2), 0.0, np.array(end), heading)
    line: Curve = path(points)
    assert points[0] == pytest.approx([0, 0])
    assert points[-1] == pytest.approx(end)
    assert line.heading_at(0.2) == pytest.approx(0.0, abs=0.05)
    assert line.heading_at(line.length - 0.2) == pytest.approx(heading, abs=0.1)
    assert np.abs(np.diff(line.heading)).max() < 0.12


def test_places_on_a_road_are_found_again() -> None:
    road = make_road(np.random.default_rng(4), 350.0, "residential", 70.0)
    rng = np.random.default_rng(0)
    s, d = rng.uniform(5, 345, 200), rng.uniform(-25, 25, 200)
    found_s, found_d = road.locate(road.points(s, d))
    assert found_s == pytest.approx(s, abs=0.02)
    assert found_d == pytest.approx(d, abs=0.02)
