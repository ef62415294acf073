"""Alpha in the unknown band from the colours around it.

Paper: A Closed-Form Solution to Natural Image Matting, Levin, Lischinski and Weiss, TPAMI 2008.
"""

from __future__ import annotations

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from scipy import sparse
from scipy.sparse.linalg import spsolve

from perception.matting.trimap import UNKNOWN

WINDOW = 9
"""Pixels of the 3x3 windows in which alpha is taken as linear in colour."""


def closed_form_alpha(
    image: np.ndarray, trimap: np.ndarray, prior: np.ndarray, smoothness: float = 1e-5, trust: float = 1e-3
) -> np.ndarray:
    """Alpha that is locally linear in colour and agrees with the trimap.

    Args:
        image: ``(H, W, 3)`` in 0..1; at least 3x3.
        trimap: ``(H, W)``: 1, 0, or 0.5 where alpha is wanted.
        prior: ``(H, W)`` what alpha tends to where colours say nothing.
        smoothness: variance of colour below which a window is flat.
        trust: weight of the prior.

    Returns:
        ``(H, W)`` float64 in 0..1.
    """
    alpha = trimap.astype(np.float64)
    unknown = trimap == UNKNOWN
    if not unknown.any():
        return alpha
    laplacian = matting_laplacian(image.astype(np.float64), unknown, smoothness)
    free = np.flatnonzero(unknown)
    fixed = np.flatnonzero(~unknown)
    rows = laplacian[free]
    system = rows[:, free] + sparse.identity(len(free)) * trust
    pull = trust * prior.ravel()[free] - rows[:, fixed] @ alpha.ravel()[fixed]
    solved = spsolve(system.tocsc(), pull, permc_spec="MMD_AT_PLUS_A")
    alpha.ravel()[free] = np.clip(solved, 0.0, 1.0)
    return alpha


def matting_laplacian(image: np.ndarray, unknown: np.ndarray, smoothness: float) -> sparse.csr_matrix:
    """``(H * W, H * W)`` matting Laplacian of the windows that touch an unknown pixel."""
    height, width = unknown.shape
    index = np.arange(height * width).reshape(height, width)
    touched = sliding_window_view(unknown, (3, 3)).any(axis=(2, 3))
    places = sliding_window_view(index, (3, 3))[touched].reshape(-1, WINDOW)  # (K, 9)
    colors = image.reshape(-1, 3)[places]  # (K, 9, 3)
    offset = colors - colors.mean(axis=1, keepdims=True)
    covariance = np.einsum("kij,kil->kjl", offset, offset) / WINDOW + smoothness / WINDOW * np.eye(3)
    weights = (1.0 + offset @ np.linalg.inv(covariance) @ offset.transpose(0, 2, 1)) / WINDOW  # (K, 9, 9)
    values = np.eye(WINDOW) - weights
    first = np.repeat(places, WINDOW, axis=1).ravel()
    second = np.tile(places, (1, WINDOW)).ravel()
    size = height * width
    return sparse.coo_matrix((values.ravel(), (first, second)), shape=(size, size)).tocsr()
