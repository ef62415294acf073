"""Speeds: parsing, interpolation, staleness, and speed from positions."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from perception.errors import InputError
from perception.runtime.source import Frame
from perception.runtime.speed import (
    CalledSpeed,
    CsvSpeed,
    PoseSpeed,
    SpeedReading,
    SpeedSource,
    checked,
    parse_speed,
    speeds_from_positions,
    vehicle_state,
    yaw_rates_from_headings,
)


def frame(timestamp_us: int = 0, speed_mps: float | None = None) -> Frame:
    return Frame(None, "", timestamp_us, "camera", speed_mps=speed_mps)


def told(source: SpeedSource, at: Frame, elapsed_s: float) -> float | None:
    """The speed alone."""
    reading = checked(source.at(at, elapsed_s))
    return None if reading is None else reading.mps


@pytest.mark.parametrize(
    ("text", "expected"),
    [("13.9", 13.9), ("0", 0), ("36km/h", 10), ("36 kmh", 10), ("36kph", 10), ("10m/s", 10), ("10mph", 4.4704),
     ("1e1", 10), (" 5 ", 5)],
)  # fmt: skip
def test_constant_speeds(text: str, expected: float) -> None:
    assert parse_speed(text).at(frame(), 0.0) == SpeedReading(pytest.approx(expected))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("-3", "outside 0..100"), ("101", "outside 0..100"), ("1e400", "outside 0..100"),
        ("can", "'can' is not available"), ("can:none.json", "none.json does not exist"),
        ("fast", "not available; use"), ("", "not available"), ("nan", "not available"),
        ("12 knots", "unknown speed unit"),
        ("missing.csv", "does not exist"),
    ],
)  # fmt: skip
def test_bad_speeds(text: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        parse_speed(text)


@given(st.text(max_size=20))
def test_any_text_is_a_speed_or_an_input_error(text: str) -> None:
    try:
        speed = parse_speed(text)
    except InputError:
        return
    value = told(speed, frame(), 0.0)
    assert value is None or 0 <= value <= 100


@pytest.mark.parametrize("value", [None, math.nan, math.inf, -1.0, 1e6])
def test_a_pose_speed_that_cannot_be_is_unknown(value: float | None) -> None:
    assert PoseSpeed().at(frame(speed_mps=value), 0.0) is None


def log(tmp_path: Path, text: str) -> str:
    path = tmp_path / "speed.csv"
    path.write_text(text)
    return str(path)


def test_a_log_is_interpolated_and_goes_stale(tmp_path: Path) -> None:
    speed = parse_speed(log(tmp_path, "seconds,speed_mps\n0,10\n1,20\n1.5,20\n10,5\n"))
    assert told(speed, frame(), 0.25) == pytest.approx(12.5)
    assert told(speed, frame(), 2.0) == 20  # a gap: held
    assert told(speed, frame(), 9.5) == 5
    assert told(speed, frame(), 5.0) is None  # inside the gap, more than a second from both ends
    assert told(speed, frame(), 10.9) == 5
    assert told(speed, frame(), 11.1) is None
    assert told(speed, frame(), -1.1) is None


def test_the_age_of_a_logged_speed_is_the_way_to_the_nearest_row(tmp_path: Path) -> None:
    speed = parse_speed(log(tmp_path, "seconds,speed_mps\n0,10\n1,20\n10,5\n"))
    ages = {time: reading.age_s for time in (0, 0.3, 0.8, 1.9, 9.2, 10.5)
            if isinstance(reading := speed.at(frame(), time), SpeedReading)}  # fmt: skip
    assert ages == pytest.approx({0: 0, 0.3: 0.3, 0.8: 0.2, 1.9: 0.9, 9.2: 0.8, 10.5: 0.5})


def test_absolute_times_use_the_clock_of_the_frames(tmp_path: Path) -> None:
    start = 1_532_402_927_000_000
    speed = parse_speed(log(tmp_path, f"timestamp, speed_kmh\n{start},36\n{start + 1_000_000},72\n"))
    assert told(speed, frame(start + 500_000), 123.0) == pytest.approx(15)
    assert told(speed, frame(0), 0.5) is None


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "no column timestamp_us or timestamp or seconds; its header is empty"),
        ("time,speed_mps\n0,1\n", "no column timestamp_us"),
        ("seconds,speed\n0,1\n", "no column speed_mps or speed_kmh"),
        ("seconds,speed_mps\n", "has no rows"),
        ("seconds,speed_mps\n0,1\n0,1\n", "line 3: seconds 0 is not after 0"),
        ("seconds,speed_mps\n0,fast\n", "line 2: speed_mps 'fast' is not a finite number"),
        ("seconds,speed_mps\n0,nan\n", "not a finite number"),
        ("seconds,speed_mps\n0\n", "line 2: speed_mps None is not a finite number"),
        ("seconds,speed_mps\n0,-1\n", "outside 0..100"),
    ],
)
def test_bad_logs_name_the_line(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        parse_speed(log(tmp_path, text))


def test_a_binary_log_is_refused(tmp_path: Path) -> None:
    (tmp_path / "speed.csv").write_bytes(b"\xff\xfe\x00\x01" * 20)
    with pytest.raises(InputError, match="not a CSV text file"):
        parse_speed(str(tmp_path / "speed.csv"))


@given(
    st.lists(st.floats(0, 100), min_size=2, max_size=10),
    st.floats(0, 1),
)
def test_a_dense_log_agrees_with_numpy(
    tmp_path_factory: pytest.TempPathFactory, speeds: list[float], share: float
) -> None:
    path = tmp_path_factory.mktemp("log") / "speed.csv"
    path.write_text("seconds,speed_mps\n" + "\n".join(f"{i * 0.5},{value}" for i, value in enumerate(speeds)))
    time_s = share * (len(speeds) - 1) * 0.5
    expected = np.interp(time_s, np.arange(len(speeds)) * 0.5, speeds)
    assert told(CsvSpeed(path), frame(), time_s) == pytest.approx(expected)


def test_speed_of_a_noisy_track_of_many_sensors() -> None:
    random = np.random.default_rng(0)
    seconds = np.sort(random.uniform(0, 4, 200))
    positions = np.stack([12.0 * seconds, 5.0 * seconds, 0 * seconds], axis=1) + random.normal(0, 0.005, (200, 3))
    speeds = speeds_from_positions((seconds * 1e6).astype(np.int64), positions, [1_000_000, 2_000_000, 3_000_000])
    assert speeds == pytest.approx([13, 13, 13], abs=0.1)


def test_yaw_rates_do_not_mind_where_the_heading_wraps() -> None:
    seconds = np.arange(0, 20, 0.05)
    headings = (0.7 * seconds + np.pi) % (2 * np.pi) - np.pi
    times_us = (seconds * 1e6).astype(np.int64)
    rates = yaw_rates_from_headings(times_us, headings, times_us[::7].tolist())
    assert rates == pytest.approx([0.7] * len(rates))
    assert yaw_rates_from_headings(np.zeros(0, np.int64), np.zeros(0), [5]) == [None]


def test_speed_needs_a_track() -> None:
    one = np.zeros((1, 3))
    assert speeds_from_positions(np.array([5]), one, [5]) == [None]
    assert speeds_from_positions(np.zeros(0, np.int64), np.zeros((0, 3)), [5]) == [None]
    far = np.array([0, 10_000_000])
    assert speeds_from_positions(far, np.array([[0.0, 0, 0], [50, 0, 0]]), [0, 5_000_000]) == [5.0, 5.0]
    assert speeds_from_positions(far, np.array([[0.0, 0, 0], [50, 0, 0]]), [30_000_000]) == [None]


@pytest.mark.parametrize(
    "reading",
    [None, math.nan, math.inf, -0.1, 101.0, SpeedReading(5, age_s=1.1), SpeedReading(5, age_s=math.nan),
     SpeedReading(5, sigma_mps=-1), SpeedReading(5, sigma_mps=math.nan), SpeedReading(5, acceleration_mps2=math.inf)],
)  # fmt: skip
def test_what_cannot_be_trusted_is_unknown(reading: SpeedReading | float | None) -> None:
    assert checked(reading) is None
    state = vehicle_state(frame(7), checked(reading))
    assert (state.timestamp_us, state.speed_mps) == (7, None)


def test_the_policy_is_told_age_uncertainty_and_acceleration() -> None:
    state = vehicle_state(frame(7), SpeedReading(5.0, age_s=0.2, sigma_mps=0.3, acceleration_mps2=-2.0))
    assert (state.speed_mps, state.speed_age_s, state.speed_sigma_mps) == (5.0, 0.2, 0.3)
    assert state.acceleration_mps2 == -2.0
    assert vehicle_state(frame(), SpeedReading(5.0, age_s=-0.5)).speed_age_s == 0  # measured after the capture


def test_a_function_is_asked_at_every_frame() -> None:
    values: list[SpeedReading | float | None] = [3.0, SpeedReading(4.0, age_s=0.1), None, -1.0]
    source = CalledSpeed(lambda: values.pop(0))
    assert [source.at(frame(), 0.0) for _ in range(4)] == [SpeedReading(3.0), SpeedReading(4.0, age_s=0.1), None, None]
