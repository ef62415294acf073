"""Where a mask is sure and where it is not."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from perception.errors import InputError

UNKNOWN = 0.5


def trimap_of(mask: np.ndarray, inner_px: int, outer_px: int, holes_px: int = 0, specks_px: int = 0) -> np.ndarray:
    """``(H, W)`` float32: 1 surely subject, 0 surely background, 0.5 in the band around the mask's edge.

    Args:
        mask: ``(H, W)`` bool, whose edge is right to within the band.
        inner_px, outer_px: how far the band reaches into and out of the mask.
        holes_px: holes of fewer pixels are filled first; specks_px: parts of fewer pixels are removed.

    Raises:
        InputError: for a mask of another shape, or a negative width.
    """
    if mask.ndim != 2 or mask.dtype != bool:
        raise InputError(f"a mask is (H, W) bool, got {mask.shape} {mask.dtype}")
    if min(inner_px, outer_px, holes_px, specks_px) < 0:
        raise InputError("widths and sizes in pixels must not be negative")
    mask = _without_small(mask, specks_px)
    mask = ~_without_small(~mask, holes_px)
    trimap = np.full(mask.shape, UNKNOWN, np.float32)
    # beyond the picture's edge the subject goes on as it is at the edge
    inside = ndimage.distance_transform_edt(np.pad(mask, 1, mode="edge"))[1:-1, 1:-1]
    outside = ndimage.distance_transform_edt(np.pad(~mask, 1, mode="edge"))[1:-1, 1:-1]
    trimap[mask & (inside > inner_px)] = 1.0
    trimap[~mask & (outside > outer_px)] = 0.0
    return trimap


def _without_small(mask: np.ndarray, size_px: int) -> np.ndarray:
    if size_px <= 1:
        return mask
    parts, count = ndimage.label(mask)
    keep = np.bincount(parts.ravel(), minlength=count + 1) >= size_px
    keep[0] = False
    return keep[parts]
