"""Speeds of nuScenes CAN bus files: units, age, and what is no speed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import tiny_nuscenes
from hypothesis import given, settings
from hypothesis import strategies as st

from perception.errors import InputError
from perception.runtime.can import CanSpeed
from perception.runtime.source import Frame, open_source
from perception.runtime.speed import SpeedReading, checked, parse_speed


def frame(timestamp_us: int) -> Frame:
    return Frame(None, "", timestamp_us, "camera")


def bus(folder: Path, messages: Any, name: str = "bus.json") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(json.dumps(messages))
    return folder / name


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        ({"vehicle_speed": 36.0}, SpeedReading(10.0)),
        ({"odom_speed": 18}, SpeedReading(5.0)),
        ({"vel": [7.5, 0.1, 0], "accel": [-1.5, 0, 9.8]}, SpeedReading(7.5, acceleration_mps2=-1.5)),
        ({"vel": [-0.01, 0, 0]}, SpeedReading(0.0)),
    ],
)
def test_every_kind_of_message_in_its_unit(tmp_path: Path, message: dict[str, Any], expected: SpeedReading) -> None:
    speed = CanSpeed(bus(tmp_path, [{"utime": 1_000_000, **message}]))
    assert speed.at(frame(1_000_000), 0.0) == expected


def test_the_last_message_counts_and_ages(tmp_path: Path) -> None:
    messages = [{"utime": 2_000_000, "vehicle_speed": 72}, {"utime": 1_000_000, "vehicle_speed": 36}]
    speed = parse_speed(f"can:{bus(tmp_path, messages)}")
    assert speed.name == "can bus.json"
    assert speed.at(frame(999_999), 0.0) is None  # nothing is known before the first message
    assert speed.at(frame(1_500_000), 0.0) == SpeedReading(10.0, age_s=0.5)
    assert speed.at(frame(2_000_000), 0.0) == SpeedReading(20.0)
    assert checked(speed.at(frame(3_500_000), 0.0)) is None  # stale


@pytest.mark.parametrize(
    "messages",
    [
        [], [{"utime": 1}], [{"vehicle_speed": 3}], [{"utime": 1, "vel": []}], [{"utime": "x", "vehicle_speed": 3}],
        [{"utime": 1, "vehicle_speed": -40}], [{"utime": 1, "vehicle_speed": True}],
        [{"utime": 1, "vehicle_speed": 10**400}],
    ],
)  # fmt: skip
def test_files_without_a_speed_are_refused(tmp_path: Path, messages: Any) -> None:
    with pytest.raises(InputError, match="has no message with utime and vehicle_speed"):
        CanSpeed(bus(tmp_path, messages))


def test_not_a_list_of_messages(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="not a JSON list of objects"):
        CanSpeed(bus(tmp_path, {"utime": 1}))
    with pytest.raises(InputError, match="does not exist"):
        CanSpeed(tmp_path / "none.json")


def test_a_scene_finds_its_own_bus(tmp_path: Path) -> None:
    root = tiny_nuscenes.write_nuscenes(tmp_path / "data", keyframes=2, sweeps_between=0)
    source = open_source(f"nuscenes:{root}#scene-0103", max_frames=1)
    with pytest.raises(InputError, match="no CAN data of scene-0103"):
        parse_speed("can", source)
    (first,) = source
    bus(
        root / "can_bus",
        [{"utime": first.timestamp_us - 100_000, "vehicle_speed": 36}],
        "scene-0103_vehicle_monitor.json",
    )
    bus(root / "can_bus", [{"utime": 0, "vehicle_speed": 99}], "scene-0061_vehicle_monitor.json")
    assert parse_speed("can", source).at(first, 0.0) == SpeedReading(10.0, age_s=0.1)
    bus(root / "can_bus", [{"utime": first.timestamp_us, "vel": [11, 0, 0]}], "scene-0103_pose.json")
    assert parse_speed("can", source).at(first, 0.0) == SpeedReading(11.0)  # fifty messages a second rather than two


def test_other_sources_have_no_bus(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="'can' is not available for this source; use nuscenes:ROOT"):
        parse_speed("can")


VALUES = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=4) | st.lists(st.floats(), max_size=3)
)


FIELDS = dict.fromkeys(("utime", "vehicle_speed", "odom_speed", "vel", "accel"), VALUES)


@settings(deadline=None, max_examples=80)
@given(st.lists(st.fixed_dictionaries({}, optional=FIELDS), max_size=6), st.integers(-(10**7), 10**17))
def test_any_messages_give_a_possible_speed_or_an_error(
    tmp_path_factory: pytest.TempPathFactory, messages: list[dict[str, Any]], time_us: int
) -> None:
    path = bus(tmp_path_factory.mktemp("bus"), messages)
    try:
        speed = CanSpeed(path)
    except InputError:
        return
    reading = checked(speed.at(frame(time_us), 0.0))
    assert reading is None or (0 <= reading.mps <= 100 and reading.age_s >= 0)
