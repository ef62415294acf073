"""What a camera makes of the light: shutter, exposure, vignetting, noise, drops on the lens, JPEG."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from perception.errors import InputError
from perception.geometry.camera import project, rays
from perception.types import Camera
from perception.world.noise import sample, tile
from perception.world.sky import Daylight, tone

SENSORS = ("ideal", "real")
VIGNETTE = 0.22
"""Share of the light that is missing at the middle of the left and right edges."""
FULL_WELL_E = 10_000.0
READ_NOISE_E = 8.0
"""Electrons, of a CMOS pixel of 4.5 micrometres."""
WHITE = 4.0
"""Exposed linear light that fills the well at gain 1."""
READOUT_S = 0.016
"""From the first row to the last of a rolling shutter: that of a sensor for 60 pictures a second."""
BLUR_SAMPLES = 7
BLUR_LIMIT_PX = 64.0


@dataclass(frozen=True)
class SensorModel:
    """Effects of a camera; they change the picture, never its labels.

    Args:
        shot_noise: Poisson-Gaussian noise of electrons (EMVA 1288) instead of a little noise of the finished picture.
        motion_blur: blur by the ego's motion while the shutter is open.
        exposure_error_ev: amplitude of the automatic exposure's slow errors, in stops.
        rolling_shutter: whether rows are exposed one after the other, the middle one at the picture's time.
    """

    shot_noise: bool = False
    motion_blur: bool = False
    exposure_error_ev: float = 0.0
    rolling_shutter: bool = False


IDEAL = SensorModel()
"""Sharp and well exposed, with vignetting, and noise of 1 to 3 grey levels in daylight."""
REAL = SensorModel(True, True, 0.35, False)


def sensor_model(name: str, rolling_shutter: bool = False) -> SensorModel:
    """The sensor called ``ideal`` or ``real``.

    Raises:
        InputError: for another name.
    """
    if name not in SENSORS:
        raise InputError(f"unknown sensor {name!r}; use one of {', '.join(SENSORS)}")
    return replace(REAL if name == "real" else IDEAL, rolling_shutter=rolling_shutter)


def row_times(camera: Camera) -> np.ndarray:
    """``(H,)`` seconds at which a rolling shutter exposes the rows, relative to the picture's time."""
    height = camera.size[0]
    return ((np.arange(height) + 0.5) / height - 0.5) * READOUT_S


def image_motion(camera: Camera, pixels: np.ndarray, depth_m: np.ndarray, later_from_camera: np.ndarray) -> np.ndarray:
    """``(N, 2)`` pixels by which fixed things move in the image while the camera moves.

    Args:
        pixels: ``(N, 2)``; depth_m: ``(N,)`` along the axis, 0 for the sky, which only turns.
        later_from_camera: ``(4, 4)`` camera frame afterwards from the frame before.
    """
    local = rays(camera, pixels)
    far = depth_m <= 0
    points = local * np.where(far, 1.0, depth_m)[:, None]
    moved = points @ later_from_camera[:3, :3].T + np.where(far, 0.0, 1.0)[:, None] * later_from_camera[:3, 3]
    later, _ = project(camera, moved)
    return np.where(np.isfinite(later), later - pixels, 0.0)


def motion_blurred(linear: np.ndarray, motion: np.ndarray) -> np.ndarray:
    """``(H, W, 3)`` light averaged along each pixel's own motion, which is centred on the pixel.

    Args:
        motion: ``(H, W, 2)`` pixels; longer ones than :data:`BLUR_LIMIT_PX` are cut to that.
    """
    height, width = linear.shape[:2]
    length = np.sqrt((motion**2).sum(axis=2, keepdims=True))
    motion = motion * np.minimum(1.0, BLUR_LIMIT_PX / np.maximum(length, 1e-6))
    if length.max() < 0.5:
        return linear
    y, x = np.mgrid[0:height, 0:width]
    flat = linear.reshape(-1, 3)
    total = np.zeros_like(linear)
    for share in (np.arange(BLUR_SAMPLES) + 0.5) / BLUR_SAMPLES - 0.5:
        column = np.clip(np.rint(x + share * motion[:, :, 0]), 0, width - 1).astype(np.int32)
        row = np.clip(np.rint(y + share * motion[:, :, 1]), 0, height - 1).astype(np.int32)
        total += flat[row * width + column]
    return total / np.float32(BLUR_SAMPLES)


def exposure_error(sensor: SensorModel, seed: int, stream: int, time_s: float) -> float:
    """Factor by which the automatic exposure is off at a time: two slow waves of a camera's own."""
    rng = np.random.default_rng([seed, 23, stream])
    phase, period = rng.uniform(0, 2 * np.pi, 2), rng.uniform([2.0, 5.0], [4.0, 11.0])
    wave = np.sin(2 * np.pi * time_s / period + phase) @ [0.4, 0.6]
    return float(2.0 ** (sensor.exposure_error_ev * wave))


def shot_noise(exposed: np.ndarray, gain: float, rng: np.random.Generator) -> np.ndarray:
    """Exposed linear light with the noise of its electrons; its variance is (signal + read noise^2) in electrons."""
    electrons = np.minimum(exposed, WHITE) * np.float32(FULL_WELL_E / WHITE / gain)
    noise = rng.standard_normal(exposed.shape, dtype=np.float32)
    electrons = electrons + noise * np.sqrt(np.maximum(electrons, 0) + np.float32(READ_NOISE_E**2))
    return electrons * np.float32(WHITE * gain / FULL_WELL_E)


