from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from perception.errors import InputError
from perception.taxonomy import NUSCENES_LIDARSEG
from perception.world import build_scene, front_camera, render_camera
from perception.world.camera import CameraFrame
from perception.world.sensor import sensor_model
from perception.world.tables import VERSION
from perception.world.weather import NAMES, describe, make_daylight, parse_weather, weather_of_scene
from perception.world.writer import write_dataset

SIZE = (90, 160)
TIME_S = 0.8
SHOWN = ("clear", "rain", "fog", "dusk", "night", "night+rain")


@pytest.fixture(scope="module")
def pictures() -> dict[str, CameraFrame]:
    return {name: render_camera(build_scene(5, 1, 2.0, name), TIME_S, front_camera(SIZE)) for name in SHOWN}


def test_names_and_lists_of_weathers() -> None:
    assert parse_weather("fog") == ("fog",)
    assert parse_weather("clear, night+rain,random") == ("clear", "night+rain", "random")
    assert [weather_of_scene("rain,fog", index) for index in range(3)] == ["rain", "fog", "rain"]
    for text in ("snow", "", "clear,", "rain+night"):
        with pytest.raises(InputError, match="unknown weather"):
            parse_weather(text)
    assert describe("clear", "avenue") == "Avenue"
    assert describe("night+rain", "avenue") == "Night, rain, avenue"


def test_all_weathers_show_the_same_place_and_the_same_labels(pictures: dict[str, CameraFrame]) -> None:
    for name in SHOWN[1:]:
        for kind in ("semantic", "instance", "depth_m"):
            assert np.array_equal(getattr(pictures[name], kind), getattr(pictures["clear"], kind)), (name, kind)
        assert np.abs(pictures[name].image.astype(int) - pictures["clear"].image).mean() > 10


def test_weathers_differ_as_they_must(pictures: dict[str, CameraFrame]) -> None:
    mean = {name: pictures[name].image.mean() for name in SHOWN}
    assert mean["night"] < mean["dusk"] < mean["clear"]
    gray = {name: np.ptp(pictures[name].image.astype(float).mean(axis=(0, 1))) for name in SHOWN}
    assert gray["fog"] < 0.5 * gray["clear"]
    far = pictures["clear"].depth_m > 60
    contrast = {name: pictures[name].image[far].std() for name in SHOWN}
    assert contrast["fog"] < 0.5 * contrast["clear"]


@pytest.mark.parametrize("name", NAMES)
def test_light_of_every_weather_is_finite_and_in_range(name: str) -> None:
    for seed in range(20):
        light = make_daylight(np.random.default_rng(seed), name)
        for color in (light.sun, light.zenith, light.horizon, light.ambient, light.bounce):
            assert np.isfinite(color).all()
            assert (color >= 0).all()
        assert ("rain" in name) == (light.rain_mm_h > 0) == (light.wet > 0.5)
        assert ("fog" in name) == (light.visibility_m <= 200)
        assert light.visibility_m >= 60
        assert light.lamps == name.startswith(("dusk", "night"))
        assert light.headlights == (name not in ("clear", "overcast"))


def test_same_seed_gives_the_same_bytes() -> None:
    sensor = sensor_model("real", rolling_shutter=True)
    one, two = (
        render_camera(build_scene(5, 1, 2.0, "dusk+rain"), TIME_S, front_camera(SIZE), sensor=sensor) for _ in range(2)
    )
    assert one.image.tobytes() == two.image.tobytes()
    assert build_scene(5, 1, 2.0, "random").weather == build_scene(5, 1, 2.0, "random").weather


def test_a_data_set_takes_weathers_in_turn_and_names_them(tmp_path: Path) -> None:
    root = tmp_path / "world"
    write_dataset(
        root, scenes=2, keyframes=1, size=SIZE, sweep_hz=0, weather="night,fog", workers=1, sensor="real",
        rolling_shutter="on",
    )  # fmt: skip
    scenes = json.loads((root / VERSION / "scene.json").read_text())
    assert [row["description"].split(",")[0] for row in scenes] == ["Night", "Fog"]
    noise = NUSCENES_LIDARSEG.index("noise")
    shares = []
    for row in json.loads((root / VERSION / "lidarseg.json").read_text()):
        labels = np.fromfile(root / row["filename"], np.uint8)
        shares.append((labels == noise).mean())
    assert shares[0] == 0
    assert shares[1] > 0.01
    with pytest.raises(InputError, match="unknown sensor"):
        write_dataset(tmp_path / "other", scenes=1, keyframes=1, size=SIZE, sensor="perfect")
