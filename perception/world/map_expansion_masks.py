"""Masks of the drivable surface, 0.1 m a pixel: nuScenes' semantic priors."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw

from perception.taxonomy import NUSCENES_LIDARSEG
from perception.world.scene import Scene

PIXELS_PER_M = 10
MARGIN_M = 10
"""Around the drivable surface."""


def drivable_mask(scene: Scene) -> tuple[np.ndarray, tuple[int, int]]:
    """``(H, W)`` uint8 mask, 255 on drivable surface, and its south-west corner in whole metres."""
    mesh = scene.static
    drivable = mesh.lidar == NUSCENES_LIDARSEG.index("flat.driveable_surface")
    corners = mesh.vertices[mesh.faces[drivable]][:, :, :2].astype(np.float64)  # (F, 3, 2)
    low = np.floor(corners.reshape(-1, 2).min(axis=0)).astype(int) - MARGIN_M
    high = np.ceil(corners.reshape(-1, 2).max(axis=0)).astype(int) + MARGIN_M
    width, height = ((high - low) * PIXELS_PER_M).tolist()
    image = Image.new("L", (width, height))
    draw = ImageDraw.Draw(image)
    pixels = (corners - low) * PIXELS_PER_M
    for triangle in pixels.tolist():
        draw.polygon([(x, height - 1 - y) for x, y in triangle], fill=255)
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
