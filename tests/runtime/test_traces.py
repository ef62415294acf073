from __future__ import annotations

import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from perception.errors import InputError
from perception.runtime.source import Frame
from perception.runtime.speed import parse_speed
from perception.runtime.traces import KINDS, Trace, make_trace

FRAME = Frame(None, "a", 0, "CAM_FRONT")


@settings(deadline=None, max_examples=60)
@given(st.sampled_from(sorted(KINDS)), st.integers(0, 10_000), st.floats(0.5, 120.0))
def test_a_vehicle_can_drive_it(kind: str, seed: int, duration_s: float) -> None:
    """Differences of the sampled speeds keep to the limits of acceleration and jerk, and no speed is out of range."""
    style, trace = KINDS[kind], make_trace(kind, seed, duration_s)
    times, speeds = trace.sample(100.0)
    assert times[-1] <= duration_s < times[-1] + 0.01 + 1e-9
    lowest = min(style.cruise_mps[0], style.event_mps[0])
    assert lowest - 1e-9 <= speeds.min() <= speeds.max() <= style.cruise_mps[1] + 1e-9
    steps = np.diff(speeds) / np.diff(times)
    if len(steps) > 1:
        assert steps.max() <= style.acceleration_mps2 + 1e-6
        assert steps.min() >= -style.braking_mps2 - 1e-6
        assert np.abs(np.diff(steps) * 100.0).max() <= style.jerk_mps3 + 1e-4


@settings(deadline=None, max_examples=30)
@given(st.sampled_from(sorted(KINDS)), st.integers(0, 1000))
def test_speed_distance_and_acceleration_belong_together(kind: str, seed: int) -> None:
    trace = make_trace(kind, seed, 30.0)
    times, speeds = trace.sample(1000.0)
    driven = np.concatenate([[0.0], np.cumsum((speeds[1:] + speeds[:-1]) / 2 * np.diff(times))])
    for i in range(0, len(times), 997):
        assert trace.distance(float(times[i])) == pytest.approx(driven[i], abs=1e-3)
    gained = np.cumsum([trace.acceleration(float(t)) * 1e-3 for t in times[:-1]])
    assert np.abs(gained - (speeds[1:] - speeds[0])).max() < 0.05


def test_the_seed_decides() -> None:
    assert make_trace("rural", 4) == make_trace("rural", 4)
    assert make_trace("rural", 4) != make_trace("rural", 5)
    assert make_trace("rural", 4, 10.0).speed(7.0) == make_trace("rural", 4, 90.0).speed(7.0)


def test_kinds_are_what_they_say() -> None:
    mean = {kind: np.mean([make_trace(kind, s, 300.0).sample(5.0)[1].mean() for s in range(4)]) for kind in KINDS}
    assert mean["stop_and_go"] < mean["urban"] < mean["rural"] < mean["motorway"]
    assert 100 < mean["motorway"] * 3.6 < 130
    for seed in range(20):  # braking hard, down to a standstill, soon after the start
        trace = make_trace("emergency", seed, 20.0)
        times = np.arange(0, 20, 0.01)
        assert min(trace.acceleration(float(t)) for t in times) < -7.0
        assert min(trace.speed(float(t)) for t in times) == 0.0
        assert min(trace.acceleration(float(t)) for t in times[times < 6]) < -7.0
    stops = make_trace("stop_and_go", 1, 60.0).sample(10.0)[1] == 0
    assert np.count_nonzero(np.diff(stops.astype(int)) == 1) >= 3


def test_outside_its_time_the_speed_stays() -> None:
    trace = make_trace("urban", 2, 12.0)
    assert trace.speed(-3.0) == trace.speed(0.0)
    assert trace.speed(50.0) == trace.speed(12.0)
    assert trace.acceleration(50.0) == 0.0
    assert trace.distance(14.0) == pytest.approx(trace.distance(12.0) + 2 * trace.speed(12.0))


def test_the_csv_is_a_speed_source(tmp_path) -> None:
    trace = make_trace("emergency", 7, 20.0)
    trace.write_csv(tmp_path / "speed.csv", rate_hz=50.0)
    logged = parse_speed(str(tmp_path / "speed.csv"))
    for elapsed_s in np.linspace(0, 20, 77):
        reading = logged.at(FRAME, float(elapsed_s))
        assert reading is not None
        assert reading.mps == pytest.approx(trace.at(FRAME, float(elapsed_s)), abs=0.01)


def test_traces_travel_between_processes() -> None:
    trace = make_trace("motorway", 1)
    assert pickle.loads(pickle.dumps(trace)) == trace
    assert isinstance(trace, Trace)
    assert trace(5.0) == trace.speed(5.0)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("lunar", 0, 10.0), "unknown speed trace 'lunar'; use one of urban, rural"),
        (("urban", 0, 0.0), "duration_s 0 is outside"),
        (("urban", 0, float("nan")), "duration_s nan is outside"),
        (("urban", -1, 5.0), "seed -1 is negative"),
    ],
)
def test_bad_requests(arguments, message) -> None:
    with pytest.raises(InputError, match=message):
        make_trace(*arguments)
    with pytest.raises(InputError, match="rate_hz"):
        make_trace("urban").sample(0.0)
