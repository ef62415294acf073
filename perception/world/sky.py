"""Daylight: the sun, the sky's colours and clouds, haze, and what the weather does to light and ground."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from perception.world.noise import sample, smoothstep, tile

SUN_RADIUS_RAD = 0.00465
"""Half of the angle under which the sun appears; it makes shadows soft at 9 mm a metre from the occluder."""
CONTRAST_THRESHOLD = 0.02
"""Contrast at which an object is said to vanish, which defines the visibility (Koschmieder 1924)."""


@dataclass(frozen=True)
class Daylight:
    """Light of a scene; colours are linear RGB.

    Args:
        sun_direction: unit vector towards the sun.
        sun: colour and strength of direct sunlight; all 0 without direct sun.
        zenith, horizon: sky colours.
        ambient: light from the whole sky on a surface that faces up.
        bounce: light from the ground on a surface that faces down.
        visibility_m: distance at which the contrast of an object against the horizon falls to 2 %.
        cloud: 0..1 cover.
        exposure: factor before the tone curve.
        seed: of the cloud field.
        afterglow: colour that the low sun adds above the horizon on its side.
        cloud_color: of sunlit clouds where they do not cover the sky.
        rain_mm_h: rain rate; wet: 0..1, how wet the ground is.
        lamps: whether street lamps and windows are lit; headlights: whether vehicles have theirs on.
        lamp_color: of street lamps; lamp_level: 20 lux in units of this light, which shrink by day.
        gain: of the sensor, 1 in daylight; exposure_time_s: of the shutter.
    """

    sun_direction: np.ndarray
    sun: np.ndarray
    zenith: np.ndarray
    horizon: np.ndarray
    ambient: np.ndarray
    bounce: np.ndarray
    visibility_m: float
    cloud: float
    exposure: float
    seed: int
    afterglow: np.ndarray = (0.0, 0.0, 0.0)  # type: ignore[assignment]
    cloud_color: np.ndarray = (1.127, 1.127, 1.15)  # type: ignore[assignment]
    rain_mm_h: float = 0.0
    wet: float = 0.0
    lamps: bool = False
    headlights: bool = False
    lamp_color: np.ndarray = (1.0, 0.8, 0.55)  # type: ignore[assignment]
    lamp_level: float = 1.0
    gain: float = 1.0
    exposure_time_s: float = 0.004

    def __post_init__(self) -> None:
        colors = ("sun", "zenith", "horizon", "ambient", "bounce", "afterglow", "cloud_color", "lamp_color")
        for name in ("sun_direction", *colors):
            object.__setattr__(self, name, np.asarray(getattr(self, name), np.float32))

    @property
    def sunny(self) -> bool:
        return bool(self.sun.max() > 0)

    @property
    def dark(self) -> bool:
        """Whether lamps of any kind are on."""
        return self.lamps or self.headlights

    @property
    def extinction_per_m(self) -> float:
        """Share of light that a metre of air scatters away (Koschmieder 1924)."""
        return float(-np.log(CONTRAST_THRESHOLD) / self.visibility_m)

    def gradient(self, directions: np.ndarray) -> np.ndarray:
        """``(N, 3)`` sky colour without clouds of ``(N, 3)`` unit directions."""
        up = np.clip(directions[:, 2], 0.0, 1.0)
        mix = (1 - up) ** 4
        color = self.zenith + (self.horizon - self.zenith) * mix[:, None]
        if self.afterglow.max() > 0:
            level = np.maximum(np.hypot(directions[:, 0], directions[:, 1]), 1e-3)
            towards = directions[:, :2] @ self.sun_direction[:2] / (level * np.hypot(*self.sun_direction[:2]))
            color = color + (np.exp(-up / 0.16) * (0.5 + 0.5 * towards) ** 2)[:, None] * self.afterglow
        return color.astype(np.float32)

    def sky(self, directions: np.ndarray) -> np.ndarray:
        """``(N, 3)`` colour of the visible sky, with clouds and the glow around the sun."""
        color = self.gradient(directions)
        up = np.maximum(directions[:, 2], 0.015)
        field = tile(1009, 1.45)
        x, y = directions[:, 0] / (up + 0.12), directions[:, 1] / (up + 0.12)
        offset = self.seed % 512
        thick = sample(field, x * 26 + offset, y * 26) * 0.68 + sample(field, x * 92 + 31, y * 92 + offset) * 0.32
        if self.cloud < 1:
            cover = smoothstep(0.66 - 0.28 * self.cloud, 0.86 - 0.2 * self.cloud, thick) * smoothstep(0.0, 0.14, up)
            lit = 0.80 + 0.5 * (thick - 0.5)
            cloud = lit[:, None] * self.cloud_color
            if self.afterglow.max() > 0:  # a low sun lights clouds from below, most on its side
                cloud = cloud + self.afterglow * (0.35 + 0.3 * directions @ self.sun_direction)[:, None]
            color = color * (1 - cover[:, None]) + cloud * cover[:, None]
        else:
            veiled = min(1.0, self.visibility_m / 1000.0)  # fog hides the clouds
            color = color * (1 + veiled * (0.42 * (thick - 0.3) - 0.18))[:, None]
        if self.sunny:
            glow = np.maximum(directions @ self.sun_direction, 0.0)
            color = (
                color + (0.35 * glow**24 + 0.12 * glow**6)[:, None] * (self.sun / 2.9) + 8.0 * (glow > 0.9997)[:, None]
            )
        return color.astype(np.float32)

    def veil(self, color: np.ndarray, distance: np.ndarray, directions: np.ndarray) -> np.ndarray:
        """Colours seen through ``(N,)`` metres of air: Koschmieder's law, with the sky behind as airlight."""
        clarity = np.exp(-self.extinction_per_m * distance)[:, None].astype(np.float32)
        level = directions.copy()
        level[:, 2] = np.maximum(level[:, 2], 0.0)
        return color * clarity + self.gradient(level) * (1 - clarity)

    def sun_directions(self, count: int) -> np.ndarray:
        """``(count, 3)`` directions to points spread over the sun's disc, in a fixed random order."""
        side = np.cross(self.sun_direction, np.eye(3)[int(np.abs(self.sun_direction).argmin())])
        side /= np.linalg.norm(side)
        over = np.cross(side, self.sun_direction)
        offsets = _DISC[np.arange(count) % len(_DISC)]
        spread = self.sun_direction + offsets @ (np.stack([side, over]) * SUN_RADIUS_RAD).astype(np.float32)
        return spread.astype(np.float32)


def _disc(count: int) -> np.ndarray:
    """``(count, 2)`` points that fill the unit disc evenly (Vogel's spiral), shuffled."""
    k = np.random.default_rng(12).permutation(count)
    radius, angle = np.sqrt((k + 0.5) / count), k * 2.399963
    return np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=1).astype(np.float32)


_DISC = _disc(4093)


def tone(linear: np.ndarray, exposure: float) -> np.ndarray:
    """Linear light to sRGB in 0..1 with a filmic shoulder (Narkowicz's fit of the ACES curve)."""
    x = np.maximum(linear, 0.0) * exposure
    mapped = np.clip(x * (2.51 * x + 0.03) / (x * (2.43 * x + 0.59) + 0.14), 0.0, 1.0)
    return np.where(mapped < 0.0031308, 12.92 * mapped, 1.055 * mapped ** (1 / 2.4) - 0.055)
