"""A made-up LiDAR sweep, for timings and trials without data."""

from __future__ import annotations

import numpy as np


def spinning_sweep(points: int, rings: int = 32, seed: int = 0) -> np.ndarray:
    """A scan of a spinning sensor 1.8 m above flat ground, between walls, with boxes the size of vehicles around.

    Args:
        points: exactly so many come out.
        rings: beams, spread evenly over +10..-30 degrees.

    Shape:
        Returns ``(points, 5)`` float32, see :data:`perception.types.POINT_COLUMNS`; ages are 0.

    >>> spinning_sweep(1000).shape
    (1000, 5)
    """
    random = np.random.default_rng(seed)
    steps = -(-points // rings)
    azimuth = np.repeat(np.linspace(np.pi, -np.pi, steps, endpoint=False), rings)[:points]
    elevation = np.tile(np.deg2rad(np.linspace(10, -30, rings)), steps)[:points]
    rise = np.tan(elevation)
    walls = np.minimum(8 / np.maximum(np.abs(np.sin(azimuth)), 1e-9), 60 / np.maximum(np.abs(np.cos(azimuth)), 1e-9))
    flat = np.minimum(walls, np.where(rise < 0, 1.8 / np.maximum(-rise, 1e-9), 100.0))
    for _ in range(20):
        direction, distance = random.uniform(-np.pi, np.pi), random.uniform(4, 40)
        off = np.angle(np.exp(1j * (azimuth - direction)))
        hit = (np.abs(off) * distance < 1.0) & (distance < flat) & (distance * rise < -0.3)
        flat = np.where(hit, distance, flat)
    flat = np.maximum(flat + random.normal(0, 0.02, points), 0.5)
    xyz = np.stack([flat * np.cos(azimuth), flat * np.sin(azimuth), flat * rise], axis=1)
    return np.column_stack([xyz, random.random(points), np.zeros(points)]).astype(np.float32)
