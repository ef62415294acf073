"""Masks of the drivable surface, 0.1 m a pixel: nuScenes' semantic priors."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw

from perception.world.map_layers import Polygon

PIXELS_PER_M = 10
MARGIN_M = 10
"""Around the drivable surface."""


def drivable_mask(areas: Sequence[Polygon]) -> tuple[np.ndarray, tuple[int, int]]:
    """``(H, W)`` uint8 mask, 255 on drivable surface, and its south-west corner in whole metres.

    Row ``r`` and column ``c`` lie ``(H - r) / 10`` m north and ``c / 10`` m east of that corner, as the official
    ``MapMask`` looks them up.

    Args:
        areas: that do not overlap, with their holes; at least one.
    """
    corners = np.concatenate([area.exterior for area in areas])
    low = np.floor(corners.min(axis=0)).astype(int) - MARGIN_M
    high = np.ceil(corners.max(axis=0)).astype(int) + MARGIN_M
    width, height = ((high - low) * PIXELS_PER_M).tolist()
    image = Image.new("L", (width, height))
    draw = ImageDraw.Draw(image)
    rings = [(area.exterior, 255) for area in areas] + [(hole, 0) for area in areas for hole in area.holes]
    for ring, value in rings:
        pixels = (ring - low) * PIXELS_PER_M
        draw.polygon([(x, height - y) for x, y in pixels.tolist()], fill=value)
    return np.array(image), (int(low[0]), int(low[1]))


def joined_mask(masks: Sequence[tuple[np.ndarray, tuple[int, int]]]) -> np.ndarray:
    """One mask of several, with the global origin at its bottom left; what lies south or west of it is cut off.

    Args:
        masks: as :func:`drivable_mask` gives them.
    """
    width = max(origin[0] * PIXELS_PER_M + mask.shape[1] for mask, origin in masks)
    height = max(origin[1] * PIXELS_PER_M + mask.shape[0] for mask, origin in masks)
    whole = np.zeros((max(height, 1), max(width, 1)), np.uint8)
    for mask, origin in masks:
        left, bottom = origin[0] * PIXELS_PER_M, origin[1] * PIXELS_PER_M
        top = height - bottom - mask.shape[0]
        shown = mask[: height - top, max(-left, 0) :][: mask.shape[0] - max(-bottom, 0)]
        target = whole[top : top + shown.shape[0], max(left, 0) : max(left, 0) + shown.shape[1]]
        np.maximum(target, shown, out=target)
    return whole
