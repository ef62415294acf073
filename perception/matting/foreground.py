"""The subject's own colours where its edge mixes with the background.

Paper: Fast Multi-Level Foreground Estimation - arXiv 2006.14970.
"""

from __future__ import annotations

import numpy as np
from PIL import Image

SMOOTHNESS = 1e-5
GRADIENT_WEIGHT = 1.0
SMALL = 32
"""Levels up to this many pixels a side take more passes."""
PASSES_SMALL, PASSES_LARGE = 20, 4


def estimate_foreground(image: np.ndarray, alpha: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Foreground and background that mix to the image by alpha and change least where alpha does not.

    Colours of neighbours are averaged with weights that grow with the change of alpha, from a picture of one pixel up
    to the whole size.

    Args:
        image: ``(H, W, 3)`` in 0..1.
        alpha: ``(H, W)`` in 0..1.

    Returns:
        Both ``(H, W, 3)`` float32 in 0..1.
    """
    height, width = alpha.shape
    levels = int(np.ceil(np.log2(max(height, width)))) or 1
    inside, outside = alpha > 0.9, alpha < 0.1
    front = np.broadcast_to(_mean(image, inside), (1, 1, 3)).astype(np.float32)
    back = np.broadcast_to(_mean(image, outside), (1, 1, 3)).astype(np.float32)
    for level in range(levels + 1):
        size = (max(1, round(height ** (level / levels))), max(1, round(width ** (level / levels))))
        picture, opacity = _resized(image, size), _resized(alpha, size)
        front, back = _nearest(front, size), _nearest(back, size)
        for _ in range(PASSES_SMALL if max(size) <= SMALL else PASSES_LARGE):
            front, back = _relaxed(picture, opacity, front, back)
    return front, back


def _relaxed(
    image: np.ndarray, alpha: np.ndarray, front: np.ndarray, back: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """One pass: each pixel's two colours from its neighbours', so that they mix to the image."""
    total = np.zeros_like(alpha)
    front_sum, back_sum = np.zeros_like(front), np.zeros_like(back)
    border = ((1, 1), (1, 1), (0, 0))
    padded = [np.pad(value, border[: value.ndim], mode="edge") for value in (alpha, front, back)]
    height, width = alpha.shape
    for down, right in ((0, 1), (2, 1), (1, 0), (1, 2)):
        window = (slice(down, down + height), slice(right, right + width))
        weight = SMOOTHNESS + GRADIENT_WEIGHT * np.abs(alpha - padded[0][window])
        total += weight
        front_sum += weight[..., None] * padded[1][window]
        back_sum += weight[..., None] * padded[2][window]
    # minimise (alpha F + (1 - alpha) B - I)^2 + total (F - F_mean)^2 + total (B - B_mean)^2 for each channel
    front_mean, back_mean = front_sum / total[..., None], back_sum / total[..., None]
    rest = image - alpha[..., None] * front_mean - (1 - alpha)[..., None] * back_mean
    share = (1.0 / (alpha**2 + (1 - alpha) ** 2 + total))[..., None]
    front = np.clip(front_mean + alpha[..., None] * share * rest, 0, 1)
    back = np.clip(back_mean + (1 - alpha)[..., None] * share * rest, 0, 1)
    return front.astype(np.float32), back.astype(np.float32)


def _mean(image: np.ndarray, where: np.ndarray) -> np.ndarray:
    return image[where].mean(axis=0) if where.any() else image.reshape(-1, 3).mean(axis=0)


def _resized(values: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Mean over the area of each new pixel."""
    if values.shape[:2] == size:
        return values.astype(np.float32)
    planes = np.atleast_3d(values.astype(np.float32))
    shrunk = [
        np.asarray(Image.fromarray(planes[..., i]).resize(size[::-1], Image.Resampling.BOX))
        for i in range(planes.shape[2])
    ]
    return np.stack(shrunk, axis=-1) if values.ndim == 3 else shrunk[0]


def _nearest(values: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    rows = np.arange(size[0]) * values.shape[0] // size[0]
    columns = np.arange(size[1]) * values.shape[1] // size[1]
    return values[rows][:, columns]
