"""Image sizes as people write them, shares of a camera's resolution, and masks at another size."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence

import numpy as np

from perception.errors import InputError

MAX_SIDE_PX = 16384


def parse_size(text: str) -> tuple[int, int]:
    """``(height, width)`` of a text such as ``225x400``.

    >>> parse_size("225x400")
    (225, 400)

    Raises:
        InputError: for anything but two positive integers of at most 16384 joined by ``x``.
    """
    match = re.fullmatch(r"\s*(\d+)\s*[xX]\s*(\d+)\s*", text)
    if match is None:
        raise InputError(f"size {text!r} is not HEIGHTxWIDTH in pixels, such as 225x400")
    height, width = int(match[1]), int(match[2])
    if not (1 <= height <= MAX_SIDE_PX and 1 <= width <= MAX_SIDE_PX):
        raise InputError(f"size {text!r} is out of range; each side must be 1 to {MAX_SIDE_PX} pixels")
    return height, width


def nearest_scale(scales: Sequence[float], share: float) -> int:
    """Position of the scale that is nearest to a share by ratio; of two as near the first.

    >>> nearest_scale((0.25, 0.5, 1.0), 0.4)
    1
    """
    return min(range(len(scales)), key=lambda i: abs(math.log(scales[i] / share)))


def halvings(size: tuple[int, int], wanted: tuple[int, int]) -> int:
    """How often both sides of a size can be halved without a remainder and without going below another size.

    >>> halvings((900, 1600), (224, 400)), halvings((450, 800), (112, 200))
    (2, 1)
    """
    count = 0
    while all(side % 2 == 0 and side >= 2 * least for side, least in zip(size, wanted, strict=True)):
        size, count = (size[0] // 2, size[1] // 2), count + 1
    return count


def enlarge(mask: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """``(h, w)`` labels at another size, by nearest neighbours with pixel centres at half-integers.

    A mask that has this size comes back itself, not a copy.
    """
    if mask.shape == size:
        return mask
    rows = (np.arange(size[0]) * 2 + 1) * mask.shape[0] // (2 * size[0])
    columns = (np.arange(size[1]) * 2 + 1) * mask.shape[1] // (2 * size[1])
    return mask.take(columns, axis=1).take(rows, axis=0)  # twice as fast as rows first