def develop(
    linear: np.ndarray, light: Daylight, sensor: SensorModel, rng: np.random.Generator, error: float = 1.0
) -> np.ndarray:
    """``(H, W, 3)`` uint8 picture of linear light: lens, exposure, noise and tone curve.

    Args:
        error: factor of the automatic exposure.
    """
    height, width = linear.shape[:2]
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    radius2 = ((x / width - 0.5) ** 2 + (y / height - 0.5) ** 2 * (height / width) ** 2) * 4
    if light.rain_mm_h > 0:
        linear = drops_on_lens(falling_drops(linear, light, rng), light, rng)
    falloff = (1 - np.float32(VIGNETTE) * radius2)[:, :, None]
    if sensor.shot_noise:
        exposed = shot_noise(linear * falloff * np.float32(light.exposure * error), light.gain, rng)
        image = tone(exposed, 1.0)
    else:
        image = tone(linear * falloff, light.exposure * error)
        noise = rng.standard_normal((height, width, 3), dtype=np.float32) * np.float32(np.sqrt(light.gain))
        image = image + noise * (0.005 + 0.006 * np.sqrt(np.maximum(image, 0.0)))
    return np.clip(np.round(image * 255), 0, 255).astype(np.uint8)


def falling_drops(linear: np.ndarray, light: Daylight, rng: np.random.Generator) -> np.ndarray:
    """Streaks of drops that fall through the picture close to the camera while the shutter is open."""
    height, width = linear.shape[:2]
    out = linear.copy()
    count = int(6.0 * light.rain_mm_h)
    distance = 0.5 + 5.5 * np.sqrt(rng.random(count))
    # Drops of 1 to 3 mm fall at 4 to 8 m/s (Atlas et al. 1973).
    focal = 0.79 * width
    length = np.clip(rng.uniform(4, 8, count) * light.exposure_time_s / distance * focal, 2, 0.4 * height)
    thick = 0.002 / distance * focal
    bright = linear[: height // 3].mean(axis=(0, 1)) * 1.15 + 0.002
    lean = rng.normal(0.0, 0.08) + 0.04 * rng.standard_normal(count)
    x0, y0 = rng.uniform(0, width, count), rng.uniform(-0.2, 1.0, count) * height
    for k in range(count):
        y = np.arange(max(0, int(y0[k])), min(height, int(y0[k] + length[k])))
        if not len(y):
            continue
        x = np.clip((x0[k] + lean[k] * (y - y0[k])).astype(int), 0, width - 1)
        share = np.float32(min(0.30, 0.5 * thick[k]))
        out[y, x] += (bright - out[y, x]) * share
    return out


def drops_on_lens(linear: np.ndarray, light: Daylight, rng: np.random.Generator) -> np.ndarray:
    """Drops on the glass before the lens: out of focus, each shows a piece of the scene upside down."""
    height, width = linear.shape[:2]
    out = linear.copy()
    blurred = _blurred(linear, max(1, width // 160))
    for _ in range(rng.poisson(0.35 * light.rain_mm_h + 1)):
        radius = width * 0.009 * rng.lognormal(0.0, 0.55)
        cx, cy = rng.uniform(0, width), rng.uniform(0, height)
        x0, x1 = int(max(0, cx - radius * 1.4)), int(min(width, cx + radius * 1.4 + 1))
        y0, y1 = int(max(0, cy - radius * 1.4)), int(min(height, cy + radius * 1.4 + 1))
        y, x = np.mgrid[y0:y1, x0:x1].astype(np.float32)
        dx, dy = (x - np.float32(cx)) / np.float32(radius), (y - np.float32(cy)) / np.float32(radius * 1.15)
        wobble = 0.25 * (sample(tile(6, 1.6), (x * 3 + cx).ravel(), (y * 3 + cy).ravel()).reshape(x.shape) - 0.5)
        r = np.hypot(dx, dy) + wobble
        inside = np.clip((1.0 - r) / 0.35, 0.0, 1.0)[:, :, None]
        column = np.clip(cx - dx * radius * 5, 0, width - 1).astype(int)
        row = np.clip(cy - dy * radius * 5, 0, height - 1).astype(int)
        rim = np.clip(1.12 - 0.35 * np.clip(r, 0, 1) ** 2 - 0.12 * dy, 0.6, 1.2)[:, :, None]
        seen = blurred[row, column] * rim
        out[y0:y1, x0:x1] += (seen - out[y0:y1, x0:x1]) * inside * np.float32(0.72)
    return out


def _blurred(linear: np.ndarray, radius: int) -> np.ndarray:
    """Mean over a square of ``2 radius + 1`` pixels."""
    padded = np.pad(linear, ((radius + 1, radius), (radius + 1, radius), (0, 0)), mode="edge").astype(np.float64)
    total = padded.cumsum(axis=0).cumsum(axis=1)
    side = 2 * radius + 1
    box = total[side:, side:] - total[:-side, side:] - total[side:, :-side] + total[:-side, :-side]
    return (box / side**2).astype(np.float32)
