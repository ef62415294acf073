"""Weathers: what they are called, which one a scene has, and the light that comes with each."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from perception.errors import InputError
from perception.world.noise import smoothstep
from perception.world.sky import Daylight

WEATHERS = ("clear", "overcast", "rain", "fog", "dusk", "night")
COMBINED = ("dusk+rain", "dusk+fog", "night+rain", "night+fog")
"""Times of day with rain or fog; rain and fog alone come by day."""
NAMES = (*WEATHERS, *COMBINED)


def parse_weather(text: str) -> tuple[str, ...]:
    """Names of a comma list, each one of :data:`NAMES` or ``random``.

    >>> parse_weather("clear, night+rain")
    ('clear', 'night+rain')

    Raises:
        InputError: for an unknown name.
    """
    names = tuple(name.strip() for name in text.split(","))
    for name in names:
        if name not in (*NAMES, "random"):
            raise InputError(
                f"unknown weather {name!r}; use one of {', '.join((*NAMES, 'random'))}, or a comma list of them"
            )
    return names


def weather_of_scene(text: str, index: int) -> str:
    """The weather of scene ``index``: scenes take those of a comma list in turn.

    >>> [weather_of_scene("clear,rain", i) for i in range(3)]
    ['clear', 'rain', 'clear']
    """
    names = parse_weather(text)
    return names[index % len(names)]


def describe(weather: str, district: str) -> str:
    """The description of a scene, the weather first as in nuScenes; of a clear day only the place.

    >>> describe("night+rain", "downtown")
    'Night, rain, downtown'
    """
    words = [] if weather == "clear" else weather.split("+")
    text = ", ".join([*words, district])
    return text[0].upper() + text[1:]


def make_daylight(rng: np.random.Generator, weather: str) -> Daylight:
    """Random light of a weather of :data:`NAMES`."""
    time, _, fall = weather.partition("+")
    if time in ("rain", "fog"):
        time, fall = "overcast", time
    light = _TIMES[time](rng)
    if fall == "rain":
        return _rain(rng, light)
    return _fog(rng, light) if fall == "fog" else light


def _direction(azimuth: float, elevation: float) -> np.ndarray:
    return np.array([np.cos(azimuth) * np.cos(elevation), np.sin(azimuth) * np.cos(elevation), np.sin(elevation)])


def _sun(rng: np.random.Generator, low_deg: float, high_deg: float) -> tuple[np.ndarray, np.ndarray]:
    """Direction of a sun between two elevations, and how warm (0..1) its light is."""
    azimuth = rng.uniform(0, 2 * np.pi)
    direction = _direction(azimuth, np.radians(rng.uniform(low_deg, high_deg)))
    return direction, 1 - smoothstep(0.3, 0.85, np.array(direction[2]))


def _clear(rng: np.random.Generator) -> Daylight:
    direction, warmth = _sun(rng, 22, 68)
    sun = np.array([2.9, 2.75, 2.5]) * (1 - warmth * np.array([0.12, 0.3, 0.5])) * rng.uniform(0.85, 1.1)
    zenith = np.array([0.13, 0.28, 0.62]) * rng.uniform(0.75, 1.15)
    horizon = np.array([0.58, 0.70, 0.86]) * (1 + warmth * np.array([0.25, 0.06, -0.08]))
    ambient = np.array([0.50, 0.60, 0.80]) * rng.uniform(0.8, 1.15)
    visibility = 3.912 * float(rng.uniform(900, 2900))
    return Daylight(direction, sun, zenith, horizon, ambient, np.array([0.30, 0.27, 0.23]), visibility,
                    float(rng.uniform(0.1, 0.75)), float(rng.uniform(0.58, 0.74)),
                    int(rng.integers(1 << 16)))  # fmt: skip


def _overcast(rng: np.random.Generator) -> Daylight:
    direction, _ = _sun(rng, 22, 68)
    gray = np.array([0.66, 0.70, 0.76]) * rng.uniform(0.85, 1.1)
    visibility = 3.912 * float(rng.uniform(500, 1200))
    return Daylight(direction, np.zeros(3), gray * 0.85, gray * 1.15, gray * 1.35, gray * 0.28, visibility,
                    1.0, float(rng.uniform(0.9, 1.05)), int(rng.integers(1 << 16)),
                    exposure_time_s=0.006)  # fmt: skip


def _dusk(rng: np.random.Generator) -> Daylight:
    """The sun at most a few degrees high, or just set; lamps come on."""
    set_ = bool(rng.random() < 0.6)
    direction = _direction(rng.uniform(0, 2 * np.pi), np.radians(rng.uniform(-5, -1) if set_ else rng.uniform(1.5, 5)))
    sun = np.zeros(3) if set_ else np.array([0.95, 0.46, 0.17]) * rng.uniform(0.8, 1.1)
    deep = rng.uniform(0.8, 1.15) * (0.8 if set_ else 1.0)
    return Daylight(
        direction, sun, np.array([0.040, 0.066, 0.150]) * deep, np.array([0.20, 0.17, 0.21]) * deep,
        np.array([0.110, 0.120, 0.175]) * deep, np.array([0.050, 0.042, 0.045]) * deep, 3.912 * rng.uniform(500, 1500),
        float(rng.uniform(0.2, 0.75)), float(rng.uniform(1.75, 2.1)), int(rng.integers(1 << 16)),
        afterglow=np.array([0.62, 0.25, 0.06]) * rng.uniform(0.7, 1.15) * (0.75 if set_ else 1.0),
        cloud_color=np.array([0.15, 0.135, 0.165]) * deep, lamps=True, headlights=True, lamp_color=_lamp_color(rng),
        lamp_level=0.35, gain=2.5, exposure_time_s=0.010,
    )  # fmt: skip


def _night(rng: np.random.Generator) -> Daylight:
    glow = np.array([0.030, 0.022, 0.017]) * rng.uniform(0.6, 1.5)  # of the town on the sky
    return Daylight(
        _direction(rng.uniform(0, 2 * np.pi), -0.4), np.zeros(3), np.array([0.0035, 0.0045, 0.009]), glow,
        np.array([0.042, 0.043, 0.055]) * rng.uniform(0.8, 1.3), np.array([0.022, 0.018, 0.014]),
        3.912 * rng.uniform(400, 1200), float(rng.uniform(0.2, 0.9)), float(rng.uniform(1.35, 1.65)),
        int(rng.integers(1 << 16)), cloud_color=glow * 0.6, lamps=True, headlights=True, lamp_color=_lamp_color(rng),
        gain=6.0, exposure_time_s=0.020,
    )  # fmt: skip


def _lamp_color(rng: np.random.Generator) -> np.ndarray:
    """Sodium, warm white or white LED."""
    return np.array([(1.0, 0.60, 0.26), (1.0, 0.80, 0.55), (0.92, 0.95, 1.0)][int(rng.integers(3))])


def _rain(rng: np.random.Generator, light: Daylight) -> Daylight:
    """Grey light, air full of drops and spray, and wet ground."""
    rate = float(rng.uniform(4.0, 25.0))
    night = light.gain > 4
    dim = 1.0 if night else 0.72
    zenith, horizon, ambient, bounce = (
        _desaturated(color, 0.7) * dim for color in (light.zenith, light.horizon, light.ambient, light.bounce)
    )
    return replace(
        light, zenith=zenith, horizon=horizon, ambient=ambient, bounce=bounce, sun=np.zeros(3),
        afterglow=light.afterglow * 0.25, cloud=1.0,
        visibility_m=float(rng.uniform(350, 900)), rain_mm_h=rate, wet=float(rng.uniform(0.8, 1.0)), headlights=True,
        lamp_level=_lamp_level(light), gain=light.gain * 1.5, exposure_time_s=max(light.exposure_time_s, 0.008),
    )  # fmt: skip


def _fog(rng: np.random.Generator, light: Daylight) -> Daylight:
    """A white veil of 60 to 200 m visibility that takes colours and the sun away."""
    dim = 1.0 if light.lamps else 0.8
    horizon, ambient, bounce = (
        _desaturated(color, 0.85) * dim for color in (light.horizon, light.ambient, light.bounce)
    )
    if light.lamps:  # lamps light the fog itself
        horizon = horizon + light.lamp_color * 0.018
    return replace(
        light, zenith=horizon * 0.88, horizon=horizon, ambient=ambient, bounce=bounce, sun=np.zeros(3),
        afterglow=light.afterglow * 0.12, cloud=1.0,
        visibility_m=float(rng.uniform(60, 200)), wet=0.25, headlights=True,
        lamp_level=_lamp_level(light), gain=light.gain * 1.2,
    )  # fmt: skip


def _lamp_level(light: Daylight) -> float:
    """Of grey weather: by day, lamps count for little beside the sky."""
    return light.lamp_level if light.lamps else 0.03


def _desaturated(color: np.ndarray, share: float) -> np.ndarray:
    return color * (1 - share) + color.mean() * share


_TIMES = {"clear": _clear, "overcast": _overcast, "dusk": _dusk, "night": _night}
