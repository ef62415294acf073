"""Daylight: the sun, the sky's colours and clouds, haze."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from perception.world.noise import sample, smoothstep, tile

WEATHERS = ("clear", "overcast")


@dataclass(frozen=True)
class Daylight:
    """Light of a scene; colours are linear RGB.

    Args:
        sun_direction: unit vector towards the sun.
        sun: colour and strength of direct sunlight; all 0 without direct sun.
        zenith, horizon: sky colours.
        ambient: light from the whole sky on a surface that faces up.
        bounce: light from the ground on a surface that faces down.
        haze_m: distance over which contrast falls to 1/e.
        cloud: 0..1 cover.
        exposure: factor before the tone curve.
        seed: of the cloud field.
    """

    sun_direction: np.ndarray
    sun: np.ndarray
    zenith: np.ndarray
    horizon: np.ndarray
    ambient: np.ndarray
    bounce: np.ndarray
    haze_m: float
    cloud: float
    exposure: float
    seed: int

    def __post_init__(self) -> None:
        for name in ("sun_direction", "sun", "zenith", "horizon", "ambient", "bounce"):
            object.__setattr__(self, name, np.asarray(getattr(self, name), np.float32))

    @classmethod
    def random(cls, rng: np.random.Generator, weather: str) -> Daylight:
        azimuth = rng.uniform(0, 2 * np.pi)
        elevation = np.radians(rng.uniform(22, 68))
        direction = np.array(
            [np.cos(azimuth) * np.cos(elevation), np.sin(azimuth) * np.cos(elevation), np.sin(elevation)]
        )
        warmth = 1 - smoothstep(0.3, 0.85, np.array(np.sin(elevation)))
        if weather == "overcast":
            tone = rng.uniform(0.85, 1.1)
            gray = np.array([0.66, 0.70, 0.76]) * tone
            return cls(direction, np.zeros(3), gray * 0.85, gray * 1.15, gray * 1.35, gray * 0.28,
            float(rng.uniform(350, 900)),
                       1.0, float(rng.uniform(0.9, 1.05)), int(rng.integers(1 << 16)))  # fmt: skip
        sun = np.array([2.9, 2.75, 2.5]) * (1 - warmth * np.array([0.12, 0.3, 0.5])) * rng.uniform(0.85, 1.1)
        zenith = np.array([0.13, 0.28, 0.62]) * rng.uniform(0.75, 1.15)
        horizon = np.array([0.58, 0.70, 0.86]) * (1 + warmth * np.array([0.25, 0.06, -0.08]))
        ambient = np.array([0.50, 0.60, 0.80]) * rng.uniform(0.8, 1.15)
        return cls(direction, sun, zenith, horizon, ambient, np.array([0.30, 0.27, 0.23]), float(rng.uniform(700,
        2600)),
                   float(rng.uniform(0.1, 0.75)), float(rng.uniform(0.58, 0.74)),
                   int(rng.integers(1 << 16)))  # fmt: skip

    @property
    def sunny(self) -> bool:
        return bool(self.sun.max() > 0)

    def gradient(self, directions: np.ndarray) -> np.ndarray:
        """``(N, 3)`` sky colour without clouds of ``(N, 3)`` unit directions."""
        up = np.clip(directions[:, 2], 0.0, 1.0)
        mix = (1 - up) ** 4
        return (self.zenith + (self.horizon - self.zenith) * mix[:, None]).astype(np.float32)

    def sky(self, directions: np.ndarray) -> np.ndarray:
        """``(N, 3)`` colour of the visible sky, with clouds and the glow around the sun."""
        color = self.gradient(directions)
        up = np.maximum(directions[:, 2], 0.015)
        field = tile(1009, 1.45)
        x, y = directions[:, 0] / (up + 0.12), directions[:, 1] / (up + 0.12)
        offset = self.seed % 512
        thick = sample(field, x * 26 + offset, y * 26) * 0.68 + sample(field, x * 92 + 31, y * 92 + offset) * 0.32
        if self.sunny:
            cover = smoothstep(0.66 - 0.28 * self.cloud, 0.86 - 0.2 * self.cloud, thick) * smoothstep(0.0, 0.14, up)
            lit = 0.80 + 0.5 * (thick - 0.5)
            cloud = np.array([0.98, 0.98, 1.0]) * lit[:, None] * 1.15
            color = color * (1 - cover[:, None]) + cloud * cover[:, None]
            glow = np.maximum(directions @ self.sun_direction, 0.0)
            color = (
                color + (0.35 * glow**24 + 0.12 * glow**6)[:, None] * (self.sun / 2.9) + 8.0 * (glow > 0.9997)[:, None]
            )
        else:
            color = color * (0.82 + 0.42 * (thick - 0.3))[:, None]
        return color.astype(np.float32)

    def veil(self, color: np.ndarray, distance: np.ndarray, directions: np.ndarray) -> np.ndarray:
        """Colours seen through ``(N,)`` metres of haze."""
        clarity = np.exp(-((distance / self.haze_m) ** 1.15))[:, None].astype(np.float32)
        level = directions.copy()
        level[:, 2] = np.maximum(level[:, 2], 0.0)
        return color * clarity + self.gradient(level) * (1 - clarity)


def tone(linear: np.ndarray, exposure: float) -> np.ndarray:
    """Linear light to sRGB in 0..1 with a filmic shoulder (Narkowicz's fit of the ACES curve)."""
    x = np.maximum(linear, 0.0) * exposure
    mapped = np.clip(x * (2.51 * x + 0.03) / (x * (2.43 * x + 0.59) + 0.14), 0.0, 1.0)
    return np.where(mapped < 0.0031308, 12.92 * mapped, 1.055 * mapped ** (1 / 2.4) - 0.055)
