"""Camera pictures made for timing: as hard to decode as real ones, and none like the other."""

from __future__ import annotations

import numpy as np
from PIL import Image

from perception.files import encode_jpeg

_OCTAVES = ((4, 40.0), (16, 22.0), (64, 12.0), (256, 7.0))
"""Cells along the picture's width, and the strength of the texture that they make, in grey levels."""


def timing_pictures(native: tuple[int, int], count: int = 8, seed: int = 0) -> list[bytes]:
    """JPEG files of a random sky, road and boxes under texture.

    Args:
        native: ``(height, width)``.
    """
    random = np.random.default_rng(seed)
    return [encode_jpeg(_picture(native, random)) for _ in range(count)]


def _picture(native: tuple[int, int], random: np.random.Generator) -> np.ndarray:
    height, width = native
    picture = np.empty((height, width, 3), np.float32)
    horizon = int(height * random.uniform(0.4, 0.6))
    picture[:horizon], picture[horizon:] = random.uniform(120, 220, 3), random.uniform(50, 110, 3)
    for _ in range(30):
        top, left = int(random.integers(0, height)), int(random.integers(0, width))
        tall, wide = (int(side * random.uniform(0.02, 0.2)) + 1 for side in native)
        picture[top : top + tall, left : left + wide] = random.uniform(0, 255, 3)
    for cells, strength in _OCTAVES:
        rows = max(2, cells * height // width)
        field = Image.fromarray(random.standard_normal((rows, cells)).astype(np.float32))
        picture += strength * np.asarray(field.resize((width, height), Image.Resampling.BICUBIC))[..., None]
    picture += random.normal(0, 2, (height, width, 1))
    return np.clip(picture, 0, 255).astype(np.uint8)
