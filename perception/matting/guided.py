"""Edges of a mask moved onto those of the picture by a guided filter.

Paper: Guided Image Filtering, He, Sun and Tang, TPAMI 2013; Fast Guided Filter - arXiv 1505.00996.
"""

from __future__ import annotations

import numpy as np
from scipy import ndimage


def guided_filter(guide: np.ndarray, source: np.ndarray, radius_px: int, smoothness: float = 1e-4) -> np.ndarray:
    """The picture that is locally linear in the colours of the guide and nearest to the source.

    Args:
        guide: ``(H, W, 3)`` in 0..1.
        source: ``(H, W)``.
        radius_px: of the square windows in which it is linear.
        smoothness: variance of the guide below which a window is flat.

    Returns:
        ``(H, W)`` float64.
    """
    guide, source = guide.astype(np.float64), source.astype(np.float64)

    def mean(values: np.ndarray) -> np.ndarray:
        return ndimage.uniform_filter(values, size=(2 * radius_px + 1,) * 2 + (1,) * (values.ndim - 2), mode="nearest")

    center, level = mean(guide), mean(source)
    products = mean((guide[..., :, None] * guide[..., None, :]).reshape(*source.shape, 9)).reshape(*source.shape, 3, 3)
    covariance = products - center[..., :, None] * center[..., None, :] + smoothness * np.eye(3)
    cross = mean(guide * source[..., None]) - center * level[..., None]
    slope = np.linalg.solve(covariance, cross[..., None])[..., 0]
    offset = level - (slope * center).sum(axis=-1)
    return (mean(slope) * guide).sum(axis=-1) + mean(offset)
