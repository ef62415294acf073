"""Cheap deterministic noise for textures: tiled fractal fields and integer hashes, all float32."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

TILE = 512
"""Side of a noise tile in cells; a tile repeats without a seam."""


@lru_cache(maxsize=8)
def tile(seed: int, exponent: float) -> np.ndarray:
    """``(TILE, TILE)`` float32 periodic noise in 0..1 whose amplitude falls with frequency to the power ``exponent``.

    ``exponent`` 0 is white noise, 1 looks like clouds or stains, 2 like soft hills.
    """
    rng = np.random.default_rng(seed)
    frequency = np.hypot(np.fft.fftfreq(TILE)[:, None], np.fft.rfftfreq(TILE)[None, :]) * TILE
    frequency[0, 0] = np.inf
    spectrum = np.fft.rfft2(rng.standard_normal((TILE, TILE))) / np.maximum(frequency, 1.0) ** exponent
    spectrum[0, 0] = 0.0
    field = np.fft.irfft2(spectrum, s=(TILE, TILE))
    return np.clip(0.5 + 0.2 * field / field.std(), 0.0, 1.0).astype(np.float32)


def sample(noise: np.ndarray, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Bilinear look-up of a tile at ``(N,)`` positions measured in cells."""
    x0, y0 = np.floor(x), np.floor(y)
    fx, fy = (x - x0).astype(np.float32), (y - y0).astype(np.float32)
    i, j = y0.astype(np.int32) & (TILE - 1), x0.astype(np.int32) & (TILE - 1)
    flat = noise.ravel()
    row, row_next = i * TILE, ((i + 1) & (TILE - 1)) * TILE
    column_next = (j + 1) & (TILE - 1)
    top = flat[row + j] * (1 - fx) + flat[row + column_next] * fx
    bottom = flat[row_next + j] * (1 - fx) + flat[row_next + column_next] * fx
    return top * (1 - fy) + bottom * fy


def nearest(noise: np.ndarray, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Look-up without interpolation, for grain."""
    i, j = np.floor(y).astype(np.int32) & (TILE - 1), np.floor(x).astype(np.int32) & (TILE - 1)
    return noise.ravel()[i * TILE + j]


def hash01(*integers: np.ndarray | int) -> np.ndarray:
    """Float32 in 0..1 from one or more integer arrays, the same on every machine."""
    state: np.ndarray = np.asarray(2166136261, np.uint32)
    with np.errstate(over="ignore"):
        for value in integers:
            state = (state ^ np.asarray(value).astype(np.int64).astype(np.uint32)) * np.uint32(0x9E3779B1)
            state = state ^ (state >> np.uint32(15))
        state = state * np.uint32(0x85EBCA6B)
        state = state ^ (state >> np.uint32(13))
    return np.asarray((state & np.uint32(0xFFFFFF)).astype(np.float32) / np.float32(0x1000000))


def smoothstep(low: float, high: float, x: np.ndarray) -> np.ndarray:
    """0 below ``low``, 1 above ``high``, smooth between."""
    t = np.clip((x - low) / (high - low), 0.0, 1.0)
    return t * t * (3 - 2 * t)
